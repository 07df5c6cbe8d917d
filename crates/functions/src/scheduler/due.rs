//! Looking for jobs that are due.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use freshet_database::Subscription;
use freshet_values::{DocumentId, Value};
use tokio::sync::Notify;

use crate::call_error::CallError;
use crate::functions::Functions;
use crate::job::{self, Job};
use crate::own_transaction::begin_query;
use crate::rows::{self, Bounds};
use crate::syscalls::database_failure;

/// What a look found.
pub(super) struct Due {
    /// Jobs to start now, in their order.
    pub(super) jobs: Vec<(DocumentId, Job)>,
    /// When the next one is due.
    pub(super) next_in: Option<Duration>,
    /// Wakes when any of this changes.
    pub(super) subscription: Subscription,
}

/// Looks at the due end of the table: at those that are running, as many as may be started, and the one after.
pub(super) async fn look(
    functions: &Functions,
    running: HashSet<DocumentId>,
    free: usize,
    wake: Arc<Notify>,
) -> Result<Due, CallError> {
    let services = functions.services.clone();
    tokio::task::spawn_blocking(move || {
        let mut transaction = begin_query(&services, None)?;
        let bounds = Bounds { above: Some(Value::Null), below: None };
        let rows_max = running.len() + free + 1;
        let rows = rows::range(&mut transaction, job::TABLE, job::BY_NEXT_TS, "nextTs", &bounds, rows_max)
            .map_err(database_failure)?;
        let now_ns = services.now_ns();
        let mut jobs = Vec::new();
        let mut next_in = None;
        for row in rows.iter().filter(|row| !running.contains(&row.id)) {
            let job = Job::from_row(row).map_err(|error| CallError::internal(&error))?;
            let wait_ns = job.next_ts.unwrap_or(now_ns).saturating_sub(now_ns);
            if wait_ns > 0 {
                next_in = Some(Duration::from_nanos(wait_ns.unsigned_abs()));
                break;
            }
            if jobs.len() == free {
                // Due, but without room: the end of a running one brings us back.
                break;
            }
            jobs.push((row.id, job));
        }
        let snapshot_ts = transaction.snapshot_ts();
        let subscription = services.database.subscribe(
            Arc::new(transaction.read_set().clone()),
            snapshot_ts,
            Arc::new({
                let wake = wake.clone();
                move || wake.notify_one()
            }),
        );
        if !subscription.is_valid() {
            // Something changed since the snapshot; nobody else will say so.
            wake.notify_one();
        }
        Ok(Due { jobs, next_in, subscription })
    })
    .await
    .map_err(|error| CallError::internal(&error))?
}
