//! The commits of the last moments, kept in memory.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use freshet_store::{IndexId, TableId};
use freshet_values::{InternalId, Timestamp};

use super::changes::{Committed, KeyChange};

/// Commits and keys that may be looked at while everybody waits: some ten microseconds.
const LOOKS_UNDER_LOCK_MAX: usize = 512;
/// Commits that are taken out of the lock at once.
const BACKLOG_COMMITS: usize = 4096;

/// Every commit after `floor`, oldest first.
pub(crate) struct Window {
    commits: VecDeque<Arc<Committed>>,
    floor: Timestamp,
    bytes: usize,
    bytes_max: usize,
    age_nanos: u64,
}

/// A commit that changed something that was read.
pub(crate) struct Hit {
    pub(crate) index: IndexId,
    pub(crate) timestamp: Timestamp,
}

impl Window {
    pub(crate) fn new(floor: Timestamp, bytes_max: usize, age_nanos: u64) -> Window {
        Window { commits: VecDeque::new(), floor, bytes: 0, bytes_max, age_nanos }
    }

    /// Everything later than this is here.
    pub(crate) fn floor(&self) -> Timestamp {
        self.floor
    }

    pub(crate) fn push(&mut self, commit: Arc<Committed>) {
        self.bytes += commit.weight;
        self.commits.push_back(commit);
    }

    /// Forgets what is too old, or more than fits; never what is not durable yet.
    pub(crate) fn trim(&mut self, now: Timestamp, durable: Timestamp) {
        while let Some(oldest) = self.commits.front() {
            let old = oldest.timestamp.0.saturating_add(self.age_nanos) < now.0;
            if oldest.timestamp > durable || !(old || self.bytes > self.bytes_max) {
                return;
            }
            self.floor = oldest.timestamp;
            self.bytes -= oldest.weight;
            self.commits.pop_front();
        }
    }

    /// Commits later than `after`, oldest first.
    pub(crate) fn after(&self, after: Timestamp) -> impl DoubleEndedIterator<Item = &Arc<Committed>> {
        let first = self.commits.partition_point(|commit| commit.timestamp <= after);
        self.commits.range(first..)
    }

    /// The next commits later than `after`, if it takes long to look through all of them.
    pub(crate) fn backlog(&self, after: Timestamp) -> Option<Vec<Arc<Committed>>> {
        let mut work = 0;
        let is_long = self.after(after).rev().any(|commit| {
            work += 1 + commit.keys.len();
            work > LOOKS_UNDER_LOCK_MAX
        });
        is_long.then(|| self.after(after).take(BACKLOG_COMMITS).cloned().collect())
    }

    /// Documents of a table that commits later than `after` wrote.
    pub(crate) fn documents_written(&self, table: TableId, after: Timestamp) -> HashSet<InternalId> {
        self.after(after)
            .flat_map(|commit| &commit.documents)
            .filter(|change| change.table == table)
            .map(|change| change.internal)
            .collect()
    }

    /// Takes back the newest commits, those later than `after`; newest first.
    pub(crate) fn take_after(&mut self, after: Timestamp) -> Vec<Arc<Committed>> {
        let mut taken = Vec::new();
        while let Some(commit) = self.commits.pop_back_if(|commit| commit.timestamp > after) {
            self.bytes -= commit.weight;
            taken.push(commit);
        }
        taken
    }
}

/// The first change to something that was read.
pub(crate) fn first_hit<'a>(
    commits: impl IntoIterator<Item = &'a Arc<Committed>>,
    was_read: impl Fn(&KeyChange) -> bool,
) -> Option<Hit> {
    commits.into_iter().find_map(|commit| {
        let change = commit.keys.iter().find(|change| was_read(change))?;
        Some(Hit { index: change.index, timestamp: commit.timestamp })
    })
}
