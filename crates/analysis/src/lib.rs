//! Decides, for each pushed JavaScript module, whether a call of one of its functions can leave state
//! behind that a later call in the same context could see.

mod builtin;
mod builtin_methods;
mod builtin_objects;
mod examine;
mod frames;
mod globals;
mod invoke;
mod iteration;
mod link;
mod nesting;
mod position;
mod program;
mod property;
mod reasons;
mod solver;
mod value;
mod verdict;
mod walk_classes;
mod walk_expressions;
mod walk_patterns;
mod walk_statements;

pub use verdict::{Analysis, Reason, Verdict};

/// Stack of the thread that analyses, in bytes; reserved, not touched unless source is nested deeply.
const STACK_BYTES: usize = 512 << 20;

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
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new()
            .name("analysis".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || examine::analyze(modules));
        let outcome = match worker {
            Ok(worker) => worker.join().ok(),
            Err(_) => None,
        };
        outcome.unwrap_or_else(|| {
            Analysis::all_fresh(modules.iter().map(|module| module.path), "could not be analysed")
        })
    })
}
