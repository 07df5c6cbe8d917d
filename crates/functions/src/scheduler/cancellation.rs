//! Canceling and deleting scheduled functions from outside, for tools of admins.
//!
//! In batches, each a transaction of its own: what a batch did stays done when a later one fails.

use freshet_values::{DocumentId, FunctionPath, Value};

use crate::call_error::CallError;
use crate::functions::Functions;
use crate::job;
use crate::own_transaction::write_durably;
use crate::rows::{self, Bounds};
use crate::scheduler::batches;
use crate::syscalls::schedule::cancel_job;

/// Jobs of one transaction.
const BATCH: usize = 1000;

/// Which scheduled functions to cancel. The default is all that are not over.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only jobs of this function.
    pub function: Option<FunctionPath>,
    /// Only jobs that are due at this time or later, in nanoseconds since the Unix epoch.
    pub due_from_ns: Option<i64>,
    /// Only jobs that are due before this time, in nanoseconds since the Unix epoch.
    pub due_before_ns: Option<i64>,
}

impl Functions {
    /// Cancels a scheduled function, unless it is over. What runs goes on, but nothing that it schedules does.
    ///
    /// # Errors
    /// 400 for an id of something else; failures of the store.
    pub async fn cancel_scheduled(&self, id: &str) -> Result<(), CallError> {
        let invalid = || {
            let text = format!("'{id}' is not the ID of a scheduled function.");
            CallError::bad_request("InvalidScheduledFunctionId", text)
        };
        let id = DocumentId::decode(id).map_err(|_| invalid())?;
        let now_ns = self.services.now_ns();
        let is_job = write_durably(&self.services, move |transaction| {
            let is_job = rows::is_of_table(transaction, id, job::TABLE);
            if is_job {
                cancel_job(transaction, id, now_ns)?;
            }
            Ok(is_job)
        })
        .await?;
        if is_job { Ok(()) } else { Err(invalid()) }
    }

    /// Cancels all scheduled functions that `filter` lets through. Returns their number.
    ///
    /// # Errors
    /// Failures of the store; batches before it stay canceled.
    pub async fn cancel_all_scheduled(&self, filter: JobFilter) -> Result<u64, CallError> {
        let index = if filter.function.is_some() { job::BY_PATH_AND_NEXT_TS } else { job::BY_NEXT_TS };
        let bounds = Bounds {
            within: filter.function.map(|path| ("udfPath", Value::String(path.to_string()))),
            // Jobs that are over have no time to run.
            above: Some(filter.due_from_ns.map_or(Value::Null, |from| Value::Int64(from.saturating_sub(1)))),
            below: filter.due_before_ns.map(Value::Int64),
        };
        let now_ns = self.services.now_ns();
        batches::run(self, BATCH, move |transaction, rows_max| {
            let rows = rows::range(transaction, job::TABLE, index, "nextTs", &bounds, rows_max)?;
            rows.iter().try_for_each(|row| cancel_job(transaction, row.id, now_ns))?;
            Ok(rows.len())
        })
        .await
    }

    /// Deletes all scheduled functions, those that are over included. What runs goes on. Returns their number.
    ///
    /// # Errors
    /// Failures of the store; batches before it stay deleted.
    pub async fn delete_all_scheduled(&self) -> Result<u64, CallError> {
        batches::run(self, BATCH, |transaction, rows_max| {
            let all = Bounds::default();
            let rows =
                rows::range(transaction, job::TABLE, "by_creation_time", "_creationTime", &all, rows_max)?;
            rows.iter().try_for_each(|row| job::remove(transaction, row))?;
            Ok(rows.len())
        })
        .await
    }
}
