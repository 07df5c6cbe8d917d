//! What happens to one scheduled function.
//!
//! A mutation's job is marked as a success in the mutation's own transaction: either both happen or neither, so it runs
//! exactly once. An action's job is marked as running, durably, before the action starts: after a crash nobody knows how
//! far it came, so it is marked as failed and never runs twice.

use std::sync::Arc;
use std::time::Duration;

use freshet_database::Transaction;
use freshet_values::{ComponentPath, DocumentId};

use crate::call::{Caller, FunctionCall, RequestMetadata};
use crate::call_error::CallError;
use crate::code::FunctionKind;
use crate::functions::Functions;
use crate::identity::Identity;
use crate::job::{self, Job, JobState};
use crate::lane_call::{Before, MutationAnswer, MutationGuard};
use crate::log::LogLine;
use crate::own_transaction::{begin_query, write_durably};
use crate::request_id::RequestId;
use crate::resolve::resolve_job;
use crate::services::Services;
use crate::syscalls::database_failure;

/// The error of an action whose end nobody saw.
const INTERRUPTED: &str = "Transient error while executing action";

const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// Pause after not even the failure could be recorded.
const UNRECORDED_PAUSE: Duration = Duration::from_secs(1);

/// Runs a due job, or settles one that an earlier process left running.
pub(super) async fn run_job(functions: &Functions, id: DocumentId, job: Job) {
    let result = match job.state {
        JobState::Pending => run_pending(functions, id, &job).await,
        JobState::InProgress => end(functions, id, JobState::Failed(INTERRUPTED.into())).await,
        JobState::Success | JobState::Failed(_) | JobState::Canceled => Ok(()),
    };
    if let Err(error) = result {
        tracing::warn!(job = %id, function = %job.path, %error, "a scheduled function could not be run");
        if let Err(error) = postpone(functions, id, error).await {
            tracing::error!(job = %id, %error, "the failure of a scheduled function could not be recorded");
            tokio::time::sleep(UNRECORDED_PAUSE).await;
        }
    }
}

async fn run_pending(functions: &Functions, id: DocumentId, job: &Job) -> Result<(), CallError> {
    let (resolved, args) = {
        let services = functions.services.clone();
        let job = job.clone();
        tokio::task::spawn_blocking(move || {
            let mut transaction = begin_query(&services, None)?;
            let code = services.code.live_code(&mut transaction)?;
            let resolved = resolve_job(&code, &job.path).map(|function| function.kind);
            let args = job::args(&mut transaction, &job).map_err(database_failure)?;
            Ok::<_, CallError>((resolved, args))
        })
        .await
        .map_err(|error| CallError::internal(&error))??
    };
    let call = FunctionCall {
        path: job.path.clone(),
        component: ComponentPath::root(),
        args,
        identity: Identity::System,
        caller: Caller::Scheduler { job_id: id.to_string() },
        request_id: RequestId::random(),
        metadata: RequestMetadata::default(),
    };
    match resolved {
        Ok(FunctionKind::Mutation) => {
            let guard = Arc::new(JobGuard { services: functions.services.clone(), id });
            match functions.guarded_mutation(call, Some(guard)).await?.result {
                Ok(_) => Ok(()),
                Err(error) => end(functions, id, JobState::Failed(error.message)).await,
            }
        }
        Ok(_) => run_action(functions, id, call).await,
        Err(text) => end(functions, id, JobState::Failed(text + "\n")).await,
    }
}

async fn run_action(functions: &Functions, id: DocumentId, call: FunctionCall) -> Result<(), CallError> {
    if !mark_running(functions, id).await? {
        return Ok(());
    }
    let state = match functions.action(call).await {
        Ok(outcome) => match outcome.result {
            Ok(_) => JobState::Success,
            Err(error) => JobState::Failed(error.message),
        },
        // It has not started.
        Err(error) if error.is_refusal() => return Err(error),
        Err(_) => JobState::Failed(INTERRUPTED.into()),
    };
    if let Err(error) = end(functions, id, state).await {
        // Not an error of this run: that would have the action run again. The next look finds the job still marked as
        // running and tries to end it.
        tracing::error!(job = %id, %error, "the end of a scheduled action could not be recorded");
        tokio::time::sleep(UNRECORDED_PAUSE).await;
    }
    Ok(())
}

