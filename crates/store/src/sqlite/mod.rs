//! The SQLite store: one file in write-ahead mode, one writer, a bounded pool of readers.
//!
//! The file is meant to be opened with other tools: documents are JSON text in `freshet_documents`, and the first thousand
//! tables have a view of their own name. What is written where is described in `layout`.

mod cache;
mod checkpoint;
mod fault;
mod layout;
mod log;
mod migration;
mod opening;
mod options;
mod reader;
mod recovery;
mod snapshot;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use freshet_values::Timestamp;
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::{Batch, IndexId, LogEntry, Snapshot, Store, StoreError, StoreStatistics, TableId};
use fault::failure;
pub use options::SqliteOptions;
use reader::ReaderPool;
use snapshot::SqliteSnapshot;
use writer::Writer;

/// Idle time after which connections are closed that only a burst needed.
const READER_IDLE_MAX: Duration = Duration::from_secs(10);

/// Transactions that give unused pages back, for each call of [`Store::release_unused`]; commits go on between them.
const SHRINK_STEPS: usize = 32;

/// A store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    vfs: Option<String>,
    writer: Mutex<Writer>,
    readers: Arc<ReaderPool>,
}

impl SqliteStore {
    /// Opens the file, making it if it does not exist, and bringing it up to date if an older release wrote it.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] and [`StoreError::NotADatabase`] when there is no such file and none can be made,
    /// [`StoreError::NewerFormat`] and [`StoreError::Foreign`] for files that this release must not touch,
    /// [`StoreError::Damaged`] when the end is missing or the check after an unclean shutdown finds something,
    /// [`StoreError::NoRoomToUpgrade`], or a storage failure. What is refused is not changed.
    pub fn open(path: &Path, options: &SqliteOptions) -> Result<SqliteStore, StoreError> {
        let path = &if options.vfs.is_some() { path.to_owned() } else { opening::behind_links(path)? };
        let connection = opening::open_writer(path, options)?;
        let timestamp = layout::durable_timestamp(&connection).map_err(|error| failure(&error))?;
        let writer =
            Writer::new(connection, timestamp, path.to_owned(), options).map_err(|error| failure(&error))?;
        Ok(SqliteStore {
            path: path.to_owned(),
            vfs: options.vfs.clone(),
            writer: Mutex::new(writer),
            readers: ReaderPool::new(path, options),
        })
    }

    /// Bounds the size of the file, in pages of 4 KiB; a commit that needs more fails like one on a full disk.
    ///
    /// # Errors
    /// A storage failure.
    pub fn limit_pages(&self, pages_max: u32) -> Result<(), StoreError> {
        self.writer.lock().limit_pages(pages_max)
    }

    fn maintain(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<usize>,
    ) -> Result<usize, StoreError> {
        self.with_writer(|writer| writer.maintain(work))
    }

    fn with_writer<T>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer.lock();
        let result = work(&mut writer);
        // Idle readers must not hold the old state: they would keep the write-ahead log from being reused.
        self.readers.release_idle();
        writer.tidy_log(&self.readers);
        result
    }

    /// Marks the file as closed properly. Nothing is written from then on, whoever else still holds this store.
    ///
    /// # Errors
    /// A storage failure, also an earlier one of a commit; the next start then checks the file.
    pub fn close(&self) -> Result<(), StoreError> {
        self.readers.release_idle();
        self.writer.lock().close()
    }

    /// Writes a compact copy of the current state to a new file, while reads and writes go on; returns when it is on disk.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the target exists, or a storage failure; nothing is left of the target then.
    pub fn copy_to(&self, target: &Path) -> Result<(), StoreError> {
        if target.exists() {
            let reason = "it exists already; copy to a new file".to_owned();
            return Err(StoreError::Unusable { path: target.to_owned(), reason });
        }
        // A connection of its own: VACUUM INTO refuses to run inside the read transaction that a pooled reader holds.
        let connection = connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY, self.vfs.as_deref())
            .map_err(|error| failure(&error))?;
        let copied = connection
            .busy_timeout(layout::BUSY_TIMEOUT)
            .and_then(|()| connection.execute("VACUUM INTO ?1", [target.to_string_lossy().as_ref()]))
            .map_err(|error| failure(&error))
            .and_then(|_| self.sync_copy(target));
        if copied.is_err() && self.vfs.is_none() {
            for suffix in ["", "-journal"] {
                let _ = opening::remove(&opening::with_suffix(target, suffix));
            }
        }
        copied
    }

    fn sync_copy(&self, target: &Path) -> Result<(), StoreError> {
        if self.vfs.is_some() {
            return Ok(());
        }
        std::fs::OpenOptions::new()
            .write(true)
            .open(target)
            .and_then(|file| file.sync_all())
            .and_then(|()| opening::sync_directory(target))
            .map_err(|error| StoreError::DiskFailure(error.to_string()))
    }

    /// Bytes of pages that the writer and the idle readers keep in memory, for metrics and tests.
    #[must_use]
    pub fn cache_used(&self) -> usize {
        self.writer.lock().cache_used() + self.readers.cache_used()
    }
}

