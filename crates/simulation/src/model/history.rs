//! Every commit that was visible, with the state that it left.

use std::collections::{BTreeMap, BTreeSet};

use freshet_values::{DocumentId, Timestamp};

use super::state::{State, Writes};
use crate::violation::{Checked, check};

/// One commit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) state: State,
    pub(crate) writes: Writes,
}

/// See the module.
pub(crate) struct History {
    entries: BTreeMap<Timestamp, Entry>,
    /// Ids of all documents that were ever inserted, also of those that were lost or undone.
    ids: BTreeSet<DocumentId>,
}

impl History {
    pub(crate) fn new() -> History {
        History { entries: BTreeMap::from([(Timestamp(0), Entry::default())]), ids: BTreeSet::new() }
    }

    /// The last commit up to a moment, with its time.
    pub(crate) fn at(&self, ts: Timestamp) -> (Timestamp, &Entry) {
        let (at, entry) =
            self.entries.range(..=ts).next_back().expect("the first entry is the empty database");
        (*at, entry)
    }

    pub(crate) fn newest(&self) -> Timestamp {
        *self.entries.keys().next_back().expect("the first entry is the empty database")
    }

    pub(crate) fn push(&mut self, ts: Timestamp, entry: Entry) -> Checked {
        let newest = self.newest();
        check(ts > newest, || format!("a commit got the timestamp {ts} after {newest}"))?;
        self.entries.insert(ts, entry);
        Ok(())
    }

    /// Forgets the commits after a moment: they were lost or undone.
    pub(crate) fn forget_after(&mut self, ts: Timestamp) -> usize {
        self.entries.split_off(&ts.succ()).len()
    }

    /// Commits after one moment up to another, oldest first.
    pub(crate) fn between(
        &self,
        after: Timestamp,
        through: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, &Entry)> {
        let through = through.max(after);
        self.entries
            .range(after.succ()..=through.max(after.succ()))
            .map(|(ts, entry)| (*ts, entry))
            .filter(move |(ts, _)| *ts <= through)
    }

    pub(crate) fn timestamps(&self) -> impl ExactSizeIterator<Item = Timestamp> + '_ {
        self.entries.keys().copied()
    }

    /// Notes a new document.
    pub(crate) fn claim(&mut self, id: DocumentId) -> Checked {
        check(self.ids.insert(id), || format!("the id {id} was given out twice"))
    }
}
