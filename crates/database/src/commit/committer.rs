//! Makes commits durable: one write to disk for all that wait. A thread does this, or whoever steps the database.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use freshet_store::{Batch, TableId};

use super::changes::Committed;
use super::state::State;
use crate::shared::Shared;

/// Most commits of one group.
const GROUP_COMMITS_MAX: usize = 4096;
/// Most bytes of one group; a single larger commit forms a group of its own.
const GROUP_BYTES_MAX: usize = 32 << 20;
/// Changes taken out of the overlay under one hold of the lock.
const DROP_CHANGES_MAX: usize = 1024;

/// Stores groups of commits.
pub(crate) struct Committer {
    /// The stored numbers of documents: those in the shared state may be ahead, by commits that wait.
    counts: BTreeMap<TableId, u64>,
}

/// Runs until the database is closed and everything is stored, or until the store fails.
pub(crate) fn run(shared: &Shared, committer: Committer) {
    // Without this thread nobody would ever be told, so whatever ends it early counts as a failure of the store.
    let stored = std::panic::catch_unwind(AssertUnwindSafe(|| committer.store_groups(shared)));
    if stored.is_err() {
        fail(shared, "the committer panicked");
    }
}

impl Committer {
    /// To be made before the first commit.
    pub(crate) fn new(state: &State) -> Committer {
        Committer { counts: state.counts.iter().map(|(table, count)| (*table, *count)).collect() }
    }

    fn store_groups(mut self, shared: &Shared) {
        while let Some(group) = next_group(shared) {
            if !self.store(shared, &group) {
                return;
            }
        }
    }

    /// Stores one group, if any commit waits; returns whether one did.
    pub(crate) fn step(&mut self, shared: &Shared) -> bool {
        let group = take_group(&mut shared.state.lock());
        if !group.is_empty() {
            self.store(shared, &group);
        }
        !group.is_empty()
    }

    /// Returns whether the store took it.
    fn store(&mut self, shared: &Shared, group: &[Arc<Committed>]) -> bool {
        let batch = batch(group, &mut self.counts);
        match shared.store.commit(&batch) {
            Ok(()) => finish(shared, group),
            Err(error) => {
                fail(shared, &error.to_string());
                return false;
            }
        }
        true
    }
}

/// Waits for commits; `None` when the database is closed.
fn next_group(shared: &Shared) -> Option<Vec<Arc<Committed>>> {
    let mut state = shared.state.lock();
    while state.queue.is_empty() {
        if state.closing {
            return None;
        }
        shared.queue_filled.wait(&mut state);
    }
    Some(take_group(&mut state))
}

fn take_group(state: &mut State) -> Vec<Arc<Committed>> {
    let mut bytes = 0;
    let mut group = Vec::new();
    while let Some(commit) = state.queue.pop_front_if(|commit| {
        group.is_empty() || (group.len() < GROUP_COMMITS_MAX && bytes + commit.weight <= GROUP_BYTES_MAX)
    }) {
        bytes += commit.weight;
        group.push(commit);
    }
    group
}

fn batch(group: &[Arc<Committed>], counts: &mut BTreeMap<TableId, u64>) -> Batch {
    let mut batch = Batch::default();
    let mut changed = BTreeMap::new();
    for commit in group {
        batch.commits.push(Arc::clone(&commit.record));
        batch.meta.extend(commit.meta.iter().cloned());
        batch.views.extend(commit.views.iter().cloned());
        for (table, delta) in &commit.counts {
            let count = counts.entry(*table).or_insert(0);
            *count = count.saturating_add_signed(*delta);
            changed.insert(*table, *count);
        }
    }
    batch.counts = changed.into_iter().collect();
    batch
}

fn finish(shared: &Shared, group: &[Arc<Committed>]) {
    let last = group.last().expect("a group has a commit").timestamp;
    {
        let mut state = shared.state.lock();
        state.durable_ts = last;
        // From here on new snapshots contain the group, so the overlay may forget it bit by bit.
        state.dropped_through = last;
        state.queued_commits -= group.len();
        state.queued_bytes -= group.iter().map(|commit| commit.weight).sum::<usize>();
        let now = shared.clock.now();
        state.window.trim(now, last);
    }
    shared.queue_drained.notify_all();
    shared.durability.reach(last);
    for commit in group {
        shared.documents.stored(commit);
    }
    let mut rest = group;
    while !rest.is_empty() {
        let mut state = shared.state.lock();
        let mut changes = 0;
        while let Some((commit, later)) = rest.split_first().filter(|_| changes < DROP_CHANGES_MAX) {
            state.overlay.drop_commit(commit);
            changes += 1 + commit.documents.len() + commit.keys.len();
            rest = later;
        }
    }
}

fn fail(shared: &Shared, cause: &str) {
    tracing::error!(cause, "storing a commit failed; the database accepts no more writes until a restart");
    let mut wakers = Vec::new();
    {
        let mut state = shared.state.lock();
        // Whoever read one of these read something that is not there any more.
        for commit in state.fail(cause) {
            wakers.extend(shared.subscriptions.invalidate(&commit.keys, commit.timestamp));
        }
    }
    shared.queue_drained.notify_all();
    shared.durability.fail(cause);
    for waker in wakers {
        waker();
    }
}
