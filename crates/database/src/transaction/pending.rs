//! What a transaction has written so far. Persistent maps: a sub-transaction keeps a copy to go back to in constant time.

use std::ops::Bound;
use std::sync::Arc;

use freshet_store::{IndexId, TableId};
use freshet_values::{InternalId, KeyInterval};
use imbl::{HashMap, OrdMap};

use crate::commit::keys::{Key, Keys};
use crate::document::Document;

/// A version of a document or the target of an index entry; `None` is absence.
type Version = Option<Arc<Document>>;

/// A document in the snapshot and now, with its keys.
#[derive(Clone)]
pub(crate) struct PendingChange {
    pub(crate) old: Version,
    pub(crate) new: Version,
    pub(crate) old_keys: Keys,
    pub(crate) new_keys: Keys,
}

#[derive(Clone, Default)]
pub(crate) struct Pending {
    documents: OrdMap<(TableId, InternalId), PendingChange>,
    /// Index entries now; no document means that the snapshot's entry is gone.
    entries: HashMap<IndexId, OrdMap<Arc<[u8]>, Version>>,
    counts: HashMap<TableId, i64>,
}

impl Pending {
    pub(crate) fn get(&self, table: TableId, internal: InternalId) -> Option<&Option<Arc<Document>>> {
        self.documents.get(&(table, internal)).map(|change| &change.new)
    }

    /// The keys of a document that was written before.
    pub(crate) fn keys(&self, table: TableId, internal: InternalId) -> Option<&Keys> {
        self.documents.get(&(table, internal)).map(|change| &change.new_keys)
    }

    /// Sets a document; the old version is what a read saw.
    pub(crate) fn put(&mut self, table: TableId, internal: InternalId, change: PendingChange) {
        let delta = i64::from(change.new.is_some()) - i64::from(change.old.is_some());
        if delta != 0 {
            *self.counts.entry(table).or_insert(0) += delta;
        }
        match self.documents.get_mut(&(table, internal)) {
            Some(earlier) => {
                earlier.new = change.new;
                earlier.new_keys = change.new_keys;
            }
            None => {
                self.documents.insert((table, internal), change);
            }
        }
    }

    pub(crate) fn put_entry(&mut self, index: IndexId, key: Key, document: Option<Arc<Document>>) {
        self.entries.entry(index).or_default().insert(key, document);
    }

    pub(crate) fn entry(&self, index: IndexId, key: &[u8]) -> Option<&Option<Arc<Document>>> {
        self.entries.get(&index).and_then(|entries| entries.get(key))
    }

    /// Present entries of an index within an interval, in ascending order.
    pub(crate) fn range(
        &self,
        index: IndexId,
        interval: &KeyInterval,
    ) -> impl DoubleEndedIterator<Item = (&Arc<[u8]>, &Arc<Document>)> {
        let bounds = (!interval.is_empty()).then(|| {
            let end = match &interval.end {
                Some(end) => Bound::Excluded(end.as_slice()),
                None => Bound::Unbounded,
            };
            (Bound::Included(interval.start.as_slice()), end)
        });
        self.entries
            .get(&index)
            .zip(bounds)
            .into_iter()
            .flat_map(|(entries, bounds)| entries.range::<_, [u8]>(bounds))
            .filter_map(|(key, document)| document.as_ref().map(|document| (key, document)))
    }

    /// Keys of an index that were written within an interval, in ascending order; whether they are there.
    pub(crate) fn presence(
        &self,
        index: IndexId,
        interval: &KeyInterval,
    ) -> impl Iterator<Item = (&[u8], bool)> {
        let entries = self.entries.get(&index).filter(|_| !interval.is_empty());
        entries.into_iter().flat_map(|entries| {
            let end = interval.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let bounds = (Bound::Included(interval.start.as_slice()), end);
            entries.range::<_, [u8]>(bounds).map(|(key, document)| (&**key, document.is_some()))
        })
    }

    /// By how much the number of documents of a table has changed.
    pub(crate) fn count(&self, table: TableId) -> i64 {
        self.counts.get(&table).copied().unwrap_or(0)
    }

    /// Whether there is anything to commit.
    pub(crate) fn has_changes(&self) -> bool {
        self.documents.values().any(PendingChange::is_change)
    }

    /// What there is to commit: documents that came and went within the transaction leave no trace.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (TableId, InternalId, &PendingChange)> {
        self.documents
            .iter()
            .filter(|(_, change)| change.is_change())
            .map(|((table, internal), change)| (*table, *internal, change))
    }
}

impl PendingChange {
    fn is_change(&self) -> bool {
        self.old.is_some() || self.new.is_some()
    }
}
