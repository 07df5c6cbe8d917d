//! What callers hand in and get back.

use std::sync::Arc;

use bytes::Bytes;
use freshet_database::ReadSet;
use freshet_values::{ComponentPath, FunctionPath, Timestamp};
use tokio::sync::mpsc;

use crate::identity::Identity;
use crate::log::LogLine;
use crate::request_id::RequestId;

/// A function to call.
#[derive(Clone, Debug)]
pub struct FunctionCall {
    /// Which function.
    pub path: FunctionPath,
    /// The component instance that it lives in; empty for the app.
    pub component: ComponentPath,
    /// JSON text: an array that holds the one encoded arguments object, or that object itself.
    pub args: String,
    /// On whose behalf.
    pub identity: Identity,
    /// Through which door the call came.
    pub caller: Caller,
    /// Names the request in errors and logs.
    pub request_id: RequestId,
    /// What the transport knows about the request.
    pub metadata: RequestMetadata,
}

/// What `ctx.meta.getRequestMetadata()` reports besides the request id. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestMetadata {
    /// Address of the client.
    pub ip: Option<Arc<str>>,
    /// The client's `User-Agent`.
    pub user_agent: Option<Arc<str>>,
    /// The user's token as it was presented.
    pub auth_token: Option<Arc<str>>,
}

/// Through which door a call came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The HTTP API for clients.
    HttpApi,
    /// A WebSocket.
    SyncWorker,
    /// `convex run` and other tools of admins.
    Tester,
    /// An HTTP action's endpoint.
    HttpEndpoint,
    /// A cron job.
    Cron,
    /// The scheduler.
    Scheduler {
        /// Id of the job, an `Id<"_scheduled_functions">`.
        job_id: String,
    },
    /// Another function, from an action.
    Action {
        /// Execution that made the call.
        parent_execution_id: String,
        /// The scheduled job that the whole chain of calls belongs to.
        scheduled_job: Option<String>,
    },
}

impl Caller {
    /// The name used in the log stream.
    pub fn log_name(&self) -> &'static str {
        match self {
            Caller::HttpApi => "HttpApi",
            Caller::SyncWorker => "SyncWorker",
            Caller::Tester => "Tester",
            Caller::HttpEndpoint => "HttpEndpoint",
            Caller::Cron => "Cron",
            Caller::Scheduler { .. } => "Scheduler",
            Caller::Action { .. } => "Action",
        }
    }

    /// The scheduled job on whose behalf the call is made.
    pub(crate) fn scheduled_job(&self) -> Option<&str> {
        match self {
            Caller::Scheduler { job_id } => Some(job_id),
            Caller::Action { scheduled_job, .. } => scheduled_job.as_deref(),
            _ => None,
        }
    }
}

/// How to run a query.
#[derive(Clone, Debug, Default)]
pub struct QueryOptions {
    /// The snapshot to read; the newest when absent.
    pub at: Option<Timestamp>,
    /// Journal of an earlier run of the same query, to keep page boundaries.
    pub journal: Option<String>,
}

/// Names one request of one client session, for exactly-once mutations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRequest {
    /// The session's UUID, hyphenated lower case.
    pub session_id: String,
    /// Number of the request within the session.
    pub request_id: u64,
}

/// A function that failed: its own result, not the server's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// Full text with stack lines, without the `[Request ID: ...]` line.
    pub message: String,
    /// JSON text of a `ConvexError`'s encoded data.
    pub data: Option<String>,
}

/// A finished query.
#[derive(Clone, Debug)]
pub struct QueryOutcome {
    /// Encoded JSON text of the result, or the function's failure.
    pub result: Result<String, FunctionError>,
    /// Console lines.
    pub log_lines: Vec<LogLine>,
    /// End position of the page that the query read, when it paginated.
    pub journal: Option<String>,
    /// The snapshot that it read.
    pub ts: Timestamp,
    /// Everything that it read. Writes that overlap it may change the result.
    pub read_set: Arc<ReadSet>,
    /// Whether it asked for the caller's identity: the result is then good for equal identities only.
    pub observed_identity: bool,
    /// Whether it looked at the clock: the result should then not be reused for long.
    pub observed_time: bool,
}

/// A finished mutation.
#[derive(Clone, Debug)]
pub struct MutationOutcome {
    /// Encoded JSON text of the result, or the function's failure (nothing was written then).
    pub result: Result<String, FunctionError>,
    /// Console lines.
    pub log_lines: Vec<LogLine>,
    /// Commit timestamp of a success. Of a replayed request: the original one.
    pub ts: Option<Timestamp>,
}

/// A finished action.
#[derive(Clone, Debug)]
pub struct ActionOutcome {
    /// Encoded JSON text of the result, or the function's failure.
    pub result: Result<String, FunctionError>,
    /// Console lines.
    pub log_lines: Vec<LogLine>,
}

/// A finished function of whatever kind.
#[derive(Clone, Debug)]
pub enum AnyOutcome {
    /// It was a query.
    Query(QueryOutcome),
    /// It was a mutation.
    Mutation(MutationOutcome),
    /// It was an action.
    Action(ActionOutcome),
}

impl AnyOutcome {
    /// Result and console lines, whatever the kind.
    pub fn into_parts(self) -> (Result<String, FunctionError>, Vec<LogLine>) {
        match self {
            AnyOutcome::Query(outcome) => (outcome.result, outcome.log_lines),
            AnyOutcome::Mutation(outcome) => (outcome.result, outcome.log_lines),
            AnyOutcome::Action(outcome) => (outcome.result, outcome.log_lines),
        }
    }
}

/// A request for the app's HTTP router.
#[derive(Debug)]
pub struct HttpActionRequest {
    /// HTTP method in upper case.
    pub method: String,
    /// Absolute URL as the handler is to see it.
    pub url: String,
    /// Path that is matched against the router, without query.
    pub routed_path: String,
    /// Headers as received; names in lower case, duplicates kept.
    pub headers: Vec<(String, String)>,
    /// Body chunks; ignored for GET, HEAD and OPTIONS.
    pub body: Option<mpsc::Receiver<Result<Bytes, String>>>,
    /// Names the request in errors and logs.
    pub request_id: RequestId,
    /// Address of the client.
    pub ip: Option<Arc<str>>,
}

/// The answer to an [`HttpActionRequest`]; the body may still be streaming.
#[derive(Debug)]
pub struct HttpActionAnswer {
    /// HTTP status.
    pub status: u16,
    /// Response headers in order, duplicates kept.
    pub headers: Vec<(String, String)>,
    /// Body chunks; the channel closes at the end, or early when the function fails while streaming. Dropping the
    /// receiver tells the function that the client left.
    pub body: mpsc::Receiver<Bytes>,
}
