//! Turns the pending writes of a transaction into a commit.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use freshet_search::text::Corpus;
use freshet_store::{CommitRecord, DocumentWrite, IndexId, IndexWrite, TableId, TableView};
use freshet_values::{Timestamp, Value};

use super::changes::{Committed, DocumentChange, KeyChange};
use super::corpora::CorpusDelta;
use super::keys::{IndexKeys, Keys};
use crate::catalog::{Catalog, IndexMeta, IndexState, TableState};
use crate::document::Document;
use crate::error::SystemError;
use crate::schema::SchemaEnforcer;
use crate::transaction::pending::Pending;

/// All that a commit needs except its timestamp and its surroundings.
pub(crate) struct Prepared {
    pub(crate) documents: Vec<DocumentChange>,
    /// The transaction's own catalog, with the indexes that its writes belong to.
    pub(crate) catalog: Arc<Catalog>,
    /// Entries for an index that is being built: existing documents with their keys.
    pub(crate) backfill: Vec<IndexWrite>,
    pub(crate) enforcer: Option<Arc<dyn SchemaEnforcer>>,
    pub(crate) meta: Vec<(String, String)>,
    pub(crate) views: Vec<TableView>,
    /// Internal numbers of new tables and indexes are in use from now on.
    pub(crate) numbered: bool,
    /// What the builder of a search index counted at the transaction's snapshot.
    pub(crate) counted: Vec<(IndexId, Corpus)>,
    counts: BTreeMap<TableId, i64>,
    /// What comes to each search index and what goes.
    corpora: BTreeMap<IndexId, (Corpus, Corpus)>,
    /// Keys of documents that hold no placeholder; the rest is keyed once the timestamp is known.
    keys: Vec<KeyChange>,
    /// What the store gets for these documents.
    document_writes: Vec<DocumentWrite>,
    index_writes: Vec<IndexWrite>,
    /// Places of documents that hold placeholders, with the keys of their old versions.
    unresolved: Vec<(usize, Keys)>,
}

impl Prepared {
    /// Does everything that needs no lock.
    pub(crate) fn new(pending: &Pending, catalog: Arc<Catalog>) -> Result<Prepared, SystemError> {
        let mut prepared = Prepared {
            documents: Vec::new(),
            catalog,
            backfill: Vec::new(),
            enforcer: None,
            meta: Vec::new(),
            views: Vec::new(),
            numbered: false,
            counted: Vec::new(),
            counts: BTreeMap::new(),
            corpora: BTreeMap::new(),
            keys: Vec::new(),
            document_writes: Vec::new(),
            index_writes: Vec::new(),
            unresolved: Vec::new(),
        };
        for (table, internal, pending) in pending.changes() {
            let change =
                DocumentChange { table, internal, old: pending.old.clone(), new: pending.new.clone() };
            let delta = i64::from(change.new.is_some()) - i64::from(change.old.is_some());
            if delta != 0 {
                *prepared.counts.entry(change.table).or_default() += delta;
            }
            let unresolved = match &change.new {
                Some(new) => new.is_unresolved()?,
                None => false,
            };
            if unresolved {
                prepared.unresolved.push((prepared.documents.len(), pending.old_keys.clone()));
            } else {
                prepared.add(&change, &pending.old_keys, &pending.new_keys)?;
            }
            prepared.documents.push(change);
        }
        Ok(prepared)
    }

