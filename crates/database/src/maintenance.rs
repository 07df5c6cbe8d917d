//! The thread that does what takes long: building indexes, removing what was dropped, forgetting the old log.
//!
//! Building an index works in short steps while writes go on. Each step reads some documents at one moment and commits
//! their entries; documents written after that moment are left out, since whoever wrote them kept the index up to date
//! (see `retain_untouched` in `shared`). Entries go to the store alone, not into the overlay; an index is complete only
//! after its last step is durable, so every transaction that sees it complete reads a store snapshot that has them all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use freshet_store::{IndexId, IndexWrite, Order};
use freshet_values::{KeyInterval, TableName, Timestamp, Value, key};
use parking_lot::{Condvar, Mutex};

use crate::catalog::{Catalog, IndexMeta, IndexSpec, IndexState, TableMeta, TableState};
use crate::error::{CommitError, DatabaseError};
use crate::namespace::Namespace;
use crate::shared::Shared;
use crate::transaction::Transaction;

/// Pause between rounds when nobody wakes the thread.
const TICK: Duration = Duration::from_secs(5);
/// Pause between looks at the old log.
const TRIM_PERIOD: Duration = Duration::from_secs(300);
/// Entries, documents or log rows removed in one step; each holds up commits for a moment.
const REMOVE_CHUNK: usize = 1000;

#[derive(Default)]
struct Signal {
    woken: bool,
    closing: bool,
}

/// Wakes and ends the thread.
#[derive(Default)]
pub(crate) struct Maintenance {
    signal: Mutex<Signal>,
    changed: Condvar,
}

impl Maintenance {
    pub(crate) fn wake(&self) {
        self.signal.lock().woken = true;
        self.changed.notify_all();
    }

    pub(crate) fn close(&self) {
        self.signal.lock().closing = true;
        self.changed.notify_all();
    }

    fn is_closing(&self) -> bool {
        self.signal.lock().closing
    }

    /// Waits for work; returns false when the thread shall end.
    fn wait(&self) -> bool {
        let mut signal = self.signal.lock();
        if !signal.woken && !signal.closing {
            self.changed.wait_for(&mut signal, TICK);
        }
        signal.woken = false;
        !signal.closing
    }
}

/// Runs until the database is closed.
pub(crate) fn run(shared: &Arc<Shared>) {
    let mut trimmed: Option<Instant> = None;
    loop {
        let round = || -> Result<(), CommitError> {
            build_indexes(shared)?;
            remove_dropped(shared)
        };
        if let Err(error) = round()
            && !shared.maintenance.is_closing()
        {
            tracing::warn!(%error, "housekeeping of the database did not finish; it will be tried again");
        }
        if trimmed.is_none_or(|last| last.elapsed() > TRIM_PERIOD) {
            trim_log(shared);
            trimmed = Some(Instant::now());
        }
        trim_window(shared);
        shared.store.release_unused();
        if !shared.maintenance.wait() {
            return;
        }
    }
}

/// Builds all indexes that are not complete.
pub(crate) fn build_indexes(shared: &Arc<Shared>) -> Result<(), CommitError> {
    let catalog = Arc::clone(&shared.state.lock().catalog);
    for (_, index) in declared(&catalog) {
        if index.state == IndexState::Backfilling && matches!(index.spec, IndexSpec::Database { .. }) {
            while !shared.maintenance.is_closing() && build_step(shared, index.id)? {}
        }
    }
    Ok(())
}

fn declared(catalog: &Catalog) -> Vec<(Arc<TableMeta>, Arc<IndexMeta>)> {
    catalog
        .tables()
        .flat_map(|table| {
            catalog.indexes(table.id).iter().map(|index| (Arc::clone(table), Arc::clone(index)))
        })
        .filter(|(_, index)| index.row.is_some())
        .collect()
}

