//! The one connection that writes, and what it does when writing fails.
//!
//! # When a commit fails
//!
//! Whoever waits for the commit has to be told whether it happened, so a failure is sorted out at once:
//!
//! * **Before COMMIT** nothing with a commit mark is in the log. Rolling back is all; the batch is not there.
//! * **At COMMIT** the frames of the batch may lie in the log file, complete and with a valid checksum, although SQLite
//!   reported an error: the sync failed, or the log's shared index could not grow. No reader sees them, because the index in
//!   memory does not have them; but whoever recovers the log after a crash would find them and take the commit for done.
//!   The batch's fate is open.
//!
//! To close it, a small transaction is committed at once. It begins where the failed one began and overwrites its first
//! frame. Checksums in the log form a chain, so from then on the old frames are void whatever happens: the batch is not
//! there and cannot come back. It usually works even on a full disk, since that part of the log file has its blocks already.
//! If it fails, too, the answer is [`StoreError::Undecided`], nothing else is written, and [`Writer::recover`] tries the
//! same later, also on a new connection. (A commit for which the log found no room, or which the system did not let it
//! write, is certain anyway: its last frame, which has the commit mark, was not written.) The last connection must not
//! be closed meanwhile, only replaced: the first one to open the file again would recover the log, and find what readers
//! were not shown.
//!
//! # When a sync fails
//!
//! The kernel reports a failed fsync once, may drop what it could not write, and calls the pages clean: a second fsync
//! succeeds and proves nothing (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). So no
//! sync is ever repeated here to make the same bytes durable. What counts are bytes written again after the failure and
//! synced then: the small transaction writes its frame, and with it the pages of the file that the failed sync left in
//! doubt and that are still needed. Frames before it had been synced by their own commits. What a failed sync of the database file
//! means is in `checkpoint`.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use freshet_values::{InternalId, Timestamp};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::checkpoint::Checkpoints;
use super::fault::{failure, failure_on, is_refused};
use super::reader::ReaderPool;
use super::{SqliteOptions, layout, log, opening};
use crate::{Batch, DocumentWrite, IndexWrite, StoreError, TableId};

/// Row numbers of the documents that a batch inserted; `None` for those that it deleted.
type Rows = HashMap<(TableId, InternalId), Option<i64>>;

/// Room that the disk must have before writing is worth another try: a few commits of the usual size.
const PROBE_BYTES: usize = 64 << 10;
/// Unused pages given back in one transaction; each may move a page and change two others.
const SHRINK_STEP_PAGES: u32 = 128;
/// Not below a share of this of the file: unused pages are the next commits' room.
const FREE_SHARE_MAX: u32 = 5;

pub(super) struct Writer {
    connection: Connection,
    checkpoints: Checkpoints,
    /// The last commit; the next one must be later.
    timestamp: Timestamp,
    /// Why the last commit's fate is open, and nothing may be written.
    undecided: Option<String>,
    /// Somebody else writes to the file, too: see [`StoreError::Overtaken`].
    is_overtaken: bool,
    /// The file says that it was closed properly, so it must not change any more.
    closed: bool,
    /// For opening another connection when this one cannot write any more.
    path: PathBuf,
    options: SqliteOptions,
}

/// Where a commit failed.
enum Failed {
    /// The last commit of the file is not ours.
    Overtaken,
    BeforeCommit(rusqlite::Error),
    AtCommit(rusqlite::Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Failed::BeforeCommit(error)
    }
}

impl Writer {
    pub(super) fn new(
        mut connection: Connection,
        timestamp: Timestamp,
        path: PathBuf,
        options: &SqliteOptions,
    ) -> rusqlite::Result<Writer> {
        let checkpoints = Checkpoints::take_over(&mut connection, options.log_pages_max)?;
        let options = options.clone();
        let undecided = None;
        let (is_overtaken, closed) = (false, false);
        Ok(Writer { connection, checkpoints, timestamp, undecided, is_overtaken, closed, path, options })
    }

    /// To be called after each write.
    pub(super) fn tidy_log(&mut self, readers: &ReaderPool) {
        self.checkpoints.after_write(&self.connection, readers);
    }

