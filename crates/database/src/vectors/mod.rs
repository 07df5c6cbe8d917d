//! Vector indexes: which there are, how they follow the commits, and searching them.
//!
//! The rows of a vector index are in `freshet_search::vector`; what they are, and when, is decided here. Nothing of this is on
//! the way of a commit but a look at a flag: a thread of its own, the [`Keeper`], takes durable commits from the window
//! in memory, or from the log on disk when it has fallen far behind, and puts them into the indexes of their tables. What it
//! has not taken yet, a search compares exactly, so that answers are always those of the newest commit.
//!
//! What an index holds is derived from documents and never trusted: files carry checksums, the commit that they cover
//! and the identity of their database, every row that is found is looked up again, and whatever does not fit is thrown away and
//! built again from the documents.
//!
//! * `definition`: what a document contributes to an index.
//! * `keeper`, `following`, `building`: the thread and what it does.
//! * `files`, `manifest`: what is on disk.
//! * `query`, `search`: questions and answers.

mod building;
mod definition;
mod files;
mod following;
mod keeper;
mod kept;
mod manifest;
mod query;
mod search;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use freshet_search::vector::{Budget, View};
use freshet_store::IndexId;
use freshet_values::Timestamp;
use parking_lot::{Condvar, Mutex};

pub(crate) use keeper::{Keeper, run};
pub use query::VectorQuery;
pub use search::{VectorAnswer, VectorHit};

/// Where vector indexes are kept and what they may take.
#[derive(Clone, Debug)]
pub struct VectorOptions {
    /// The folder of their files. Without one they are in memory only, and built again whenever the database is opened.
    pub directory: Option<PathBuf>,
    /// Bytes of memory for all of them together. What does not fit is read from their files.
    pub memory_bytes: usize,
    /// Longest time for which a change is in memory only. It is never lost, but has to be taken from the commit log after a
    /// crash.
    pub save_period: Duration,
    /// How long a search waits for an index that is being loaded, built again or has fallen far behind.
    pub search_wait_max: Duration,
}

impl Default for VectorOptions {
    fn default() -> Self {
        VectorOptions {
            directory: None,
            memory_bytes: 256 << 20,
            save_period: Duration::from_secs(60),
            search_wait_max: Duration::from_secs(10),
        }
    }
}

/// All vector indexes at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VectorStatistics {
    /// Indexes, those that are being built included.
    pub indexes: usize,
    /// Indexes that can be searched.
    pub ready: usize,
    /// Rows that a search of each would look at.
    pub rows: usize,
    /// Bytes of memory in use of the bound.
    pub memory_bytes: usize,
}

/// What searches see of an index.
pub(crate) struct Published {
    pub(crate) view: View,
    /// Every commit up to this one is in the view.
    pub(crate) covered: Timestamp,
    /// All documents of the table are in it.
    pub(crate) is_ready: bool,
}

/// What the keeper and everybody else have in common.
pub(crate) struct Vectors {
    pub(crate) options: VectorOptions,
    pub(crate) budget: Arc<Budget>,
    /// Tells this database from others that have files for indexes of the same numbers.
    pub(crate) identity: String,
    /// Timestamp of the store when it was opened: files that know more are of another history.
    pub(crate) opened_at: Timestamp,
    /// There is an index, so that commits are of interest.
    is_active: AtomicBool,
    signal: Mutex<Signal>,
    woken: Condvar,
    published: Mutex<HashMap<IndexId, Arc<Published>>>,
    moved: Condvar,
    /// Indexes in which a search found something that cannot be.
    doubted: Mutex<Vec<IndexId>>,
    /// Indexes that were taken from their files.
    #[cfg(test)]
    loaded: std::sync::atomic::AtomicUsize,
}

#[derive(Default)]
struct Signal {
    is_woken: bool,
    is_closing: bool,
}

impl Vectors {
    pub(crate) fn new(options: VectorOptions, identity: String, opened_at: Timestamp) -> Vectors {
        Vectors {
            budget: Budget::new(options.memory_bytes),
            options,
            identity,
            opened_at,
            is_active: AtomicBool::new(true),
            signal: Mutex::default(),
            woken: Condvar::new(),
            published: Mutex::default(),
            moved: Condvar::new(),
            doubted: Mutex::default(),
            #[cfg(test)]
            loaded: std::sync::atomic::AtomicUsize::default(),
        }
    }

    /// Commits became durable.
    pub(crate) fn commits_stored(&self) {
        if self.is_active.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Something else may have to be done: the catalog changed.
    pub(crate) fn wake(&self) {
        let was_woken = std::mem::replace(&mut self.signal.lock().is_woken, true);
        if !was_woken {
            self.woken.notify_one();
        }
    }

    /// The keeper shall save what it has and end.
    pub(crate) fn close(&self) {
        self.signal.lock().is_closing = true;
        self.woken.notify_one();
        self.moved.notify_all();
    }

    fn is_closing(&self) -> bool {
        self.signal.lock().is_closing
    }

    /// Waits until there may be something to do; false when the keeper shall end.
    fn wait(&self, longest: Duration) -> bool {
        let mut signal = self.signal.lock();
        if !signal.is_woken && !signal.is_closing {
            self.woken.wait_for(&mut signal, longest);
        }
        signal.is_woken = false;
        !signal.is_closing
    }

    /// Waits in any case, unless the keeper shall end.
    fn rest(&self, pause: Duration) {
        let deadline = Instant::now() + pause;
        let mut signal = self.signal.lock();
        while !signal.is_closing && !self.woken.wait_until(&mut signal, deadline).timed_out() {}
    }

    fn publish(&self, index: IndexId, published: Published) {
        self.published.lock().insert(index, Arc::new(published));
        self.moved.notify_all();
    }

    fn withdraw(&self, index: IndexId) {
        self.published.lock().remove(&index);
    }

    fn get(&self, index: IndexId) -> Option<Arc<Published>> {
        self.published.lock().get(&index).cloned()
    }

    /// Waits until something is published that is not `seen`; false when the time is over.
    fn wait_for_news(&self, index: IndexId, seen: Option<&Arc<Published>>, deadline: Instant) -> bool {
        let mut published = self.published.lock();
        // Looked at first, so that an index that comes back and is wrong each time does not hold a search for ever.
        while Instant::now() < deadline {
            let is_news = match (published.get(&index), seen) {
                (Some(current), Some(seen)) => !Arc::ptr_eq(current, seen),
                (current, seen) => current.is_some() != seen.is_some(),
            };
            if is_news {
                return true;
            }
            self.moved.wait_until(&mut published, deadline);
        }
        false
    }

    /// A search found that an index does not fit the documents: nobody shall search it before it has been built again.
    fn doubt(&self, index: IndexId) {
        let mut published = self.published.lock();
        if !published.get(&index).is_some_and(|published| published.is_ready) {
            // Another search was faster.
            return;
        }
        published.remove(&index);
        let mut doubted = self.doubted.lock();
        if !doubted.contains(&index) {
            doubted.push(index);
        }
        drop((doubted, published));
        self.wake();
    }

    pub(crate) fn statistics(&self) -> VectorStatistics {
        let published = self.published.lock();
        VectorStatistics {
            indexes: published.len(),
            ready: published.values().filter(|index| index.is_ready).count(),
            rows: published.values().map(|index| index.view.rows()).sum(),
            memory_bytes: self.budget.used(),
        }
    }
}
