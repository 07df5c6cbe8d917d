//! The bounded pool of connections that read.
//!
//! A pinned reader holds a read transaction. When its snapshot is dropped it goes back to the pool still pinned, so
//! that on a quiet database the next snapshot costs nothing; the writer releases idle readers after each commit.
//! Connections keep pages in memory, so those that only a burst needed are closed again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use freshet_values::Timestamp;
use parking_lot::{Condvar, Mutex};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::cache::{CacheShares, ReaderKind};
use super::fault::failure;
use super::{SqliteOptions, cache, layout};
use crate::StoreError;

/// A connection inside a read transaction.
pub(super) struct PinnedReader {
    pub(super) connection: Connection,
    pub(super) timestamp: Timestamp,
    kind: ReaderKind,
    /// The pool's generation when the reader was pinned: an older one must not be used for a new snapshot.
    generation: u64,
}

/// Connections that stay open however long they are idle, so that the first read after a pause is quick.
const KEPT: usize = 2;

/// An idle reader. The last one in is the first one out, so the first ones are idle for the longest time.
struct Parked<R> {
    reader: R,
    since: Instant,
}

impl<R> Parked<R> {
    fn now(reader: R) -> Parked<R> {
        Parked { reader, since: Instant::now() }
    }
}

/// A connection that holds no state of the database.
struct FreeReader {
    connection: Connection,
    kind: ReaderKind,
}

#[derive(Default)]
struct Idle {
    pinned: Vec<Parked<PinnedReader>>,
    unpinned: Vec<Parked<FreeReader>>,
    /// Connections that exist, idle or not.
    open: usize,
    /// How many of them have a large cache.
    frequent: usize,
    /// Goes up with every commit.
    generation: u64,
    /// How many readers are in use, by the generation in which they were taken.
    in_use: BTreeMap<u64, usize>,
    /// No idle reader may stay pinned for now.
    draining: bool,
    closed: bool,
}

pub(super) struct ReaderPool {
    path: PathBuf,
    idle: Mutex<Idle>,
    returned: Condvar,
    readers_max: usize,
    wait_max: Duration,
    shares: CacheShares,
    vfs: Option<String>,
}

impl ReaderPool {
    pub(super) fn new(path: &Path, options: &SqliteOptions) -> Arc<ReaderPool> {
        let shares = CacheShares::new(options);
        Arc::new(ReaderPool {
            path: path.to_owned(),
            idle: Mutex::default(),
            returned: Condvar::new(),
            readers_max: shares.readers_max(),
            wait_max: options.reader_wait,
            shares,
            vfs: options.vfs.clone(),
        })
    }

    /// Connections that exist.
    pub(super) fn open(&self) -> usize {
        self.idle.lock().open
    }

    /// A reader that sees every commit that has returned.
    pub(super) fn pin(&self) -> Result<PinnedReader, StoreError> {
        let (reader, kind, generation) = {
            let deadline = Instant::now() + self.wait_max;
            let mut idle = self.idle.lock();
            loop {
                if let Some(parked) = idle.pinned.pop() {
                    idle.take(parked.reader.generation);
                    return Ok(parked.reader);
                }
                let generation = idle.generation;
                if let Some(parked) = idle.unpinned.pop() {
                    idle.take(generation);
                    let kind = parked.reader.kind;
                    break (Some(parked.reader), kind, generation);
                }
                if idle.open < self.readers_max {
                    let kind = self.shares.next_kind(idle.frequent);
                    idle.count(kind);
                    idle.take(generation);
                    break (None, kind, generation);
                }
                if self.returned.wait_until(&mut idle, deadline).timed_out() {
                    return Err(StoreError::ReadersBusy {
                        connections: self.readers_max,
                        waited_ms: u64::try_from(self.wait_max.as_millis()).unwrap_or(u64::MAX),
                    });
                }
            }
        };
        let pinned = match reader {
            Some(reader) => Ok(reader),
            None => self.connect(kind),
        }
        .and_then(|reader| begin(reader, generation));
        if pinned.is_err() {
            let mut idle = self.idle.lock();
            idle.forget(kind);
            idle.put_back(generation);
            drop(idle);
            self.returned.notify_one();
        }
        pinned
    }

