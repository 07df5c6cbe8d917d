//! Switches that make the in-memory store misbehave as disks do.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::StoreError;

/// What a test does in the middle of an operation.
type Hook = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Switches {
    on_commit: Option<Hook>,
    on_snapshot: Option<Hook>,
    fail_commits: Option<StoreError>,
    fail_reads: Option<StoreError>,
    hold_commits: bool,
    /// Commits that have been asked for, held ones included.
    commits_begun: u64,
}

/// Faults of a [`crate::MemoryStore`]; all off at first.
#[derive(Default)]
pub struct Faults {
    switches: Mutex<Switches>,
    changed: Condvar,
}

impl Faults {
    /// From now on commits, and attempts to recover, fail with this error and leave nothing behind. After
    /// [`StoreError::Undecided`] the store insists on being recovered.
    pub fn fail_commits(&self, error: StoreError) {
        self.switches.lock().fail_commits = Some(error);
        self.changed.notify_all();
    }

    /// From now on commits work again.
    pub fn mend_commits(&self) {
        self.switches.lock().fail_commits = None;
    }

    /// From now on snapshots cannot be taken; `None` mends that.
    pub fn fail_reads(&self, error: Option<StoreError>) {
        self.switches.lock().fail_reads = error;
    }

    /// While held, commits block before anything is written, like a disk that does not answer.
    pub fn hold_commits(&self, hold: bool) {
        self.switches.lock().hold_commits = hold;
        self.changed.notify_all();
    }

    /// Runs before every commit from now on, on the committing thread and without any lock held: it may block or panic.
    pub fn on_commit(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.switches.lock().on_commit = Some(Arc::new(hook));
    }

    /// Like [`Faults::on_commit`], for taking snapshots.
    pub fn on_snapshot(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.switches.lock().on_snapshot = Some(Arc::new(hook));
    }

    /// How many commits have been asked for so far, blocked and failed ones included.
    pub fn commits_begun(&self) -> u64 {
        self.switches.lock().commits_begun
    }

    pub(super) fn before_commit(&self) -> Result<(), StoreError> {
        let hook = self.switches.lock().on_commit.clone();
        if let Some(hook) = hook {
            hook();
        }
        let mut switches = self.switches.lock();
        switches.commits_begun += 1;
        while switches.hold_commits && switches.fail_commits.is_none() {
            self.changed.wait(&mut switches);
        }
        switches.fail_commits.clone().map_or(Ok(()), Err)
    }

    pub(super) fn before_recovery(&self) -> Result<(), StoreError> {
        self.switches.lock().fail_commits.clone().map_or(Ok(()), Err)
    }

    pub(super) fn before_read(&self) -> Result<(), StoreError> {
        let hook = self.switches.lock().on_snapshot.clone();
        if let Some(hook) = hook {
            hook();
        }
        self.switches.lock().fail_reads.clone().map_or(Ok(()), Err)
    }
}
