//! Keeps the vector indexes that the catalog declares: loads, builds, follows, saves and removes them, step by step.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use freshet_store::IndexId;
use freshet_values::Timestamp;

use super::definition::Definition;
use super::following::{Followed, follow, unreadable};
use super::kept::{Kept, Progress};
use super::{building, files};
use crate::catalog::{Catalog, IndexState, TableState};
use crate::error::{CommitError, DatabaseError, SystemError};
use crate::shared::Shared;

/// Longest sleep.
const TICK: Duration = Duration::from_secs(5);
/// Pause after commits were taken, so that a stream of them wakes the thread some times a second and not thousands.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest pause in favour of commits.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// Pause after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Default)]
pub(crate) struct Keeper {
    indexes: Vec<Kept>,
    /// The catalog that the indexes were last compared with.
    catalog: Option<Arc<Catalog>>,
    /// Folders of indexes that are gone were looked for.
    has_cleaned: bool,
    reported: Timestamp,
}

/// Runs until the database is closed; saves everything then.
pub(crate) fn run(shared: &Arc<Shared>) {
    let vectors = &shared.vectors;
    let mut keeper = Keeper::default();
    loop {
        let (started, visible) = (Instant::now(), shared.state.lock().visible_ts);
        let step = std::panic::catch_unwind(AssertUnwindSafe(|| keeper.step(shared))).unwrap_or_else(|_| {
            tracing::error!("keeping vector indexes panicked; they are loaded again");
            keeper = Keeper::default();
            Err(CommitError::Database(SystemError::Defect("a panic".to_owned()).into()))
        });
        let pause = match step {
            // Somebody commits meanwhile: leave half of the processor's time to them.
            Ok(true) if shared.state.lock().visible_ts != visible => {
                vectors.rest(started.elapsed().min(PAUSE_MAX));
                None
            }
            Ok(true) => None,
            Ok(false) => Some(PAUSE),
            Err(error) => {
                if !vectors.is_closing() {
                    tracing::warn!(%error, "vector indexes could not be kept up to date; it will be tried again");
                }
                Some(FAILURE_PAUSE)
            }
        };
        if let Some(pause) = pause {
            vectors.rest(pause);
            if !vectors.wait(TICK) {
                break;
            }
        } else if vectors.is_closing() {
            break;
        }
    }
    keeper.save_all(shared);
}

