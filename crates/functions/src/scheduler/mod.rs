//! Runs scheduled functions and cron jobs when they are due.
//!
//! One task watches the due end of `_scheduled_jobs` through a subscription, so a new job wakes it at once and an idle
//! deployment does nothing. Jobs start in the order of their due times, a bounded number at a time. What happens to a
//! single job is told in `run`; `retention` removes what is over. Cron jobs have a task of
//! their own, in [`crate::crons`].

mod due;
mod retention;
mod run;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use freshet_values::DocumentId;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::crons;
use crate::functions::Functions;
use due::{Due, look};

/// Longest sleep towards a job that is not due yet: timers do not notice when the wall clock is set, or when the machine
/// was suspended.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Pause after a look at the database failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A running scheduler. Dropping it stops it at once; jobs that are running then are dealt with at the next start.
pub struct Scheduler {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Scheduler {
    /// Starts running jobs, those that an earlier process left first. Needs a Tokio runtime.
    pub fn start(functions: &Functions) -> Self {
        let (stop, stopped) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(run(functions.clone(), stopped.clone())),
            tokio::spawn(retention::run(functions.clone(), stopped.clone())),
            tokio::spawn(crons::runner::run(functions.clone(), stopped)),
        ];
        Self { stop, tasks }
    }

    /// Starts no further jobs, and returns when the tasks have ended.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        for task in self.tasks.drain(..) {
            // A task that panicked has ended too.
            let _ = task.await;
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn run(functions: Functions, mut stopped: watch::Receiver<bool>) {
    let parallelism = functions.services.limits.scheduled_parallelism;
    let mut running: HashSet<DocumentId> = HashSet::new();
    let mut tasks: JoinSet<DocumentId> = JoinSet::new();
    let wake = Arc::new(Notify::new());
    while !*stopped.borrow() {
        let free = parallelism - running.len();
        let mut sleep = None;
        // Holding the subscription until the next look is what keeps new jobs waking us.
        let mut _subscription = None;
        if free > 0 {
            match look(&functions, running.clone(), free, wake.clone()).await {
                Ok(Due { jobs, next_in, subscription }) => {
                    _subscription = Some(subscription);
                    sleep = next_in.map(|next_in| next_in.min(SLEEP_MAX));
                    for (id, job) in jobs {
                        running.insert(id);
                        let functions = functions.clone();
                        tasks.spawn(async move {
                            run::run_job(&functions, id, job).await;
                            id
                        });
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "cannot look for scheduled functions");
                    sleep = Some(RETRY_AFTER);
                }
            }
        }
        tokio::select! {
            () = wake.notified() => {}
            () = sleep_for(sleep) => {}
            Some(ended) = tasks.join_next() => match ended {
                Ok(id) => { running.remove(&id); }
                Err(error) => {
                    // The task's id is lost with its panic; forget those that no task stands for.
                    tracing::error!(%error, "running a scheduled function panicked");
                    if tasks.is_empty() { running.clear(); }
                }
            },
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
