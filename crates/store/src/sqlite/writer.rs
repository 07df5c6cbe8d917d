//! The one connection that writes.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use freshet_values::{InternalId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::checkpoint::Checkpoints;
use super::reader::ReaderPool;
use super::{failure, layout};
use crate::{Batch, CommitRecord, DocumentWrite, IndexId, IndexWrite, StoreError, TableId};

/// Row numbers of the documents that a batch inserted; `None` for those that it deleted.
type Rows = HashMap<(TableId, InternalId), Option<i64>>;

pub(super) struct Writer {
    connection: Connection,
    checkpoints: Checkpoints,
    /// The last commit; the next one must be later.
    timestamp: Timestamp,
    /// Why nothing may be written any more.
    poisoned: Option<String>,
    /// The file says that it was closed properly, so it must not change any more.
    closed: bool,
}

impl Writer {
    pub(super) fn new(
        mut connection: Connection,
        timestamp: Timestamp,
        log_pages_max: u32,
    ) -> rusqlite::Result<Writer> {
        let checkpoints = Checkpoints::take_over(&mut connection, log_pages_max)?;
        Ok(Writer { connection, checkpoints, timestamp, poisoned: None, closed: false })
    }

    /// To be called after each write.
    pub(super) fn tidy_log(&mut self, readers: &ReaderPool) {
        self.checkpoints.after_write(&self.connection, readers);
    }

    pub(super) fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.refuse_if_over()?;
        let mut last = self.timestamp;
        for commit in &batch.commits {
            if commit.timestamp <= last {
                return Err(StoreError::OutOfOrder { given: commit.timestamp.0, current: last.0 });
            }
            last = commit.timestamp;
        }
        match self.write(batch, last) {
            Ok(()) => {
                self.timestamp = last;
                Ok(())
            }
            Err(error) => {
                // Whether the commit reached the disk is unknown, so this process must not build on either answer.
                let error = failure(&error);
                self.poisoned = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Runs housekeeping in a transaction of its own. A failure undoes it and poisons nothing: no promise hangs on it.
    pub(super) fn maintain(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<usize>,
    ) -> Result<usize, StoreError> {
        self.refuse_if_over()?;
        let transaction = self.connection.transaction().map_err(|error| failure(&error))?;
        let done = work(&transaction).map_err(|error| failure(&error))?;
        transaction.commit().map_err(|error| failure(&error))?;
        Ok(done)
    }

    pub(super) fn limit_pages(&self, pages_max: u32) -> Result<(), StoreError> {
        self.connection
            .pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(()))
            .map_err(|error| failure(&error))
    }

    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        if self.closed {
            return Ok(());
        }
        self.refuse_if_over()?;
        layout::set_meta(&self.connection, layout::META_CLEAN, "1").map_err(|error| failure(&error))?;
        self.closed = true;
        // Leaves one file behind that can be copied by itself, unless somebody still reads; nobody is waited for.
        self.connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
            .map_err(|error| failure(&error))
    }

    fn refuse_if_over(&self) -> Result<(), StoreError> {
        match &self.poisoned {
            Some(cause) => Err(StoreError::Poisoned(cause.clone())),
            None if self.closed => Err(StoreError::Closed),
            None => Ok(()),
        }
    }

    fn write(&mut self, batch: &Batch, last: Timestamp) -> rusqlite::Result<()> {
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let rows = write_documents(&transaction, batch)?;
        write_entries(&transaction, batch, &rows)?;
        for commit in &batch.commits {
            append_to_log(&transaction, commit)?;
        }
        for (table, documents) in &batch.counts {
            transaction
                .prepare_cached(
                    "INSERT INTO freshet_table_counts VALUES (?1, ?2) \
                     ON CONFLICT (table_id) DO UPDATE SET documents = excluded.documents",
                )?
                .execute(params![table.0, documents.cast_signed()])?;
        }
        for (name, value) in &batch.meta {
            layout::set_meta(&transaction, &layout::database_meta(name), value)?;
        }
        for view in &batch.views {
            if view.present {
                layout::create_view(&transaction, view.table, &view.name)?;
            } else {
                layout::drop_view(&transaction, view.table, &view.name)?;
            }
        }
        layout::set_meta(&transaction, layout::META_TIMESTAMP, &last.0.to_string())?;
        transaction.commit()
    }
}

