//! Keeps a connection's transitions behind the answers to its own mutations.
//!
//! A commit wakes subscriptions the moment it is visible, while the answer to the mutation takes its way through the
//! lane's reply. A client that sees its own write before the answer shows it twice for a moment: as data, and as
//! optimistic update. So a transition that is ready while a mutation of the same connection runs waits a moment for it.
//! Only a moment: the mutation may have nothing to do with it, and may run for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// The longest that a transition is held back. Replies of lanes take microseconds.
const WAIT_MAX: Duration = Duration::from_millis(2);

/// The mutation that a connection runs; there is at most one.
#[derive(Clone, Default)]
pub(super) struct OwnMutation(Arc<Shared>);

#[derive(Default)]
struct Shared {
    running: AtomicBool,
    answered: Notify,
}

impl OwnMutation {
    /// It runs from now on.
    pub(super) fn started(&self) {
        self.0.running.store(true, Ordering::Release);
    }

    /// Its outcome is on its way to the connection.
    pub(super) fn answered(&self) {
        self.0.running.store(false, Ordering::Release);
        self.0.answered.notify_waiters();
    }

    /// Waits until it is answered, if it runs, but not for long.
    pub(super) async fn let_pass(&self) {
        // Made before the look, so that an answer in between is not missed.
        let answered = self.0.answered.notified();
        if self.0.running.load(Ordering::Acquire) {
            // Both ends of the wait mean the same to the caller.
            drop(tokio::time::timeout(WAIT_MAX, answered).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_without_a_mutation_or_for_long() {
        let own = OwnMutation::default();
        let began = tokio::time::Instant::now();
        own.let_pass().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        own.started();
        own.let_pass().await;
        assert!(began.elapsed() >= WAIT_MAX && began.elapsed() < 2 * WAIT_MAX, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_ends_the_wait() {
        let own = OwnMutation::default();
        own.started();
        let began = tokio::time::Instant::now();
        tokio::join!(own.let_pass(), async {
            tokio::task::yield_now().await;
            own.answered();
        });
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
