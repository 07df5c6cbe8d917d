//! Behaviour of calls, seen from their callers. No V8: see `support`.

mod actions;
mod arguments;
mod contention;
mod crons;
mod failures;
mod mutations;
mod nested;
mod queries;
mod scheduling;
mod sessions;
mod support;
