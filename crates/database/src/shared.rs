//! What the handles, the transactions and the threads of one database have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use freshet_store::{IndexId, Store, TableId};
use freshet_values::{InternalId, Timestamp};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::clock::{Clock, Randomness};
use crate::commit::changes::{Committed, KeyChange};
use crate::commit::corpora::{self, Corpora};
use crate::commit::durability::Durability;
use crate::commit::exclusive::ExclusiveToken;
use crate::commit::prepare::Prepared;
use crate::commit::state::State;
use crate::commit::window::{self, Hit, Window};
use crate::conditional_read::ReadCheck;
use crate::document_cache::DocumentCache;
use crate::error::{CommitError, DatabaseError, DurabilityError, SystemError};
use crate::maintenance::Maintenance;
use crate::options::DatabaseOptions;
use crate::query::cursor::CursorKey;
use crate::read_set::ReadSet;
use crate::statistics::Meters;
use crate::stepped::Stepped;
use crate::subscription::Subscriptions;
use crate::transaction::view::{Lost, View};
use crate::vectors::Vectors;

pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) randomness: Randomness,
    pub(crate) options: DatabaseOptions,
    pub(crate) cursor_key: CursorKey,
    pub(crate) state: Mutex<State>,
    pub(crate) documents: Arc<DocumentCache>,
    /// There is something to store, or the database closes.
    pub(crate) queue_filled: Condvar,
    /// There is room in the queue.
    pub(crate) queue_drained: Condvar,
    /// Who waits for commits to be stored.
    pub(crate) durability: Durability,
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) exclusive: Arc<ExclusiveToken>,
    /// The next internal number of a table or an index.
    pub(crate) next_internal: AtomicU32,
    pub(crate) maintenance: Maintenance,
    /// Counted for whoever watches over the database.
    pub(crate) meters: Meters,
    pub(crate) vectors: Vectors,
    /// What the threads would do, in a database that is driven step by step and has none.
    pub(crate) stepped: Option<Stepped>,
    /// Tests spoil the conflict check to see that they would notice.
    #[cfg(test)]
    pub(crate) weakness: crate::commit::weakness::Switch,
}

/// Name of the stored text that keeps internal numbers from being used twice.
pub(crate) const META_NEXT_INTERNAL: &str = "next_internal";

/// The newest state, and the last commits that led to it.
pub(crate) struct Recent {
    pub(crate) newest: Moment,
    /// In order.
    pub(crate) commits: Vec<Arc<Committed>>,
}

/// A consistent moment: everything that a transaction starts from.
pub(crate) struct Moment {
    pub(crate) view: View,
    pub(crate) catalog: Arc<crate::catalog::Catalog>,
    pub(crate) enforcer: Arc<dyn crate::schema::SchemaEnforcer>,
    pub(crate) counts: imbl::HashMap<TableId, u64>,
    pub(crate) corpora: Corpora,
}

impl Shared {
    /// Pins the newest visible state.
    pub(crate) fn newest(&self) -> Result<Moment, SystemError> {
        let (snapshot, state) = self.pin()?;
        Ok(self.moment(snapshot, &state))
    }

    fn moment(&self, snapshot: Arc<dyn freshet_store::Snapshot>, state: &State) -> Moment {
        Moment {
            view: View::new(snapshot, state.overlay.clone(), Arc::clone(&self.documents), state.visible_ts),
            catalog: Arc::clone(&state.catalog),
            enforcer: Arc::clone(&state.enforcer),
            counts: state.counts.clone(),
            corpora: state.corpora.clone(),
        }
    }

    /// Pins the newest visible state, together with the commits later than `covered`. `None` when these are not all in memory
    /// any more, or very many.
    pub(crate) fn newest_since(&self, covered: Timestamp) -> Result<Option<Recent>, SystemError> {
        const COMMITS_MAX: usize = 4096;
        let (snapshot, state) = self.pin()?;
        let commits: Vec<_> = state.window.after(covered).take(COMMITS_MAX).cloned().collect();
        if state.window.floor() > covered || commits.len() == COMMITS_MAX {
            return Ok(None);
        }
        Ok(Some(Recent { newest: self.moment(snapshot, &state), commits }))
    }

    /// Pins the state at a moment of the recent past.
    pub(crate) fn at(&self, ts: Timestamp) -> Result<Moment, SystemError> {
        let (snapshot, state) = self.pin()?;
        if ts < state.window.floor() || ts > state.visible_ts || state.undone.contains(ts) {
            return Err(SystemError::OutOfRetention { requested: ts, oldest: state.window.floor() });
        }
        let later: Vec<Arc<Committed>> = state.window.after(ts).rev().cloned().collect();
        let mut overlay = state.overlay.clone();
        let mut catalog = Arc::clone(&state.catalog);
        let mut enforcer = Arc::clone(&state.enforcer);
        let mut counts = state.counts.clone();
        let mut corpora = state.corpora.clone();
        drop(state);
        let newest_catalog = Arc::clone(&catalog);
        let mut catalog_changed = None;
        for commit in &later {
            overlay.undo(commit);
            State::add_counts(&mut counts, &commit.counts, true);
            corpora::undo(&mut corpora, commit);
            if let Some(before) = &commit.catalog_before {
                catalog = Arc::clone(before);
                catalog_changed = catalog_changed.or(Some(commit.timestamp));
            }
            if let Some(before) = &commit.enforcer_before {
                enforcer = Arc::clone(before);
            }
        }
        // Writes after an index was dropped left its entries alone, so they cannot be undone.
        let lost = catalog_changed
            .map(|since| Lost { indexes: catalog.maintained_unlike(&newest_catalog), since })
            .filter(|lost| !lost.indexes.is_empty());
        let view = View::new(snapshot, overlay, Arc::clone(&self.documents), ts).without(lost);
        Ok(Moment { view, catalog, enforcer, counts, corpora })
    }

