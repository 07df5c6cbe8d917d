//! Who wants to know when something that was read changes.
//!
//! Per index there are two structures: single keys in a hash map, since most reads are by id, and longer
//! intervals in an interval tree. Equal intervals share one entry, so that ten thousand watchers of one query cost one
//! match each and nothing more.

mod interval_tree;
mod range_watchers;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use freshet_meter::Gauge;
use freshet_store::IndexId;
use freshet_values::{KeyInterval, Timestamp, key};
use parking_lot::Mutex;

use crate::commit::changes::KeyChange;
use crate::conditional_read::Condition;
use crate::read_set::ReadSet;
use interval_tree::{End, IntervalTree};
use range_watchers::RangeWatchers;

/// Called once, from the committing thread, when the subscription becomes invalid; must be quick and must not block.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// The watch over one read set; dropping it ends the watch.
pub struct Subscription {
    watch: Arc<Watch>,
    registry: Arc<Subscriptions>,
    read_set: Arc<ReadSet>,
}

/// The part that commits touch.
struct Watch {
    id: u64,
    /// The first commit that changed something in the read set; `VALID` while there is none.
    invalid_since: AtomicU64,
    waker: Waker,
}

const VALID: u64 = u64::MAX;

/// Ordered, so that whom a commit wakes first does not depend on chance.
type Watchers = BTreeMap<u64, Arc<Watch>>;

struct IndexWatchers {
    points: HashMap<Arc<[u8]>, Watchers>,
    ranges: IntervalTree<RangeWatchers>,
}

impl Default for IndexWatchers {
    fn default() -> IndexWatchers {
        IndexWatchers { points: HashMap::new(), ranges: IntervalTree::new() }
    }
}

/// All subscriptions of a database.
#[derive(Default)]
pub(crate) struct Subscriptions {
    indexes: Mutex<HashMap<IndexId, IndexWatchers>>,
    next_id: AtomicU64,
    /// Subscriptions that exist.
    alive: Gauge,
}

impl Subscription {
    /// Whether nothing in the read set has changed so far.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.invalidated_at().is_none()
    }

    /// Whether nothing in the read set had changed up to `ts`, inclusive.
    #[must_use]
    pub fn valid_through(&self, ts: Timestamp) -> bool {
        self.invalidated_at().is_none_or(|invalid| invalid > ts)
    }

    /// The first commit that changed something in the read set.
    #[must_use]
    pub fn invalidated_at(&self) -> Option<Timestamp> {
        match self.watch.invalid_since.load(Ordering::Acquire) {
            VALID => None,
            timestamp => Some(Timestamp(timestamp)),
        }
    }

    /// What is watched.
    #[must_use]
    pub fn read_set(&self) -> &Arc<ReadSet> {
        &self.read_set
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.registry.alive.add(-1);
        self.registry.remove(&self.watch, &self.read_set);
    }
}

impl Subscriptions {
    /// Registers a watch. `invalid_since` is set if something has changed already; `changes` says by how much each number of
    /// entries that was read has. The caller excludes commits meanwhile.
    pub(crate) fn add(
        self: &Arc<Self>,
        read_set: Arc<ReadSet>,
        waker: Waker,
        invalid_since: Option<Timestamp>,
        changes: &[i64],
    ) -> Subscription {
        let watch = Arc::new(Watch {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            invalid_since: AtomicU64::new(invalid_since.map_or(VALID, |timestamp| timestamp.0)),
            waker,
        });
        if invalid_since.is_none() {
            let mut indexes = self.indexes.lock();
            for (index, interval) in read_set.intervals() {
                let watchers = indexes.entry(index).or_default();
                let entry = match place(&interval) {
                    Place::Point(key) => watchers.points.entry(key).or_default(),
                    Place::Range(start, end) => &mut watchers.ranges.entry(&start, &end).all,
                };
                entry.insert(watch.id, Arc::clone(&watch));
            }
            let mut changes = changes.iter().copied();
            for (index, read) in read_set.conditional() {
                let (start, end) = range(&read.interval());
                let entry = indexes.entry(index).or_default().ranges.entry(&start, &end);
                match read.condition() {
                    Condition::Matches(pattern) => entry.watch_matches(pattern, &watch),
                    Condition::Counts(margin) => {
                        entry.watch_count(*margin, changes.next().unwrap_or(0), &watch);
                    }
                }
            }
        }
        self.alive.add(1);
        Subscription { watch, registry: Arc::clone(self), read_set }
    }

