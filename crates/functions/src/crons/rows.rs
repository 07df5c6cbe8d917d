//! Cron jobs as stored, and what a push changes about them.
//!
//! `_cron_jobs`: `{name, cronSpec: {udfPath, udfArgs: bytes of the JSON array, cronSchedule}}`.
//! `_cron_next_run`: `{cronJobId, state: {type: "pending" | "inProgress"}, prevTs, nextTs}`, times in nanoseconds.
//! `_cron_job_logs`: the last runs by name.

use std::collections::BTreeMap;

use freshet_database::{DatabaseError, SystemError, Transaction};
use freshet_values::{DocumentId, FunctionPath, Object, Value};

use super::schedule::Schedule;
use crate::deployment::{AnalyzedCron, CronDiff};
use crate::rows::{self, Row};

pub(crate) const JOBS: &str = "_cron_jobs";
pub(crate) const NEXT_RUN: &str = "_cron_next_run";
pub(crate) const NEXT_RUN_BY_JOB: &str = "by_cron_job_id";
pub(crate) const NEXT_RUN_BY_TIME: &str = "by_next_ts";
pub(crate) const LOGS: &str = "_cron_job_logs";
pub(crate) const LOGS_BY_NAME: &str = "by_name_and_ts";

/// A stored job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CronJob {
    pub(crate) id: DocumentId,
    pub(crate) name: String,
    pub(crate) path: FunctionPath,
    /// JSON text of an array that holds the one encoded arguments object.
    pub(crate) args_json: String,
    pub(crate) schedule: Schedule,
}

/// When a job runs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NextRun {
    pub(crate) row: DocumentId,
    pub(crate) job: DocumentId,
    /// An action that was started and has not ended.
    pub(crate) in_progress: bool,
    /// When it was due last.
    pub(crate) previous_ns: Option<u64>,
    /// When it is due.
    pub(crate) next_ns: u64,
}

/// All jobs by name.
pub(crate) fn jobs(transaction: &mut Transaction) -> Result<BTreeMap<String, CronJob>, DatabaseError> {
    rows::all(transaction, JOBS)?
        .iter()
        .map(|row| {
            let job = CronJob::from_row(row).ok_or_else(|| unreadable(row))?;
            Ok((job.name.clone(), job))
        })
        .collect()
}

/// A job by its row.
pub(crate) fn job(transaction: &mut Transaction, id: DocumentId) -> Result<Option<CronJob>, DatabaseError> {
    match rows::get(transaction, JOBS, id)? {
        None => Ok(None),
        Some(row) => Ok(Some(CronJob::from_row(&row).ok_or_else(|| unreadable(&row))?)),
    }
}

/// Stores a changed next run.
pub(crate) fn put(transaction: &mut Transaction, next: &NextRun) -> Result<(), DatabaseError> {
    rows::replace(transaction, NEXT_RUN, next.row, next.to_fields())
}

/// When a job runs next.
pub(crate) fn next_run(
    transaction: &mut Transaction,
    job: DocumentId,
) -> Result<Option<NextRun>, DatabaseError> {
    let key = [job.to_string().as_str().into()];
    match rows::find(transaction, NEXT_RUN, NEXT_RUN_BY_JOB, &key)? {
        None => Ok(None),
        Some(row) => Ok(Some(NextRun::from_row(&row).ok_or_else(|| unreadable(&row))?)),
    }
}

/// Makes the stored jobs those of a push. Jobs that stay the same keep their next run; so do those of which only the
/// function or its arguments change.
pub(crate) fn apply(
    transaction: &mut Transaction,
    crons: &[AnalyzedCron],
    now_ns: u64,
) -> Result<CronDiff, DatabaseError> {
    let mut old = jobs(transaction)?;
    let mut diff = CronDiff::default();
    for cron in crons {
        let schedule = schedule_of(cron)?;
        let fields = job_fields(cron, &schedule);
        match old.remove(&cron.identifier) {
            None => {
                let id = rows::insert(transaction, JOBS, fields)?;
                put_next_run(transaction, None, id, &cron.identifier, &schedule, now_ns)?;
                diff.added.push(cron.identifier.clone());
            }
            Some(job) if job.same_as(cron, &schedule) => {}
            Some(job) => {
                rows::replace(transaction, JOBS, job.id, fields)?;
                if job.schedule != schedule {
                    let next = next_run(transaction, job.id)?;
                    put_next_run(transaction, next, job.id, &cron.identifier, &schedule, now_ns)?;
                }
                diff.updated.push(cron.identifier.clone());
            }
        }
    }
    for (name, job) in old {
        if let Some(next) = next_run(transaction, job.id)? {
            rows::delete(transaction, NEXT_RUN, next.row)?;
        }
        for log in rows::select(transaction, LOGS, LOGS_BY_NAME, &[name.as_str().into()])? {
            rows::delete(transaction, LOGS, log.id)?;
        }
        rows::delete(transaction, JOBS, job.id)?;
        diff.deleted.push(name);
    }
    Ok(diff)
}