    /// A store snapshot with the state that fits it: the overlay has every commit that the snapshot lacks.
    fn pin(&self) -> Result<(Arc<dyn freshet_store::Snapshot>, MutexGuard<'_, State>), SystemError> {
        loop {
            let snapshot: Arc<dyn freshet_store::Snapshot> = Arc::from(self.store.snapshot()?);
            let state = self.state.lock();
            if snapshot.timestamp() >= state.dropped_through {
                return Ok((snapshot, state));
            }
            // A group became durable in between and the overlay may have forgotten it; a new snapshot contains it.
        }
    }

    /// Makes a transaction visible, or says why not.
    pub(crate) fn commit(
        &self,
        snapshot_ts: Timestamp,
        reads: &ReadSet,
        mut prepared: Prepared,
        exclusive: bool,
    ) -> Result<Timestamp, CommitError> {
        let _turn = match &self.stepped {
            _ if exclusive => None,
            None => Some(self.exclusive.shared(self.options.exclusive_wait_max)),
            Some(_) => Some(self.exclusive.try_shared().ok_or(CommitError::Overloaded)?),
        };
        #[cfg(test)]
        let weakness = self.weakness.get();
        #[cfg(test)]
        let reads = &weakness.weaken(reads);
        let check = ReadCheck::new(reads);
        let was_read = |change: &KeyChange| {
            #[cfg(test)]
            if !weakness.notices(change) {
                return false;
            }
            check.notices(change)
        };
        let after = snapshot_ts;
        #[cfg(test)]
        let after = weakness.after(after);
        let mut state = self.state.lock();
        let hit = self.look_back(&mut state, after, was_read, |state| self.wait_for_room(state))?;
        if let Some(failure) = &state.failed {
            return Err(CommitError::ReadOnly(failure.cause.to_string()));
        }
        // What was read may include what was undone.
        if snapshot_ts < state.window.floor() || state.undone.contains(snapshot_ts) {
            return Err(CommitError::Conflict { table: None, conflicting_ts: None });
        }
        if let Some(hit) = hit {
            self.meters.conflicts.increment();
            let table = state.catalog.table_of_index(hit.index).map(|table| table.name.clone());
            return Err(CommitError::Conflict { table, conflicting_ts: Some(hit.timestamp) });
        }
        if !prepared.backfill.is_empty() {
            retain_untouched(&state, snapshot_ts, &mut prepared);
        }
        if prepared.numbered {
            // Read under the lock: a later commit must not store a smaller number.
            let next = self.next_internal.load(Ordering::Relaxed);
            prepared.meta.push((META_NEXT_INTERNAL.to_owned(), next.to_string()));
        }
        let now = self.clock.now();
        let timestamp = now.max(state.last_ts.succ());
        let enforcer = prepared.enforcer.take();
        let counted = std::mem::take(&mut prepared.counted);
        let mut commit = prepared.commit_at(timestamp).map_err(DatabaseError::from)?;
        install(&mut state, &mut commit, enforcer).map_err(DatabaseError::from)?;
        corpora::install(&mut state, &mut commit, &counted, snapshot_ts);
        let commit = Arc::new(commit);
        state.last_ts = timestamp;
        state.visible_ts = timestamp;
        state.overlay.apply(&commit);
        State::add_counts(&mut state.counts, &commit.counts, false);
        state.queued_commits += 1;
        state.queued_bytes += commit.weight;
        state.queue.push_back(Arc::clone(&commit));
        state.window.push(Arc::clone(&commit));
        let wakers = self.subscriptions.invalidate(&commit.keys, timestamp, false);
        let catalog_changed = commit.catalog_before.is_some();
        drop(state);
        self.queue_filled.notify_one();
        if catalog_changed {
            self.maintenance.wake();
            self.vectors.wake();
        }
        self.meters.invalidations.add(wakers.len() as u64);
        for waker in wakers {
            waker();
        }
        Ok(timestamp)
    }

