//! Exactly once for mutations of client sessions.
//!
//! The record of a request is written in the mutation's own transaction, and looked up in it first. So of two runs of one
//! request at most one commits, and a repetition is answered from the record.
//!
//! Clients number their requests in ascending order, so hardly any request has a record. [`Sessions`] knows the newest number
//! of each session, so that the others need not be looked up. They still depend on the absence of the record.

use std::sync::Arc;

use freshet_database::{Database, Transaction};
use freshet_values::{Timestamp, Value};
use hashlink::LinkedHashMap;
use parking_lot::Mutex;

use crate::call::SessionRequest;
use crate::call_error::CallError;
use crate::lane_call::{Before, MutationAnswer, MutationGuard};
use crate::log::LogLine;
use crate::rows;
use crate::services::Services;
use crate::syscalls::{database_failure, system_failure};

/// The table of records.
pub(crate) const TABLE: &str = "_session_requests";
const INDEX: &str = "by_session_and_request";

/// Sessions whose newest number is known. Of any other, the records are asked.
const SESSIONS_MAX: usize = 16_384;

/// The newest request of each session that was begun or recorded.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<LinkedHashMap<String, u64>>);

impl Sessions {
    /// Whether no record of a request can exist in a snapshot taken before. From now on the request counts as begun.
    fn is_first(&self, database: &Database, request: &SessionRequest) -> Result<bool, CallError> {
        // Held while records are looked at: no other request of the session may begin between the look and the entry.
        let mut newest = self.0.lock();
        if let Some(known) = newest.to_back(&request.session_id) {
            let is_first = request.request_id > *known;
            *known = (*known).max(request.request_id);
            return Ok(is_first);
        }
        let mut transaction = database.begin().map_err(system_failure)?;
        let session = [request.session_id.as_str().into()];
        let last = rows::find_last(&mut transaction, TABLE, INDEX, &session).map_err(database_failure)?;
        let recorded =
            last.map(|row| row.fields.get("requestId").and_then(Value::as_i64).unwrap_or(i64::MAX));
        // Numbers beyond the largest int64 share its record.
        let number = i64::try_from(request.request_id).unwrap_or(i64::MAX);
        let is_first = recorded.is_none_or(|recorded| number > recorded);
        let known = recorded.map_or(0, |recorded| recorded.max(0).unsigned_abs()).max(request.request_id);
        newest.insert(request.session_id.clone(), known);
        if newest.len() > SESSIONS_MAX {
            newest.pop_front();
        }
        Ok(is_first)
    }
}

/// Looks up and records one request.
pub(crate) struct SessionGuard {
    request: SessionRequest,
    services: Arc<Services>,
}

impl SessionGuard {
    pub(crate) fn new(request: SessionRequest, services: Arc<Services>) -> Self {
        Self { request, services }
    }

    /// The values of the index.
    fn key(&self) -> [Value; 2] {
        let request_id = i64::try_from(self.request.request_id).unwrap_or(i64::MAX);
        [self.request.session_id.as_str().into(), Value::Int64(request_id)]
    }
}

impl MutationGuard for SessionGuard {
    fn before(&self, transaction: &mut Transaction) -> Result<Before, CallError> {
        if self.services.sessions.is_first(&self.services.database, &self.request)? {
            rows::find_none(transaction, TABLE, INDEX, &self.key()).map_err(database_failure)?;
            return Ok(Before::Run);
        }
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