    pub(super) fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.refuse_if_over()?;
        let before = self.timestamp;
        let mut last = before;
        for commit in &batch.commits {
            if commit.timestamp <= last {
                return Err(StoreError::OutOfOrder { given: commit.timestamp.0, current: last.0 });
            }
            last = commit.timestamp;
        }
        let cause = match self.write(batch, last) {
            Ok(()) => {
                self.timestamp = last;
                return Ok(());
            }
            Err(Failed::Overtaken) => {
                self.is_overtaken = true;
                return Err(StoreError::Overtaken);
            }
            // SQLite rolls back by itself, or when the transaction was dropped; if it could not, it must not be built on.
            Err(Failed::BeforeCommit(error)) if self.connection.is_autocommit() => {
                return Err(failure_on(&self.connection, &error));
            }
            Err(Failed::BeforeCommit(error) | Failed::AtCommit(error)) => error,
        };
        let is_refused = is_refused(&self.connection, &cause);
        let cause = failure_on(&self.connection, &cause);
        let is_certain = is_refused && self.lacks(last);
        if !is_certain {
            self.undecided = Some(cause.to_string());
        }
        match self.settle() {
            // It was visible, so SQLite had synced it before whatever it reported.
            Ok(()) if last > before && self.timestamp == last => Ok(()),
            Ok(()) => Err(cause),
            Err(_) if is_certain => Err(cause),
            Err(error) => {
                tracing::warn!(%cause, %error, "whether a commit was stored stays open for now");
                Err(StoreError::Undecided(cause.to_string()))
            }
        }
    }

    /// See [`crate::Store::recover`].
    pub(super) fn recover(&mut self) -> Result<Timestamp, StoreError> {
        if self.closed {
            return Err(StoreError::Closed);
        }
        if self.is_overtaken {
            return Err(StoreError::Overtaken);
        }
        if let Err(error) = self.settle() {
            let is_decided = self.undecided.is_none();
            return Err(if is_decided { error } else { StoreError::Undecided(error.to_string()) });
        }
        // A full disk may well have room for that little. What is in the log already need not be there twice.
        if let Err(error) = self.checkpoints.copy(&self.connection, "PASSIVE") {
            tracing::debug!(%error, "the write-ahead log could not be copied to the database file");
        }
        probe(&self.connection, PROBE_BYTES).map_err(|error| failure_on(&self.connection, &error))?;
        Ok(self.timestamp)
    }

    /// Whether a snapshot would not show this commit.
    fn lacks(&self, timestamp: Timestamp) -> bool {
        self.connection.is_autocommit()
            && layout::durable_timestamp(&self.connection).is_ok_and(|visible| visible < timestamp)
    }

    /// Commits something small, which makes sure that what was not visible before never will be; on another connection if
    /// this one cannot.
    fn settle(&mut self) -> Result<(), StoreError> {
        let settled = match settle_on(&self.connection) {
            Err(error) => {
                tracing::debug!(%error, "the connection cannot write; trying another");
                self.reconnect()
            }
            Ok(timestamp) => Ok(timestamp),
        };
        self.timestamp = settled?;
        self.undecided = None;
        Ok(())
    }

    /// Goes on with a new connection if that one can write.
    fn reconnect(&mut self) -> Result<Timestamp, StoreError> {
        let mut connection = opening::connect_writer(&self.path, &self.options)?;
        let timestamp = settle_on(&connection).map_err(|error| failure_on(&connection, &error))?;
        let checkpoints = self
            .checkpoints
            .succeed(&mut connection, self.options.log_pages_max)
            .map_err(|error| failure(&error))?;
        self.checkpoints = checkpoints;
        // The old connection is closed when the new one has the file open.
        self.connection = connection;
        Ok(timestamp)
    }

    /// Runs housekeeping in a transaction of its own. A failure undoes it, and should it come back after a crash, no harm
    /// is done: no promise hangs on it.
    pub(super) fn maintain<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.refuse_if_over()?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| failure(&error))?;
        let done = work(&transaction).map_err(|error| failure(&error))?;
        transaction.commit().map_err(|error| failure(&error))?;
        Ok(done)
    }

    /// Gives some unused pages back to the disk if there are many; returns whether there are still too many.
    pub(super) fn shrink_step(&mut self) -> Result<bool, StoreError> {
        let free_max = self.options.free_pages_max;
        self.maintain(|connection| {
            let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
            let (free, pages) = (pragma("freelist_count")?, pragma("page_count")?);
            let spare = free.saturating_sub(free_max.max(pages / FREE_SHARE_MAX));
            if spare == 0 {
                return Ok(false);
            }
            let step = spare.min(SHRINK_STEP_PAGES);
            // Moves one page for each row that it returns.
            let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({step})"))?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            // A file whose pages cannot be moved must not be tried for ever.
            Ok(spare > step && pragma("page_count")? < pages)
        })
    }

    /// Bytes that this connection's page cache holds.
    pub(super) fn cache_used(&self) -> usize {
        super::cache::used(&self.connection)
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
        if self.is_overtaken {
            // How it is closed is for the other one to say.
            self.closed = true;
            return Err(StoreError::Overtaken);
        }
        if self.undecided.is_some() {
            self.settle()?;
        }
        layout::set_meta(&self.connection, layout::META_CLEAN, "1").map_err(|error| failure(&error))?;
        self.closed = true;
        // Leaves one file behind that can be copied by itself, unless somebody still reads; nobody is waited for.
        self.checkpoints.copy(&self.connection, "TRUNCATE").map_err(|error| failure(&error))
    }

    fn refuse_if_over(&self) -> Result<(), StoreError> {
        self.checkpoints.check_room()?;
        match &self.undecided {
            Some(cause) => Err(StoreError::Undecided(cause.clone())),
            None if self.closed => Err(StoreError::Closed),
            None if self.is_overtaken => Err(StoreError::Overtaken),
            None => Ok(()),
        }
    }

    fn write(&mut self, batch: &Batch, last: Timestamp) -> Result<(), Failed> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !layout::advance_timestamp(&transaction, self.timestamp, last)? {
            return Err(Failed::Overtaken);
        }
        let mut rows = write_documents(&transaction, batch)?;
        write_entries(&transaction, batch, &mut rows)?;
        for commit in &batch.commits {
            log::append(&transaction, commit)?;
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
            let name = layout::database_meta(name);
            if value.is_empty() {
                layout::remove_meta(&transaction, &name)?;
            } else {
                layout::set_meta(&transaction, &name, value)?;
            }
        }
        for view in &batch.views {
            if view.present {
                layout::create_view(&transaction, view.table, &view.name)?;
            } else {
                layout::drop_view(&transaction, view.table, &view.name)?;
            }
        }
        transaction.commit().map_err(Failed::AtCommit)
    }
}

