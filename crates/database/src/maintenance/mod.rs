//! What takes long, in short steps: building indexes, removing what was dropped, forgetting the old log.
//!
//! A thread takes the steps one after the other while the database is in ordinary use; a database that is opened in steps
//! has no thread and takes one when it is told to.

mod backfill;
mod removal;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use freshet_values::Timestamp;
use parking_lot::{Condvar, Mutex};

pub(crate) use backfill::{build_system_indexes, note_index_progress};

use crate::catalog::{Catalog, IndexMeta, TableMeta};
use crate::error::{CommitError, DatabaseError};
use crate::shared::Shared;
use crate::transaction::Transaction;
use backfill::Backfill;

/// Pause between rounds when nobody wakes the thread.
const TICK: Duration = Duration::from_secs(5);
/// Nanoseconds between looks at the old log.
const TRIM_PERIOD_NANOS: u64 = 300 * 1_000_000_000;
/// Moments that are remembered while the log is kept.
const MOMENTS: u64 = 256;
/// Entries, documents or log rows removed in one step; each holds up commits for a moment.
const REMOVE_CHUNK: usize = 1000;

#[derive(Default)]
struct Signal {
    woken: bool,
    closing: bool,
}

/// Wakes and ends the thread.
#[derive(Default)]
pub(crate) struct Maintenance {
    signal: Mutex<Signal>,
    changed: Condvar,
}

impl Maintenance {
    pub(crate) fn wake(&self) {
        self.signal.lock().woken = true;
        self.changed.notify_all();
    }

    pub(crate) fn close(&self) {
        self.signal.lock().closing = true;
        self.changed.notify_all();
    }

    fn is_closing(&self) -> bool {
        self.signal.lock().closing
    }

    /// Waits for work; returns false when the thread shall end.
    fn wait(&self) -> bool {
        let mut signal = self.signal.lock();
        if !signal.woken && !signal.closing {
            self.changed.wait_for(&mut signal, TICK);
        }
        signal.woken = false;
        !signal.closing
    }
}

/// Runs until the database is closed.
pub(crate) fn run(shared: &Arc<Shared>) {
    let mut housekeeper = Housekeeper::default();
    loop {
        match housekeeper.step(shared) {
            Ok(true) if !shared.maintenance.is_closing() => continue,
            Ok(_) => {}
            Err(error) => {
                if !shared.maintenance.is_closing() {
                    tracing::warn!(%error, "housekeeping of the database did not finish; it will be tried again");
                }
                // What failed must not keep the rest from being done.
                while !shared.maintenance.is_closing() && housekeeper.trim_log(shared) {}
                finish_round(shared);
            }
        }
        if !shared.maintenance.wait() {
            return;
        }
    }
}

/// Knows how far the work is that goes on over several steps.
#[derive(Default)]
pub(crate) struct Housekeeper {
    backfill: Backfill,
    /// When the old log was looked at last.
    trimmed: Option<Timestamp>,
    /// What the clock has shown, and the last commit at that time: once the clock has been set back, commits are younger than
    /// their timestamps say, for as long as it takes to catch up.
    moments: VecDeque<(Timestamp, Timestamp)>,
}

impl Housekeeper {
    /// Does one step of what is due; `false` when nothing was left to do.
    ///
    /// # Errors
    /// A storage failure, or a commit that was refused; the next step tries again.
    pub(crate) fn step(&mut self, shared: &Arc<Shared>) -> Result<bool, CommitError> {
        if self.backfill.step(shared)? || removal::step(shared)? || self.trim_log(shared) {
            return Ok(true);
        }
        finish_round(shared);
        Ok(false)
    }

    /// Forgets some of the old log if it is time; returns whether there may be more.
    fn trim_log(&mut self, shared: &Shared) -> bool {
        let now = shared.clock.now();
        // A clock that was set back must not put this off until it has caught up.
        if self.trimmed.is_some_and(|last| now.0.abs_diff(last.0) <= TRIM_PERIOD_NANOS) {
            return false;
        }
        let retention = u64::try_from(shared.options.log_retention.as_nanos()).unwrap_or(u64::MAX);
        let before = self.forgettable(now, retention, shared.state.lock().durable_ts);
        match shared.store.trim_log(before, REMOVE_CHUNK) {
            Ok(removed) if removed >= REMOVE_CHUNK => return true,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the commit log could not be trimmed"),
        }
        self.trimmed = Some(now);
        false
    }

    /// What was committed before this is older than `retention`, in nanoseconds.
    fn forgettable(&mut self, now: Timestamp, retention: u64, last: Timestamp) -> Timestamp {
        // Set back since: how old these are is not known, only that they are there already.
        let ahead = self.moments.partition_point(|(when, _)| *when <= now);
        let newest_ahead = self.moments.drain(ahead..).next_back();
        if let Some((_, newest)) = newest_ahead {
            self.moments.push_back((now, newest));
        }
        let is_due = |(when, _): &(Timestamp, Timestamp)| now.0 - when.0 >= (retention / MOMENTS).max(1);
        if self.moments.back().is_none_or(is_due) {
            self.moments.push_back((now, last));
        }
        let oldest_kept = Timestamp(now.0.saturating_sub(retention));
        let mut before = oldest_kept;
        while let Some((_, last)) = self.moments.front().filter(|(when, _)| *when < oldest_kept) {
            before = before.max(last.succ());
            if self.moments.get(1).is_none_or(|(when, _)| *when >= oldest_kept) {
                // Needed until the next one is as old.
                break;
            }
            self.moments.pop_front();
        }
        before
    }
}

/// What is quick and done at the end of every round.
fn finish_round(shared: &Shared) {
    let now = shared.clock.now();
    {
        let mut state = shared.state.lock();
        let durable = state.durable_ts;
        state.window.trim(now, durable);
    }
    shared.documents.release_unused(now);
    shared.store.release_unused();
}

/// Indexes that were declared, unlike those that every table has.
fn declared(catalog: &Catalog) -> impl Iterator<Item = (&Arc<TableMeta>, &Arc<IndexMeta>)> {
    catalog
        .tables()
        .flat_map(|table| catalog.indexes(table.id).iter().map(move |index| (table, index)))
        .filter(|(_, index)| index.row.is_some())
}

fn begin(shared: &Arc<Shared>) -> Result<Transaction, DatabaseError> {
    Ok(Transaction::new(Arc::clone(shared), shared.newest()?))
}

/// Waits until a commit, and all before it, are in the store.
fn wait_until_stored(shared: &Shared, timestamp: Timestamp) -> Result<(), CommitError> {
    shared.wait_durable_blocking(timestamp).map_err(|error| CommitError::ReadOnly(error.to_string()))
}