/// Marks a pending job as running, durably. `false` when it is not pending any more.
async fn mark_running(functions: &Functions, id: DocumentId) -> Result<bool, CallError> {
    change(functions, id, |job, _now_ns| {
        let is_pending = job.state == JobState::Pending;
        if is_pending {
            job.state = JobState::InProgress;
        }
        is_pending
    })
    .await
}

/// Marks a job as over, unless it was canceled meanwhile.
async fn end(functions: &Functions, id: DocumentId, state: JobState) -> Result<(), CallError> {
    change(functions, id, move |job, now_ns| {
        let is_open = matches!(job.state, JobState::Pending | JobState::InProgress);
        if is_open {
            job.complete(state.clone(), now_ns);
        }
        is_open
    })
    .await
    .map(drop)
}

/// Has a job that the server could not run tried again later.
async fn postpone(functions: &Functions, id: DocumentId, error: CallError) -> Result<(), CallError> {
    let is_overload = error.is_refusal();
    change(functions, id, move |job, now_ns| {
        let is_open = matches!(job.state, JobState::Pending | JobState::InProgress);
        if is_open {
            // A full queue says nothing about the job, so it does not count as a failure of its own.
            let exponent = if is_overload { 0 } else { u32::try_from(job.system_errors).unwrap_or(u32::MAX) };
            let backoff = BACKOFF_MIN.saturating_mul(2_u32.saturating_pow(exponent)).min(BACKOFF_MAX);
            if !is_overload {
                job.system_errors += 1;
            }
            job.state = JobState::Pending;
            job.next_ts = Some(now_ns.saturating_add(backoff.as_nanos() as i64));
        }
        is_open
    })
    .await
    .map(drop)
}

/// Changes the row of a job, if it still exists and `edit` wants to; waits until that is durable.
async fn change(
    functions: &Functions,
    id: DocumentId,
    edit: impl Fn(&mut Job, i64) -> bool + Send + 'static,
) -> Result<bool, CallError> {
    let services = functions.services.clone();
    write_durably(&functions.services, move |transaction| {
        let Some(mut job) = job::get(transaction, id)? else { return Ok(false) };
        let changed = edit(&mut job, services.now_ns());
        if changed {
            job::put(transaction, id, &job)?;
        }
        Ok(changed)
    })
    .await
}

/// Marks a mutation's job as running while it runs and as a success with its commit.
struct JobGuard {
    services: Arc<Services>,
    id: DocumentId,
}

impl JobGuard {
    fn job(&self, transaction: &mut Transaction) -> Result<Option<Job>, CallError> {
        job::get(transaction, self.id).map_err(database_failure)
    }
}

impl MutationGuard for JobGuard {
    fn before(&self, transaction: &mut Transaction) -> Result<Before, CallError> {
        match self.job(transaction)? {
            Some(mut job) if job.state == JobState::Pending => {
                // Seen by the function alone: the row says so only until the commit.
                job.state = JobState::InProgress;
                job::put(transaction, self.id, &job).map_err(database_failure)?;
                Ok(Before::Run)
            }
            // Canceled, or already done by a run whose end we did not hear of.
            _ => Ok(Before::Answer(MutationAnswer {
                result: Ok("null".into()),
                log_lines: Vec::new(),
                ts: None,
            })),
        }
    }

    fn after(
        &self,
        transaction: &mut Transaction,
        _result_json: &str,
        _log_lines: &[LogLine],
    ) -> Result<(), CallError> {
        if let Some(mut job) = self.job(transaction)? {
            job.complete(JobState::Success, self.services.now_ns());
            job::put(transaction, self.id, &job).map_err(database_failure)?;
        }
        Ok(())
    }
}
