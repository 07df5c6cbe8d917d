//! `1.0/schedule` and `1.0/cancel_job`, in a mutation's own transaction or one made for an action.

use freshet_database::Transaction;
use freshet_values::{Decoder, DocumentId, Value};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Fault, parse};
use crate::address::Address;
use crate::code::LiveCode;
use crate::job::{self, Job, JobState};
use crate::resolve::resolve_scheduled;
use crate::rows;
use crate::services::Services;

/// Farthest distance from now, either way.
const DISTANCE_SECONDS_MAX: f64 = 5.0 * 366.0 * 86_400.0;

const FOREIGN_ID: &str =
    "Invalid scheduled function ID. The ID must be an ID on the '_scheduled_functions' table.";

#[derive(Deserialize)]
struct ScheduleArgs<'a> {
    #[serde(flatten)]
    address: Address,
    /// Seconds since the Unix epoch.
    ts: f64,
    #[serde(borrow)]
    args: &'a RawValue,
}

#[derive(Deserialize)]
struct CancelArgs {
    id: String,
}

/// Inserts a job. `parent_job` is the job on whose behalf the caller runs. Replies the id's JSON text.
pub(crate) fn schedule(
    transaction: &mut Transaction,
    code: &LiveCode,
    args: &str,
    parent_job: Option<&str>,
    now_ms: f64,
    services: &Services,
) -> Result<String, Fault> {
    let limits = &services.limits;
    let parsed: ScheduleArgs<'_> = parse("scheduler", args)?;
    let now_s = now_ms / 1000.0;
    if parsed.ts - now_s > DISTANCE_SECONDS_MAX {
        return Err(Fault::developer(format!("{} is more than 5 years in the future", parsed.ts)));
    }
    if now_s - parsed.ts > DISTANCE_SECONDS_MAX {
        return Err(Fault::developer(format!("{} is more than 5 years in the past", parsed.ts)));
    }
    let path = parsed.address.path().map_err(Fault::developer)?;
    if parsed.address.is_handle() && !code.functions.contains_key(&path) {
        return Err(Fault::developer("Function handle not found"));
    }
    resolve_scheduled(code, &path).map_err(Fault::developer)?;
    let value = Decoder::STRICT.value(parsed.args.get()).map_err(|error| {
        if error.is_syntax() {
            Fault::developer(format!("Received invalid json: {error}"))
        } else {
            Fault::invalid_argument("args", "scheduler", error)
        }
    })?;
    if !matches!(value, Value::Object(_)) {
        return Err(Fault::invalid_argument("args", "scheduler", "Value must be an Object"));
    }
    let args = Value::Array(vec![value]);
    let bytes = args.size();
    if bytes > limits.scheduled_args_bytes_max {
        return Err(Fault::developer(format!(
            "Arguments for {path} are too large (actual: {}, limit: {})",
            freshet_values::byte_size_text(bytes),
            freshet_values::byte_size_text(limits.scheduled_args_bytes_max)
        )));
    }
    transaction.charge_schedule(bytes as u64)?;
    // The table holds those that are over as well, for a week: as long as it is short, nobody has to know more.
    let outstanding = services.schedule.one_more();
    if job::rows(transaction) >= limits.scheduled_max && outstanding > limits.scheduled_max {
        return Err(Fault::developer(format!(
            "Too many outstanding scheduled functions (limit: {}). Wait until some have run, or cancel some.",
            limits.scheduled_max
        )));
    }

    let now_ns = nanoseconds(now_s);
    let scheduled_ts = nanoseconds(parsed.ts);
    let args_id = job::insert_args(transaction, args.to_json_string())?;
    let mut job = Job {
        path,
        args_id,
        state: JobState::Pending,
        next_ts: Some(scheduled_ts.max(now_ns)),
        completed_ts: None,
        scheduled_ts,
        system_errors: 0,
    };
    if is_canceled(transaction, parent_job)? {
        job.complete(JobState::Canceled, now_ns);
    }
    let id = job::insert(transaction, &job)?;
    Ok(Value::String(id.to_string()).to_json_string())
}

/// Whether the job on whose behalf the caller runs was canceled meanwhile: what it schedules then never runs.
fn is_canceled(transaction: &mut Transaction, parent_job: Option<&str>) -> Result<bool, Fault> {
    let Some(Ok(id)) = parent_job.map(DocumentId::decode) else { return Ok(false) };
    Ok(job::get(transaction, id)?.is_some_and(|parent| parent.state == JobState::Canceled))
}

/// What came of canceling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancellation {
    Done,
    /// A scheduled mutation cannot cancel itself: it is about to succeed.
    IsItself,
}

/// Cancels a job. `own_job` is the job that this very transaction runs.
pub(crate) fn cancel(
    transaction: &mut Transaction,
    args: &str,
    own_job: Option<&str>,
    now_ms: f64,
) -> Result<Cancellation, Fault> {
    let parsed: CancelArgs = parse("db.cancel_job", args)?;
    let id = DocumentId::decode(&parsed.id)
        .map_err(|error| Fault::invalid_argument("id", "db.cancel_job", error))?;
    if !rows::is_of_table(transaction, id, job::TABLE) {
        return Err(Fault::developer(FOREIGN_ID));
    }
    if own_job == Some(parsed.id.as_str()) {
        return Ok(Cancellation::IsItself);
    }
    cancel_job(transaction, id, nanoseconds(now_ms / 1000.0))?;
    Ok(Cancellation::Done)
}

/// Cancels a job that is not over yet.
pub(crate) fn cancel_job(
    transaction: &mut Transaction,
    id: DocumentId,
    now_ns: i64,
) -> Result<(), freshet_database::DatabaseError> {
    if let Some(mut job) = job::get(transaction, id)?
        && matches!(job.state, JobState::Pending | JobState::InProgress)
    {
        job.complete(JobState::Canceled, now_ns);
        job::put(transaction, id, &job)?;
    }
    Ok(())
}

/// Seconds as nanoseconds, exact to the microsecond: more than a double holds.
fn nanoseconds(seconds: f64) -> i64 {
    ((seconds * 1e6).round() as i64).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_survive_the_way_through_seconds() {
        assert_eq!(nanoseconds(1_700_000_000.123), 1_700_000_000_123_000_000);
    }
}
