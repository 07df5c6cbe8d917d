//! The commits of the last moments, kept in memory.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use freshet_store::{IndexId, TableId};
use freshet_values::{InternalId, Timestamp};

use super::changes::{Committed, KeyChange};
use crate::catalog::Catalog;

/// Commits and keys that may be looked at while everybody waits: some ten microseconds.
const LOOKS_UNDER_LOCK_MAX: usize = 512;
/// Commits that are taken out of the lock at once.
const BACKLOG_COMMITS: usize = 4096;

/// Every commit after `floor`, oldest first.
pub(crate) struct Window {
    commits: VecDeque<Arc<Committed>>,
    /// Those of them that changed the catalog.
    catalog_changes: VecDeque<Arc<Committed>>,
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
        let (commits, catalog_changes) = (VecDeque::new(), VecDeque::new());
        Window { commits, catalog_changes, floor, bytes: 0, bytes_max, age_nanos }
    }

    /// Commits in it, and their bytes.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.commits.len() as u64, self.bytes as u64)
    }

    /// Everything later than this is here.
    pub(crate) fn floor(&self) -> Timestamp {
        self.floor
    }

    pub(crate) fn push(&mut self, commit: Arc<Committed>) {
        self.bytes += commit.weight;
        if commit.catalog_before.is_some() {
            self.catalog_changes.push_back(Arc::clone(&commit));
        }
        self.commits.push_back(commit);
    }

    /// The catalogs that were there since the floor, without the newest one.
    pub(crate) fn past_catalogs(&self) -> impl Iterator<Item = &Arc<Catalog>> {
        self.catalog_changes.iter().filter_map(|commit| commit.catalog_before.as_ref())
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
            self.catalog_changes.pop_front_if(|change| change.timestamp == oldest.timestamp);
            self.commits.pop_front();
        }
    }

    /// Commits later than `after`, oldest first.
    pub(crate) fn after(&self, after: Timestamp) -> impl DoubleEndedIterator<Item = &Arc<Committed>> {
        self.commits.range(self.first_after(after)..)
    }

    /// Place of the first commit later than `after`. Most who ask began a moment ago, and the window is long: so the
    /// search doubles its steps from the end (exponential search; Bentley and Yao, 1976).
    fn first_after(&self, after: Timestamp) -> usize {
        let is_later = |index: usize| self.commits[index].timestamp > after;
        let mut end = self.commits.len();
        let mut step = 1;
        while end > 0 {
            let start = end.saturating_sub(step);
            if !is_later(start) {
                let (mut low, mut high) = (start, end);
                while low < high {
                    let middle = low.midpoint(high);
                    if is_later(middle) {
                        high = middle;
                    } else {
                        low = middle + 1;
                    }
                }
                return low;
            }
            end = start;
            step *= 2;
        }
        0
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
            self.catalog_changes.pop_back_if(|change| change.timestamp == commit.timestamp);
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

#[cfg(test)]
mod tests {
    use freshet_store::CommitRecord;

    use super::*;

    fn commit(ts: u64) -> Arc<Committed> {
        Arc::new(plain(ts))
    }

    fn plain(ts: u64) -> Committed {
        let timestamp = Timestamp(ts);
        Committed {
            timestamp,
            documents: Vec::new(),
            keys: Vec::new(),
            counts: Vec::new(),
            corpus_deltas: Vec::new(),
            corpora: Vec::new(),
            catalog_before: None,
            enforcer_before: None,
            record: Arc::new(CommitRecord { timestamp, documents: Vec::new(), indexes: Vec::new() }),
            meta: Vec::new(),
            views: Vec::new(),
            weight: 1,
        }
    }

    #[test]
    fn past_catalogs_come_and_go_with_the_commits_that_changed_them() {
        let mut window = Window::new(Timestamp(0), usize::MAX, 10);
        let catalogs: Vec<Arc<Catalog>> = (0..8).map(|_| Arc::new(Catalog::bootstrap())).collect();
        for ts in 1..=8 {
            let catalog_before = (ts % 2 == 0).then(|| Arc::clone(&catalogs[ts as usize - 1]));
            window.push(Arc::new(Committed { catalog_before, ..plain(ts) }));
        }
        let places = |window: &Window| -> Vec<usize> {
            let place = |past| catalogs.iter().position(|catalog| Arc::ptr_eq(catalog, past)).unwrap();
            window.past_catalogs().map(place).collect()
        };
        assert_eq!(places(&window), [1, 3, 5, 7]);
        window.trim(Timestamp(14), Timestamp(8));
        assert_eq!((window.floor(), places(&window)), (Timestamp(3), vec![3, 5, 7]));
        window.take_after(Timestamp(6));
        assert_eq!(places(&window), [3, 5]);
    }

    #[test]
    fn what_is_later_is_found_in_a_window_of_any_length() {
        let mut window = Window::new(Timestamp(0), usize::MAX, u64::MAX);
        for length in 0..40_u64 {
            for after in 0..=2 * length + 1 {
                let found: Vec<u64> =
                    window.after(Timestamp(after)).map(|commit| commit.timestamp.0).collect();
                let expected: Vec<u64> = (1..=length).map(|n| 2 * n).filter(|ts| *ts > after).collect();
                assert_eq!(found, expected, "{length} commits, after {after}");
            }
            window.push(commit(2 * (length + 1)));
        }
    }
}
