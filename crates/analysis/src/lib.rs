//! Decides, for each pushed JavaScript module, whether a call of one of its functions can leave state
//! behind that a later call in the same context could see. Modules of which that is certain may share one
//! warm context; all others get freshly evaluated modules for every call. No I/O, no engine: text in, verdicts out.
//! Since it knows the modules' syntax, it also takes out of them what only costs time (`naming`).
//!
//! # Method
//!
//! A whole-program points-to analysis in the style of Andersen (*Program Analysis and Specialization for the C
//! Programming Language*, 1994): expressions, variables and properties are nodes of a graph, values flow along
//! its edges to a fixed point, and calls are resolved by the functions that reach the callee. It is
//! flow-insensitive, tells properties apart by name (all array elements are one), and takes each entry module
//! with everything it imports as the program.
//!
//! Everything is analysed in two *phases*: evaluation of the modules, and calls made later by the runtime. Code
//! that runs in both is analysed once for each. An object is named by the place that makes it and the activation in
//! which that happens, so that objects made during evaluation and during a call never mix. Those made during
//! evaluation, globals and built-ins *outlive the call*; changing one of them in the call phase, or assigning a
//! variable that belongs to an activation of the evaluation phase, is a reason. Small functions are told apart by
//! their last two callers (call strings after Sharir and Pnueli, 1981, and Shivers, 1991), which keeps helpers such as
//! the bundler's `__name` from mixing everything with everything.
//!
//! Evaluation may do what it likes with its own objects. It must not change built-ins or globals, which all modules
//! of a context share, and must not use what differs from one evaluation to the next: clock, randomness, environment.
//!
//! The calls that start the call phase are those the runtime makes on exports (`invokeQuery` and its like). Exported
//! functions that are not registered are checked too, as if called with arguments of which nothing is known but
//! that they are the caller's own.
//!
//! # Assumptions
//!
//! * Each entry module has its own instances of the modules it reaches; only built-ins and globals are common.
//! * Built-ins are those of ECMAScript 2025 and the runtime's documented host classes. A name that is on no list is a
//!   reason as soon as it is called.
//! * The runtime freezes the built-ins. Assignments that could reach one under a name computed at run time
//!   (`o[k][j] = v` with `k` being `__proto__`) are not tracked.
//! * `eval` and `Function` are refused wherever they are reached; `import()` is followed when it names a literal.
//! * The host keeps no JavaScript object it is given, except where a stream, event or abort signal hands it on.
//!
//! # Deliberately not tracked
//!
//! The order in which statements run, conditions, the content of strings beyond constants, time and memory used, the
//! registry behind `Symbol.for`, which values `WeakRef`s lose, and detaching of buffers by transfer.
//!
//! # Bounds
//!
//! Source of 32 MiB, nesting of 30,000 tokens, ten million constraint steps for one entry and fifty million for all; beyond
//! them the answer is "too large to analyse". Reasons are never taken back, so a module for which there is one gets a million
//! more steps, in which a better one may turn up, and no others. Analysis is recursive and runs on a thread with a large
//! stack.

mod builtin;
mod builtin_methods;
mod builtin_objects;
mod builtin_text;
mod examine;
mod frames;
mod globals;
mod invoke;
mod iteration;
mod link;
mod names;
mod naming;
mod nesting;
mod position;
mod program;
mod property;
mod reasons;
mod solver;
mod value;
mod verdict;
mod walk_calls;
mod walk_classes;
mod walk_expressions;
mod walk_patterns;
mod walk_statements;

use std::collections::BTreeMap;

pub use verdict::{Analysis, Quoted, Reason, Verdict};

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
    on_large_stack(|| examine::analyze(modules)).unwrap_or_else(|| {
        Analysis::all_fresh(modules.iter().map(|module| module.path), "could not be analysed")
    })
}

/// Takes out the calls of a bundler's naming helper that change nothing but the time that they take. Returns the texts of
/// those modules that change, by path; every position in them is where it was.
#[must_use]
pub fn without_redundant_naming(modules: &[Module<'_>]) -> BTreeMap<String, String> {
    on_large_stack(|| naming::shorten(modules)).unwrap_or_default()
}

/// Syntax trees are walked recursively. `None` when there is no such thread, or the work panicked.
fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new()
            .name("analysis".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work);
        worker.ok()?.join().ok()
    })
}
