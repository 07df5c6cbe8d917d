//! Who waits for commits to be stored, in the order of their timestamps: a group wakes those whom it concerns, and nobody
//! else.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use freshet_values::Timestamp;
use parking_lot::Mutex;

use super::undone::Undone;
use crate::error::DurabilityError;

/// See the module. Bounded by the number of threads and tasks that wait.
pub(crate) struct Durability(Mutex<Progress>);

struct Progress {
    /// The last commit that is stored.
    reached: Timestamp,
    /// Commits that will never be stored; the reason is that of the last failure.
    undone: Undone,
    reason: Option<DurabilityError>,
    waiting: BTreeMap<Ticket, Waker>,
    next_number: u64,
}

/// The commit that somebody waits for, and a number of his own.
type Ticket = (Timestamp, u64);

/// Waits for one commit.
pub(crate) struct Wait<'a> {
    durability: &'a Durability,
    timestamp: Timestamp,
    ticket: Option<Ticket>,
}

impl Durability {
    pub(crate) fn new(reached: Timestamp) -> Durability {
        Durability(Mutex::new(Progress {
            reached,
            undone: Undone::default(),
            reason: None,
            waiting: BTreeMap::new(),
            next_number: 0,
        }))
    }

    /// Everything up to a timestamp is stored.
    pub(crate) fn reach(&self, timestamp: Timestamp) {
        let stored = {
            let mut progress = self.0.lock();
            progress.reached = timestamp;
            let later = progress.waiting.split_off(&(timestamp.succ(), 0));
            std::mem::replace(&mut progress.waiting, later)
        };
        stored.into_values().for_each(Waker::wake);
    }

    /// Nothing after what was stored so far, through `last`, will be.
    pub(crate) fn fail(&self, last: Timestamp, reason: DurabilityError) {
        let undone = {
            let mut progress = self.0.lock();
            let stored = progress.reached;
            progress.undone.add(stored, last);
            progress.reason = Some(reason);
            std::mem::take(&mut progress.waiting)
        };
        undone.into_values().for_each(Waker::wake);
    }

    pub(crate) fn wait(&self, timestamp: Timestamp) -> Wait<'_> {
        Wait { durability: self, timestamp, ticket: None }
    }
}

impl Wait<'_> {
    /// Waits on this thread.
    pub(crate) fn block(self) -> Result<(), DurabilityError> {
        let mut wait = pin!(self);
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match wait.as_mut().poll(&mut context) {
                Poll::Ready(result) => return result,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Future for Wait<'_> {
    type Output = Result<(), DurabilityError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut progress = self.durability.0.lock();
        // First: later commits may have been stored since.
        if progress.undone.contains(self.timestamp) {
            let reason = progress.reason.clone();
            return Poll::Ready(Err(reason.expect("whatever is undone has a reason")));
        }
        if progress.reached >= self.timestamp {
            return Poll::Ready(Ok(()));
        }
        let ticket = self.ticket.unwrap_or_else(|| {
            progress.next_number += 1;
            (self.timestamp, progress.next_number)
        });
        progress.waiting.insert(ticket, context.waker().clone());
        drop(progress);
        self.ticket = Some(ticket);
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let mut progress = self.durability.0.lock();
            progress.waiting.remove(&ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_group_wakes_those_whom_it_concerns_and_nobody_else() {
        let durability = Durability::new(Timestamp(10));
        let counts: Vec<Arc<Count>> = (0..4).map(|_| Arc::default()).collect();
        let mut waits: Vec<_> = [12, 14, 14, 20].map(|at| Box::pin(durability.wait(Timestamp(at)))).into();
        let mut poll = |at: usize| {
            let waker = Waker::from(Arc::clone(&counts[at]));
            waits[at].as_mut().poll(&mut Context::from_waker(&waker))
        };
        for at in 0..4 {
            assert!(poll(at).is_pending() && poll(at).is_pending());
        }
        let woken = || counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
        durability.reach(Timestamp(11));
        assert_eq!(woken(), [0, 0, 0, 0]);
        durability.reach(Timestamp(14));
        assert_eq!(woken(), [1, 1, 1, 0]);
        assert!((0..3).all(|at| poll(at).is_ready()) && poll(3).is_pending());
        durability.fail(Timestamp(25), DurabilityError::NotStored("full".to_owned()));
        assert_eq!(woken(), [1, 1, 1, 1]);
        // What was undone stays undone, even if a later commit is stored.
        durability.reach(Timestamp(30));
        assert_eq!(poll(3).map(|result| result.is_err()), Poll::Ready(true));
        // Also for those who ask late, and for them only.
        assert!(durability.wait(Timestamp(21)).block().is_err());
        assert!(durability.wait(Timestamp(14)).block().is_ok());
        assert!(durability.wait(Timestamp(26)).block().is_ok());
    }

    #[test]
    fn whoever_stops_waiting_leaves_nothing_behind() {
        let durability = Durability::new(Timestamp(10));
        let mut wait = Box::pin(durability.wait(Timestamp(11)));
        let waker = Waker::from(Arc::<Count>::default());
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(durability.0.lock().waiting.len(), 1);
        drop(wait);
        assert!(durability.0.lock().waiting.is_empty());
    }
}
