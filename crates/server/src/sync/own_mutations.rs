//! Keeps a connection's transitions behind the answers to its own mutations.
//!
//! A commit wakes subscriptions the moment it is visible, while the answer to the mutation takes its way through the
//! lane's reply. A client that sees its own write before the answer shows it twice for a moment: as data, and as
//! optimistic update. So a transition whose state contains the commit of a mutation that was not answered yet waits for
//! the answer. It never waits for a mutation that still runs: that one's commit comes after the transition's state.

use std::collections::VecDeque;

use freshet_functions::CommitWatch;
use freshet_values::Timestamp;
use tokio::sync::watch;

/// The mutations of a connection that run or have no answer yet, in order.
#[derive(Clone)]
pub(super) struct OwnMutations(watch::Sender<VecDeque<CommitWatch>>);

impl Default for OwnMutations {
    fn default() -> Self {
        Self(watch::Sender::new(VecDeque::new()))
    }
}

impl OwnMutations {
    /// One runs from now on, and its commit has to be made known to the returned watch.
    pub(super) fn started(&self) -> CommitWatch {
        let commit = CommitWatch::default();
        self.0.send_modify(|unanswered| unanswered.push_back(commit.clone()));
        commit
    }

    /// The connection knows the outcome of the oldest one.
    pub(super) fn answered(&self) {
        self.0.send_modify(|unanswered| drop(unanswered.pop_front()));
    }

    /// Whether every mutation has its answer.
    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Waits until no mutation is unanswered whose commit is part of the visible state at `ts`.
    pub(super) async fn let_pass(&self, ts: Timestamp) {
        let mut unanswered = self.0.subscribe();
        loop {
            let commits = unanswered.borrow_and_update().clone();
            let mut contains_one = false;
            for commit in commits {
                contains_one = contains_one || commit.is_within(ts).await;
            }
            if !contains_one {
                return;
            }
            // It cannot fail: the sender is part of `self`.
            drop(unanswered.changed().await);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn passes(own: &OwnMutations, ts: u64) -> bool {
        tokio::time::timeout(Duration::from_millis(20), own.let_pass(Timestamp(ts))).await.is_ok()
    }

    #[tokio::test]
    async fn only_a_state_with_an_unanswered_commit_waits() {
        let own = OwnMutations::default();
        assert!(passes(&own, 9).await);
        let commit = own.started();
        assert!(passes(&own, 9).await, "it still runs");
        commit.around(|| Ok::<_, ()>(Timestamp(7))).unwrap();
        assert!(passes(&own, 6).await, "a state before the commit");
        assert!(!passes(&own, 7).await);
        own.answered();
        assert!(passes(&own, 7).await);
    }

    #[tokio::test]
    async fn the_answer_ends_the_wait_also_when_the_next_mutation_starts_at_once() {
        let own = OwnMutations::default();
        own.started().around(|| Ok::<_, ()>(Timestamp(7))).unwrap();
        let waiting = tokio::spawn({
            let own = own.clone();
            async move { own.let_pass(Timestamp(8)).await }
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(!waiting.is_finished());
        own.answered();
        let _next = own.started();
        tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn of_several_commits_all_within_the_state_have_to_be_answered() {
        let own = OwnMutations::default();
        for ts in 7..10 {
            own.started().around(|| Ok::<_, ()>(Timestamp(ts))).unwrap();
        }
        own.answered();
        assert!(!passes(&own, 8).await);
        own.answered();
        assert!(passes(&own, 8).await, "the commit at 9 is not part of it");
        assert!(!passes(&own, 9).await);
    }
}
