//! Exactly once for mutations of client sessions.
//!
//! The record of a request is written in the mutation's own transaction, and looked up in it first. So of two runs of one
//! request at most one commits, and a repetition is answered from the record.

use freshet_database::Transaction;
use freshet_values::{Timestamp, Value};

use crate::call::SessionRequest;
use crate::call_error::CallError;
use crate::lane_call::{Before, MutationAnswer, MutationGuard};
use crate::log::LogLine;
use crate::rows;
use crate::syscalls::database_failure;

/// The table of records.
pub(crate) const TABLE: &str = "_session_requests";
const INDEX: &str = "by_session_and_request";

/// Looks up and records one request.
pub(crate) struct SessionGuard {
    request: SessionRequest,
}

impl SessionGuard {
    pub(crate) fn new(request: SessionRequest) -> Self {
        Self { request }
    }

    /// The values of the index.
    fn key(&self) -> [Value; 2] {
        let request_id = i64::try_from(self.request.request_id).unwrap_or(i64::MAX);
        [self.request.session_id.as_str().into(), Value::Int64(request_id)]
    }
}

impl MutationGuard for SessionGuard {
    fn before(&self, transaction: &mut Transaction) -> Result<Before, CallError> {
        let Some(row) = rows::find(transaction, TABLE, INDEX, &self.key()).map_err(database_failure)? else {
            return Ok(Before::Run);
        };
        let text = |field: &str| row.fields.get(field).and_then(Value::as_str);
        let (Some(result), Some(log_lines), Some(ts)) =
            (text("result"), text("logLines"), row.fields.get("ts").and_then(Value::as_i64))
        else {
            return Err(CallError::internal(&format!("the session record {} cannot be read", row.id)));
        };
        let ts = Timestamp(u64::try_from(ts).map_err(|error| CallError::internal(&error))?);
        let log_lines = serde_json::from_str(log_lines).map_err(|error| CallError::internal(&error))?;
        Ok(Before::Answer(MutationAnswer { result: Ok(resolved(result, ts)?), log_lines, ts: Some(ts) }))
    }

    fn after(
        &self,
        transaction: &mut Transaction,
        result_json: &str,
        log_lines: &[LogLine],
    ) -> Result<(), CallError> {
        let log_lines = serde_json::to_string(log_lines).map_err(|error| CallError::internal(&error))?;
        let [session_id, request_id] = self.key();
        let fields = rows::fields([
            ("sessionId", session_id),
            ("requestId", request_id),
            ("result", result_json.into()),
            ("logLines", log_lines.into()),
            ("ts", Value::CommitTs),
        ]);
        rows::insert(transaction, TABLE, fields).map_err(database_failure)?;
        Ok(())
    }
}

/// The stored result with its commit timestamp, which was not known when it was stored, filled in.
fn resolved(result: &str, ts: Timestamp) -> Result<String, CallError> {
    if !result.contains("$commitTs") {
        return Ok(result.to_owned());
    }
    let mut value =
        freshet_values::Decoder::WITH_COMMIT_TS.value(result).map_err(|error| CallError::internal(&error))?;
    value.resolve_commit_ts(ts);
    Ok(value.to_json_string())
}
