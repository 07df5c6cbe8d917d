//! Removing the contents of dropped tables and indexes that nobody can read any more, then their rows.

use std::sync::Arc;

use super::backfill::{Progress, backfills, commit_unless_beaten};
use super::{REMOVE_CHUNK, begin, declared, wait_until_stored};
use crate::catalog::{Catalog, IndexMeta, IndexState, TableMeta, TableState};
use crate::error::{CommitError, DatabaseError};
use crate::namespace::Namespace;
use crate::shared::Shared;

/// Removes a chunk of what was dropped; `false` if there is nothing that may go already.
pub(super) fn step(shared: &Arc<Shared>) -> Result<bool, CommitError> {
    let (catalog, past, visible) = {
        let state = shared.state.lock();
        let past: Vec<Arc<Catalog>> = state.window.past_catalogs().cloned().collect();
        (Arc::clone(&state.catalog), past, state.visible_ts)
    };
    // Whether some moment that can still be read has a catalog like this.
    let is_in_recent_past = |like: &dyn Fn(&Catalog) -> bool| past.iter().any(|catalog| like(catalog));
    for (_, index) in declared(&catalog).filter(|(_, index)| index.state == IndexState::Deleting) {
        let readable = |catalog: &Catalog| {
            catalog.index(index.id).is_some_and(|index| index.state != IndexState::Deleting)
        };
        if !is_in_recent_past(&readable) {
            wait_until_stored(shared, visible)?;
            remove_index(shared, index)?;
            return Ok(true);
        }
    }
    for table in catalog.tables().filter(|table| table.state == TableState::Deleting) {
        let readable = |catalog: &Catalog| {
            catalog.table(table.id).is_some_and(|table| table.state == TableState::Active)
        };
        if !is_in_recent_past(&readable) {
            wait_until_stored(shared, visible)?;
            if remove_table(shared, table)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn remove_index(shared: &Arc<Shared>, index: &IndexMeta) -> Result<(), CommitError> {
    let removed = shared.store.clear_index(index.id, REMOVE_CHUNK).map_err(DatabaseError::from)?;
    if removed >= REMOVE_CHUNK {
        return Ok(());
    }
    let mut transaction = begin(shared)?;
    let progress = Progress::read(&mut transaction, index)?;
    if let Some(row) = progress.row {
        transaction.system(Namespace::ROOT).delete(&backfills(), row)?;
    }
    transaction.forget_index(index.id)?;
    commit_unless_beaten(transaction)?;
    Ok(())
}

/// Returns whether there was something to remove.
fn remove_table(shared: &Arc<Shared>, table: &TableMeta) -> Result<bool, CommitError> {
    let mut removed =
        shared.store.clear_index(table.by_creation_time, REMOVE_CHUNK).map_err(DatabaseError::from)?;
    if removed < REMOVE_CHUNK {
        let documents = shared.store.clear_table(table.id, REMOVE_CHUNK).map_err(DatabaseError::from)?;
        removed = removed.max(documents);
    }
    if removed >= REMOVE_CHUNK {
        return Ok(true);
    }
    let mut transaction = begin(shared)?;
    // Its indexes come first: their rows lead nowhere without the table's.
    let bare = transaction.catalog().indexes(table.id).iter().all(|index| index.row.is_none());
    if bare {
        transaction.forget_table(table)?;
        commit_unless_beaten(transaction)?;
    }
    Ok(bare || removed > 0)
}