    /// Takes back a reader whose snapshot is gone.
    pub(super) fn give_back(&self, reader: PinnedReader) {
        let mut idle = self.idle.lock();
        idle.put_back(reader.generation);
        if idle.closed {
            return;
        }
        if reader.generation == idle.generation && !idle.draining {
            idle.pinned.push(Parked::now(reader));
        } else {
            idle.unpin(reader);
        }
        drop(idle);
        self.returned.notify_one();
    }

    /// Ends the read transactions of idle readers.
    pub(super) fn release_idle(&self) {
        let mut idle = self.idle.lock();
        idle.generation += 1;
        for parked in std::mem::take(&mut idle.pinned) {
            idle.unpin(parked.reader);
        }
    }

    /// Commits since the reader was taken that has been in use for the longest time; 0 when none is in use.
    pub(super) fn longest_use_commits(&self) -> u64 {
        let idle = self.idle.lock();
        idle.in_use.first_key_value().map_or(0, |(generation, _)| idle.generation - generation)
    }

    /// While `work` runs, readers that come back do not stay pinned: each snapshot that begins meanwhile is a new one.
    pub(super) fn draining<T>(&self, work: impl FnOnce() -> T) -> T {
        self.idle.lock().draining = true;
        self.release_idle();
        let result = work();
        self.idle.lock().draining = false;
        result
    }

    /// Closes all but a few connections that were idle for so long.
    pub(super) fn close_unused(&self, idle_max: Duration) {
        let mut idle = self.idle.lock();
        let unused = |since: Instant| since.elapsed() >= idle_max;
        let parked = idle.pinned.len() + idle.unpinned.len();
        let most = parked.saturating_sub(KEPT);
        let from_unpinned = idle.unpinned.iter().take(most).take_while(|parked| unused(parked.since)).count();
        let from_pinned =
            idle.pinned.iter().take(most - from_unpinned).take_while(|parked| unused(parked.since)).count();
        let unpinned: Vec<_> = idle.unpinned.drain(..from_unpinned).collect();
        let pinned: Vec<_> = idle.pinned.drain(..from_pinned).collect();
        let kinds = unpinned.iter().map(|parked| parked.reader.kind);
        for kind in kinds.chain(pinned.iter().map(|parked| parked.reader.kind)) {
            idle.forget(kind);
        }
        drop(idle);
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

    /// Bytes that the page caches of idle connections hold; the others are in use by their threads.
    pub(super) fn cache_used(&self) -> usize {
        let idle = self.idle.lock();
        let pinned = idle.pinned.iter().map(|parked| &parked.reader.connection);
        pinned.chain(idle.unpinned.iter().map(|parked| &parked.reader.connection)).map(cache::used).sum()
    }

    fn connect(&self, kind: ReaderKind) -> Result<FreeReader, StoreError> {
        let open = || -> rusqlite::Result<FreeReader> {
            let connection = super::connect(
                &self.path,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
                self.vfs.as_deref(),
            )?;
            connection.busy_timeout(layout::BUSY_TIMEOUT)?;
            connection.set_prepared_statement_cache_capacity(32);
            layout::keep_plans(&connection)?;
            layout::set_cache(&connection, self.shares.reader_kib(kind))?;
            // Whether the log may be copied is for the writer to say, also when a reader is the last to go.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            Ok(FreeReader { connection, kind })
        };
        open().map_err(|error| failure(&error))
    }
}

impl Idle {
    fn unpin(&mut self, reader: PinnedReader) {
        let PinnedReader { connection, kind, .. } = reader;
        if end(&connection).is_ok() {
            self.unpinned.push(Parked::now(FreeReader { connection, kind }));
        } else {
            self.forget(kind);
        }
    }

