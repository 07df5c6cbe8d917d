//! Runs rows of a table when they are due: the loop that scheduled functions and cron jobs share.
//!
//! One task watches the due end of the table through a subscription, so a new row wakes it at once and a deployment
//! without rows does nothing. A row is not started again while it runs, and a bounded number runs at a time. What a row
//! means, and what becomes of it, is its owner's business.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use freshet_database::{Subscription, Transaction};
use freshet_values::DocumentId;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::call_error::CallError;
use crate::functions::Functions;
use crate::own_transaction::begin_query;
use crate::scheduler::backlog::LoopMeters;
use crate::services::Services;

/// Longest sleep towards a row that is not due yet: timers do not notice when the wall clock is set, or when the machine
/// was suspended.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Pause after a look at the database failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A kind of row that becomes due.
pub(crate) trait DueRows: Copy + Send + Sync + 'static {
    /// What a row asks for.
    type Job: Send + 'static;

    /// What is run, for log lines.
    const WHAT: &'static str;

    /// Where it is counted what the loop does.
    fn meters(self, services: &Services) -> &LoopMeters;

    /// Reads the due end of the table: past those that are running, as many as may be started, and the one after.
    fn find(
        self,
        transaction: &mut Transaction,
        services: &Services,
        running: &HashSet<DocumentId>,
        free: usize,
    ) -> Result<DueEnd<Self::Job>, CallError>;

    /// Runs one row to its end, whatever that is.
    fn run(self, functions: Functions, id: DocumentId, job: Self::Job) -> impl Future<Output = ()> + Send;
}

/// The due end of a table.
pub(crate) struct DueEnd<Job> {
    /// Rows to start now, in their order, by the ids under which they count as running.
    pub(crate) now: Vec<(DocumentId, Job)>,
    /// When the next one is due.
    pub(crate) next_in: Option<Duration>,
    /// Since when the first one that finds no room has been due, in nanoseconds since the Unix epoch.
    pub(crate) waiting_since_ns: Option<i64>,
}

/// Works until told to stop.
pub(crate) async fn run<Rows: DueRows>(rows: Rows, functions: Functions, mut stopped: watch::Receiver<bool>) {
    let services = functions.services.clone();
    let meters = rows.meters(&services);
    let parallelism = functions.services.limits.scheduled_parallelism;
    let mut tasks: JoinSet<()> = JoinSet::new();
    // The rows that are running, by their tasks: of one that panics nothing else is left.
    let mut running: HashMap<tokio::task::Id, DocumentId> = HashMap::new();
    let wake = Arc::new(Notify::new());
    while !*stopped.borrow() {
        let free = parallelism - running.len();
        let mut sleep = None;
        // Holding the subscription until the next look is what keeps new rows waking us.
        let mut _subscription = None;
        if free > 0 {
            let rows_running = running.values().copied().collect();
            match look(rows, &functions, rows_running, free, wake.clone()).await {
                Ok((due, subscription)) => {
                    _subscription = Some(subscription);
                    sleep = due.next_in.map(|next_in| next_in.min(SLEEP_MAX));
                    meters.waiting_since_ns.set(due.waiting_since_ns.unwrap_or(0));
                    meters.started.add(due.now.len() as u64);
                    for (id, job) in due.now {
                        let task = tasks.spawn(rows.run(functions.clone(), id, job));
                        running.insert(task.id(), id);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "cannot look for a {}", Rows::WHAT);
                    sleep = Some(RETRY_AFTER);
                }
            }
        }
        meters.running.set(running.len() as i64);
        tokio::select! {
            () = wake.notified() => {}
            () = sleep_for(sleep) => {}
            Some(ended) = tasks.join_next_with_id() => {
                let task = match ended {
                    Ok((task, ())) => task,
                    Err(error) => {
                        tracing::error!(%error, "running a {} panicked", Rows::WHAT);
                        error.id()
                    }
                };
                running.remove(&task);
            }
            _ = stopped.changed() => {}
        }
    }
}

async fn sleep_for(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Looks at the table, and has `wake` notified when what was seen changes.
async fn look<Rows: DueRows>(
    rows: Rows,
    functions: &Functions,
    running: HashSet<DocumentId>,
    free: usize,
    wake: Arc<Notify>,
) -> Result<(DueEnd<Rows::Job>, Subscription), CallError> {
    let services = functions.services.clone();
    tokio::task::spawn_blocking(move || {
        let mut transaction = begin_query(&services, None)?;
        let due = rows.find(&mut transaction, &services, &running, free)?;
        let subscription = services.database.subscribe(
            Arc::new(transaction.read_set().clone()),
            transaction.snapshot_ts(),
            Arc::new({
                let wake = wake.clone();
                move || wake.notify_one()
            }),
        );
        if !subscription.is_valid() {
            // Something changed since the snapshot; nobody else will say so.
            wake.notify_one();
        }
        Ok((due, subscription))
    })
    .await
    .map_err(|error| CallError::internal(&error))?
}
