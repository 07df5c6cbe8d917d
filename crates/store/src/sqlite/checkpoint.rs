//! Keeps the write-ahead log short.
//!
//! SQLite begins the log anew only when nobody reads from it, and under steady load somebody always does: the log, and
//! the time that each look at it takes, would grow without bound. So when it has become long the writer waits for a
//! moment. Readers that begin meanwhile read the file itself, so the log is free as soon as the older ones have gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::layout::BUSY_TIMEOUT;
use super::reader::ReaderPool;

/// Attempts to make room while the log grows by as much as it may be long.
const STEPS: usize = 8;
/// How long commits wait for readers of the log to end.
const WAIT_MAX: Duration = Duration::from_millis(200);

pub(super) struct Checkpoints {
    /// Pages in the log after the last commit, as SQLite reports them.
    pages: Arc<AtomicUsize>,
    pages_before: usize,
    pages_max: usize,
    /// Pages by which the log grows between two attempts.
    step_pages: usize,
    next_copy: usize,
    next_restart: usize,
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
        })
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
            readers.draining(|| checkpoint(connection, "RESTART"))
        } else if pages >= self.next_copy {
            self.next_copy = pages + self.step_pages;
            checkpoint(connection, "PASSIVE")
        } else {
            return;
        };
        if let Err(error) = result {
            tracing::warn!(%error, pages, "the write-ahead log could not be copied to the database file");
        }
    }
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    connection.busy_timeout(WAIT_MAX)?;
    let result = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
    connection.busy_timeout(BUSY_TIMEOUT)?;
    result
}
