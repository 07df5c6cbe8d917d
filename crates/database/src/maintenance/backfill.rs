//! Building indexes over documents that exist already.
//!
//! It works in short steps while writes go on. Each step reads some documents at one moment and commits their entries;
//! documents written after that moment are left out, since whoever wrote them kept the index up to date (see
//! `retain_untouched` in `shared`). Entries go to the store alone, not into the overlay; an index is complete only after
//! its last step is durable, so every transaction that sees it complete reads a store snapshot that has them all.

use std::sync::Arc;

use freshet_store::{IndexId, IndexWrite, Order};
use freshet_values::{DocumentId, KeyInterval, Object, TableName, Timestamp, Value, key};

use super::{begin, declared, wait_until_stored};
use crate::catalog::{Catalog, IndexMeta, IndexSpec, IndexState, TableMeta};
use crate::error::{CommitError, DatabaseError};
use crate::namespace::Namespace;
use crate::shared::Shared;
use crate::transaction::Transaction;

/// How many more documents one step adds to a search index. Their words are all over the tree, so every step writes most of
/// its pages anew: fewer and longer steps cost less.
const SEARCH_CHUNKS: usize = 4;

/// Builds the indexes of system tables that are not complete, before anybody is served; those of user tables can wait.
pub(crate) fn build_system_indexes(shared: &Arc<Shared>) -> Result<(), CommitError> {
    let mut backfill = Backfill::default();
    while next(&shared.state.lock().catalog).is_some_and(|(table, _)| table.name.is_system()) {
        backfill.step(shared)?;
    }
    Ok(())
}

/// The index to be worked on: first those that the engine itself cannot do without, last those that no push waits for.
fn next(catalog: &Catalog) -> Option<(&Arc<TableMeta>, &Arc<IndexMeta>)> {
    declared(catalog)
        .filter(|(_, index)| index.state == IndexState::Backfilling && index.has_entries())
        .min_by_key(|(table, index)| (!table.name.is_system(), index.staged))
}

/// The builder's memory from one step to the next; how far each index is stands in the database.
#[derive(Default)]
pub(super) struct Backfill {
    /// The last commit of entries: the next step begins once it is stored, so that steps do not pile up and an index
    /// does not become complete before all its entries are in the store.
    committed: Timestamp,
    /// An index that has all its entries once that commit is stored, and the last document of that commit.
    full: Option<(IndexId, Option<Vec<u8>>)>,
}

impl Backfill {
    /// Adds some documents to an index that is not complete, or completes it; `false` if there is none.
    pub(super) fn step(&mut self, shared: &Arc<Shared>) -> Result<bool, CommitError> {
        let catalog = Arc::clone(&shared.state.lock().catalog);
        let Some((_, index)) = next(&catalog) else { return Ok(false) };
        // What is undone is never stored. How far the index is now stands in the database.
        if shared.state.lock().undone.contains(self.committed) {
            *self = Backfill::default();
        }
        wait_until_stored(shared, self.committed)?;
        match self.full.take_if(|(full, _)| *full == index.id) {
            Some((_, last)) => complete(shared, index, last.as_deref())?,
            None => self.add(shared, index.id)?,
        }
        Ok(true)
    }

    fn add(&mut self, shared: &Arc<Shared>, id: IndexId) -> Result<(), CommitError> {
        let mut transaction = begin(shared)?;
        let catalog = Arc::clone(transaction.catalog());
        let Some((table, index)) = catalog.table_of_index(id).zip(catalog.index(id)) else { return Ok(()) };
        // It may have been dropped a moment ago.
        if index.state != IndexState::Backfilling {
            return Ok(());
        }
        let mut progress = Progress::read(&mut transaction, index)?;
        let by_id = catalog.index(table.by_id).expect("every table has an index of ids");
        let interval =
            KeyInterval { start: progress.cursor.as_deref().map_or(Vec::new(), key::key_after), end: None };
        let documents = match index.spec {
            IndexSpec::Search { .. } => shared.options.backfill_chunk * SEARCH_CHUNKS,
            _ => shared.options.backfill_chunk,
        };
        let chunk =
            transaction.load(table, by_id, &interval, Order::Asc, documents).map_err(DatabaseError::from)?;
        for (position, document) in &chunk.rows {
            let keys = index.keys(document).map_err(DatabaseError::from)?;
            for key in keys.as_slice() {
                transaction.add_backfill(IndexWrite {
                    index: id,
                    key: Arc::clone(key),
                    document: Some((table.id, document.id().internal)),
                });
            }
            progress.cursor = Some(position.to_vec());
            progress.indexed += 1;
        }
        progress.write(&mut transaction, index, table)?;
        if let Some(timestamp) = commit_unless_beaten(transaction)? {
            self.committed = timestamp;
            self.full = chunk.rest.is_none().then_some((id, progress.cursor));
        }
        Ok(())
    }
}

