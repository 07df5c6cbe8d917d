//! Numbers about calls on their way, for whoever watches over the server. What functions did is in [`crate::metrics`].

use std::collections::BTreeMap;
use std::time::Duration;

use freshet_meter::{Counter, Distribution, Gauge, Histogram};
use parking_lot::Mutex;

use crate::functions::Functions;
use crate::host::{HostProcessStatistics, TransactionKind};

/// What happens in front of the lanes and in them, as it is counted.
#[derive(Debug, Default)]
pub(crate) struct LaneMeters {
    /// Microseconds that calls waited for a lane.
    wait_us: Histogram,
    busy: Gauge,
    refused_queries: Counter,
    refused_mutations: Counter,
    /// Threads that were replaced, by reason.
    replaced: Mutex<BTreeMap<&'static str, u64>>,
}

impl LaneMeters {
    /// A lane took a call that had waited for so long.
    pub(crate) fn taken(&self, waited: Duration) {
        self.wait_us.record(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
    }

    /// A call began to run.
    pub(crate) fn began(&self) {
        self.busy.add(1);
    }

    /// A call has stopped running.
    pub(crate) fn ended(&self) {
        self.busy.add(-1);
    }

    /// A call found no room, or no lane in time.
    pub(crate) fn refused(&self, kind: TransactionKind) {
        match kind {
            TransactionKind::Query => self.refused_queries.increment(),
            TransactionKind::Mutation => self.refused_mutations.increment(),
        }
    }

    /// The V8 thread of a lane was replaced.
    pub(crate) fn replaced(&self, reason: &'static str) {
        *self.replaced.lock().entry(reason).or_default() += 1;
    }
}

/// The lanes and the queue in front of them.
#[derive(Clone, Debug, Default)]
pub struct LaneStatistics {
    /// Lanes.
    pub lanes: u64,
    /// Lanes that run a call.
    pub busy: u64,
    /// Calls that wait.
    pub waiting: u64,
    /// Calls that may wait.
    pub waiting_max: u64,
    /// Microseconds that calls have waited for a lane.
    pub wait_us: Distribution,
    /// Queries that found no room, or no lane in time.
    pub refused_queries: u64,
    /// Mutations that found no room, or no lane in time.
    pub refused_mutations: u64,
    /// V8 threads that were replaced, by reason.
    pub replaced: BTreeMap<&'static str, u64>,
}

/// Actions of one runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActionStatistics {
    /// Running.
    pub running: u64,
    /// May run at a time.
    pub running_max: u64,
    /// Waiting for a slot.
    pub waiting: u64,
    /// Found no slot in time.
    pub refused: u64,
}

/// Scheduled functions and cron jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedulerStatistics {
    /// Rows that wait, or run: scheduled functions only.
    pub outstanding: u64,
    /// Scheduled functions that run.
    pub running: u64,
    /// Cron jobs that run.
    pub running_crons: u64,
    /// Since when the next one that waits for room has been due.
    pub lag: Duration,
    /// Scheduled functions that were started.
    pub started: u64,
    /// Cron jobs that were started.
    pub started_crons: u64,
}

/// The log stream's ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStatistics {
    /// Entries that are kept.
    pub entries: u64,
    /// Bytes of text that are kept.
    pub bytes: u64,
    /// Entries that made room for newer ones.
    pub dropped: u64,
}

/// Calls on their way, at one moment.
#[derive(Clone, Debug, Default)]
pub struct FunctionsStatistics {
    /// Queries and mutations.
    pub lanes: LaneStatistics,
    /// Actions of the default runtime, and HTTP actions.
    pub isolate_actions: ActionStatistics,
    /// `"use node"` actions.
    pub node_actions: ActionStatistics,
    /// Processes that actions run in.
    pub hosts: Vec<HostProcessStatistics>,
    /// Work for later.
    pub scheduler: SchedulerStatistics,
}

impl Functions {
    /// How things stand, for whoever watches over the server. Takes some short locks: not for hot paths.
    pub fn statistics(&self) -> FunctionsStatistics {
        let (isolate_actions, node_actions) = self.services.action_statistics();
        FunctionsStatistics {
            lanes: self.lane_queue().statistics(),
            isolate_actions,
            node_actions,
            hosts: self.services.host.processes(),
            scheduler: self.services.schedule.statistics(self.services.now_ns()),
        }
    }
}

impl LaneMeters {
    pub(crate) fn statistics(&self, lanes: usize, waiting: usize, waiting_max: usize) -> LaneStatistics {
        LaneStatistics {
            lanes: lanes as u64,
            busy: u64::try_from(self.busy.get()).unwrap_or(0),
            waiting: waiting as u64,
            waiting_max: waiting_max as u64,
            wait_us: self.wait_us.distribution(),
            refused_queries: self.refused_queries.get(),
            refused_mutations: self.refused_mutations.get(),
            replaced: self.replaced.lock().clone(),
        }
    }
}