    fn take(&mut self, generation: u64) {
        *self.in_use.entry(generation).or_default() += 1;
    }

    fn put_back(&mut self, generation: u64) {
        if let Some(readers) = self.in_use.get_mut(&generation) {
            *readers -= 1;
            if *readers == 0 {
                self.in_use.remove(&generation);
            }
        }
    }

    fn count(&mut self, kind: ReaderKind) {
        self.open += 1;
        self.frequent += usize::from(kind == ReaderKind::Frequent);
    }

    fn forget(&mut self, kind: ReaderKind) {
        self.open -= 1;
        self.frequent -= usize::from(kind == ReaderKind::Frequent);
    }
}

/// Begins a read transaction. Only its first read fixes what it sees; reading the timestamp does that.
fn begin(reader: FreeReader, generation: u64) -> Result<PinnedReader, StoreError> {
    let FreeReader { connection, kind } = reader;
    let timestamp = connection
        .prepare_cached("BEGIN")
        .and_then(|mut statement| statement.execute([]))
        .and_then(|_| layout::durable_timestamp(&connection))
        .map_err(|error| failure(&error))?;
    Ok(PinnedReader { connection, timestamp, kind, generation })
}

fn end(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("ROLLBACK")?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteStore;

    #[test]
    fn connections_that_only_a_burst_needed_are_closed_and_the_pool_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let options = SqliteOptions { readers_max: 8, ..SqliteOptions::default() };
        let _store = SqliteStore::open(&path, &options).unwrap();
        let pool = ReaderPool::new(&path, &options);
        let burst = || (0..8).map(|_| pool.pin().unwrap()).collect::<Vec<_>>();
        for unpinned in [false, true] {
            let readers = burst();
            if unpinned {
                pool.release_idle();
            }
            readers.into_iter().for_each(|reader| pool.give_back(reader));
            pool.close_unused(Duration::from_secs(60));
            assert_eq!(pool.idle.lock().open, 8);
            pool.close_unused(Duration::ZERO);
            let idle = pool.idle.lock();
            assert_eq!((idle.open, idle.pinned.len() + idle.unpinned.len()), (KEPT, KEPT));
        }
        assert_eq!(burst().len(), 8);
    }

    #[test]
    fn the_pool_knows_for_how_many_commits_a_reader_has_been_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let options = SqliteOptions::default();
        let _store = SqliteStore::open(&path, &options).unwrap();
        let pool = ReaderPool::new(&path, &options);
        assert_eq!(pool.longest_use_commits(), 0);
        let (long, short) = (pool.pin().unwrap(), pool.pin().unwrap());
        pool.release_idle();
        pool.give_back(short);
        let late = pool.pin().unwrap();
        pool.release_idle();
        assert_eq!(pool.longest_use_commits(), 2);
        pool.give_back(long);
        assert_eq!(pool.longest_use_commits(), 1);
        pool.give_back(late);
        assert_eq!(pool.longest_use_commits(), 0);
        // One that had come back pinned begins its use anew.
        let (first, again) = (pool.pin().unwrap(), pool.pin().unwrap());
        pool.give_back(first);
        pool.give_back(again);
        let parked = pool.pin().unwrap();
        assert_eq!(pool.longest_use_commits(), 0);
        pool.give_back(parked);
        assert!(pool.idle.lock().in_use.is_empty());
    }

    #[test]
    fn a_reader_that_comes_back_while_draining_holds_no_state() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let options = SqliteOptions::default();
        let _store = SqliteStore::open(&path, &options).unwrap();
        let pool = ReaderPool::new(&path, &options);
        pool.draining(|| {
            let reader = pool.pin().unwrap();
            pool.give_back(reader);
            assert!(pool.idle.lock().pinned.is_empty());
        });
        let reader = pool.pin().unwrap();
        pool.give_back(reader);
        assert_eq!(pool.idle.lock().pinned.len(), 1);
    }
}