/// Notes how far an index is that is built elsewhere.
pub(crate) fn note_index_progress(
    transaction: &mut Transaction,
    index: &IndexMeta,
    table: &TableMeta,
    documents: u64,
) -> Result<(), DatabaseError> {
    let mut progress = Progress::read(transaction, index)?;
    progress.indexed = i64::try_from(documents).unwrap_or(i64::MAX);
    progress.write(transaction, index, table)
}

/// Notes that an index has all entries, unless the commit of the last ones was undone. Whoever finds the index incomplete
/// still goes on where the entries end.
fn complete(shared: &Arc<Shared>, index: &IndexMeta, last: Option<&[u8]>) -> Result<(), CommitError> {
    let mut transaction = begin(shared)?;
    let progress = Progress::read(&mut transaction, index)?;
    if progress.row.is_some() && progress.cursor.as_deref() == last {
        transaction.count_corpus(index).map_err(DatabaseError::from)?;
        transaction.complete_index(index.id)?;
        commit_unless_beaten(transaction)?;
    }
    Ok(())
}

/// Commits; `None` after a conflict, since a later step does the same again.
pub(super) fn commit_unless_beaten(transaction: Transaction) -> Result<Option<Timestamp>, CommitError> {
    match transaction.commit() {
        Ok(timestamp) => Ok(Some(timestamp)),
        Err(CommitError::Conflict { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The row of `_index_backfills` of an index.
pub(super) struct Progress {
    pub(super) row: Option<DocumentId>,
    cursor: Option<Vec<u8>>,
    indexed: i64,
}

impl Progress {
    pub(super) fn read(transaction: &mut Transaction, index: &IndexMeta) -> Result<Progress, DatabaseError> {
        let row = transaction.system(Namespace::ROOT).find(&backfills(), "by_index_id", &[row_id(index)])?;
        let Some(row) = row.first() else { return Ok(Progress { row: None, cursor: None, indexed: 0 }) };
        let object = row.object()?;
        let cursor = match object.get("cursor") {
            Some(Value::Bytes(cursor)) => Some(cursor.clone()),
            _ => None,
        };
        let indexed = object.get("numDocsIndexed").and_then(Value::as_i64).unwrap_or(0);
        Ok(Progress { row: Some(row.id()), cursor, indexed })
    }

    fn write(
        &self,
        transaction: &mut Transaction,
        index: &IndexMeta,
        table: &TableMeta,
    ) -> Result<(), DatabaseError> {
        let total = transaction.system(table.namespace).count_untracked(&table.name);
        let total = i64::try_from(total).unwrap_or(i64::MAX).max(self.indexed);
        let fields = Object::from([
            ("indexId".to_owned(), row_id(index)),
            ("numDocsIndexed".to_owned(), Value::Int64(self.indexed)),
            ("totalDocs".to_owned(), Value::Int64(total)),
            ("cursor".to_owned(), self.cursor.clone().map_or(Value::Null, Value::Bytes)),
        ]);
        let mut system = transaction.system(Namespace::ROOT);
        match self.row {
            Some(row) => system.replace(&backfills(), row, fields),
            None => system.insert(&backfills(), fields).map(|_| ()),
        }
    }
}

fn row_id(index: &IndexMeta) -> Value {
    index.row.map_or(Value::Null, |row| Value::String(row.to_string()))
}

pub(super) fn backfills() -> TableName {
    "_index_backfills".parse().expect("names of system tables are identifiers")
}