/// Writes the last version of every document: of a row written by many commits of the group, one write is enough.
fn write_documents(connection: &Connection, batch: &Batch) -> rusqlite::Result<Rows> {
    let mut finals: Vec<&DocumentWrite> = Vec::new();
    let mut seen: HashSet<(TableId, InternalId)> = HashSet::new();
    for write in batch.commits.iter().rev().flat_map(|commit| commit.documents.iter().rev()) {
        if seen.insert((write.table, write.internal)) {
            finals.push(write);
        }
    }
    let mut rows = Rows::with_capacity(finals.len());
    // Not an upsert that returns the row: of the many documents that exist already, most rows are never asked for, and
    // SQLite keeps what is returned in a table of its own meanwhile.
    let mut update = connection.prepare_cached(
        "UPDATE freshet_documents SET json = ?3, size = ?4 WHERE table_id = ?1 AND id = ?2",
    )?;
    let mut insert = connection
        .prepare_cached("INSERT INTO freshet_documents (table_id, id, json, size) VALUES (?1, ?2, ?3, ?4)")?;
    let mut delete =
        connection.prepare_cached("DELETE FROM freshet_documents WHERE table_id = ?1 AND id = ?2")?;
    for write in finals.into_iter().rev() {
        let key = (write.table, write.internal);
        match &write.new {
            Some(new) => {
                let values = params![write.table.0, &write.internal.0[..], &*new.json, new.size];
                if update.execute(values)? == 0 {
                    insert.execute(values)?;
                    rows.insert(key, Some(connection.last_insert_rowid()));
                }
            }
            None => {
                delete.execute(params![write.table.0, &write.internal.0[..]])?;
                rows.insert(key, None);
            }
        }
    }
    Ok(rows)
}

fn write_entries(connection: &Connection, batch: &Batch, rows: &Rows) -> rusqlite::Result<()> {
    let mut finals: Vec<&IndexWrite> = Vec::new();
    let mut seen: HashSet<(IndexId, &[u8])> = HashSet::new();
    for write in batch.commits.iter().rev().flat_map(|commit| commit.indexes.iter().rev()) {
        if seen.insert((write.index, &write.key)) {
            finals.push(write);
        }
    }
    let mut upsert = connection.prepare_cached(
        "INSERT INTO freshet_index_entries VALUES (?1, ?2, ?3) \
         ON CONFLICT (index_id, key) DO UPDATE SET document = excluded.document",
    )?;
    let mut delete =
        connection.prepare_cached("DELETE FROM freshet_index_entries WHERE index_id = ?1 AND key = ?2")?;
    for write in finals.into_iter().rev() {
        let row = match write.document {
            None => None,
            Some(document) => match rows.get(&document) {
                Some(row) => *row,
                None => find_row(connection, document)?,
            },
        };
        match row {
            Some(row) => upsert.execute(params![write.index.0, &*write.key, row])?,
            None => delete.execute(params![write.index.0, &*write.key])?,
        };
    }
    Ok(())
}

/// The row of a document that was there before the batch.
fn find_row(
    connection: &Connection,
    (table, internal): (TableId, InternalId),
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT row FROM freshet_documents WHERE table_id = ?1 AND id = ?2")?
        .query_row(params![table.0, &internal.0[..]], |row| row.get(0))
        .optional()
}

fn append_to_log(connection: &Connection, commit: &CommitRecord) -> rusqlite::Result<()> {
    if commit.documents.is_empty() {
        return Ok(());
    }
    let length: usize =
        commit.documents.iter().map(|write| 64 + write.new.as_ref().map_or(4, |new| new.json.len())).sum();
    let mut text = String::with_capacity(length);
    for write in &commit.documents {
        text.push(if text.is_empty() { '[' } else { ',' });
        let document = write.new.as_ref().map_or("null", |new| &*new.json);
        write!(text, "[{},\"{}\",{}]", write.table.0, hex::encode(write.internal.0), document)
            .expect("writing to a string does not fail");
    }
    text.push(']');
    connection
        .prepare_cached("INSERT INTO freshet_commit_log VALUES (?1, ?2)")?
        .execute(params![commit.timestamp.0.cast_signed(), text])?;
    Ok(())
}
