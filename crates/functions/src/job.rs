//! One scheduled function, as its row in `_scheduled_jobs` tells it.
//!
//! A row's `nextTs` is set while the job is still to be run or running, so that the scheduler finds both with one index;
//! `completedTs` is set once it is over, for the retention.

use freshet_database::{DatabaseError, Namespace, SystemError, Transaction};
use freshet_values::{DocumentId, FunctionPath, Object, Value};

use crate::rows::{self, Row};

/// The table of jobs. User code sees it as `_scheduled_functions`.
pub(crate) const TABLE: &str = "_scheduled_jobs";
/// The table of their arguments.
const ARGS_TABLE: &str = "_scheduled_job_args";
/// Jobs that are not over yet, by due time.
pub(crate) const BY_NEXT_TS: &str = "by_next_ts";
/// The same, by function first.
pub(crate) const BY_PATH_AND_NEXT_TS: &str = "by_udf_path_and_next_event_ts";
/// Jobs that are over, by the time they ended.
pub(crate) const BY_COMPLETED_TS: &str = "by_completed_ts";

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobState {
    /// To be run.
    Pending,
    /// Running. For an action this is committed before it starts.
    InProgress,
    /// It returned.
    Success,
    /// It failed with this text.
    Failed(String),
    /// Canceled before it started, or while it ran.
    Canceled,
}

/// One scheduled function. Times are in nanoseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) path: FunctionPath,
    /// The row in [`ARGS_TABLE`]: apart, so that looking for due jobs does not read megabytes of arguments.
    pub(crate) args_id: DocumentId,
    pub(crate) state: JobState,
    /// When it is due; `None` once it is over.
    pub(crate) next_ts: Option<i64>,
    /// When it was over.
    pub(crate) completed_ts: Option<i64>,
    /// The time originally asked for.
    pub(crate) scheduled_ts: i64,
    /// How often the server failed to run it.
    pub(crate) system_errors: i64,
}

impl Job {
    /// Ends the job.
    pub(crate) fn complete(&mut self, state: JobState, now_ns: i64) {
        self.state = state;
        self.next_ts = None;
        self.completed_ts = Some(now_ns);
    }

    /// The job of a row.
    pub(crate) fn from_row(row: &Row) -> Result<Self, SystemError> {
        let unreadable =
            || SystemError::Unreadable { id: row.id.to_string(), detail: "it is not a job".to_owned() };
        Self::from_fields(&row.fields).ok_or_else(unreadable)
    }

    fn from_fields(fields: &Object) -> Option<Self> {
        let state = fields.get("state")?.as_object()?;
        let state = match state.get("type")?.as_str()? {
            "pending" => JobState::Pending,
            "inProgress" => JobState::InProgress,
            "success" => JobState::Success,
            "failed" => JobState::Failed(state.get("error")?.as_str()?.to_owned()),
            "canceled" => JobState::Canceled,
            _ => return None,
        };
        let attempts = fields.get("attempts")?.as_object()?;
        Some(Self {
            path: fields.get("udfPath")?.as_str()?.parse().ok()?,
            args_id: fields.get("argsId")?.as_str()?.parse().ok()?,
            state,
            next_ts: fields.get("nextTs")?.as_i64(),
            completed_ts: fields.get("completedTs")?.as_i64(),
            scheduled_ts: fields.get("originalScheduledTs")?.as_i64()?,
            system_errors: attempts.get("systemErrors")?.as_i64()?,
        })
    }

    /// The fields of the row.
    pub(crate) fn to_fields(&self) -> Object {
        let time = |ts: Option<i64>| ts.map_or(Value::Null, Value::Int64);
        let state = match &self.state {
            JobState::Pending => vec![("type", Value::from("pending"))],
            JobState::InProgress => vec![("type", "inProgress".into())],
            JobState::Success => vec![("type", "success".into())],
            JobState::Failed(error) => vec![("type", "failed".into()), ("error", error.as_str().into())],
            JobState::Canceled => vec![("type", "canceled".into())],
        };
        let attempts = [("systemErrors", Value::Int64(self.system_errors)), ("occErrors", Value::Int64(0))];
        rows::fields([
            ("component", Value::Null),
            ("udfPath", self.path.to_string().into()),
            ("argsId", self.args_id.to_string().into()),
            ("state", Value::object(state)),
            ("nextTs", time(self.next_ts)),
            ("completedTs", time(self.completed_ts)),
            ("originalScheduledTs", Value::Int64(self.scheduled_ts)),
            ("attempts", Value::object(attempts)),
        ])
    }
}

/// The job, if its row still exists.
pub(crate) fn get(transaction: &mut Transaction, id: DocumentId) -> Result<Option<Job>, DatabaseError> {
    match rows::get(transaction, TABLE, id)? {
        Some(row) => Ok(Some(Job::from_row(&row)?)),
        None => Ok(None),
    }
}

/// A job's arguments: the JSON text of an array that holds the one encoded object.
pub(crate) fn args(transaction: &mut Transaction, job: &Job) -> Result<String, DatabaseError> {
    let unreadable =
        |detail: &str| SystemError::Unreadable { id: job.args_id.to_string(), detail: detail.to_owned() };
    let row =
        rows::get(transaction, ARGS_TABLE, job.args_id)?.ok_or_else(|| unreadable("it does not exist"))?;
    match row.fields.get("args") {
        Some(Value::Bytes(json)) => {
            Ok(String::from_utf8(json.clone()).map_err(|_| unreadable("it is not UTF-8"))?)
        }
        _ => Err(unreadable("it holds no arguments").into()),
    }
}

/// How many jobs there are, those that are over included. Does not make the transaction depend on it.
pub(crate) fn rows(transaction: &mut Transaction) -> u64 {
    transaction.system(Namespace::ROOT).count_untracked(&TABLE.parse().expect("it is a table's name"))
}

/// Inserts the arguments of a job.
pub(crate) fn insert_args(
    transaction: &mut Transaction,
    args_json: String,
) -> Result<DocumentId, DatabaseError> {
    rows::insert(transaction, ARGS_TABLE, rows::fields([("args", Value::Bytes(args_json.into_bytes()))]))
}

/// Inserts a job.
pub(crate) fn insert(transaction: &mut Transaction, job: &Job) -> Result<DocumentId, DatabaseError> {
    rows::insert(transaction, TABLE, job.to_fields())
}

/// Stores a changed job.
pub(crate) fn put(transaction: &mut Transaction, id: DocumentId, job: &Job) -> Result<(), DatabaseError> {
    rows::replace(transaction, TABLE, id, job.to_fields())
}

/// Removes a job and its arguments.
pub(crate) fn remove(transaction: &mut Transaction, row: &Row) -> Result<(), DatabaseError> {
    let args_id = Job::from_row(row)?.args_id;
    rows::delete(transaction, ARGS_TABLE, args_id)?;
    rows::delete(transaction, TABLE, row.id)
}
