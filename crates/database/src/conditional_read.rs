//! Reads of an interval that only some of the changes within it concern.

use std::cell::RefCell;

use freshet_search::text::FilterPattern;
use freshet_store::IndexId;
use freshet_values::KeyInterval;

use crate::commit::changes::KeyChange;
use crate::read_set::ReadSet;

/// Which changes concern a reader.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// Those of entries that match.
    Matches(FilterPattern),
    /// Those that leave the number of entries outside of what would have given the same answer.
    Counts(Margin),
}

/// By how much a number of entries may have changed since it was read, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Margin {
    /// How many may have gone, negative.
    pub(crate) min: i64,
    /// How many may have come.
    pub(crate) max: i64,
}

impl Margin {
    pub(crate) fn contains(self, change: i64) -> bool {
        self.min <= change && change <= self.max
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConditionalRead {
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    condition: Condition,
}

impl ConditionalRead {
    pub(crate) fn new(interval: &KeyInterval, condition: Condition) -> ConditionalRead {
        ConditionalRead { start: interval.start.clone(), end: interval.end.clone(), condition }
    }

    pub(crate) fn interval(&self) -> KeyInterval {
        KeyInterval { start: self.start.clone(), end: self.end.clone() }
    }

    pub(crate) fn condition(&self) -> &Condition {
        &self.condition
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && self.end.as_deref().is_none_or(|end| key < end)
    }

    pub(crate) fn weight(&self) -> usize {
        let condition = match &self.condition {
            Condition::Matches(pattern) => pattern.fields().len() + pattern.digests().len(),
            Condition::Counts(_) => 0,
        };
        160 + self.start.len() + self.end.as_ref().map_or(0, Vec::len) + condition
    }
}

/// By how much a change alters the number of entries.
pub(crate) fn count_of(change: &KeyChange) -> i64 {
    i64::from(change.new.is_some()) - i64::from(change.old.is_some())
}

/// Looks through commits for the first change that concerns a reader. To be shown each commit after the reader's snapshot
/// once.
pub(crate) struct ReadCheck<'a> {
    reads: &'a ReadSet,
    counted: RefCell<Counted<'a>>,
}

/// The counted intervals of a read set, with how much each number has changed.
type Counted<'a> = Vec<(IndexId, &'a ConditionalRead, Margin, i64)>;

impl<'a> ReadCheck<'a> {
    pub(crate) fn new(reads: &'a ReadSet) -> ReadCheck<'a> {
        let counted = reads.conditional().filter_map(|(index, read)| match read.condition {
            Condition::Counts(margin) => Some((index, read, margin, 0)),
            Condition::Matches(_) => None,
        });
        ReadCheck { reads, counted: RefCell::new(counted.collect()) }
    }

    /// Whether the change concerns the reader.
    pub(crate) fn notices(&self, change: &KeyChange) -> bool {
        if self.reads.contains(change.index, &change.key) {
            return true;
        }
        let matches = self.reads.conditional_of(change.index).any(|read| match &read.condition {
            Condition::Matches(pattern) => read.contains(&change.key) && pattern.matches_key(&change.key),
            Condition::Counts(_) => false,
        });
        if matches {
            return true;
        }
        let mut outside = false;
        for (index, read, margin, since) in self.counted.borrow_mut().iter_mut() {
            if *index == change.index && read.contains(&change.key) {
                *since += count_of(change);
                outside |= !margin.contains(*since);
            }
        }
        outside
    }

    /// How much each counted number has changed, in the order of the read set.
    pub(crate) fn changes(self) -> Vec<i64> {
        self.counted.into_inner().into_iter().map(|(_, _, _, since)| since).collect()
    }
}
