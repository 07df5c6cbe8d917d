//! The bounded pool of connections that read.
//!
//! A pinned reader holds a read transaction. When its snapshot is dropped it goes back to the pool still pinned, so
//! that on a quiet database the next snapshot costs nothing; the writer releases idle readers after each commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use freshet_values::Timestamp;
use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, OpenFlags};

use super::{SqliteOptions, failure, layout};
use crate::StoreError;

/// A connection inside a read transaction.
pub(super) struct PinnedReader {
    pub(super) connection: Connection,
    pub(super) timestamp: Timestamp,
    /// The pool's generation when the reader was pinned: an older one must not be used for a new snapshot.
    generation: u64,
}

struct Idle {
    pinned: Vec<PinnedReader>,
    unpinned: Vec<Connection>,
    /// Connections that exist, idle or not.
    open: usize,
    /// Goes up with every commit.
    generation: u64,
    closed: bool,
}

pub(super) struct ReaderPool {
    path: PathBuf,
    idle: Mutex<Idle>,
    returned: Condvar,
    readers_max: usize,
    wait_max: Duration,
    cache_kib: u32,
}

impl ReaderPool {
    pub(super) fn new(path: &Path, options: &SqliteOptions) -> Arc<ReaderPool> {
        Arc::new(ReaderPool {
            path: path.to_owned(),
            idle: Mutex::new(Idle {
                pinned: Vec::new(),
                unpinned: Vec::new(),
                open: 0,
                generation: 0,
                closed: false,
            }),
            returned: Condvar::new(),
            readers_max: options.readers_max.max(1),
            wait_max: options.reader_wait,
            cache_kib: options.reader_cache_kib,
        })
    }

    /// A reader that sees every commit that has returned.
    pub(super) fn pin(&self) -> Result<PinnedReader, StoreError> {
        let (connection, generation) = {
            let deadline = Instant::now() + self.wait_max;
            let mut idle = self.idle.lock();
            loop {
                if let Some(reader) = idle.pinned.pop() {
                    return Ok(reader);
                }
                if let Some(connection) = idle.unpinned.pop() {
                    break (Some(connection), idle.generation);
                }
                if idle.open < self.readers_max {
                    idle.open += 1;
                    break (None, idle.generation);
                }
                if self.returned.wait_until(&mut idle, deadline).timed_out() {
                    return Err(StoreError::ReadersBusy {
                        connections: self.readers_max,
                        waited_ms: u64::try_from(self.wait_max.as_millis()).unwrap_or(u64::MAX),
                    });
                }
            }
        };
        let pinned = match connection {
            Some(connection) => Ok(connection),
            None => self.connect(),
        }
        .and_then(|connection| begin(connection, generation));
        if pinned.is_err() {
            self.forget_one();
        }
        pinned
    }

    /// Takes back a reader whose snapshot is gone.
    pub(super) fn give_back(&self, reader: PinnedReader) {
        let mut idle = self.idle.lock();
        if idle.closed {
            return;
        }
        if reader.generation == idle.generation {
            idle.pinned.push(reader);
        } else if end(&reader.connection).is_ok() {
            idle.unpinned.push(reader.connection);
        } else {
            idle.open -= 1;
        }
        drop(idle);
        self.returned.notify_one();
    }

    /// Ends the read transactions of idle readers.
    pub(super) fn release_idle(&self) {
        let mut idle = self.idle.lock();
        idle.generation += 1;
        for reader in std::mem::take(&mut idle.pinned) {
            if end(&reader.connection).is_ok() {
                idle.unpinned.push(reader.connection);
            } else {
                idle.open -= 1;
            }
        }
    }

    /// Runs a short read on a pooled connection.
    pub(super) fn with_reader<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let reader = self.pin()?;
        let result = read(&reader.connection).map_err(|error| failure(&error));
        self.give_back(reader);
        result
    }

    /// Closes idle connections; the others close when they come back.
    pub(super) fn close(&self) {
        let mut idle = self.idle.lock();
        idle.closed = true;
        idle.pinned.clear();
        idle.unpinned.clear();
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags(
                &self.path,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.set_prepared_statement_cache_capacity(32);
            connection.pragma_update(None, "cache_size", -i64::from(self.cache_kib))?;
            Ok(connection)
        };
        open().map_err(|error| failure(&error))
    }

    fn forget_one(&self) {
        self.idle.lock().open -= 1;
        self.returned.notify_one();
    }
}

/// Begins a read transaction. Only its first read fixes what it sees; reading the timestamp does that.
fn begin(connection: Connection, generation: u64) -> Result<PinnedReader, StoreError> {
    connection
        .prepare_cached("BEGIN")
        .and_then(|mut statement| statement.execute([]))
        .map_err(|error| failure(&error))?;
    let timestamp = layout::durable_timestamp(&connection)?;
    Ok(PinnedReader { connection, timestamp, generation })
}

fn end(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("ROLLBACK")?.execute([])?;
    Ok(())
}
