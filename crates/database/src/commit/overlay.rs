//! Versions that lie over a store snapshot: commits that the store does not have yet, or older versions for a read of
//! the past.
//!
//! Persistent maps: a transaction takes its own copy in constant time and never sees later changes.
//!
//! Most writes leave most index keys as they are. Of those, only the document is here: whoever scans an index looks its
//! rows' documents up.

use std::ops::Bound;
use std::sync::Arc;

use freshet_store::{IndexId, TableId};
use freshet_values::{InternalId, KeyInterval, Timestamp};
use imbl::{HashMap, OrdMap};

use super::changes::Committed;
use crate::document::Document;

/// The newest version here, with the commit that made it; no document means deleted.
#[derive(Clone)]
struct Version {
    timestamp: Timestamp,
    document: Option<Arc<Document>>,
}

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Overlay {
    documents: OrdMap<(TableId, InternalId), Version>,
    /// Keys that came or went. Of a document that was written later without a change of its key, the later version counts.
    indexes: HashMap<IndexId, OrdMap<Arc<[u8]>, Version>>,
}

impl Overlay {
    /// The version of a document, if it is here; `Some(None)` means deleted.
    pub(crate) fn get(&self, table: TableId, internal: InternalId) -> Option<Option<&Arc<Document>>> {
        self.documents.get(&(table, internal)).map(|version| version.document.as_ref())
    }

    /// Whether any document of a table is here.
    pub(crate) fn has_documents(&self, table: TableId) -> bool {
        let all = (table, InternalId([0; 16]))..=(table, InternalId([u8::MAX; 16]));
        self.documents.range(all).next().is_some()
    }

    /// Entries of an index that came or went, within an interval, in ascending order.
    pub(crate) fn range(
        &self,
        table: TableId,
        index: IndexId,
        interval: &KeyInterval,
    ) -> impl DoubleEndedIterator<Item = (&Arc<[u8]>, Option<&Arc<Document>>)> {
        let bounds = (!interval.is_empty()).then(|| {
            let end = match &interval.end {
                Some(end) => Bound::Excluded(end.as_slice()),
                None => Bound::Unbounded,
            };
            (Bound::Included(interval.start.as_slice()), end)
        });
        self.indexes
            .get(&index)
            .zip(bounds)
            .into_iter()
            .flat_map(|(entries, bounds)| entries.range::<_, [u8]>(bounds))
            .map(move |(key, version)| {
                let document = version
                    .document
                    .as_ref()
                    .and_then(|document| self.get(table, document.id().internal).unwrap_or(Some(document)));
                (key, document)
            })
    }

    /// Keys of an index that came or went, within an interval, in ascending order; whether they are there.
    pub(crate) fn presence(
        &self,
        index: IndexId,
        interval: &KeyInterval,
    ) -> impl Iterator<Item = (&[u8], bool)> {
        let entries = self.indexes.get(&index).filter(|_| !interval.is_empty());
        entries.into_iter().flat_map(|entries| {
            let end = interval.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let bounds = (Bound::Included(interval.start.as_slice()), end);
            entries.range::<_, [u8]>(bounds).map(|(key, version)| (&**key, version.document.is_some()))
        })
    }

    /// Lays a commit on top.
    pub(crate) fn apply(&mut self, commit: &Committed) {
        let timestamp = commit.timestamp;
        for change in &commit.documents {
            let version = Version { timestamp, document: change.new.clone() };
            self.documents.insert((change.table, change.internal), version);
        }
        for change in commit.keys.iter().filter(|change| change.is_move()) {
            let version = Version { timestamp, document: change.new.clone() };
            self.indexes.entry(change.index).or_default().insert(Arc::clone(&change.key), version);
        }
    }

    /// Lays the versions before a commit on top; to read the past, commits are undone newest first.
    pub(crate) fn undo(&mut self, commit: &Committed) {
        let timestamp = commit.timestamp;
        for change in &commit.documents {
            let version = Version { timestamp, document: change.old.clone() };
            self.documents.insert((change.table, change.internal), version);
        }
        for change in commit.keys.iter().filter(|change| change.is_move()) {
            let version = Version { timestamp, document: change.old.clone() };
            self.indexes.entry(change.index).or_default().insert(Arc::clone(&change.key), version);
        }
    }

    /// Takes away what a commit laid here and no later one replaced: the store has it.
    pub(crate) fn drop_commit(&mut self, commit: &Committed) {
        let timestamp = commit.timestamp;
        for change in &commit.documents {
            let key = (change.table, change.internal);
            if self.documents.get(&key).is_some_and(|version| version.timestamp == timestamp) {
                self.documents.remove(&key);
            }
        }
        for change in commit.keys.iter().filter(|change| change.is_move()) {
            let Some(entries) = self.indexes.get_mut(&change.index) else { continue };
            if entries.get(&change.key).is_some_and(|version| version.timestamp == timestamp) {
                entries.remove(&change.key);
            }
            if entries.is_empty() {
                self.indexes.remove(&change.index);
            }
        }
    }

    /// Nothing lies over the store.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.indexes.is_empty()
    }
}
