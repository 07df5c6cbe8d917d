//! What is kept of a cron job's last runs: rows of `_cron_job_logs`.
//!
//! `{name, ts, udfPath, udfArgs, status, logLines: {logLines, isTruncated}, executionTime}` with `ts` the time at which the
//! run was due, in nanoseconds, and `executionTime` in seconds.

use std::time::Duration;

use freshet_database::{DatabaseError, Transaction};
use freshet_values::Value;

use super::rows::{CronJob, LOGS, LOGS_BY_NAME};
use crate::log::LogLine;
use crate::rows;

/// Runs that are kept of each job.
const RUNS_MAX: usize = 5;
/// Characters of a result, and of all console lines together, that are kept.
const TEXT_LENGTH_MAX: usize = 1000;

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunRecord {
    status: RunStatus,
    log_lines: Vec<String>,
    execution_time: Duration,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunStatus {
    /// It returned this JSON text.
    Success(String),
    /// It failed with this text.
    Failed(String),
    /// So many occurrences were skipped.
    Canceled { count: u64 },
}

impl RunRecord {
    pub(crate) fn success(result_json: &str, log_lines: &[LogLine], execution_time: Duration) -> Self {
        Self::of(RunStatus::Success(result_json.to_owned()), log_lines, execution_time)
    }

    pub(crate) fn failed(error: &str, log_lines: &[LogLine], execution_time: Duration) -> Self {
        Self::of(RunStatus::Failed(error.to_owned()), log_lines, execution_time)
    }

    pub(crate) fn of(status: RunStatus, log_lines: &[LogLine], execution_time: Duration) -> Self {
        let log_lines = log_lines.iter().map(LogLine::to_client_text).collect();
        Self { status, log_lines, execution_time }
    }

    /// Adds the run of the occurrence that was due at `due_ns`, and drops the oldest run that is one too many.
    pub(crate) fn write(
        &self,
        transaction: &mut Transaction,
        job: &CronJob,
        due_ns: u64,
    ) -> Result<(), DatabaseError> {
        let (log_lines, is_truncated) = cut_lines(&self.log_lines);
        let lines = log_lines.into_iter().map(Value::String).collect();
        let fields = rows::fields([
            ("name", job.name.as_str().into()),
            ("ts", int(due_ns)),
            ("udfPath", job.path.to_string().as_str().into()),
            ("udfArgs", Value::Bytes(job.args_json.clone().into_bytes())),
            ("status", self.status.to_value()),
            (
                "logLines",
                Value::object([
                    ("logLines", Value::Array(lines)),
                    ("isTruncated", Value::Boolean(is_truncated)),
                ]),
            ),
            ("executionTime", Value::Float64(self.execution_time.as_secs_f64())),
        ]);
        rows::insert(transaction, LOGS, fields)?;
        let kept = rows::select(transaction, LOGS, LOGS_BY_NAME, &[job.name.as_str().into()])?;
        let surplus = kept.len().saturating_sub(RUNS_MAX);
        for row in &kept[..surplus] {
            rows::delete(transaction, LOGS, row.id)?;
        }
        Ok(())
    }
}

impl RunStatus {
    fn to_value(&self) -> Value {
        let tagged = |kind: &str, name: &'static str, value: Value| {
            Value::object([("type", Value::from(kind)), (name, value)])
        };
        match self {
            Self::Success(result) => {
                let result = match cut(result, TEXT_LENGTH_MAX) {
                    None => tagged("default", "value", Value::String(result.clone())),
                    Some(short) => tagged("truncated", "truncated_log", Value::String(short.to_owned())),
                };
                tagged("success", "result", result)
            }
            Self::Failed(error) => tagged("err", "error", Value::String(error.clone())),
            Self::Canceled { count } => tagged("canceled", "num_canceled", int(*count)),
        }
    }
}

fn int(number: u64) -> Value {
    Value::Int64(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The first characters of a text that is longer.
fn cut(text: &str, length_max: usize) -> Option<&str> {
    text.char_indices().nth(length_max).map(|(end, _)| &text[..end])
}

/// The lines up to the limit on their length together.
fn cut_lines(lines: &[String]) -> (Vec<String>, bool) {
    let mut kept = Vec::new();
    let mut left = TEXT_LENGTH_MAX;
    for line in lines {
        if let Some(short) = cut(line, left) {
            kept.push(short.to_owned());
            return (kept, true);
        }
        left -= line.chars().count();
        kept.push(line.clone());
    }
    (kept, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_results_and_lines_are_cut() {
        let long = RunStatus::Success("\u{20ac}".repeat(1001)).to_value().to_json();
        assert_eq!(long["result"]["type"], "truncated");
        assert_eq!(long["result"]["truncated_log"].as_str().unwrap().chars().count(), 1000);
        let short = RunStatus::Success("1".repeat(1000)).to_value().to_json();
        assert_eq!(short["result"]["type"], "default");
        let lines = vec!["a".repeat(600), "b".repeat(600), "c".to_owned()];
        let (kept, is_truncated) = cut_lines(&lines);
        assert_eq!((kept.len(), kept[1].len(), is_truncated), (2, 400, true));
    }
}
