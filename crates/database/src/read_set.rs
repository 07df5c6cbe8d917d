//! What a transaction has read, as intervals of index keys.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use freshet_store::IndexId;
use freshet_values::KeyInterval;

use crate::conditional_read::ConditionalRead;

/// Disjoint intervals per index; touching and overlapping ones are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSet {
    indexes: BTreeMap<IndexId, IntervalSet>,
    /// Intervals of which only some changes matter.
    conditional: BTreeMap<IndexId, BTreeSet<ConditionalRead>>,
    /// Intervals that count against the limit of a transaction.
    counted: u64,
}

/// Disjoint, non-touching intervals by their start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct IntervalSet {
    intervals: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Whether app code read some of them.
    counted: bool,
}

impl ReadSet {
    /// A read set that contains nothing.
    #[must_use]
    pub fn new() -> ReadSet {
        ReadSet::default()
    }

    /// Adds an interval of an index of user data.
    pub fn add(&mut self, index: IndexId, interval: &KeyInterval) {
        self.insert(index, interval, true);
    }

    /// Adds an interval that is a dependency but is not counted as something that app code read.
    pub fn add_uncounted(&mut self, index: IndexId, interval: &KeyInterval) {
        self.insert(index, interval, false);
    }

    /// Adds an interval of which only some changes matter. If `is_counted`, it counts as something that app code read.
    pub(crate) fn add_conditional(&mut self, index: IndexId, read: ConditionalRead, is_counted: bool) {
        let is_new = self.conditional.entry(index).or_default().insert(read);
        self.counted += u64::from(is_new && is_counted);
    }

    /// All intervals of which only some changes matter.
    pub(crate) fn conditional(&self) -> impl Iterator<Item = (IndexId, &ConditionalRead)> {
        self.conditional.iter().flat_map(|(index, reads)| reads.iter().map(|read| (*index, read)))
    }

    /// Those of one index.
    pub(crate) fn conditional_of(&self, index: IndexId) -> impl Iterator<Item = &ConditionalRead> {
        self.conditional.get(&index).into_iter().flatten()
    }

    /// Adds everything that the other one contains.
    pub fn merge(&mut self, other: &ReadSet) {
        for (index, set) in &other.indexes {
            for (start, end) in &set.intervals {
                self.insert(*index, &KeyInterval { start: start.clone(), end: end.clone() }, set.counted);
            }
        }
        for (index, read) in other.conditional() {
            self.add_conditional(index, read.clone(), false);
        }
    }

    /// Whether the key of the index was read, whatever becomes of it.
    #[must_use]
    pub fn contains(&self, index: IndexId, key: &[u8]) -> bool {
        self.indexes.get(&index).is_some_and(|set| set.contains(key))
    }

    /// Nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.indexes.is_empty() && self.conditional.is_empty()
    }

    /// Intervals that count against a transaction's limit.
    #[must_use]
    pub fn counted_intervals(&self) -> u64 {
        self.counted
    }

    /// All intervals of which every change matters, in order of index and key.
    pub fn intervals(&self) -> impl Iterator<Item = (IndexId, KeyInterval)> + '_ {
        self.indexes.iter().flat_map(|(index, set)| {
            set.intervals
                .iter()
                .map(|(start, end)| (*index, KeyInterval { start: start.clone(), end: end.clone() }))
        })
    }

    /// Bytes of memory, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        let bytes = |set: &IntervalSet| -> usize {
            set.intervals.iter().map(|(start, end)| 64 + start.len() + end.as_ref().map_or(0, Vec::len)).sum()
        };
        let conditional: usize = self.conditional().map(|(_, read)| read.weight()).sum();
        conditional + self.indexes.values().map(|set| 64 + bytes(set)).sum::<usize>()
    }

    fn insert(&mut self, index: IndexId, interval: &KeyInterval, counted: bool) {
        if interval.is_empty() {
            return;
        }
        let set = self.indexes.entry(index).or_default();
        let before = set.intervals.len() as u64;
        set.counted |= counted;
        set.insert(interval);
        let after = set.intervals.len() as u64;
        // Merging takes from the count whoever does it: what is one interval now is not two any more.
        self.counted = match after.checked_sub(before) {
            Some(more) => self.counted + if counted { more } else { 0 },
            None => self.counted.saturating_sub(before - after),
        };
    }
}