/// Adds some documents to an index; returns whether there is more to do.
fn build_step(shared: &Arc<Shared>, id: IndexId) -> Result<bool, CommitError> {
    let mut transaction = begin(shared)?;
    let catalog = Arc::clone(transaction.catalog());
    let Some((table, index)) = catalog.table_of_index(id).zip(catalog.index(id)) else { return Ok(false) };
    // It may have been dropped, with its table, since the round began.
    if index.state != IndexState::Backfilling {
        return Ok(false);
    }
    let mut progress = Progress::read(&mut transaction, index)?;
    let by_id = catalog.index(table.by_id).expect("every table has an index of ids");
    let interval =
        KeyInterval { start: progress.cursor.as_deref().map_or(Vec::new(), key::key_after), end: None };
    let chunk = transaction
        .load(table, by_id, &interval, Order::Asc, shared.options.backfill_chunk)
        .map_err(DatabaseError::from)?;
    for (position, document) in &chunk.rows {
        let entry = index.key(document.object().map_err(DatabaseError::from)?);
        transaction.add_backfill(IndexWrite {
            index: id,
            key: Arc::from(entry),
            document: Some((table.id, document.id().internal)),
        });
        progress.cursor = Some(position.to_vec());
        progress.indexed += 1;
    }
    let more = chunk.rest.is_some();
    progress.write(&mut transaction, index, table)?;
    match transaction.commit() {
        Ok(timestamp) => {
            let durable = shared.wait_durable_blocking(timestamp);
            durable.map_err(|error| CommitError::ReadOnly(error.to_string()))?;
        }
        Err(CommitError::Conflict { .. }) => return Ok(true),
        Err(error) => return Err(error),
    }
    if more {
        return Ok(true);
    }
    let mut transaction = begin(shared)?;
    transaction.complete_index(id)?;
    match transaction.commit() {
        Ok(_) => Ok(false),
        // The next step finds nothing to add and comes here again.
        Err(CommitError::Conflict { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The row of `_index_backfills` of an index.
struct Progress {
    row: Option<freshet_values::DocumentId>,
    cursor: Option<Vec<u8>>,
    indexed: i64,
}

impl Progress {
    fn read(transaction: &mut Transaction, index: &IndexMeta) -> Result<Progress, DatabaseError> {
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
        let fields = BTreeMap::from([
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

fn backfills() -> TableName {
    "_index_backfills".parse().expect("names of system tables are identifiers")
}

/// Removes the contents of dropped tables and indexes that nobody can read any more, then their rows.
fn remove_dropped(shared: &Arc<Shared>) -> Result<(), CommitError> {
    let (catalog, visible) = {
        let state = shared.state.lock();
        (Arc::clone(&state.catalog), state.visible_ts)
    };
    let dropped: Vec<_> =
        declared(&catalog).into_iter().filter(|(_, index)| index.state == IndexState::Deleting).collect();
    let tables: Vec<_> =
        catalog.tables().filter(|table| table.state == TableState::Deleting).cloned().collect();
    if dropped.is_empty() && tables.is_empty() {
        return Ok(());
    }
    shared.wait_durable_blocking(visible).map_err(|error| CommitError::ReadOnly(error.to_string()))?;
    for (_, index) in dropped {
        let readable = |catalog: &Catalog| {
            catalog.index(index.id).is_some_and(|index| index.state != IndexState::Deleting)
        };
        if is_in_recent_past(shared, readable) {
            continue;
        }
        clear(shared, |limit| shared.store.clear_index(index.id, limit))?;
        let mut transaction = begin(shared)?;
        let progress = Progress::read(&mut transaction, &index)?;
        if let Some(row) = progress.row {
            transaction.system(Namespace::ROOT).delete(&backfills(), row)?;
        }
        transaction.forget_index(index.id)?;
        commit_unless_beaten(transaction)?;
    }
    for table in tables {
        let readable = |catalog: &Catalog| {
            catalog.table(table.id).is_some_and(|table| table.state == TableState::Active)
        };
        if is_in_recent_past(shared, readable) {
            continue;
        }
        clear(shared, |limit| shared.store.clear_index(table.by_creation_time, limit))?;
        clear(shared, |limit| shared.store.clear_table(table.id, limit))?;
        let mut transaction = begin(shared)?;
        // Its indexes come first: their rows lead nowhere without the table's.
        let bare = transaction.catalog().indexes(table.id).iter().all(|index| index.row.is_none());
        if bare {
            transaction.forget_table(&table)?;
            commit_unless_beaten(transaction)?;
        }
    }
    Ok(())
}

/// Whether some moment that can still be read has a catalog like this.
fn is_in_recent_past(shared: &Shared, like: impl Fn(&Catalog) -> bool) -> bool {
    let state = shared.state.lock();
    let floor = state.window.floor();
    state.window.after(floor).filter_map(|commit| commit.catalog_before.as_ref()).any(|catalog| like(catalog))
}

fn clear(
    shared: &Shared,
    mut step: impl FnMut(usize) -> Result<usize, freshet_store::StoreError>,
) -> Result<(), CommitError> {
    while !shared.maintenance.is_closing() {
        let removed = step(REMOVE_CHUNK).map_err(DatabaseError::from)?;
        if removed < REMOVE_CHUNK {
            return Ok(());
        }
    }
    Err(CommitError::Overloaded)
}

fn commit_unless_beaten(transaction: Transaction) -> Result<(), CommitError> {
    match transaction.commit() {
        // The next round tries again.
        Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn begin(shared: &Arc<Shared>) -> Result<Transaction, DatabaseError> {
    Ok(Transaction::new(Arc::clone(shared), shared.newest()?))
}

fn trim_log(shared: &Shared) {
    let retention = u64::try_from(shared.options.log_retention.as_nanos()).unwrap_or(u64::MAX);
    let before = Timestamp(shared.clock.now().0.saturating_sub(retention));
    while !shared.maintenance.is_closing() {
        match shared.store.trim_log(before, REMOVE_CHUNK) {
            Ok(removed) if removed == REMOVE_CHUNK => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "the commit log could not be trimmed");
                return;
            }
        }
    }
}

fn trim_window(shared: &Shared) {
    let now = shared.clock.now();
    let mut state = shared.state.lock();
    let durable = state.durable_ts;
    state.window.trim(now, durable);
}
