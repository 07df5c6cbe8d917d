//! What the analysis says about each module. Never decides anything.

use std::collections::HashMap;

/// The verdicts of one deployment's modules.
#[derive(Debug, Clone)]
pub struct Analysis {
    verdicts: HashMap<String, Verdict>,
    unknown: Verdict,
}

impl Analysis {
    pub(crate) fn new(verdicts: HashMap<String, Verdict>) -> Self {
        let unknown = Verdict::Fresh(vec![Reason {
            module: String::new(),
            line: 0,
            column: 0,
            message: "is not a module of this deployment".to_owned(),
            quoted: None,
        }]);
        Self { verdicts, unknown }
    }

    pub(crate) fn all_fresh<'a>(paths: impl Iterator<Item = &'a str>, message: &str) -> Self {
        let verdict = |path: &str| {
            Verdict::Fresh(vec![Reason {
                module: path.to_owned(),
                line: 0,
                column: 0,
                message: message.to_owned(),
                quoted: None,
            }])
        };
        Self::new(paths.map(|path| (path.to_owned(), verdict(path))).collect())
    }

    /// The verdict of the module with this path, as given in [`Module::path`](crate::Module); a path that was not
    /// analysed is [`Verdict::Fresh`].
    #[must_use]
    pub fn verdict(&self, path: &str) -> &Verdict {
        self.verdicts.get(path).unwrap_or(&self.unknown)
    }
}

/// How calls of a module's functions may be given a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No call changes anything that outlives it: calls may share a warm context with those of all other
    /// verified modules.
    Verified,
    /// Every call needs freshly evaluated modules; at most 32 reasons.
    Fresh(Vec<Reason>),
    /// The author asks for reuse by exporting `experimental_reuseContext = true`.
    Reuse,
}

/// Why a module is not verified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    /// Path of the module in which the cause stands; not always the module asked about.
    pub module: String,
    /// Line in the bundled source, from 0.
    pub line: u32,
    /// Column in the bundled source, from 0, in UTF-16 units as source maps count.
    pub column: u32,
    /// What the code does there, for the app's author.
    pub message: String,
    /// The code that the message quotes, perhaps shortened, between backticks.
    pub quoted: Option<Quoted>,
}

/// Bundled source that a reason quotes. Bundlers shorten names; a source map can tell the author's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quoted {
    /// The source, whole.
    pub text: String,
    /// Its line, from 0.
    pub line: u32,
    /// Its column, from 0, in UTF-16 units.
    pub column: u32,
}
