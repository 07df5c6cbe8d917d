//! Adding the documents that were there before an index.
//!
//! Documents are read in the order of their ids, some at a time, each time from the newest durable state. The index follows
//! all commits since before the first look, so whatever is written meanwhile comes as well, and it is complete when
//! it covers the commit at which the last documents were read.

use std::sync::Arc;

use freshet_store::Order;
use freshet_values::{InternalId, Timestamp};

use super::following::unreadable;
use super::kept::{Kept, Progress};
use crate::catalog::{Catalog, IndexState};
use crate::document::Document;
use crate::error::{CommitError, DatabaseError, SystemError};
use crate::maintenance::note_index_progress;
use crate::shared::Shared;
use crate::transaction::Transaction;

/// Documents read at once.
const CHUNK_DOCUMENTS: usize = 256;
/// Bytes of JSON read at once.
const CHUNK_BYTES_MAX: usize = 8 << 20;
/// Nanoseconds between reports of progress.
const REPORT_PERIOD_NANOS: u64 = 1_000_000_000;

/// Reads some documents; returns whether there was anything to read.
pub(super) fn read(shared: &Shared, kept: &mut Kept) -> Result<bool, SystemError> {
    let Some(progress) = kept.building.filter(|progress| progress.complete_at.is_none()) else {
        return Ok(false);
    };
    let start = match progress.cursor {
        None => Some(InternalId([0; 16])),
        Some(InternalId(last)) => {
            u128::from_be_bytes(last).checked_add(1).map(|next| InternalId(next.to_be_bytes()))
        }
    };
    let snapshot = shared.store.snapshot()?;
    let mut next = Progress { complete_at: Some(snapshot.timestamp()), ..progress };
    if let Some(start) = start {
        let last = InternalId([0xff; 16]);
        let chunk =
            snapshot.scan_table(kept.table, start, last, Order::Asc, CHUNK_DOCUMENTS, CHUNK_BYTES_MAX)?;
        drop(snapshot);
        for stored in chunk.rows {
            let internal = stored.internal;
            let document = Document::from_stored(kept.number, stored);
            kept.put(internal, Some(document.object()?)).map_err(|error| unreadable(&error))?;
            next.cursor = Some(internal);
            next.documents += 1;
        }
        if !chunk.exhausted {
            next.complete_at = None;
        }
    }
    kept.building = Some(next);
    Ok(true)
}

/// Whether all documents were read and everything that was written meanwhile is in the index as well.
pub(super) fn is_complete(kept: &Kept) -> bool {
    kept.building.and_then(|progress| progress.complete_at).is_some_and(|at| kept.covered >= at)
}

/// Tells how far building is, if that is due.
pub(super) fn report(shared: &Arc<Shared>, kept: &Kept, reported: &mut Timestamp) -> Result<(), CommitError> {
    let now = shared.clock.now();
    let Some(progress) = kept.building.filter(|_| now.0.abs_diff(reported.0) >= REPORT_PERIOD_NANOS) else {
        return Ok(());
    };
    *reported = now;
    let mut transaction = begin(shared)?;
    let catalog = Arc::clone(transaction.catalog());
    let Some((index, table)) = catalog.index(kept.id).zip(catalog.table(kept.table)) else { return Ok(()) };
    if index.state == IndexState::Backfilling {
        note_index_progress(&mut transaction, index, table, progress.documents)?;
        commit_unless_beaten(transaction)?;
    }
    Ok(())
}

/// Notes in the catalog that an index is complete, if that is not known yet.
pub(super) fn note_complete(
    shared: &Arc<Shared>,
    catalog: &Catalog,
    kept: &Kept,
) -> Result<bool, CommitError> {
    let is_waited_for = |catalog: &Catalog| {
        catalog.index(kept.id).is_some_and(|index| index.state == IndexState::Backfilling)
    };
    if !kept.is_ready() || !is_waited_for(catalog) {
        return Ok(false);
    }
    let mut transaction = begin(shared)?;
    if !is_waited_for(transaction.catalog()) {
        return Ok(false);
    }
    transaction.complete_index(kept.id)?;
    commit_unless_beaten(transaction)?;
    Ok(true)
}

fn begin(shared: &Arc<Shared>) -> Result<Transaction, DatabaseError> {
    Ok(Transaction::new(Arc::clone(shared), shared.newest()?))
}

/// After a conflict a later step does the same again.
fn commit_unless_beaten(transaction: Transaction) -> Result<(), CommitError> {
    match transaction.commit() {
        Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
