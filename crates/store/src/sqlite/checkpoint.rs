//! Keeps the write-ahead log short.
//!
//! SQLite begins the log anew only when nobody reads from it, and under steady load somebody always does: the log, and
//! the time that each look at it takes, would grow without bound. So when it has become long the writer waits for a
//! moment. Readers that begin meanwhile read the file itself, so the log is free as soon as the older ones have gone.
//!
//! # When a sync of the database file fails
//!
//! While a reader needs the end of the log to stay where it is, only its beginning is copied. SQLite counts those pages as
//! copied, but syncs the file only with a copy that reaches the end. If that sync fails, the kernel may have dropped all that was
//! written since the last one that worked; SQLite copies anew what came last, and not what it counts as copied already. Then a
//! sync that works would let the log begin anew, and the dropped pages would be gone. So after a failed sync nothing
//! is copied any more, and the log stays: it has everything. Whoever opens the file next finds no count, and copies all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ffi};

use super::layout::BUSY_TIMEOUT;
use super::reader::ReaderPool;
use crate::StoreError;

/// Attempts to make room while the log grows by as much as it may be long.
const STEPS: usize = 8;
/// How long commits wait for readers of the log to end.
const WAIT_MAX: Duration = Duration::from_millis(200);
/// How many times its usual length the log may have when it cannot begin anew.
const LENGTHS_MAX: usize = 64;

pub(super) struct Checkpoints {
    /// Pages in the log after the last commit, as SQLite reports them.
    pages: Arc<AtomicUsize>,
    pages_before: usize,
    pages_max: usize,
    /// Pages by which the log grows between two attempts.
    step_pages: usize,
    next_copy: usize,
    next_restart: usize,
    /// A sync of the database file failed: see the module.
    in_doubt: bool,
}

impl Checkpoints {
    /// Takes the place of SQLite's own checkpoints on the connection that writes.
    pub(super) fn take_over(connection: &mut Connection, pages_max: u32) -> rusqlite::Result<Checkpoints> {
        let pages_max = usize::try_from(pages_max).unwrap_or(usize::MAX);
        let pages = Arc::new(AtomicUsize::new(0));
        let reported = Arc::clone(&pages);
        connection.wal_hook(Some(move |_: &mut _, pages: std::ffi::c_int| {
            reported.store(usize::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let step_pages = (pages_max / STEPS).max(1);
        Ok(Checkpoints {
            pages,
            pages_before: 0,
            pages_max,
            step_pages,
            next_copy: step_pages,
            next_restart: pages_max,
            in_doubt: false,
        })
    }

    /// Takes the place of another one, with another connection to the same file.
    pub(super) fn succeed(
        &self,
        connection: &mut Connection,
        pages_max: u32,
    ) -> rusqlite::Result<Checkpoints> {
        let mut next = Checkpoints::take_over(connection, pages_max)?;
        if self.in_doubt {
            next.doubt(connection);
        }
        Ok(next)
    }

    /// Refuses what would make the log longer than it may ever be.
    ///
    /// # Errors
    /// [`StoreError::DiskFailure`], with what to do.
    pub(super) fn check_room(&self) -> Result<(), StoreError> {
        if self.in_doubt && self.pages_before > self.pages_max * LENGTHS_MAX {
            let cause = "a sync of the database file failed a while ago, and its log has become long since; restart the \
                         server, which copies the log again";
            return Err(StoreError::DiskFailure(cause.to_owned()));
        }
        Ok(())
    }

    /// To be called after each transaction. A failure changes nothing for readers or for what is durable.
    pub(super) fn after_write(&mut self, connection: &Connection, readers: &ReaderPool) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.pages_before {
            // The log has begun anew.
            self.next_copy = self.step_pages;
            self.next_restart = self.pages_max;
        }
        self.pages_before = pages;
        let result = if pages >= self.next_restart {
            self.next_restart = pages + self.step_pages;
            self.next_copy = pages + self.step_pages;
            // Whoever would only rest in the pool must not be waited for.
            readers.draining(|| self.copy(connection, "RESTART"))
        } else if pages >= self.next_copy {
            self.next_copy = pages + self.step_pages;
            self.copy(connection, "PASSIVE")
        } else {
            return;
        };
        if let Err(error) = result {
            tracing::warn!(%error, pages, "the write-ahead log could not be copied to the database file");
        }
    }

    /// Copies the log to the database file, or as much of it as readers let, unless that is no use any more.
    pub(super) fn copy(&mut self, connection: &Connection, mode: &str) -> rusqlite::Result<()> {
        if self.in_doubt {
            return Ok(());
        }
        connection.busy_timeout(if mode == "RESTART" { WAIT_MAX } else { Duration::ZERO })?;
        let result = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
        connection.busy_timeout(BUSY_TIMEOUT)?;
        if let Err(error) = &result
            && error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_FSYNC)
        {
            tracing::error!(
                "a sync of the database file failed; its write-ahead log, which has everything, grows until the server is \
                 restarted"
            );
            self.doubt(connection);
        }
        result
    }

    fn doubt(&mut self, connection: &Connection) {
        self.in_doubt = true;
        // The last connection to be closed would copy and remove the log. Setting this cannot fail.
        let set = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        debug_assert!(set.is_ok(), "{set:?}");
    }
}
