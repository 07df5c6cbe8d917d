//! What all transactions share, behind one short lock.

use std::collections::VecDeque;
use std::sync::Arc;

use freshet_store::{StoreError, TableId};
use freshet_values::Timestamp;
use imbl::HashMap;

use super::changes::Committed;
use super::corpora::{self, Corpora};
use super::overlay::Overlay;
use super::undone::Undone;
use super::window::Window;
use crate::catalog::Catalog;
use crate::error::DurabilityError;
use crate::schema::SchemaEnforcer;

/// See the module. Invariant: a store snapshot at `dropped_through` or later plus the overlay is the state at
/// `visible_ts`.
pub(crate) struct State {
    pub(crate) overlay: Overlay,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) enforcer: Arc<dyn SchemaEnforcer>,
    pub(crate) counts: HashMap<TableId, u64>,
    pub(crate) corpora: Corpora,
    /// The last commit that transactions see.
    pub(crate) visible_ts: Timestamp,
    /// The last timestamp given out; ahead of `visible_ts` only after a failure.
    pub(crate) last_ts: Timestamp,
    /// The last commit that survives a power cut.
    pub(crate) durable_ts: Timestamp,
    /// Up to here the overlay may have forgotten commits.
    pub(crate) dropped_through: Timestamp,
    pub(crate) window: Window,
    /// Commits that wait for the committer, oldest first.
    pub(crate) queue: VecDeque<Arc<Committed>>,
    /// Bytes of commits that are queued or being stored.
    pub(crate) queued_bytes: usize,
    /// Number of commits that are queued or being stored.
    pub(crate) queued_commits: usize,
    /// Why nothing can be written for now.
    pub(crate) failed: Option<Failure>,
    /// Commits that were visible and are not there any more.
    pub(crate) undone: Undone,
    /// The database is being closed.
    pub(crate) closing: bool,
}

/// Why commits cannot be stored.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// What is wrong and what to do about it.
    pub(crate) cause: Arc<str>,
    /// The store does not know whether the last group would be there after a crash.
    pub(crate) is_undecided: bool,
}

impl Failure {
    pub(crate) fn of(error: StoreError) -> Failure {
        match error {
            StoreError::Undecided(cause) => Failure { cause: Arc::from(cause), is_undecided: true },
            error => Failure { cause: Arc::from(error.to_string()), is_undecided: false },
        }
    }

    /// What becomes known to those who wait for a commit that is undone.
    pub(crate) fn as_durability_error(&self) -> DurabilityError {
        let cause = self.cause.to_string();
        if self.is_undecided { DurabilityError::Unknown(cause) } else { DurabilityError::NotStored(cause) }
    }
}

impl State {
    /// Adds to the number of documents of some tables.
    pub(crate) fn add_counts(counts: &mut HashMap<TableId, u64>, deltas: &[(TableId, i64)], undo: bool) {
        for (table, delta) in deltas {
            let delta = if undo { -delta } else { *delta };
            let count = counts.entry(*table).or_insert(0);
            *count = count.saturating_add_signed(delta);
        }
    }

    /// Goes back to the last durable commit after the store refused the rest; returns the commits that are undone.
    pub(crate) fn fail(&mut self, failure: Failure) -> Vec<Arc<Committed>> {
        self.failed = Some(failure);
        self.undone.add(self.durable_ts, self.last_ts);
        let undone = self.window.take_after(self.durable_ts);
        for commit in &undone {
            self.overlay.undo(commit);
            State::add_counts(&mut self.counts, &commit.counts, true);
            corpora::undo(&mut self.corpora, commit);
            if let Some(catalog) = &commit.catalog_before {
                self.catalog = Arc::clone(catalog);
            }
            if let Some(enforcer) = &commit.enforcer_before {
                self.enforcer = Arc::clone(enforcer);
            }
        }
        self.visible_ts = self.durable_ts;
        self.queue.clear();
        self.queued_bytes = 0;
        self.queued_commits = 0;
        undone
    }

    /// Takes commits again: the store is at the last durable commit, and nothing else was ever seen in it.
    pub(crate) fn recover(&mut self) {
        self.failed = None;
        // What was undone in memory was never in the store, so nothing has to lie over it.
        self.overlay = Overlay::default();
    }
}