impl Store for SqliteStore {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        Ok(Box::new(SqliteSnapshot::new(self.readers.pin()?, Arc::clone(&self.readers))))
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.with_writer(|writer| writer.commit(batch))
    }

    fn recover(&self) -> Result<Timestamp, StoreError> {
        self.with_writer(Writer::recover)
    }

    fn statistics(&self) -> StoreStatistics {
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        StoreStatistics {
            file_bytes: bytes(&self.path),
            log_bytes: bytes(Path::new(&log)),
            readers: self.readers.open() as u64,
        }
    }

    fn read_log(
        &self,
        after: Timestamp,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let reader = self.readers.pin()?;
        let entries = log::read(&reader.connection, after, limit, bytes_max);
        self.readers.give_back(reader);
        entries
    }

    fn trim_log(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut removed = 0;
        while removed < limit {
            let step = self.maintain(|connection| log::trim(connection, before, limit - removed))?;
            if step == 0 {
                break;
            }
            removed += step;
        }
        Ok(removed)
    }

    fn clear_index(&self, index: IndexId, limit: usize) -> Result<usize, StoreError> {
        self.maintain(|connection| layout::clear_index(connection, index, limit))
    }

    fn clear_table(&self, table: TableId, limit: usize) -> Result<usize, StoreError> {
        self.maintain(|connection| layout::clear_table(connection, table, limit))
    }

    fn release_unused(&self) {
        self.readers.close_unused(READER_IDLE_MAX);
        for _ in 0..SHRINK_STEPS {
            match self.with_writer(Writer::shrink_step) {
                Ok(true) => {}
                Ok(false) | Err(StoreError::Closed | StoreError::Undecided(_)) => break,
                Err(error) => {
                    tracing::warn!(%error, "unused space could not be given back to the disk");
                    break;
                }
            }
        }
    }

    fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        let key = layout::database_meta(name);
        self.readers.with_reader(|connection| {
            connection
                .prepare_cached("SELECT value FROM freshet_meta WHERE name = ?1")?
                .query_row([key], |row| row.get(0))
                .optional()
        })
    }

    fn table_counts(&self) -> Result<Vec<(TableId, u64)>, StoreError> {
        self.readers.with_reader(|connection| {
            let mut statement = connection.prepare("SELECT table_id, documents FROM freshet_table_counts")?;
            let rows = statement
                .query_map([], |row| Ok((TableId(row.get(0)?), row.get::<_, i64>(1)?.cast_unsigned())))?;
            rows.collect()
        })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.readers.close();
        if let Err(error) = self.writer.lock().close() {
            tracing::warn!(%error, path = %self.path.display(), "the database was not closed cleanly");
        }
    }
}

/// Opens a connection on the operating system's files, or on those of a registered VFS.
fn connect(path: &Path, flags: OpenFlags, vfs: Option<&str>) -> rusqlite::Result<Connection> {
    match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
        None => Connection::open_with_flags(path, flags),
    }
}
