//! How many scheduled functions are still to run: counted now and then, for metrics and for the bound on their number.
//!
//! A running total would be a row that every scheduling mutation writes, and a conflict for each. Counting reads the
//! open end of an index in pieces, and takes no more than a hundredth of the time.

use std::time::{Duration, Instant};

use freshet_meter::{Counter, Gauge};
use freshet_values::Value;
use tokio::sync::watch;

use crate::call_error::CallError;
use crate::functions::Functions;
use crate::job;
use crate::own_transaction::begin_query;
use crate::rows::{self, Bounds};
use crate::services::Services;
use crate::statistics::SchedulerStatistics;
use crate::syscalls::database_failure;

/// Shortest pause between two counts.
const PAUSE_MIN: Duration = Duration::from_secs(15);
/// Of the time, one part in so many goes into counting.
const SHARE: u32 = 100;
/// Rows of one transaction; below what one may read.
const CHUNK: u64 = 4_000;

/// What the scheduler's loops do, as it is counted.
#[derive(Debug, Default)]
pub(crate) struct ScheduleMeters {
    /// Jobs that were pending or running when they were counted last.
    counted: Gauge,
    /// Jobs that were scheduled since, whatever became of them.
    since: Gauge,
    /// The scheduled functions.
    pub(crate) jobs: LoopMeters,
    /// The cron jobs.
    pub(crate) crons: LoopMeters,
}

/// One loop's part.
#[derive(Debug, Default)]
pub(crate) struct LoopMeters {
    pub(crate) running: Gauge,
    pub(crate) started: Counter,
    /// Since when the next one that waits for room has been due, in nanoseconds since the Unix epoch; 0 when none waits.
    pub(crate) waiting_since_ns: Gauge,
}

impl ScheduleMeters {
    fn outstanding(&self) -> u64 {
        self.counted.get().unsigned_abs()
    }

    /// Counts a job that is being scheduled. Returns how many may be outstanding with it.
    pub(crate) fn one_more(&self) -> u64 {
        self.since.add(1);
        self.outstanding().saturating_add(self.since.get().max(0).unsigned_abs())
    }

    pub(crate) fn statistics(&self, now_ns: i64) -> SchedulerStatistics {
        let lag = match self.jobs.waiting_since_ns.get() {
            0 => Duration::ZERO,
            since => Duration::from_nanos(now_ns.saturating_sub(since).max(0).unsigned_abs()),
        };
        SchedulerStatistics {
            outstanding: self.outstanding(),
            running: self.jobs.running.get().unsigned_abs(),
            running_crons: self.crons.running.get().unsigned_abs(),
            lag,
            started: self.jobs.started.get(),
            started_crons: self.crons.started.get(),
        }
    }
}

/// Counts until told to stop.
pub(super) async fn run(functions: Functions, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let began = Instant::now();
        let services = functions.services.clone();
        let since = functions.services.schedule.since.get();
        match tokio::task::spawn_blocking(move || count(&services)).await {
            Ok(Ok(outstanding)) => {
                let schedule = &functions.services.schedule;
                schedule.counted.set(i64::try_from(outstanding).unwrap_or(i64::MAX));
                schedule.since.add(-since);
            }
            Ok(Err(error)) => tracing::warn!(%error, "scheduled functions could not be counted"),
            Err(error) => tracing::error!(%error, "counting scheduled functions panicked"),
        }
        let pause = PAUSE_MIN.max(began.elapsed() * SHARE);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopped.changed() => {}
        }
    }
}

/// Counts jobs that are not over, by due time. What is scheduled meanwhile may be missed.
pub(super) fn count(services: &Services) -> Result<u64, CallError> {
    let mut outstanding = 0;
    let mut cursor = None;
    let bounds = Bounds { within: None, above: Some(Value::Null), below: None };
    loop {
        let mut transaction = begin_query(services, None)?;
        let index = (job::TABLE, job::BY_NEXT_TS, "nextTs");
        let (rows, next) =
            rows::page(&mut transaction, index, &bounds, cursor, CHUNK).map_err(database_failure)?;
        outstanding += rows.len() as u64;
        if next.is_none() {
            return Ok(outstanding);
        }
        cursor = next;
    }
}