    /// The first change to something that was read, by a commit later than `after`.
    ///
    /// A transaction that took long looks through many commits, and others must not wait for that: the lock is let go
    /// until few are left. `ready` is called with the lock before every look; it may let go of the lock as well.
    pub(crate) fn look_back<E>(
        &self,
        state: &mut MutexGuard<'_, State>,
        mut after: Timestamp,
        was_read: impl Fn(&KeyChange) -> bool,
        ready: impl Fn(&mut MutexGuard<'_, State>) -> Result<(), E>,
    ) -> Result<Option<Hit>, E> {
        loop {
            ready(state)?;
            let Some(commits) = state.window.backlog(after) else {
                return Ok(window::first_hit(state.window.after(after), was_read));
            };
            after = commits.last().map_or(after, |last| last.timestamp);
            let hit = MutexGuard::unlocked(state, || window::first_hit(&commits, &was_read));
            if hit.is_some() {
                return Ok(hit);
            }
        }
    }

    fn wait_for_room(&self, state: &mut MutexGuard<'_, State>) -> Result<(), CommitError> {
        let is_full = |state: &State| {
            state.failed.is_none()
                && (state.queued_bytes >= self.options.queue_bytes_max
                    || state.queued_commits >= self.options.queue_commits_max)
        };
        if !is_full(state) {
            return Ok(());
        }
        let deadline = Instant::now() + self.options.queue_wait_max;
        while is_full(state) {
            // Without threads nothing changes while one waits.
            if self.stepped.is_some() || self.queue_drained.wait_until(state, deadline).timed_out() {
                return Err(CommitError::Overloaded);
            }
        }
        Ok(())
    }

    /// Blocks until a commit is durable.
    pub(crate) fn wait_durable_blocking(&self, timestamp: Timestamp) -> Result<(), DurabilityError> {
        let Some(stepped) = &self.stepped else { return self.durability.wait(timestamp).block() };
        let mut state = self.state.lock();
        while state.durable_ts < timestamp {
            if state.undone.contains(timestamp) {
                break;
            }
            let had_work = MutexGuard::unlocked(&mut state, || stepped.committer.lock().step(self));
            if !had_work && state.durable_ts < timestamp {
                let cause = "no commit with this timestamp waits to be stored";
                return Err(DurabilityError::NotStored(cause.to_owned()));
            }
        }
        drop(state);
        // Has an answer by now.
        self.durability.wait(timestamp).block()
    }

    /// Numbers for a new table and its two indexes.
    pub(crate) fn new_table_numbers(&self) -> Result<(TableId, IndexId, IndexId), SystemError> {
        let first = self.new_numbers(3)?;
        Ok((TableId(first), IndexId(first + 1), IndexId(first + 2)))
    }

    /// A number for a new index.
    pub(crate) fn new_index_number(&self) -> Result<IndexId, SystemError> {
        self.new_numbers(1).map(IndexId)
    }

    /// The first of some numbers that nobody had before. Transactions that fail use them up as well, so that code that makes
    /// tables and throws comes to the end some day: then no number may be given out twice.
    fn new_numbers(&self, count: u32) -> Result<u32, SystemError> {
        let add = |next: u32| next.checked_add(count);
        self.next_internal.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).map_err(|_| {
            SystemError::Defect(
                "there are no numbers left for tables and indexes; restart the server".to_owned(),
            )
        })
    }

    /// What a new document is called.
    pub(crate) fn new_internal_id(&self) -> InternalId {
        InternalId::generate(self.clock.now(), self.randomness.bytes())
    }
}

/// Leaves out entries of documents that were written since they were read: those writes kept the new index up to
/// date themselves, and an entry made from an old version must not come after them.
fn retain_untouched(state: &State, snapshot_ts: Timestamp, prepared: &mut Prepared) {
    let mut tables: Vec<TableId> =
        prepared.backfill.iter().filter_map(|entry| entry.document.map(|(table, _)| table)).collect();
    tables.sort_unstable();
    tables.dedup();
    for table in tables {
        let touched = state.window.documents_written(table, snapshot_ts);
        prepared.backfill.retain(|entry| {
            entry.document.is_none_or(|(of, internal)| of != table || !touched.contains(&internal))
        });
    }
}

/// Brings the shared catalog and enforcer up to date with a commit.
fn install(
    state: &mut State,
    commit: &mut Committed,
    enforcer: Option<Arc<dyn crate::schema::SchemaEnforcer>>,
) -> Result<(), SystemError> {
    use crate::catalog::system_tables::{INDEX, TABLES};
    if commit.documents.iter().any(|change| change.table == TABLES || change.table == INDEX) {
        // Not the transaction's own catalog: commits to other tables and indexes may have happened since its snapshot.
        let mut catalog = (*state.catalog).clone();
        for change in &commit.documents {
            catalog.apply(change.table, change.old.as_deref(), change.new.as_deref())?;
        }
        commit.catalog_before = Some(std::mem::replace(&mut state.catalog, Arc::new(catalog)));
    }
    if let Some(enforcer) = enforcer {
        commit.enforcer_before = Some(std::mem::replace(&mut state.enforcer, enforcer));
    }
    Ok(())
}

impl Shared {
    /// A window for a database that was last written at `floor`.
    pub(crate) fn new_window(options: &DatabaseOptions, floor: Timestamp) -> Window {
        let age = u64::try_from(options.window_age.as_nanos()).unwrap_or(u64::MAX);
        Window::new(floor, options.window_bytes_max, age)
    }
}