impl Keeper {
    /// Does some of what is due; `false` when nothing was left to do.
    ///
    /// # Errors
    /// A storage failure, or a commit that was refused; the next step tries again.
    pub(crate) fn step(&mut self, shared: &Arc<Shared>) -> Result<bool, CommitError> {
        let catalog = Arc::clone(&shared.state.lock().catalog);
        let is_same = self.catalog.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &catalog));
        if !is_same {
            self.compare(shared, &catalog)?;
            self.catalog = Some(Arc::clone(&catalog));
        }
        self.rebuild_doubted(shared)?;
        let mut worked = self.follow(shared)?;
        worked |= self.build(shared, &catalog)?;
        self.save_due(shared)?;
        for kept in &self.indexes {
            worked |= building::note_complete(shared, &catalog, kept)?;
        }
        Ok(worked)
    }

    /// Takes up the indexes that came and lets go of those that went.
    fn compare(&mut self, shared: &Shared, catalog: &Catalog) -> Result<(), DatabaseError> {
        let vectors = &shared.vectors;
        let is_declared = |id: IndexId| {
            catalog.index(id).is_some_and(|index| index.state != IndexState::Deleting)
                && catalog.table_of_index(id).is_some_and(|table| table.state == TableState::Active)
        };
        let root = vectors.options.directory.as_deref();
        for gone in self.indexes.extract_if(.., |kept| !is_declared(kept.id)) {
            vectors.withdraw(gone.id);
            if let Some(root) = root {
                files::remove(root, gone.id).map_err(|error| unreadable(&error))?;
            }
        }
        if let Some(root) = root.filter(|_| !self.has_cleaned) {
            for id in files::indexes(root).map_err(|error| unreadable(&error))? {
                // One that was dropped while nobody ran.
                if !is_declared(id) {
                    files::remove(root, id).map_err(|error| unreadable(&error))?;
                }
            }
        }
        self.has_cleaned = true;
        for table in catalog.tables() {
            for index in catalog.indexes(table.id) {
                let Some(definition) = Definition::of(&index.spec) else { continue };
                if !is_declared(index.id) || self.indexes.iter().any(|kept| kept.id == index.id) {
                    continue;
                }
                let moment = (shared.state.lock().durable_ts, shared.clock.now());
                let names = (index.id, table.id, table.number);
                let kept =
                    Kept::open(vectors, names, definition, moment).map_err(|error| unreadable(&error))?;
                kept.publish(vectors);
                self.indexes.push(kept);
            }
        }
        vectors.is_active.store(!self.indexes.is_empty(), Ordering::Relaxed);
        Ok(())
    }

    /// Brings the indexes up to date as far as one step goes.
    fn follow(&mut self, shared: &Shared) -> Result<bool, CommitError> {
        match follow(shared, &mut self.indexes).map_err(DatabaseError::from)? {
            Followed::Nothing => Ok(false),
            Followed::Some => Ok(true),
            Followed::Lost(oldest) => {
                let behind: Vec<IndexId> =
                    self.indexes.iter().filter(|kept| kept.covered < oldest).map(|kept| kept.id).collect();
                for id in behind {
                    tracing::info!(
                        index = id.0,
                        "a vector index lacks commits that the log has forgotten; it is built again"
                    );
                    self.rebuild(shared, id)?;
                }
                Ok(true)
            }
        }
    }

    /// Adds some documents to an index that is not complete: first one that somebody waits for.
    fn build(&mut self, shared: &Arc<Shared>, catalog: &Catalog) -> Result<bool, CommitError> {
        let is_staged = |id: IndexId| catalog.index(id).is_some_and(|index| index.staged);
        let incomplete = self.indexes.iter_mut().filter(|kept| !kept.is_ready());
        let Some(kept) = incomplete.min_by_key(|kept| is_staged(kept.id)) else { return Ok(false) };
        let has_read = building::read(shared, kept).map_err(DatabaseError::from)?;
        if building::is_complete(kept) {
            kept.building = None;
            let now = shared.clock.now();
            // The files first: an index that the catalog calls complete should not have to be built again.
            if let Err(error) = kept.save(&shared.vectors, now) {
                kept.building = Some(Progress { complete_at: Some(kept.covered), ..Progress::default() });
                return Err(DatabaseError::from(unreadable(&error)).into());
            }
            return Ok(true);
        }
        if has_read {
            building::report(shared, kept, &mut self.reported)?;
        }
        Ok(has_read)
    }

    /// Saves indexes that have much in memory, or have had something there for long.
    fn save_due(&mut self, shared: &Shared) -> Result<(), DatabaseError> {
        let now = shared.clock.now();
        let period = u64::try_from(shared.vectors.options.save_period.as_nanos()).unwrap_or(u64::MAX);
        for kept in &mut self.indexes {
            let is_late = kept.is_unsaved() && now.0.abs_diff(kept.saved_at.0) > period;
            if is_late || kept.is_full(&shared.vectors) {
                kept.save(&shared.vectors, now).map_err(|error| unreadable(&error))?;
            }
        }
        Ok(())
    }

    fn save_all(&mut self, shared: &Shared) {
        let now = shared.clock.now();
        for kept in self.indexes.iter_mut().filter(|kept| kept.is_unsaved()) {
            if let Err(error) = kept.save(&shared.vectors, now) {
                // What is not saved is in the commit log.
                tracing::warn!(index = kept.id.0, %error, "a vector index could not be saved");
            }
        }
    }

    fn rebuild_doubted(&mut self, shared: &Shared) -> Result<(), CommitError> {
        let doubted = std::mem::take(&mut *shared.vectors.doubted.lock());
        for id in doubted {
            self.rebuild(shared, id)?;
        }
        Ok(())
    }

    /// Forgets an index and begins anew.
    fn rebuild(&mut self, shared: &Shared, id: IndexId) -> Result<(), CommitError> {
        let Some(at) = self.indexes.iter().position(|kept| kept.id == id) else { return Ok(()) };
        let failed = |error: std::io::Error| DatabaseError::from(unreadable(&error));
        shared.vectors.withdraw(id);
        let old = self.indexes.swap_remove(at);
        // Taken up again whatever fails from here on.
        self.catalog = None;
        if let Some(root) = &shared.vectors.options.directory {
            files::remove(root, id).map_err(failed)?;
        }
        let moment = (shared.state.lock().durable_ts, shared.clock.now());
        let names = (id, old.table, old.number);
        let kept = Kept::open(&shared.vectors, names, old.definition, moment).map_err(failed)?;
        kept.publish(&shared.vectors);
        self.indexes.push(kept);
        Ok(())
    }
}