fn put_next_run(
    transaction: &mut Transaction,
    existing: Option<NextRun>,
    job: DocumentId,
    name: &str,
    schedule: &Schedule,
    now_ns: u64,
) -> Result<(), DatabaseError> {
    let next_ns = schedule.next(name, None, now_ns).ok_or_else(|| {
        SystemError::Defect(format!("the schedule of the cron job '{name}' has no next time"))
    })?;
    match existing {
        None => {
            let next = NextRun { row: job, job, in_progress: false, previous_ns: None, next_ns };
            rows::insert(transaction, NEXT_RUN, next.to_fields())?;
        }
        Some(existing) => {
            // A run that is under way belongs to the old schedule; it will find that it has nothing to settle.
            let next = NextRun { in_progress: false, previous_ns: None, next_ns, ..existing };
            rows::replace(transaction, NEXT_RUN, next.row, next.to_fields())?;
        }
    }
    Ok(())
}

fn schedule_of(cron: &AnalyzedCron) -> Result<Schedule, SystemError> {
    let defect = |error: &dyn std::fmt::Display| {
        SystemError::Defect(format!("the schedule of the cron job '{}': {error}", cron.identifier))
    };
    let value = Value::from_json(&cron.spec.cron_schedule).map_err(|error| defect(&error))?;
    Schedule::from_stored(&value).map_err(|error| defect(&error))
}

fn job_fields(cron: &AnalyzedCron, schedule: &Schedule) -> Object {
    let spec = rows::fields([
        ("udfPath", cron.spec.udf_path.as_str().into()),
        ("udfArgs", Value::Bytes(cron.spec.udf_args.to_string().into_bytes())),
        ("cronSchedule", schedule.to_stored()),
    ]);
    rows::fields([("name", cron.identifier.as_str().into()), ("cronSpec", Value::Object(spec))])
}

impl CronJob {
    fn from_row(row: &Row) -> Option<Self> {
        let spec = row.fields.get("cronSpec")?.as_object()?;
        let Value::Bytes(args) = spec.get("udfArgs")? else { return None };
        Some(Self {
            id: row.id,
            name: row.fields.get("name")?.as_str()?.to_owned(),
            path: spec.get("udfPath")?.as_str()?.parse().ok()?,
            args_json: String::from_utf8(args.clone()).ok()?,
            schedule: Schedule::from_stored(spec.get("cronSchedule")?).ok()?,
        })
    }

    fn same_as(&self, cron: &AnalyzedCron, schedule: &Schedule) -> bool {
        let args_json = cron.spec.udf_args.to_string();
        self.schedule == *schedule
            && cron.spec.udf_path.parse().as_ref() == Ok(&self.path)
            && self.args_json == args_json
    }
}

impl NextRun {
    pub(crate) fn from_row(row: &Row) -> Option<Self> {
        let time = |name: &str| row.fields.get(name)?.as_i64().and_then(|ns| u64::try_from(ns).ok());
        Some(Self {
            row: row.id,
            job: row.fields.get("cronJobId")?.as_str()?.parse().ok()?,
            in_progress: row.fields.get("state")?.as_object()?.get("type")?.as_str()? == "inProgress",
            previous_ns: time("prevTs"),
            next_ns: time("nextTs")?,
        })
    }

    pub(crate) fn to_fields(&self) -> Object {
        let time = |ns: u64| Value::Int64(i64::try_from(ns).unwrap_or(i64::MAX));
        let state = if self.in_progress { "inProgress" } else { "pending" };
        rows::fields([
            ("cronJobId", self.job.to_string().as_str().into()),
            ("state", Value::Object(rows::fields([("type", state.into())]))),
            ("prevTs", self.previous_ns.map_or(Value::Null, time)),
            ("nextTs", time(self.next_ns)),
        ])
    }
}

fn unreadable(row: &Row) -> SystemError {
    SystemError::Unreadable { id: row.id.to_string(), detail: "it is not a cron job".to_owned() }
}
