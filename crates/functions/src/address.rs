//! How a host call says which function it means: by name, by reference or by handle.

use freshet_values::FunctionPath;
use serde::Deserialize;

use crate::function_handle;

/// Prefix of references that name a function of the same component.
const FUNCTION_REFERENCE: &str = "_reference/function/";
/// Prefix of references that lead into a mounted component.
const CHILD_REFERENCE: &str = "_reference/childComponent/";

/// The address fields of a host call's arguments; exactly one is present.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Address {
    name: Option<String>,
    reference: Option<String>,
    function_handle: Option<String>,
}

impl Address {
    /// The function that is meant. The error is the text that user code gets.
    pub(crate) fn path(&self) -> Result<FunctionPath, String> {
        match (&self.name, &self.reference, &self.function_handle) {
            (Some(name), None, None) if function_handle::is_handle(name) => function_handle::path_of(name),
            (Some(name), None, None) => name.parse().map_err(|error| format!("{error}")),
            (None, Some(reference), None) => referenced(reference),
            (None, None, Some(handle)) => function_handle::path_of(handle),
            (None, None, None) => Err("Missing required argument 'name'".into()),
            _ => Err("Exactly one of 'name', 'reference' and 'functionHandle' must be given".into()),
        }
    }

    /// Whether it was given as a handle, whose target has to exist.
    pub(crate) fn is_handle(&self) -> bool {
        self.function_handle.is_some() || self.name.as_deref().is_some_and(function_handle::is_handle)
    }
}

fn referenced(reference: &str) -> Result<FunctionPath, String> {
    if let Some(path) = reference.strip_prefix(FUNCTION_REFERENCE) {
        return path.parse().map_err(|error| format!("{error}"));
    }
    if let Some(child) = reference.strip_prefix(CHILD_REFERENCE) {
        let name = child.split('/').next().unwrap_or_default();
        return Err(format!("Child component \"{name}\" not found"));
    }
    if reference.starts_with("_reference/componentArgument/") {
        return Err("Component arguments are not available within the app".into());
    }
    Err(format!("Invalid function reference: {reference}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(json: &str) -> Result<String, String> {
        serde_json::from_str::<Address>(json).unwrap().path().map(|path| path.to_string())
    }

    #[test]
    fn names_references_and_handles_name_functions() {
        for json in [
            r#"{"name":"a/b:c"}"#,
            r#"{"name":"function://;a/b.js:c"}"#,
            r#"{"functionHandle":"function://;a/b.js:c"}"#,
            r#"{"reference":"_reference/function/a/b:c"}"#,
        ] {
            assert_eq!(path(json), Ok("a/b.js:c".into()), "{json}");
        }
    }

    #[test]
    fn an_address_that_leads_nowhere_says_why() {
        assert_eq!(path("{}"), Err("Missing required argument 'name'".into()));
        assert_eq!(
            path(r#"{"reference":"_reference/childComponent/kid/foo/bar"}"#),
            Err("Child component \"kid\" not found".into())
        );
    }
}