impl IntervalSet {
    fn contains(&self, key: &[u8]) -> bool {
        self.intervals
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .is_some_and(|(_, end)| end.as_deref().is_none_or(|end| key < end))
    }

    fn insert(&mut self, interval: &KeyInterval) {
        let first_inside = (Bound::Excluded(interval.start.as_slice()), Bound::Unbounded);
        let meets_next = self
            .intervals
            .range::<[u8], _>(first_inside)
            .next()
            .is_some_and(|(next, _)| interval.end.as_ref().is_none_or(|end| next <= end));
        let mut start = None;
        let previous = self
            .intervals
            .range_mut::<[u8], _>((Bound::Unbounded, Bound::Included(interval.start.as_slice())))
            .next_back();
        if let Some((previous_start, previous_end)) = previous
            && previous_end.as_deref().is_none_or(|previous_end| previous_end >= interval.start.as_slice())
        {
            if reaches(previous_end.as_deref(), interval.end.as_deref()) {
                return;
            }
            // A scan that goes on, row by row.
            if !meets_next {
                previous_end.clone_from(&interval.end);
                return;
            }
            start = Some(previous_start.clone());
        }
        let start = start.unwrap_or_else(|| interval.start.clone());
        let mut end = interval.end.clone();
        // Whatever begins inside the new interval, or just at its end, becomes part of it.
        loop {
            let next = self
                .intervals
                .range::<[u8], _>((Bound::Included(start.as_slice()), Bound::Unbounded))
                .next()
                .filter(|(next, _)| end.as_deref().is_none_or(|end| next.as_slice() <= end))
                .map(|(next, next_end)| (next.clone(), next_end.clone()));
            let Some((next, next_end)) = next else { break };
            self.intervals.remove(&next);
            if reaches(next_end.as_deref(), end.as_deref()) {
                end = next_end;
            }
        }
        self.intervals.insert(start, end);
    }
}

/// Whether an interval that ends at `a` goes at least as far as one that ends at `b`; `None` is the very end.
fn reaches(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    match (a, b) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(a), Some(b)) => a >= b,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn interval(start: u8, end: Option<u8>) -> KeyInterval {
        KeyInterval { start: vec![start], end: end.map(|end| vec![end]) }
    }

    #[test]
    fn what_is_read_for_a_write_does_not_count_beside_what_is_read() {
        let mut reads = ReadSet::new();
        reads.add_uncounted(IndexId(1), &interval(1, Some(2)));
        reads.add(IndexId(1), &interval(4, Some(5)));
        reads.add_uncounted(IndexId(1), &interval(7, Some(8)));
        assert_eq!(reads.counted_intervals(), 1);
        reads.add(IndexId(1), &interval(0, None));
        assert!(reads.counted_intervals() <= 1, "one interval is left");
    }

    #[test]
    fn touching_intervals_are_one_and_repeated_points_cost_nothing() {
        let mut reads = ReadSet::new();
        reads.add(IndexId(1), &interval(1, Some(3)));
        reads.add(IndexId(1), &interval(3, Some(5)));
        reads.add(IndexId(1), &interval(2, Some(4)));
        assert_eq!(reads.counted_intervals(), 1);
        reads.add(IndexId(1), &interval(7, None));
        reads.add_uncounted(IndexId(2), &interval(0, None));
        assert_eq!(reads.counted_intervals(), 2);
        assert!(reads.contains(IndexId(1), &[4, 255]) && !reads.contains(IndexId(1), &[5]));
    }

    proptest! {
        #[test]
        fn contains_exactly_what_was_added(
            intervals in prop::collection::vec((0u8..40, prop::option::of(0u8..40)), 0..20)
        ) {
            let mut reads = ReadSet::new();
            let mut model = BTreeSet::new();
            for (start, end) in intervals {
                reads.add(IndexId(1), &interval(start, end));
                model.extend(start..end.unwrap_or(60));
            }
            for key in 0..60 {
                prop_assert_eq!(reads.contains(IndexId(1), &[key]), model.contains(&key));
            }
            let runs = model.iter().filter(|key| **key == 0 || !model.contains(&(**key - 1))).count();
            prop_assert_eq!(reads.counted_intervals(), runs as u64);
        }
    }
}
