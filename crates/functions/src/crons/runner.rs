//! Runs cron jobs when they are due.
//!
//! A push that adds a job is noticed at once; see [`crate::due_loop`]. A job runs at most once at a time. A mutation's run is recorded in its own
//! transaction, together with the job's next time: each occurrence runs exactly once. An action's run is marked durably
//! before it starts, and never repeated. Occurrences that passed meanwhile are skipped.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use freshet_database::Transaction;
use freshet_values::{ComponentPath, DocumentId, Value};

use super::rows::{self as cron_rows, CronJob, NextRun};
use super::run_record::{RunRecord, RunStatus};
use crate::call::{Caller, FunctionCall, RequestMetadata};
use crate::call_error::CallError;
use crate::code::FunctionKind;
use crate::due_loop::{DueEnd, DueRows};
use crate::execution::ProgressRecord;
use crate::functions::Functions;
use crate::identity::Identity;
use crate::lane_call::{Before, MutationAnswer, MutationGuard};
use crate::log::LogLine;
use crate::own_transaction::{begin_query, write_durably};
use crate::request_id::RequestId;
use crate::resolve::resolve_job;
use crate::rows::{self, Bounds};
use crate::scheduler::backlog::LoopMeters;
use crate::services::Services;
use crate::syscalls::{Fault, database_failure};

/// Pauses between attempts to run a job that the server, not the job, makes fail.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(15);
/// The error of an action whose end nobody saw.
const INTERRUPTED: &str = "Transient error while executing action";
/// Skipped occurrences are counted no further than this.
const SKIPPED_MAX: u64 = 1_000_000;

/// The rows of `_cron_next_run`, by the jobs they belong to.
#[derive(Clone, Copy)]
pub(crate) struct CronJobs;

impl DueRows for CronJobs {
    type Job = NextRun;

    const WHAT: &'static str = "cron job";

    fn meters(self, services: &Services) -> &LoopMeters {
        &services.schedule.crons
    }

    fn find(
        self,
        transaction: &mut Transaction,
        services: &Services,
        running: &HashSet<DocumentId>,
        free: usize,
    ) -> Result<DueEnd<NextRun>, CallError> {
        let rows_max = running.len() + free + 1;
        let bounds = Bounds::default();
        let (table, index) = (cron_rows::NEXT_RUN, cron_rows::NEXT_RUN_BY_TIME);
        let rows =
            rows::range(transaction, table, index, "nextTs", &bounds, rows_max).map_err(database_failure)?;
        let now_ns = now_ns(services);
        let mut due = DueEnd { now: Vec::new(), next_in: None, waiting_since_ns: None };
        for row in &rows {
            let next = NextRun::from_row(row)
                .ok_or_else(|| CallError::internal(&format!("the row {} is not a cron job's", row.id)))?;
            if running.contains(&next.job) {
                continue;
            }
            if next.next_ns > now_ns {
                due.next_in = Some(Duration::from_nanos(next.next_ns - now_ns));
                break;
            }
            if due.now.len() == free {
                due.waiting_since_ns = Some(i64::try_from(next.next_ns).unwrap_or(i64::MAX));
                break;
            }
            due.now.push((next.job, next));
        }
        Ok(due)
    }

    async fn run(self, functions: Functions, _id: DocumentId, next: NextRun) {
        run_until_recorded(&functions, next).await;
    }
}

