//! Ways to spoil the conflict check, for tests that must notice. Not compiled into anything else.

use freshet_store::IndexId;
use freshet_values::{KeyInterval, Timestamp, key};
use parking_lot::Mutex;

use super::changes::KeyChange;
use crate::catalog::system_tables::FIRST_FREE_INTERNAL;
use crate::read_set::ReadSet;

/// What a spoiled conflict check overlooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weakness {
    /// Nothing.
    None,
    /// Everything.
    NoCheck,
    /// Reads of more than a single key.
    PointsOnly,
    /// All of an interval but its first key.
    StartsOnly,
    /// Keys that documents had before they were moved or deleted.
    NewKeysOnly,
    /// Reads of nested calls that were undone.
    UndoneReads,
    /// What lies between and behind the rows that a scan found.
    Gaps,
    /// Documents that a read by id did not find.
    MissingDocuments,
    /// Which tables and indexes there are.
    Catalog,
    /// The first commit after the snapshot.
    FirstCommit,
}

/// The weakness of one database.
pub(crate) struct Switch(Mutex<Weakness>);

impl Default for Switch {
    fn default() -> Self {
        Switch(Mutex::new(Weakness::None))
    }
}

impl Switch {
    pub(crate) fn get(&self) -> Weakness {
        *self.0.lock()
    }

    pub(crate) fn set(&self, weakness: Weakness) {
        *self.0.lock() = weakness;
    }
}

impl Weakness {
    /// What is left of a read set.
    pub(crate) fn weaken(self, reads: &ReadSet) -> ReadSet {
        let mut left = ReadSet::new();
        for (index, interval) in reads.intervals() {
            let point = KeyInterval::point(&interval.start);
            match self {
                Weakness::NoCheck => {}
                Weakness::PointsOnly if interval.end != point.end => {}
                Weakness::StartsOnly => left.add(index, &point),
                Weakness::Catalog if index < IndexId(FIRST_FREE_INTERNAL) => {}
                _ => left.add(index, &interval),
            }
        }
        if self != Weakness::NoCheck {
            for (index, read) in reads.conditional() {
                left.add_conditional(index, read.clone(), false);
            }
        }
        left
    }

    /// From where on commits are looked at.
    pub(crate) fn after(self, snapshot: Timestamp) -> Timestamp {
        if self == Weakness::FirstCommit { snapshot.succ() } else { snapshot }
    }

    /// Whether a change is looked at.
    pub(crate) fn notices(self, change: &KeyChange) -> bool {
        self != Weakness::NewKeysOnly || change.new.is_some()
    }

    /// The part of a scanned interval that counts as read, given the key of the row at its end.
    pub(crate) fn scanned(self, interval: &KeyInterval, row: Option<&[u8]>) -> KeyInterval {
        match (self, row) {
            (Weakness::Gaps, Some(row)) => {
                KeyInterval { start: row.to_vec(), end: Some(key::key_after(row)) }
            }
            (Weakness::Gaps, None) => KeyInterval::empty(),
            _ => interval.clone(),
        }
    }
}
