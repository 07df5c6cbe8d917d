//! Removing rows that nobody needs any more: jobs that are over, and answered requests of old sessions.

use std::time::Duration;

use freshet_values::Value;
use tokio::sync::watch;

use crate::call_error::CallError;
use crate::functions::Functions;
use crate::job;
use crate::rows::{self, Bounds};
use crate::scheduler::batches;
use crate::session_requests;

/// Between two rounds.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Rows removed in one transaction: few enough not to hold up anybody.
const BATCH: usize = 256;

/// How long finished jobs stay visible.
const JOBS_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a client may take to repeat a request.
const REQUESTS_KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Works until told to stop.
pub(super) async fn run(functions: Functions, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        if let Err(error) = round(&functions).await {
            tracing::warn!(%error, "old rows could not be removed");
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            _ = stopped.changed() => {}
        }
    }
}

/// Removes everything that is old enough by now.
pub(super) async fn round(functions: &Functions) -> Result<(), CallError> {
    let ago = |kept: Duration| functions.services.now_ns().saturating_sub(kept.as_nanos() as i64);
    let jobs = Bounds { within: None, above: Some(Value::Null), below: Some(Value::Int64(ago(JOBS_KEPT))) };
    batches::run(functions, BATCH, move |transaction, rows_max| {
        let index = job::BY_COMPLETED_TS;
        let rows = rows::range(transaction, job::TABLE, index, "completedTs", &jobs, rows_max)?;
        rows.iter().try_for_each(|row| job::remove(transaction, row))?;
        Ok(rows.len())
    })
    .await?;
    let before_ms = ago(REQUESTS_KEPT) as f64 / 1e6;
    let requests = Bounds { within: None, above: None, below: Some(Value::Float64(before_ms)) };
    batches::run(functions, BATCH, move |transaction, rows_max| {
        let table = session_requests::TABLE;
        let rows = rows::range(transaction, table, "by_creation_time", "_creationTime", &requests, rows_max)?;
        rows.iter().try_for_each(|row| rows::delete(transaction, table, row.id))?;
        Ok(rows.len())
    })
    .await?;
    Ok(())
}