/// Ends whatever a failed commit left behind, overwrites its frames, and returns the last commit.
fn settle_on(connection: &Connection) -> rusqlite::Result<Timestamp> {
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    probe(connection, 1)?;
    layout::durable_timestamp(connection)
}

/// Writes a row of about so many bytes to the disk, and removes it again. They are random: a frame with the content of an
/// earlier one at its place would have the same checksum, and old frames behind it, which a disk that lies about syncs has
/// kept, would count again.
pub(super) fn probe(connection: &Connection, bytes: usize) -> rusqlite::Result<()> {
    const META_PROBE: &str = "probe";
    const RANDOM_BYTES_MIN: i64 = 16;
    connection.execute(
        "INSERT OR REPLACE INTO freshet_meta VALUES (?1, hex(randomblob(?2)))",
        params![META_PROBE, i64::try_from(bytes / 2).unwrap_or(i64::MAX).max(RANDOM_BYTES_MIN)],
    )?;
    connection.execute("DELETE FROM freshet_meta WHERE name = ?1", [META_PROBE])?;
    Ok(())
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

/// Writes the last version of every entry, in the order of keys: neighbours share pages, and a document of many words has
/// entries all over the tree.
fn write_entries(connection: &Connection, batch: &Batch, rows: &mut Rows) -> rusqlite::Result<()> {
    let mut finals: Vec<&IndexWrite> =
        batch.commits.iter().rev().flat_map(|commit| commit.indexes.iter().rev()).collect();
    // Stable, so that the last write of a key comes first and stays.
    finals.sort_by(|a, b| (a.index, &a.key).cmp(&(b.index, &b.key)));
    finals.dedup_by(|a, b| a.index == b.index && a.key == b.key);
    // Replacing needs no look at what is there, unlike an upsert.
    let mut replace =
        connection.prepare_cached("INSERT OR REPLACE INTO freshet_index_entries VALUES (?1, ?2, ?3)")?;
    let mut delete =
        connection.prepare_cached("DELETE FROM freshet_index_entries WHERE index_id = ?1 AND key = ?2")?;
    for write in finals {
        let row = match write.document {
            None => None,
            Some(document) => match rows.get(&document) {
                Some(row) => *row,
                None => {
                    let row = find_row(connection, document)?;
                    // Where it has one entry it may have many.
                    rows.insert(document, row);
                    row
                }
            },
        };
        match row {
            Some(row) => replace.execute(params![write.index.0, &*write.key, row])?,
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
