//! Queries that were answered from a cache: nothing ran, but they show in the log stream like those that did.

use freshet_database::Usage;
use freshet_values::{ComponentPath, FunctionPath, Timestamp};

use crate::call::Caller;
use crate::code::FunctionKind;
use crate::execution::ExecutionRecord;
use crate::functions::Functions;
use crate::host::Environment;
use crate::identity::Identity;
use crate::log::LogLine;
use crate::request_id::RequestId;
use crate::services::seconds;

/// A query that was answered with the result of an earlier execution.
#[derive(Clone, Copy, Debug)]
pub struct CachedQuery<'a> {
    /// Which function.
    pub path: &'a FunctionPath,
    /// The component instance that it lives in.
    pub component: &'a ComponentPath,
    /// Through which door the call came.
    pub caller: &'a Caller,
    /// On whose behalf.
    pub identity: &'a Identity,
    /// Console lines of the execution.
    pub log_lines: &'a [LogLine],
    /// Length of the result's JSON text in bytes.
    pub return_bytes: usize,
    /// The snapshot that the result was given for.
    pub ts: Timestamp,
}

impl Functions {
    /// Tells the log stream of a query that was answered from a cache.
    pub fn record_cached_query(&self, query: CachedQuery<'_>) {
        let CachedQuery { path, component, caller, identity, log_lines, return_bytes, ts } = query;
        if path.is_system() {
            // The server's own queries never show there.
            return;
        }
        let now_s = seconds(self.services.now());
        self.services.completed(ExecutionRecord {
            kind: FunctionKind::Query,
            component: component.clone(),
            identifier: path.stripped(),
            log_lines: log_lines.to_vec(),
            finished_at_s: now_s,
            started_at_s: now_s,
            execution_time_s: 0.0,
            user_execution_time_s: 0.0,
            cached_result: true,
            caller: caller.log_name(),
            parent_execution_id: None,
            http_status: None,
            error: None,
            request_id: RequestId::random(),
            execution_id: uuid::Uuid::new_v4().to_string(),
            return_bytes: Some(return_bytes),
            conflicts: 0,
            identity_type: identity.log_name(),
            environment: Environment::Isolate,
            ts: Some(ts),
            usage: Usage::default(),
            is_declared: true,
        });
    }
}
