//! Makes commits durable: one write to disk for all that wait. A thread does this, or whoever steps the database.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use freshet_store::{Batch, TableId};

use super::changes::Committed;
use super::corpora;
use super::state::{Failure, State};
use crate::shared::Shared;

/// Most commits of one group.
const GROUP_COMMITS_MAX: usize = 4096;
/// Most bytes of one group; a single larger commit forms a group of its own.
const GROUP_BYTES_MAX: usize = 32 << 20;
/// Changes taken out of the overlay under one hold of the lock.
const DROP_CHANGES_MAX: usize = 1024;

/// Pause before the first attempt to write again after a failure; it doubles with each one.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A failure that comes sooner after a recovery is taken for the same one.
const LASTING: Duration = Duration::from_secs(60);

/// Stores groups of commits.
pub(crate) struct Committer {
    /// The stored numbers of documents: those in the shared state may be ahead, by commits that wait.
    counts: BTreeMap<TableId, u64>,
    /// When the store could be written again last, and the pause before that attempt.
    recovered: Option<(Instant, Duration)>,
    /// The store is not as it should be; only opening it again can help.
    has_given_up: bool,
}

/// Runs until the database is closed and everything is stored. While the store cannot be written, tries again and again.
pub(crate) fn run(shared: &Shared, committer: Committer) {
    // Without this thread nobody would ever be told, so whatever ends it early counts as a failure of the store.
    let stored = std::panic::catch_unwind(AssertUnwindSafe(|| committer.store_groups(shared)));
    if stored.is_err() {
        fail(
            shared,
            Failure { cause: Arc::from("the committer panicked; restart the server"), is_undecided: true },
        );
    }
}

impl Committer {
    /// To be made before the first commit.
    pub(crate) fn new(state: &State) -> Committer {
        Committer { counts: counts(state), recovered: None, has_given_up: false }
    }

    fn store_groups(mut self, shared: &Shared) {
        while let Some(group) = next_group(shared) {
            if !self.store(shared, &group) && !self.wait_for_recovery(shared) {
                return;
            }
        }
    }

    /// Stores one group, if any commit waits, or tries whether the store can be written again; returns whether
    /// something was done.
    pub(crate) fn step(&mut self, shared: &Shared) -> bool {
        let group = {
            let mut state = shared.state.lock();
            if state.failed.is_some() {
                drop(state);
                return self.try_recovery(shared);
            }
            take_group(&mut state)
        };
        if !group.is_empty() {
            self.store(shared, &group);
        }
        !group.is_empty()
    }

    /// Returns whether the store took it.
    fn store(&mut self, shared: &Shared, group: &[Arc<Committed>]) -> bool {
        let began = Instant::now();
        let batch = batch(group, &mut self.counts);
        match shared.store.commit(&batch) {
            Ok(()) => {
                shared.meters.stored(group.len(), began);
                finish(shared, group);
            }
            Err(error) => {
                shared.meters.failed_groups.increment();
                fail(shared, Failure::of(error));
                return false;
            }
        }
        true
    }

    /// Tries until the store can be written again; returns false when the database is closed before, or for good.
    fn wait_for_recovery(&mut self, shared: &Shared) -> bool {
        let mut pause = match self.recovered {
            // It did not last: a disk that is nearly full takes small writes only. Not every fraction of a second anew.
            Some((when, pause)) if when.elapsed() < LASTING => (pause * 2).min(PAUSE_MAX),
            _ => PAUSE_MIN,
        };
        loop {
            let deadline = Instant::now() + pause;
            {
                let mut state = shared.state.lock();
                while !state.closing && !shared.queue_filled.wait_until(&mut state, deadline).timed_out() {}
                if state.closing {
                    return false;
                }
            }
            if self.try_recovery(shared) {
                self.recovered = Some((Instant::now(), pause));
                return true;
            }
            if self.has_given_up {
                return false;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Finds out whether the store can be written again; if so, the database takes commits from now on.
    fn try_recovery(&mut self, shared: &Shared) -> bool {
        if self.has_given_up {
            return false;
        }
        match shared.store.recover() {
            Ok(stored) => {
                let mut state = shared.state.lock();
                if stored == state.durable_ts {
                    state.recover();
                    self.counts = counts(&state);
                    drop(state);
                    tracing::info!("commits can be stored again; the database takes writes");
                    return true;
                }
                // A defect: the store has said of a commit that it is not there.
                let cause =
                    format!("the store is at {stored}, not at {}; restart the server", state.durable_ts);
                tracing::error!(
                    cause,
                    "the store cannot be trusted; the database takes no writes until a restart"
                );
                state.failed = Some(Failure { cause: Arc::from(cause), is_undecided: true });
                self.has_given_up = true;
            }
            Err(error) => {
                tracing::debug!(%error, "the store cannot be written yet");
                shared.state.lock().failed = Some(Failure::of(error));
            }
        }
        false
    }
}

/// The numbers of documents at the last visible commit.
fn counts(state: &State) -> BTreeMap<TableId, u64> {
    state.counts.iter().map(|(table, count)| (*table, *count)).collect()
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
    let mut corpora = BTreeMap::new();
    for commit in group {
        batch.commits.push(Arc::clone(&commit.record));
        batch.meta.extend(commit.meta.iter().cloned());
        batch.views.extend(commit.views.iter().cloned());
        corpora.extend(commit.corpora.iter().map(|change| (change.index, change.after)));
        for (table, delta) in &commit.counts {
            let count = counts.entry(*table).or_insert(0);
            *count = count.saturating_add_signed(*delta);
            changed.insert(*table, *count);
        }
    }
    batch.counts = changed.into_iter().collect();
    let corpora = corpora.into_iter();
    // First, so that an index that a commit forgets stays forgotten.
    let corpora = corpora.map(|(index, after)| (corpora::meta_name(index), corpora::meta_value(after)));
    batch.meta.splice(0..0, corpora);
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
    shared.vectors.commits_stored();
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

fn fail(shared: &Shared, failure: Failure) {
    tracing::error!(
        cause = &*failure.cause,
        "commits cannot be stored; the database takes no writes for now"
    );
    let reason = failure.as_durability_error();
    let mut wakers = Vec::new();
    let last = {
        let mut state = shared.state.lock();
        // Whoever read one of these read something that is not there any more.
        for commit in state.fail(failure) {
            wakers.extend(shared.subscriptions.invalidate(&commit.keys, commit.timestamp, true));
        }
        state.last_ts
    };
    shared.queue_drained.notify_all();
    shared.durability.fail(last, reason);
    for waker in wakers {
        waker();
    }
}
