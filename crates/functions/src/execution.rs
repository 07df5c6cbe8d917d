//! What is recorded of every finished execution.

use std::sync::Arc;

use freshet_database::Usage;
use freshet_values::{ComponentPath, Timestamp};

use crate::code::FunctionKind;
use crate::host::Environment;
use crate::log::LogLine;
use crate::request_id::RequestId;

/// One finished execution, for the log stream and for metrics.
#[derive(Clone, Debug)]
pub struct ExecutionRecord {
    /// Kind of function.
    pub kind: FunctionKind,
    /// The component instance; empty for the app.
    pub component: ComponentPath,
    /// `mod:fn` without `.js`; `GET /path` for HTTP actions.
    pub identifier: String,
    /// Console lines. Empty for actions, whose lines were already reported one by one.
    pub log_lines: Vec<LogLine>,
    /// End, in seconds since the Unix epoch.
    pub finished_at_s: f64,
    /// Start, in seconds since the Unix epoch.
    pub started_at_s: f64,
    /// Wall-clock duration in seconds.
    pub execution_time_s: f64,
    /// Duration without host calls, in seconds; equals the whole for actions.
    pub user_execution_time_s: f64,
    /// Whether a stored result answered the call.
    pub cached_result: bool,
    /// Name of the door: `SyncWorker`, `HttpApi`, ...
    pub caller: &'static str,
    /// Execution that made the call.
    pub parent_execution_id: Option<String>,
    /// HTTP status of an HTTP action.
    pub http_status: Option<u16>,
    /// Full error text with stack.
    pub error: Option<String>,
    /// Names the request.
    pub request_id: RequestId,
    /// Names the execution, a UUID.
    pub execution_id: String,
    /// Length of the result's JSON text in bytes.
    pub return_bytes: Option<usize>,
    /// How often a conflict made it start over.
    pub conflicts: u32,
    /// `user`, `unknown`, `instance_admin`, `system` or `member_acting_user`.
    pub identity_type: &'static str,
    /// Where it ran.
    pub environment: Environment,
    /// Snapshot of a query, commit of a mutation.
    pub ts: Option<Timestamp>,
    /// What its transaction read and wrote, nested calls included; nothing for actions, whose calls have records of their
    /// own.
    pub usage: Usage,
    /// Whether the app's code declares such a function. Callers can ask for anything.
    pub is_declared: bool,
}

/// A console line of an action that is still running.
#[derive(Clone, Debug)]
pub struct ProgressRecord {
    /// Kind of function: an action or an HTTP action.
    pub kind: FunctionKind,
    /// The component instance; empty for the app.
    pub component: ComponentPath,
    /// `mod:fn` without `.js`; `GET /path` for HTTP actions.
    pub identifier: String,
    /// The line.
    pub log_lines: Vec<LogLine>,
    /// When it was printed, in seconds since the Unix epoch.
    pub timestamp_s: f64,
    /// Names the request.
    pub request_id: RequestId,
    /// Names the execution.
    pub execution_id: String,
}

/// Receives what happened. Must not block.
pub trait LogSink: Send + Sync + 'static {
    /// An execution ended.
    fn completed(&self, record: ExecutionRecord);
    /// A running action printed something.
    fn progress(&self, record: ProgressRecord);
}

/// A [`LogSink`] that keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSink;

impl LogSink for NoSink {
    fn completed(&self, _record: ExecutionRecord) {}
    fn progress(&self, _record: ProgressRecord) {}
}

/// A shared sink.
pub type SharedLogSink = Arc<dyn LogSink>;
