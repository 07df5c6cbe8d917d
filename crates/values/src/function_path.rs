//! [`FunctionPath`]: which exported function of which module.
//!
//! It says nothing about whether such a function exists or who may call it.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::excerpt::excerpt_text;
use crate::identifier::{self, IdentifierError};
use crate::path_component::{self, PathComponentError};

const EXTENSION: &str = ".js";
const DEFAULT_EXPORT: &str = "default";

/// A module path, with its `.js`, and the name of an export. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionPath {
    module: Arc<str>,
    function: Arc<str>,
}

/// A text is no function path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a valid path to a Convex function. {reason}", excerpt_text(input))]
pub struct FunctionPathError {
    /// The text.
    pub input: String,
    /// What is wrong with it.
    pub reason: FunctionPathReason,
}

impl FunctionPathError {
    /// The error's code on the wire.
    pub const CODE: &'static str = "BadConvexFunctionIdentifier";
}

/// Why a text is no function path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionPathReason {
    /// A part of the module path breaks the rules.
    #[error(transparent)]
    Module(#[from] PathComponentError),
    /// The module path has an extension other than `.js`.
    #[error("Module path has an extension other than '.js': {}", excerpt_text(.0))]
    Extension(String),
    /// The function's name is no identifier.
    #[error(transparent)]
    Function(#[from] IdentifierError),
}

impl FunctionPath {
    /// A path from a module path (with or without `.js`) and the name of an export.
    ///
    /// # Errors
    /// Either part breaks the rules; the error shows them joined by a colon.
    pub fn new(module: &str, function: &str) -> Result<FunctionPath, FunctionPathError> {
        let error = |reason| FunctionPathError { input: format!("{module}:{function}"), reason };
        let module = canonical_module_path(module).map_err(error)?;
        identifier::check(function).map_err(|reason| error(reason.into()))?;
        Ok(FunctionPath { module: module.into(), function: function.into() })
    }

    /// The canonical module path, with `.js`: `dir/messages.js`.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The name of the export: `list`, or `default`.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The form that users see: without `.js`, and without `:default`.
    pub fn stripped(&self) -> String {
        let module = self.module.strip_suffix(EXTENSION).unwrap_or(&self.module);
        if &*self.function == DEFAULT_EXPORT {
            module.to_owned()
        } else {
            format!("{module}:{}", self.function)
        }
    }

    /// Whether the module is one of the server's own (`_system/`).
    pub fn is_system(&self) -> bool {
        self.module.starts_with("_system/")
    }

    /// Whether the module is a chunk shared by other modules (`_deps/`), whose exports cannot be called.
    pub fn is_deps(&self) -> bool {
        self.module.starts_with("_deps/")
    }
}

/// The canonical form, with `.js`, of a module path with or without it.
///
/// # Errors
/// A component breaks the rules, or the last one has another extension.
pub fn canonical_module_path(text: &str) -> Result<String, FunctionPathReason> {
    let stem = text.strip_suffix(EXTENSION).unwrap_or(text);
    stem.split('/').try_for_each(path_component::check)?;
    let last = stem.rsplit('/').next().unwrap_or(stem);
    // A leading dot makes no extension. A second one before `.js` does: `a.test.js` names a file `a.test`, which
    // written without its `.js` would be taken for another kind of file.
    if stem.len() == text.len()
        && let Some((name, extension)) = last.rsplit_once('.')
        && !name.is_empty()
    {
        return Err(FunctionPathReason::Extension(extension.to_owned()));
    }
    Ok(format!("{stem}{EXTENSION}"))
}

impl FromStr for FunctionPath {
    type Err = FunctionPathError;

    /// `module[:function]`, split at the last colon; no colon means the default export.
    fn from_str(text: &str) -> Result<FunctionPath, FunctionPathError> {
        let (module, function) = text.rsplit_once(':').unwrap_or((text, DEFAULT_EXPORT));
        FunctionPath::new(module, function)
            .map_err(|error| FunctionPathError { input: text.to_owned(), ..error })
    }
}

impl Display for FunctionPath {
    /// The canonical form: `messages.js:list`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.module, self.function)
    }
}

impl Serialize for FunctionPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FunctionPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FunctionPath, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_function_have_one_canonical_form() {
        let cases = [
            ("messages:list", "messages.js:list", "messages:list"),
            ("messages.js:list", "messages.js:list", "messages:list"),
            ("a/b", "a/b.js:default", "a/b"),
            ("a/b.js", "a/b.js:default", "a/b"),
            ("a/b:default", "a/b.js:default", "a/b"),
            ("a.b/c:_f1", "a.b/c.js:_f1", "a.b/c:_f1"),
            ("a.test.js:f", "a.test.js:f", "a.test:f"),
            ("_system/cli/tables", "_system/cli/tables.js:default", "_system/cli/tables"),
        ];
        for (text, canonical, stripped) in cases {
            let path: FunctionPath = text.parse().unwrap();
            assert_eq!(path.to_string(), canonical);
            assert_eq!(path.stripped(), stripped);
            assert_eq!(canonical.parse::<FunctionPath>().unwrap(), path);
        }
        assert!("_system/cli/tables".parse::<FunctionPath>().unwrap().is_system());
        assert!("_deps/ABC:f".parse::<FunctionPath>().unwrap().is_deps());
    }

    #[test]
    fn malformed_paths_are_refused_with_the_input_and_a_reason() {
        let refused = [
            "", ":", "a:", ":f", "/a:f", "a/:f", "a//b:f", "../a:f", "a/../b:f", "a.ts:f", "a.:f", "a b:f",
            "a-b:f", "a:b:c", "a:1", "a:b-c", "a:__", "__:f", ".js:f", "é:f",
        ];
        for text in refused {
            let error = text.parse::<FunctionPath>().unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("{text} is not a valid path to a Convex function. ")),
                "{error}"
            );
        }
        assert_eq!(
            "messages:1f".parse::<FunctionPath>().unwrap_err().to_string(),
            "messages:1f is not a valid path to a Convex function. Invalid first character '1' in 1f: Identifiers \
             must start with an alphabetic character or underscore"
        );
        // Split at the last colon: what comes before belongs to the module path.
        let reason = "a:b:c".parse::<FunctionPath>().unwrap_err().reason;
        assert!(matches!(
            reason,
            FunctionPathReason::Module(PathComponentError::Character { invalid: ':', .. })
        ));
        assert!(format!("{}:f", "x".repeat(64)).parse::<FunctionPath>().is_ok());
        assert!(format!("{}.js:f", "x".repeat(64)).parse::<FunctionPath>().is_ok());
        assert!(format!("{}:f", "x".repeat(65)).parse::<FunctionPath>().is_err());
    }
}
