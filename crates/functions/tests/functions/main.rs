//! Behaviour of calls, seen from their callers. No V8: see `support`.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "a failure here is a failed test; brevity counts"
)]

mod actions;
mod arguments;
mod contention;
mod crons;
mod failures;
mod files;
mod memory_files;
mod mutations;
mod nested;
mod queries;
mod scheduling;
mod sessions;
mod support;