    /// The commit at a timestamp. Called under the lock, so whatever can be done before is done before.
    pub(crate) fn commit_at(mut self, timestamp: Timestamp) -> Result<Committed, SystemError> {
        for (position, old_keys) in std::mem::take(&mut self.unresolved) {
            let mut change = self.documents[position].clone();
            let pending = change.new.as_ref().expect("only new versions hold placeholders");
            let mut object = Value::Object(pending.object()?.clone());
            object.resolve_commit_ts(timestamp);
            let Value::Object(object) = object else { unreachable!("made as an object above") };
            change.new = Some(Arc::new(Document::new(pending.id(), object)));
            // Its keys may hold the timestamp too.
            self.add(&change, &old_keys, &Keys::default())?;
            self.documents[position] = change;
        }
        self.index_writes.extend(self.backfill);
        let record = CommitRecord { timestamp, documents: self.document_writes, indexes: self.index_writes };
        let versions = self.documents.iter().flat_map(|change| [&change.old, &change.new]).flatten();
        let keys = self.keys.iter().map(|change| size_of::<KeyChange>() + 16 + change.key.len());
        let weight = record.weight() + versions.map(|document| document.weight()).sum::<usize>();
        Ok(Committed {
            timestamp,
            weight: weight + keys.sum::<usize>(),
            record: Arc::new(record),
            documents: self.documents,
            keys: self.keys,
            counts: self.counts.into_iter().collect(),
            corpus_deltas: self
                .corpora
                .into_iter()
                .map(|(index, (added, removed))| CorpusDelta { index, added, removed })
                .collect(),
            corpora: Vec::new(),
            catalog_before: None,
            enforcer_before: None,
            meta: self.meta,
            views: self.views,
        })
    }

    /// Adds the keys of a change, and what the store gets for it.
    fn add(&mut self, change: &DocumentChange, old_keys: &Keys, new_keys: &Keys) -> Result<(), SystemError> {
        self.document_writes.push(DocumentWrite {
            table: change.table,
            internal: change.internal,
            new: change.new.as_ref().map(|new| new.stored().clone()),
        });
        let catalog = Arc::clone(&self.catalog);
        let indexes = catalog.indexes(change.table).iter().filter(|index| index.is_maintained());
        for (at, index) in indexes.enumerate() {
            let old_keys = change.old.as_deref().map(|old| old_keys.keys(at, index, old)).transpose()?;
            let new_keys = change.new.as_deref().map(|new| new_keys.keys(at, index, new)).transpose()?;
            self.add_keys(change, index, old_keys.as_ref(), new_keys.as_ref());
        }
        Ok(())
    }

    /// Adds what becomes of the keys of one document in one index.
    fn add_keys(
        &mut self,
        change: &DocumentChange,
        index: &IndexMeta,
        old_keys: Option<&IndexKeys>,
        new_keys: Option<&IndexKeys>,
    ) {
        let old_keys = old_keys.map_or(&[][..], IndexKeys::as_slice);
        let new_keys = new_keys.map_or(&[][..], IndexKeys::as_slice);
        if let (Some(added), Some(removed)) = (index.corpus_of(new_keys), index.corpus_of(old_keys))
            && added != removed
        {
            let (all_added, all_removed) = self.corpora.entry(index.id).or_default();
            *all_added = all_added.changed(added, Corpus::default());
            *all_removed = all_removed.changed(removed, Corpus::default());
        }
        let (mut old_keys, mut new_keys) = (old_keys.iter().peekable(), new_keys.iter().peekable());
        loop {
            let order = match (old_keys.peek(), new_keys.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.cmp(new),
            };
            let old = if order.is_le() { old_keys.next() } else { None };
            let new = if order.is_ge() { new_keys.next() } else { None };
            let Some(key) = old.or(new) else { return };
            let stays = order == Ordering::Equal;
            // The store's entry leads to a document, not to a version. While an index is being built, the entry may not be there.
            if !index.is_by_id() && (!stays || index.state == IndexState::Backfilling) {
                let document = new.map(|_| (change.table, change.internal));
                self.index_writes.push(IndexWrite { index: index.id, key: Arc::clone(key), document });
            }
            self.keys.push(KeyChange {
                index: index.id,
                key: Arc::clone(key),
                old: change.old.clone().filter(|_| old.is_some()),
                new: change.new.clone().filter(|_| new.is_some()),
            });
        }
    }
}

/// The changes of readable names that follow from a changed row of `_tables`.
pub(crate) fn view(table: &crate::catalog::TableMeta, present: bool) -> TableView {
    let name = match table.namespace.0 {
        0 => table.name.to_string(),
        namespace => format!("component {namespace}/{}", table.name),
    };
    TableView { table: table.id, name, present: present && table.state == TableState::Active }
}
