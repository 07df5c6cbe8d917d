//! Who watches one interval, and which changes within it they care for.
//!
//! Those who ask for certain filter values are found by the values, so that ten thousand searches for one word in as many
//! channels cost a commit one look each for the channel that it concerns.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use freshet_search::text::FilterPattern;

use super::{Watch, Watchers};
use crate::commit::changes::KeyChange;
use crate::conditional_read::{Condition, Margin, count_of};

/// See the module.
#[derive(Default)]
pub(super) struct RangeWatchers {
    /// Whom every change concerns.
    pub(super) all: Watchers,
    /// Whom changes with certain digests concern: by the numbers of the fields, then by the digests.
    matching: BTreeMap<Vec<u8>, HashMap<Vec<u8>, Watchers>>,
    /// Whom the number of entries concerns.
    counting: BTreeMap<(u64, Margin), Counting>,
}

struct Counting {
    watch: Arc<Watch>,
    /// By how much the number has changed since it was read.
    since: i64,
}

impl RangeWatchers {
    pub(super) fn watch_matches(&mut self, pattern: &FilterPattern, watch: &Arc<Watch>) {
        let by_digests = self.matching.entry(pattern.fields().to_vec()).or_default();
        let watchers = by_digests.entry(pattern.digests().to_vec()).or_default();
        watchers.insert(watch.id, Arc::clone(watch));
    }

    pub(super) fn watch_count(&mut self, margin: Margin, since: i64, watch: &Arc<Watch>) {
        let counting = Counting { watch: Arc::clone(watch), since };
        self.counting.insert((watch.id, margin), counting);
    }

    pub(super) fn remove(&mut self, condition: &Condition, watch: u64) {
        match condition {
            Condition::Matches(pattern) => {
                let Some(by_digests) = self.matching.get_mut(pattern.fields()) else { return };
                // Whoever was notified is not here any more.
                if let Some(watchers) = by_digests.get_mut(pattern.digests()) {
                    watchers.remove(&watch);
                    if watchers.is_empty() {
                        by_digests.remove(pattern.digests());
                    }
                }
                if by_digests.is_empty() {
                    self.matching.remove(pattern.fields());
                }
            }
            Condition::Counts(margin) => {
                self.counting.remove(&(watch, *margin));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.matching.is_empty() && self.counting.is_empty()
    }

    /// Calls `mark` for everybody whom a change of a key in the interval concerns, and lets them go. A change that is undone
    /// concerns everybody who counts: what they counted may have included it.
    pub(super) fn notify(&mut self, change: &KeyChange, is_undone: bool, mark: &mut impl FnMut(&Watch)) {
        std::mem::take(&mut self.all).values().for_each(|watch| mark(watch));
        let mut digests = Vec::new();
        for (fields, by_digests) in &mut self.matching {
            if FilterPattern::digests_of(fields, &change.key, &mut digests)
                && let Some(watchers) = by_digests.remove(&digests)
            {
                watchers.values().for_each(|watch| mark(watch));
            }
        }
        let count = count_of(change);
        if count == 0 {
            return;
        }
        self.counting.retain(|(_, margin), counting| {
            counting.since += count;
            let is_valid = !is_undone && margin.contains(counting.since);
            if !is_valid {
                mark(&counting.watch);
            }
            is_valid
        });
    }
}
