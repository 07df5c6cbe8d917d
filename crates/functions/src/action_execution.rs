//! One running action or HTTP action, as the server sees it: who it runs for, and what it printed.

use std::sync::Arc;
use std::time::Instant;

use freshet_database::Usage;
use freshet_values::{ComponentPath, FunctionPath, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore};

use crate::call::{Caller, RequestMetadata};
use crate::code::{FunctionKind, LiveCode};
use crate::execution::{ExecutionRecord, ProgressRecord};
use crate::functions::Functions;
use crate::host::{Environment, HostFailure};
use crate::identity::Identity;
use crate::log::{LogBuffer, LogLevel, LogLine};
use crate::request_id::RequestId;
use crate::services::seconds;

/// What the execution's callbacks and its records need.
pub(crate) struct ActionExecution {
    pub(crate) functions: Functions,
    pub(crate) code: Arc<LiveCode>,
    pub(crate) kind: FunctionKind,
    pub(crate) path: FunctionPath,
    /// `mod:fn`, or `GET /path`.
    pub(crate) identifier: String,
    /// Whether the code has such a function or route.
    is_declared: bool,
    pub(crate) environment: Environment,
    pub(crate) caller: Caller,
    pub(crate) request_id: RequestId,
    pub(crate) metadata: RequestMetadata,
    pub(crate) execution_id: String,
    /// Bounds host calls that are served at the same time.
    pub(crate) host_calls: Semaphore,
    identity: OnceCell<Identity>,
    /// A token that nobody has looked at yet.
    token: Option<Arc<str>>,
    logs: Mutex<LogBuffer>,
    started: Instant,
    started_at: Timestamp,
}

/// What an [`ActionExecution`] starts from.
pub(crate) struct ActionStart {
    pub(crate) functions: Functions,
    pub(crate) code: Arc<LiveCode>,
    pub(crate) kind: FunctionKind,
    pub(crate) path: FunctionPath,
    pub(crate) identifier: String,
    /// Whether the code has such a function or route.
    pub(crate) is_declared: bool,
    pub(crate) environment: Environment,
    pub(crate) caller: Caller,
    pub(crate) request_id: RequestId,
    pub(crate) metadata: RequestMetadata,
    /// Who calls; `None` when that is up to `metadata.auth_token`, which is verified only when somebody asks.
    pub(crate) identity: Option<Identity>,
}

impl ActionExecution {
    pub(crate) fn new(start: ActionStart) -> Self {
        let limits = &start.functions.services.limits;
        let token = if start.identity.is_none() { start.metadata.auth_token.clone() } else { None };
        Self {
            host_calls: Semaphore::new(limits.action_host_calls_max),
            logs: Mutex::new(LogBuffer::new(limits.log_lines_max, limits.log_line_bytes_max)),
            identity: OnceCell::new_with(start.identity),
            token,
            execution_id: uuid::Uuid::new_v4().to_string(),
            started: Instant::now(),
            started_at: start.functions.services.now(),
            functions: start.functions,
            code: start.code,
            kind: start.kind,
            path: start.path,
            identifier: start.identifier,
            is_declared: start.is_declared,
            environment: start.environment,
            caller: start.caller,
            request_id: start.request_id,
            metadata: start.metadata,
        }
    }

    /// On whose behalf it runs.
    pub(crate) async fn identity(&self) -> &Identity {
        self.identity
            .get_or_init(|| async {
                let Some(token) = &self.token else { return Identity::Anonymous };
                match self.functions.authenticate(token).await {
                    Ok(user) => Identity::User(user.identity),
                    Err(error) => Identity::Unverified(error.to_string().into()),
                }
            })
            .await
    }

    /// Records a console line and tells the log stream at once.
    pub(crate) fn log(&self, line: LogLine) {
        let recorded = self.logs.lock().push(line).cloned();
        self.publish(recorded);
    }

    /// Records a line of the server, which does not count towards the limit.
    pub(crate) fn log_of_server(&self, level: LogLevel, code: &str, text: &str) {
        let line = LogLine {
            level,
            messages: vec![text.to_owned()],
            is_truncated: false,
            timestamp: self.functions.services.now_ms(),
            system_metadata: Some(serde_json::json!({ "code": code })),
            nested_in: None,
        };
        self.logs.lock().push_warning(line.clone());
        self.publish(Some(line));
    }

    fn publish(&self, line: Option<LogLine>) {
        let Some(line) = line else { return };
        self.functions.services.log_sink.progress(ProgressRecord {
            kind: self.kind,
            component: ComponentPath::root(),
            identifier: self.identifier.clone(),
            log_lines: vec![line],
            timestamp_s: seconds(self.functions.services.now()),
            request_id: self.request_id,
            execution_id: self.execution_id.clone(),
        });
    }

    /// Takes the lines printed so far.
    pub(crate) fn take_log_lines(&self) -> Vec<LogLine> {
        let limits = &self.functions.services.limits;
        std::mem::replace(
            &mut *self.logs.lock(),
            LogBuffer::new(limits.log_lines_max, limits.log_line_bytes_max),
        )
        .into_lines()
    }

    /// Tells the log stream that it is over.
    pub(crate) fn completed(
        &self,
        error: Option<String>,
        return_bytes: Option<usize>,
        http_status: Option<u16>,
    ) {
        let duration_s = self.started.elapsed().as_secs_f64();
        let parent_execution_id = match &self.caller {
            Caller::Action { parent_execution_id, .. } => Some(parent_execution_id.clone()),
            _ => None,
        };
        self.functions.services.completed(ExecutionRecord {
            kind: self.kind,
            component: ComponentPath::root(),
            identifier: self.identifier.clone(),
            log_lines: Vec::new(),
            finished_at_s: seconds(self.functions.services.now()),
            started_at_s: seconds(self.started_at),
            execution_time_s: duration_s,
            user_execution_time_s: duration_s,
            cached_result: false,
            caller: self.caller.log_name(),
            parent_execution_id,
            http_status,
            error,
            request_id: self.request_id,
            execution_id: self.execution_id.clone(),
            return_bytes,
            conflicts: 0,
            identity_type: self.identity.get().map_or("unknown", Identity::log_name),
            environment: self.environment,
            ts: None,
            usage: Usage::default(),
            is_declared: self.is_declared,
        });
    }

    /// The text of the function's failure when its host failed, with its final newline.
    pub(crate) fn host_failure_text(&self, failure: &HostFailure) -> String {
        let limits = &self.functions.services.limits;
        match (failure, self.environment) {
            (HostFailure::Timeout, Environment::Isolate) => format!(
                "Function execution timed out (maximum duration: {}s)\n",
                limits.isolate_action_time_max.as_secs()
            ),
            (HostFailure::Timeout, Environment::Node) => format!(
                "Action `{}` execution timed out (maximum duration {}s)\n",
                self.path.function(),
                limits.node_action_time_max.as_secs()
            ),
            (HostFailure::OutOfMemory, _) => format!(
                "JavaScript execution ran out of memory (maximum memory usage: {} MB)\n",
                limits.action_memory_mib_max
            ),
            (HostFailure::Crashed(detail), _) => {
                tracing::error!(function = %self.identifier, request_id = %self.request_id, detail,
                    "an action host died");
                format!("Transient error while executing action: {detail}\n")
            }
        }
    }
}
