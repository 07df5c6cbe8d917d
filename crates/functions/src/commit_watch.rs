//! Tells whoever started a mutation whether a state of the database contains its commit, before the answer is there.
//!
//! A commit is visible to everybody the moment it is made, while the answer takes its way through the lane's reply and
//! waits for the disk. Connections need to know in between, so that they show no state that contains a commit which
//! they have not answered yet.

use std::sync::Arc;

use freshet_values::Timestamp;
use tokio::sync::watch;

/// Follows one mutation. Clones follow the same.
#[derive(Clone, Debug)]
pub struct CommitWatch(Arc<watch::Sender<Progress>>);

#[derive(Clone, Copy, Debug)]
enum Progress {
    /// There is no commit, and one that begins later is later than everything visible now.
    Before,
    /// A commit is being made. It may be visible already.
    Under,
    /// There it is.
    Made(Timestamp),
}

impl Default for CommitWatch {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Progress::Before)))
    }
}

impl CommitWatch {
    /// Makes the commit. A failed one, for instance after a conflict, leaves everything as it was before.
    ///
    /// # Errors
    /// Those of `commit`.
    pub fn around<E>(&self, commit: impl FnOnce() -> Result<Timestamp, E>) -> Result<Timestamp, E> {
        let mut outcome = Outcome { watch: self, progress: Progress::Before };
        self.0.send_replace(Progress::Under);
        let ts = commit()?;
        outcome.progress = Progress::Made(ts);
        Ok(ts)
    }

    /// Whether the state at `ts`, which is visible, contains the commit. Waits for one that is being made; that takes
    /// microseconds.
    pub async fn is_within(&self, ts: Timestamp) -> bool {
        let mut progress = self.0.subscribe();
        loop {
            let now = *progress.borrow_and_update();
            match now {
                Progress::Before => return false,
                Progress::Made(made) => return made <= ts,
                // It cannot fail: the sender is part of `self`.
                Progress::Under => drop(progress.changed().await),
            }
        }
    }
}

/// Tells what came of a commit, also when it panics.
struct Outcome<'a> {
    watch: &'a CommitWatch,
    progress: Progress,
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        self.watch.0.send_replace(self.progress);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_state_contains_a_commit_from_its_timestamp_on() {
        let watch = CommitWatch::default();
        assert!(!watch.is_within(Timestamp(9)).await);
        watch.around(|| Ok::<_, ()>(Timestamp(7))).unwrap();
        assert!(!watch.is_within(Timestamp(6)).await);
        assert!(watch.is_within(Timestamp(7)).await && watch.is_within(Timestamp(9)).await);
    }

    #[tokio::test]
    async fn a_failed_or_panicking_commit_is_none() {
        let watch = CommitWatch::default();
        watch.around(|| Err(())).unwrap_err();
        assert!(!watch.is_within(Timestamp(9)).await);
        let panicking = watch.clone();
        let panicked = std::thread::spawn(move || panicking.around::<()>(|| panic!("on purpose")).is_ok());
        assert!(panicked.join().is_err());
        assert!(!watch.is_within(Timestamp(9)).await);
    }

    #[tokio::test]
    async fn a_commit_that_is_being_made_is_waited_for() {
        let watch = CommitWatch::default();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (finish, may_finish) = std::sync::mpsc::channel::<()>();
        let committing = watch.clone();
        let thread = std::thread::spawn(move || {
            committing.around(|| {
                begun.send(()).unwrap();
                may_finish.recv().unwrap();
                Ok::<_, ()>(Timestamp(7))
            })
        });
        has_begun.recv().unwrap();
        let early = tokio::time::timeout(Duration::from_millis(20), watch.is_within(Timestamp(9))).await;
        assert!(early.is_err());
        finish.send(()).unwrap();
        assert!(watch.is_within(Timestamp(9)).await);
        thread.join().unwrap().unwrap();
    }
}