/// Runs an occurrence; again, after a pause, for as long as the server fails to.
async fn run_until_recorded(functions: &Functions, next: NextRun) {
    let mut pause = BACKOFF_MIN;
    while let Err(error) = run_once(functions, &next).await {
        tracing::warn!(job = %next.job, %error, "a cron job could not be run; trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF_MAX);
    }
}

async fn run_once(functions: &Functions, next: &NextRun) -> Result<(), CallError> {
    let services = functions.services.clone();
    let wanted = next.clone();
    let looked_up = tokio::task::spawn_blocking(move || {
        let mut transaction = begin_query(&services, None)?;
        let Some((current, job)) = current(&mut transaction, &wanted)? else { return Ok(None) };
        let code = services.code.live_code(&mut transaction)?;
        let kind = resolve_job(&code, &job.path).map(|function| function.kind);
        Ok::<_, CallError>(Some((current, job, kind)))
    })
    .await
    .map_err(|error| CallError::internal(&error))??;
    let Some((current, job, kind)) = looked_up else { return Ok(()) };
    if current.in_progress {
        let record = RunRecord::failed(INTERRUPTED, &[], Duration::ZERO);
        return settle(functions, next, record).await;
    }
    let call = FunctionCall {
        path: job.path.clone(),
        component: ComponentPath::root(),
        args: job.args_json.clone(),
        identity: Identity::System,
        caller: Caller::Cron,
        request_id: RequestId::random(),
        metadata: RequestMetadata::default(),
    };
    let begun = Instant::now();
    match kind {
        Ok(FunctionKind::Mutation) => {
            let guard = Arc::new(CronGuard {
                services: functions.services.clone(),
                next: next.clone(),
                job: job.clone(),
                begun,
                skipped: AtomicU64::new(0),
            });
            let outcome = functions.guarded_mutation(call, Some(guard.clone())).await?;
            match outcome.result {
                Ok(_) => {
                    tell_skipped(functions, &job, guard.skipped.load(Ordering::Relaxed));
                    Ok(())
                }
                Err(error) => {
                    let record = RunRecord::failed(&error.message, &outcome.log_lines, begun.elapsed());
                    settle(functions, next, record).await
                }
            }
        }
        Ok(_) => {
            if !mark(functions, next, &job, true).await? {
                return Ok(());
            }
            let record = match functions.action(call).await {
                Ok(outcome) => match outcome.result {
                    Ok(result) => RunRecord::success(&result, &outcome.log_lines, begun.elapsed()),
                    Err(error) => RunRecord::failed(&error.message, &outcome.log_lines, begun.elapsed()),
                },
                // It has not started, so it may be tried again.
                Err(error) if error.is_refusal() => {
                    mark(functions, next, &job, false).await?;
                    return Err(error);
                }
                Err(_) => RunRecord::failed(INTERRUPTED, &[], begun.elapsed()),
            };
            settle(functions, next, record).await
        }
        Err(text) => settle(functions, next, RunRecord::failed(&text, &[], Duration::ZERO)).await,
    }
}

/// The job with its next run as they are now; `None` when this occurrence is not to be run any more.
fn current(transaction: &mut Transaction, wanted: &NextRun) -> Result<Option<(NextRun, CronJob)>, CallError> {
    let next = cron_rows::next_run(transaction, wanted.job).map_err(database_failure)?;
    let Some(next) = next.filter(|next| next.next_ns == wanted.next_ns) else { return Ok(None) };
    let job = cron_rows::job(transaction, wanted.job).map_err(database_failure)?;
    Ok(job.map(|job| (next, job)))
}

/// Notes durably that an action is about to start, or that it has not started after all. `false` when it is not to be run
/// any more, or not in this form.
async fn mark(
    functions: &Functions,
    wanted: &NextRun,
    job: &CronJob,
    in_progress: bool,
) -> Result<bool, CallError> {
    let (wanted, job) = (wanted.clone(), job.clone());
    write_durably(&functions.services, move |transaction| {
        let found = current(transaction, &wanted)?;
        let Some((next, _)) = found.filter(|(_, found)| !in_progress || *found == job) else {
            return Ok(false);
        };
        let next = NextRun { in_progress, ..next };
        cron_rows::put(transaction, &next)?;
        Ok(true)
    })
    .await
}

/// Records a run and sets the job's next time.
async fn settle(functions: &Functions, wanted: &NextRun, record: RunRecord) -> Result<(), CallError> {
    let wanted = wanted.clone();
    let services = functions.services.clone();
    let skipped = write_durably(&functions.services, move |transaction| {
        let Some((next, job)) = current(transaction, &wanted)? else { return Ok(None) };
        let skipped = advance(transaction, &services, &next, &job, &record).map_err(Fault::System)?;
        Ok(Some((job, skipped)))
    })
    .await?;
    if let Some((job, skipped)) = skipped {
        tell_skipped(functions, &job, skipped);
    }
    Ok(())
}

/// Writes the record of a run and the job's next time; returns how many occurrences were skipped.
fn advance(
    transaction: &mut Transaction,
    services: &Services,
    next: &NextRun,
    job: &CronJob,
    record: &RunRecord,
) -> Result<u64, CallError> {
    let now_ns = now_ns(services).max(next.next_ns);
    record.write(transaction, job, next.next_ns).map_err(database_failure)?;
    let skipped = job.schedule.occurrences(&job.name, next.next_ns, now_ns, SKIPPED_MAX);
    if skipped > 0 {
        let canceled = RunRecord::of(RunStatus::Canceled { count: skipped }, &[], Duration::ZERO);
        canceled.write(transaction, job, now_ns).map_err(database_failure)?;
    }
    let next_ns = job.schedule.next(&job.name, Some(next.next_ns), now_ns).ok_or_else(|| {
        CallError::internal(&format!("the schedule of the cron job '{}' has no next time", job.name))
    })?;
    let advanced = NextRun { in_progress: false, previous_ns: Some(next.next_ns), next_ns, ..next.clone() };
    cron_rows::put(transaction, &advanced).map_err(database_failure)?;
    Ok(skipped)
}

/// Says how many occurrences were skipped, if any were.
fn tell_skipped(functions: &Functions, job: &CronJob, skipped: u64) {
    if skipped == 0 {
        return;
    }
    let services = &functions.services;
    let now_ns = now_ns(services);
    let text =
        format!("Skipping {skipped} run(s) of {} because multiple scheduled runs are in the past", job.name);
    services.log_sink.progress(ProgressRecord {
        kind: FunctionKind::Action,
        component: ComponentPath::root(),
        identifier: job.path.stripped(),
        log_lines: vec![LogLine::warning("CronRunsSkipped", text, now_ns / 1_000_000)],
        timestamp_s: now_ns as f64 / 1e9,
        request_id: RequestId::random(),
        execution_id: uuid::Uuid::new_v4().to_string(),
    });
}

fn now_ns(services: &Services) -> u64 {
    u64::try_from(services.now_ns()).unwrap_or(0)
}

/// Ties a mutation's run to its occurrence.
struct CronGuard {
    services: Arc<Services>,
    next: NextRun,
    /// What is run; a push may give the job another function or other arguments.
    job: CronJob,
    begun: Instant,
    /// Occurrences that the last attempt skipped.
    skipped: AtomicU64,
}

impl MutationGuard for CronGuard {
    fn before(&self, transaction: &mut Transaction) -> Result<Before, CallError> {
        match current(transaction, &self.next)? {
            Some((_, job)) if job == self.job => Ok(Before::Run),
            // The job is gone or changed, or has another time now, or this occurrence was run already.
            _ => Ok(Before::Answer(MutationAnswer {
                result: Ok(Value::Null.to_json_string()),
                log_lines: Vec::new(),
                ts: None,
            })),
        }
    }

    fn after(
        &self,
        transaction: &mut Transaction,
        result_json: &str,
        log_lines: &[LogLine],
    ) -> Result<(), CallError> {
        if let Some((next, job)) = current(transaction, &self.next)? {
            let record = RunRecord::success(result_json, log_lines, self.begun.elapsed());
            let skipped = advance(transaction, &self.services, &next, &job, &record)?;
            self.skipped.store(skipped, Ordering::Relaxed);
        }
        Ok(())
    }
}
