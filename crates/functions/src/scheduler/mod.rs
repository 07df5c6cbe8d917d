//! Runs scheduled functions and cron jobs when they are due.
//!
//! Jobs start in the order of their due times, a bounded number at a time; how they are noticed is told in
//! [`crate::due_loop`]. What happens to a single job is told in `run`; `retention` removes what is over, and `cancellation` is for
//! admins; both work in `batches`. Cron jobs are in [`crate::crons`]. Bytes that belong to no file are removed here as well, see
//! [`crate::files`].

pub(crate) mod backlog;
mod batches;
mod cancellation;
mod due;
mod retention;
mod run;

pub use cancellation::JobFilter;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::crons::runner::CronJobs;
use crate::due_loop;
use crate::files;
use crate::functions::Functions;
use due::ScheduledJobs;

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
            tokio::spawn(due_loop::run(ScheduledJobs, functions.clone(), stopped.clone())),
            tokio::spawn(retention::run(functions.clone(), stopped.clone())),
            tokio::spawn(backlog::run(functions.clone(), stopped.clone())),
            tokio::spawn(due_loop::run(CronJobs, functions.clone(), stopped.clone())),
            tokio::spawn(files::collect(functions.clone(), stopped)),
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