    /// Marks the subscriptions that a commit concerns, or one that is undone, and returns whom to wake once no lock is
    /// held. They leave the places that the commit has hit, so that later commits pay for those that are still valid and for
    /// nobody else.
    pub(crate) fn invalidate(&self, keys: &[KeyChange], timestamp: Timestamp, is_undone: bool) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let mut mark = |watch: &Watch| {
            let first = watch
                .invalid_since
                .compare_exchange(VALID, timestamp.0, Ordering::AcqRel, Ordering::Acquire)
                .is_ok();
            if first {
                wakers.push(Arc::clone(&watch.waker));
            }
        };
        let mut indexes = self.indexes.lock();
        for change in keys {
            let Some(watchers) = indexes.get_mut(&change.index) else { continue };
            if let Some(watchers) = watchers.points.remove(&change.key) {
                watchers.values().for_each(|watch| mark(watch));
            }
            // Intervals without watchers go when the subscriptions that they belonged to do.
            watchers.ranges.stab_mut(&change.key, |watchers| watchers.notify(change, is_undone, &mut mark));
        }
        wakers
    }

    fn remove(&self, watch: &Watch, read_set: &ReadSet) {
        let mut indexes = self.indexes.lock();
        for (index, interval) in read_set.intervals() {
            let Some(watchers) = indexes.get_mut(&index) else { continue };
            match place(&interval) {
                Place::Point(key) => {
                    if let Some(entry) = watchers.points.get_mut(&key) {
                        entry.remove(&watch.id);
                        if entry.is_empty() {
                            watchers.points.remove(&key);
                        }
                    }
                }
                Place::Range(start, end) => {
                    if let Some(entry) = watchers.ranges.get_mut(&start, &end) {
                        entry.all.remove(&watch.id);
                        if entry.is_empty() {
                            watchers.ranges.remove(&start, &end);
                        }
                    }
                }
            }
            if watchers.points.is_empty() && watchers.ranges.is_empty() {
                indexes.remove(&index);
            }
        }
        for (index, read) in read_set.conditional() {
            let Some(watchers) = indexes.get_mut(&index) else { continue };
            let (start, end) = range(&read.interval());
            if let Some(entry) = watchers.ranges.get_mut(&start, &end) {
                entry.remove(read.condition(), watch.id);
                if entry.is_empty() {
                    watchers.ranges.remove(&start, &end);
                }
            }
            if watchers.points.is_empty() && watchers.ranges.is_empty() {
                indexes.remove(&index);
            }
        }
    }

    /// How many subscriptions there are.
    pub(crate) fn watched(&self) -> u64 {
        self.alive.get().unsigned_abs()
    }

    /// Indexes that somebody watches.
    #[cfg(test)]
    pub(crate) fn watched_indexes(&self) -> usize {
        self.indexes.lock().len()
    }
}

enum Place {
    Point(Arc<[u8]>),
    Range(Arc<[u8]>, End),
}

fn place(interval: &KeyInterval) -> Place {
    match &interval.end {
        Some(end) if *end == key::key_after(&interval.start) => {
            Place::Point(Arc::from(interval.start.as_slice()))
        }
        _ => {
            let (start, end) = range(interval);
            Place::Range(start, end)
        }
    }
}

fn range(interval: &KeyInterval) -> (Arc<[u8]>, End) {
    let end = match &interval.end {
        Some(end) => End::Before(Arc::from(end.as_slice())),
        None => End::Unbounded,
    };
    (Arc::from(interval.start.as_slice()), end)
}
