//! Who wants to know when something that was read changes.
//!
//! Per index there are two structures: single keys in a hash map, since most reads are by id, and longer
//! intervals in an interval tree. Equal intervals share one entry, so that ten thousand watchers of one query cost one
//! match each and nothing more.

mod interval_tree;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use freshet_meter::Gauge;
use freshet_store::IndexId;
use freshet_values::{KeyInterval, Timestamp, key};
use parking_lot::Mutex;

use crate::commit::changes::KeyChange;
use crate::read_set::ReadSet;
use interval_tree::{End, IntervalTree};

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
    ranges: IntervalTree<Watchers>,
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
    /// Registers a watch. `invalid_since` is set if something has changed already. The caller excludes commits meanwhile.
    pub(crate) fn add(
        self: &Arc<Self>,
        read_set: Arc<ReadSet>,
        waker: Waker,
        invalid_since: Option<Timestamp>,
    ) -> Subscription {
        let watch = Arc::new(Watch {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            invalid_since: AtomicU64::new(invalid_since.map_or(VALID, |timestamp| timestamp.0)),
            waker,
        });
        if invalid_since.is_none() {
            let mut indexes = self.indexes.lock();
            for (index, interval) in read_set.intervals() {
                let watchers = indexes
                    .entry(index)
                    .or_insert_with(|| IndexWatchers { points: HashMap::new(), ranges: IntervalTree::new() });
                let entry = match place(&interval) {
                    Place::Point(key) => watchers.points.entry(key).or_default(),
                    Place::Range(start, end) => watchers.ranges.entry(&start, &end),
                };
                entry.insert(watch.id, Arc::clone(&watch));
            }
        }
        self.alive.add(1);
        Subscription { watch, registry: Arc::clone(self), read_set }
    }

    /// Marks the subscriptions that a commit concerns, and returns whom to wake once no lock is held. They leave the
    /// places that the commit has hit, so that later commits pay for those that are still valid and for nobody else.
    pub(crate) fn invalidate(&self, keys: &[KeyChange], timestamp: Timestamp) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let mut mark = |watchers: Watchers| {
            for watch in watchers.into_values() {
                let first = watch
                    .invalid_since
                    .compare_exchange(VALID, timestamp.0, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok();
                if first {
                    wakers.push(Arc::clone(&watch.waker));
                }
            }
        };
        let mut indexes = self.indexes.lock();
        for change in keys {
            let Some(watchers) = indexes.get_mut(&change.index) else { continue };
            if let Some(watchers) = watchers.points.remove(&change.key) {
                mark(watchers);
            }
            // Intervals without watchers go when the subscriptions that they belonged to do.
            watchers.ranges.stab_mut(&change.key, |watchers| mark(std::mem::take(watchers)));
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
                        entry.remove(&watch.id);
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
    let start: Arc<[u8]> = Arc::from(interval.start.as_slice());
    match &interval.end {
        Some(end) if *end == key::key_after(&interval.start) => Place::Point(start),
        Some(end) => Place::Range(start, End::Before(Arc::from(end.as_slice()))),
        None => Place::Range(start, End::Unbounded),
    }
}
