//! Scheduled functions as rows that become due.

use std::collections::HashSet;
use std::time::Duration;

use freshet_database::Transaction;
use freshet_values::{DocumentId, Value};

use super::run;
use crate::call_error::CallError;
use crate::due_loop::{DueEnd, DueRows};
use crate::functions::Functions;
use crate::job::{self, Job};
use crate::rows::{self, Bounds};
use crate::scheduler::backlog::LoopMeters;
use crate::services::Services;
use crate::syscalls::database_failure;

/// The rows of `_scheduled_jobs`.
#[derive(Clone, Copy)]
pub(super) struct ScheduledJobs;

impl DueRows for ScheduledJobs {
    type Job = Job;

    const WHAT: &'static str = "scheduled function";

    fn meters(self, services: &Services) -> &LoopMeters {
        &services.schedule.jobs
    }

    fn find(
        self,
        transaction: &mut Transaction,
        services: &Services,
        running: &HashSet<DocumentId>,
        free: usize,
    ) -> Result<DueEnd<Job>, CallError> {
        let bounds = Bounds { within: None, above: Some(Value::Null), below: None };
        let rows_max = running.len() + free + 1;
        let rows = rows::range(transaction, job::TABLE, job::BY_NEXT_TS, "nextTs", &bounds, rows_max)
            .map_err(database_failure)?;
        let now_ns = services.now_ns();
        let mut due = DueEnd { now: Vec::new(), next_in: None, waiting_since_ns: None };
        for row in rows.iter().filter(|row| !running.contains(&row.id)) {
            let job = Job::from_row(row).map_err(|error| CallError::internal(&error))?;
            let wait_ns = job.next_ts.unwrap_or(now_ns).saturating_sub(now_ns);
            if wait_ns > 0 {
                due.next_in = Some(Duration::from_nanos(wait_ns.unsigned_abs()));
                break;
            }
            if due.now.len() == free {
                due.waiting_since_ns = job.next_ts;
                // Due, but without room: the end of a running one brings us back.
                break;
            }
            due.now.push((row.id, job));
        }
        Ok(due)
    }

    async fn run(self, functions: Functions, id: DocumentId, job: Job) {
        run::run_job(&functions, id, job).await;
    }
}
