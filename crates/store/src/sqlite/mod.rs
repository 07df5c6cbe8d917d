//! The SQLite store: one file in write-ahead mode, one writer, a bounded pool of readers.
//!
//! The file is meant to be opened with other tools: documents are JSON text in `freshet_documents`, and every table has a
//! view of its own name. What is written where is described in `layout`.

mod checkpoint;
mod layout;
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

use crate::{Batch, IndexId, LogEntry, Snapshot, Store, StoreError, TableId};
use reader::ReaderPool;
use snapshot::SqliteSnapshot;
use writer::Writer;

/// Idle time after which connections are closed that only a burst needed.
const READER_IDLE_MAX: Duration = Duration::from_secs(10);

/// How a SQLite store is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Upper bound on reader connections, hence on snapshots held at one time.
    pub readers_max: usize,
    /// How long to wait for a reader connection.
    pub reader_wait: Duration,
    /// Page cache of the writer, in KiB.
    pub writer_cache_kib: u32,
    /// Page cache of each reader, in KiB.
    pub reader_cache_kib: u32,
    /// Pages (of 4 KiB) of the write-ahead log from which commits wait for readers, so that it can begin anew.
    pub log_pages_max: u32,
    /// Longest time spent on checking the file after an unclean shutdown.
    pub check_max: Duration,
    /// Name of the registered SQLite VFS that the file lives on; `None` is the operating system's file system. For
    /// tests that bring a disk of their own.
    pub vfs: Option<String>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        SqliteOptions {
            readers_max: 128,
            reader_wait: Duration::from_secs(5),
            writer_cache_kib: 16 * 1024,
            reader_cache_kib: 2 * 1024,
            log_pages_max: 8192,
            check_max: Duration::from_secs(2),
            vfs: None,
        }
    }
}

/// A store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    vfs: Option<String>,
    writer: Mutex<Writer>,
    readers: Arc<ReaderPool>,
}

impl SqliteStore {
    /// Opens the file, making it if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::NewerFormat`] and [`StoreError::Foreign`] for files that this release must not touch,
    /// [`StoreError::Damaged`] when the check after an unclean shutdown finds something, or a storage failure.
    pub fn open(path: &Path, options: &SqliteOptions) -> Result<SqliteStore, StoreError> {
        let mut connection = connect(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            options.vfs.as_deref(),
        )
        .map_err(|error| failure(&error))?;
        layout::prepare(&connection, path, options)?;
        recovery::rewrite_log(&connection).map_err(|error| failure(&error))?;
        recovery::check_after_crash(&mut connection, path, options.check_max)?;
        layout::set_meta(&connection, layout::META_CLEAN, "0").map_err(|error| failure(&error))?;
        let timestamp = layout::durable_timestamp(&connection)?;
        let writer =
            Writer::new(connection, timestamp, options.log_pages_max).map_err(|error| failure(&error))?;
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
        let mut writer = self.writer.lock();
        let result = writer.maintain(work);
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

    /// Writes a compact copy of the current state to a new file, while reads and writes go on.
    ///
    /// # Errors
    /// A storage failure, also when the target exists.
    pub fn copy_to(&self, target: &Path) -> Result<(), StoreError> {
        // A connection of its own: VACUUM INTO refuses to run inside the read transaction that a pooled reader holds.
        let connection = connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY, self.vfs.as_deref())
            .map_err(|error| failure(&error))?;
        connection
            .execute("VACUUM INTO ?1", [target.to_string_lossy().as_ref()])
            .map_err(|error| failure(&error))?;
        Ok(())
    }
}

impl Store for SqliteStore {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        Ok(Box::new(SqliteSnapshot::new(self.readers.pin()?, Arc::clone(&self.readers))))
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let result = writer.commit(batch);
        // Idle readers must not hold the old state: they would keep the write-ahead log from being reused.
        self.readers.release_idle();
        writer.tidy_log(&self.readers);
        result
    }

    fn read_log(&self, after: Timestamp, limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.readers.with_reader(|connection| layout::read_log(connection, after, limit))
    }

    fn trim_log(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.maintain(|connection| layout::trim_log(connection, before, limit))
    }

    fn clear_index(&self, index: IndexId, limit: usize) -> Result<usize, StoreError> {
        self.maintain(|connection| layout::clear_index(connection, index, limit))
    }

    fn clear_table(&self, table: TableId, limit: usize) -> Result<usize, StoreError> {
        self.maintain(|connection| layout::clear_table(connection, table, limit))
    }

    fn release_unused(&self) {
        self.readers.close_unused(READER_IDLE_MAX);
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

/// Turns a SQLite error into ours; only the kinds that a user can act on are told apart.
fn failure(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => StoreError::DiskFull(error.to_string()),
        _ => StoreError::Storage(error.to_string()),
    }
}
