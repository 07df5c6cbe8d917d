//! Keeps the write-ahead log short.
//!
//! SQLite begins the log anew only when nobody reads from it, and under steady load somebody always does: the log, and
//! the time that each look at it takes, would grow without bound. So when it has become long the writer waits for a
//! moment. Readers that begin meanwhile read the file itself, so the log is free as soon as the older ones have gone.
//!
//! Waiting keeps every commit, and with it everybody, waiting. So it is put off while a reader is there that will
//! hardly go in that moment, because it has been there for long: the snapshot of a function that computes for seconds.
//! Put off, not given up, because functions of that kind may follow each other without end.
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

/// A reader that has seen so many commits go by is there for long. Counted, not timed, because the same steps have to
/// lead to the same operations.
const LONG_USE_COMMITS: u64 = 8;
/// How many times as long as it should be the log may become before readers are waited for that are there for long.
const PATIENCE: usize = 4;

pub(super) struct Checkpoints {
    /// Pages in the log after the last commit, as SQLite reports them.
    pages: Arc<AtomicUsize>,
    schedule: Schedule,
    /// A sync of the database file failed: see the module.
    in_doubt: bool,
}

/// What to do at which length of the log, in pages.
struct Schedule {
    pages_before: usize,
    pages_max: usize,
    /// By how much the log grows between two attempts.
    step_pages: usize,
    next_copy: usize,
    next_restart: usize,
    /// From here on, readers that are there for long are waited for too.
    next_forced: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Copy what readers allow to copy.
    Copy,
    /// Copy everything and begin the log anew, waiting for readers.
    Restart,
}

impl Checkpoints {
    /// Takes the place of SQLite's own checkpoints on the connection that writes.
    pub(super) fn take_over(connection: &mut Connection, pages_max: u32) -> rusqlite::Result<Checkpoints> {
        let pages = Arc::new(AtomicUsize::new(0));
        let reported = Arc::clone(&pages);
        connection.wal_hook(Some(move |_: &mut _, pages: std::ffi::c_int| {
            reported.store(usize::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let schedule = Schedule::new(usize::try_from(pages_max).unwrap_or(usize::MAX));
        Ok(Checkpoints { pages, schedule, in_doubt: false })
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
        if self.in_doubt && self.schedule.is_out_of_bounds() {
            let cause = "a sync of the database file failed a while ago, and its log has become long since; restart the \
                         server, which copies the log again";
            return Err(StoreError::DiskFailure(cause.to_owned()));
        }
        Ok(())
    }

    /// To be called after each transaction. A failure changes nothing for readers or for what is durable.
    pub(super) fn after_write(&mut self, connection: &Connection, readers: &ReaderPool) {
        let pages = self.pages.load(Ordering::Relaxed);
        let result = match self.schedule.due(pages, || readers.longest_use_commits()) {
            // Whoever would only rest in the pool must not be waited for.
            Some(Work::Restart) => readers.draining(|| self.copy(connection, "RESTART")),
            Some(Work::Copy) => self.copy(connection, "PASSIVE"),
            None => return,
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

impl Schedule {
    fn new(pages_max: usize) -> Schedule {
        let step_pages = (pages_max / STEPS).max(1);
        Schedule {
            pages_before: 0,
            pages_max,
            step_pages,
            next_copy: step_pages,
            next_restart: pages_max,
            next_forced: pages_max.saturating_mul(PATIENCE),
        }
    }

    /// Whether the log is longer than it may be when it cannot begin anew.
    fn is_out_of_bounds(&self) -> bool {
        self.pages_before > self.pages_max.saturating_mul(LENGTHS_MAX)
    }

    /// What is due now that the log has so many pages.
    fn due(&mut self, pages: usize, longest_use_commits: impl FnOnce() -> u64) -> Option<Work> {
        if pages < self.pages_before {
            // The log has begun anew.
            *self = Schedule::new(self.pages_max);
        }
        self.pages_before = pages;
        if pages < self.next_copy && pages < self.next_restart {
            return None;
        }
        self.next_copy = pages + self.step_pages;
        if pages < self.next_restart {
            return Some(Work::Copy);
        }
        self.next_restart = pages + self.step_pages;
        if pages >= self.next_forced {
            self.next_forced = pages + (self.pages_max / 2).max(1);
            return Some(Work::Restart);
        }
        Some(if longest_use_commits() < LONG_USE_COMMITS { Work::Restart } else { Work::Copy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths_at(
        schedule: &mut Schedule,
        lengths: std::ops::Range<usize>,
        work: Work,
        use_: u64,
    ) -> Vec<usize> {
        lengths.filter(|pages| schedule.due(*pages, || use_) == Some(work)).collect()
    }

    #[test]
    fn the_log_is_copied_in_steps_and_begun_anew_when_it_is_long() {
        let mut schedule = Schedule::new(80);
        assert_eq!(lengths_at(&mut schedule, 1..80, Work::Copy, 0), [10, 20, 30, 40, 50, 60, 70]);
        assert_eq!(lengths_at(&mut schedule, 80..101, Work::Restart, 0), [80, 90, 100]);
        // It was, and everything begins again.
        assert_eq!(lengths_at(&mut schedule, 1..80, Work::Restart, 0), [0; 0]);
        assert_eq!(schedule.due(80, || 0), Some(Work::Restart));
    }

    #[test]
    fn readers_that_are_there_for_long_are_not_waited_for_until_the_log_is_much_too_long() {
        let mut schedule = Schedule::new(80);
        assert_eq!(lengths_at(&mut schedule, 1..320, Work::Restart, LONG_USE_COMMITS), [0; 0]);
        assert_eq!(lengths_at(&mut schedule, 320..440, Work::Restart, LONG_USE_COMMITS), [320, 360, 400]);
        // They have gone.
        assert_eq!(schedule.due(450, || 0), Some(Work::Restart));
    }

    #[test]
    fn the_log_is_still_copied_while_readers_are_not_waited_for() {
        let mut schedule = Schedule::new(80);
        assert_eq!(
            lengths_at(&mut schedule, 1..120, Work::Copy, LONG_USE_COMMITS),
            [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]
        );
    }
}
