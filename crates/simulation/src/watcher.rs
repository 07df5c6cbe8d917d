//! A subscription, with what was read when it was made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use freshet_database::{Database, Subscription};
use freshet_values::Timestamp;

use crate::model::{Answer, Operation, Question, State};
use crate::session::Session;
use crate::violation::{Checked, check};

/// See the module.
pub(crate) struct Watcher {
    reads: Vec<(Question, Answer)>,
    ts: Timestamp,
    subscription: Subscription,
    wakes: Arc<AtomicU32>,
    /// Nothing had changed between the reads and the subscription.
    fresh: bool,
}

impl Watcher {
    /// Watches what a session read. It must not have written anything.
    pub(crate) fn new(database: &Database, session: &Session) -> Watcher {
        let wakes = Arc::new(AtomicU32::new(0));
        let waker = {
            let wakes = Arc::clone(&wakes);
            Arc::new(move || {
                wakes.fetch_add(1, Ordering::Relaxed);
            })
        };
        let reads = session.operations.iter().filter_map(|operation| match operation {
            Operation::Read { question, answer } => Some((question.clone(), answer.clone())),
            _ => None,
        });
        let read_set = Arc::new(session.transaction.read_set().clone());
        let subscription = database.subscribe(read_set, session.base, waker);
        let fresh = subscription.is_valid();
        Watcher { reads: reads.collect(), ts: session.base, subscription, wakes, fresh }
    }

    /// While the subscription is valid, the answers must be what they were.
    pub(crate) fn check(&self, visible: &State) -> Checked {
        let valid = self.subscription.is_valid();
        let wakes = self.wakes.load(Ordering::Relaxed);
        let expected = u32::from(self.fresh && !valid);
        check(wakes == expected, || {
            format!("a subscription since {} was woken {wakes} times instead of {expected}", self.ts)
        })?;
        if valid {
            for (question, answer) in &self.reads {
                let now = question.expect(visible);
                check(now == *answer, || {
                    format!(
                        "a subscription since {} to {question:?} is valid, but {answer:?} has become {now:?}",
                        self.ts
                    )
                })?;
            }
        }
        Ok(())
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.subscription.is_valid()
    }
}
