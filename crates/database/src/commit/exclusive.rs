//! The exclusive token: lets a transaction that keeps losing run alone.
//!
//! Turns alternate: ordinary commits that waited for a holder go before the next holder, so that transactions that keep losing
//! against each other do not keep everybody else waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

#[derive(Default)]
struct Holders {
    /// Somebody runs alone, or waits for the last ordinary commits to finish before doing so.
    exclusive: bool,
    /// Ordinary commits under way.
    shared: usize,
    /// Ordinary commits that wait for the one that runs alone.
    waiting: usize,
}

/// The token of one database.
#[derive(Default)]
pub(crate) struct ExclusiveToken {
    holders: Mutex<Holders>,
    changed: Condvar,
}

/// While this is held, ordinary commits wait, so what the holder begins now cannot meet a conflict.
///
/// Ordinary commits wait for a bounded time only: a holder that hangs cannot stop all writes for good, it loses
/// its protection. The bound has to be longer than any transaction may take, or a slow one would keep losing, and everybody would
/// wait for each of its attempts.
pub struct ExclusiveGuard {
    token: Arc<ExclusiveToken>,
}

/// An ordinary commit's side of the token.
pub(crate) struct SharedGuard<'a> {
    token: &'a ExclusiveToken,
}

impl ExclusiveToken {
    /// Waits for its turn; blocks.
    pub(crate) fn exclusive(self: &Arc<Self>) -> ExclusiveGuard {
        let mut holders = self.holders.lock();
        while holders.exclusive || holders.waiting > 0 {
            self.changed.wait(&mut holders);
        }
        holders.exclusive = true;
        while holders.shared > 0 {
            self.changed.wait(&mut holders);
        }
        ExclusiveGuard { token: Arc::clone(self) }
    }

    /// The token, if nobody has it.
    pub(crate) fn try_exclusive(self: &Arc<Self>) -> Option<ExclusiveGuard> {
        let mut holders = self.holders.lock();
        if holders.exclusive || holders.shared > 0 {
            return None;
        }
        holders.exclusive = true;
        Some(ExclusiveGuard { token: Arc::clone(self) })
    }

    /// An ordinary commit's turn, unless somebody runs alone.
    pub(crate) fn try_shared(&self) -> Option<SharedGuard<'_>> {
        let mut holders = self.holders.lock();
        if holders.exclusive {
            return None;
        }
        holders.shared += 1;
        Some(SharedGuard { token: self })
    }

    /// Waits while somebody runs alone, for at most `wait_max`; blocks.
    pub(crate) fn shared(&self, wait_max: Duration) -> SharedGuard<'_> {
        let mut holders = self.holders.lock();
        if holders.exclusive {
            let deadline = Instant::now() + wait_max;
            holders.waiting += 1;
            while holders.exclusive && !self.changed.wait_until(&mut holders, deadline).timed_out() {}
            holders.waiting -= 1;
            if holders.waiting == 0 {
                self.changed.notify_all();
            }
        }
        holders.shared += 1;
        SharedGuard { token: self }
    }
}

impl Drop for ExclusiveGuard {
    fn drop(&mut self) {
        self.token.holders.lock().exclusive = false;
        self.token.changed.notify_all();
    }
}

impl Drop for SharedGuard<'_> {
    fn drop(&mut self) {
        let mut holders = self.token.holders.lock();
        holders.shared -= 1;
        if holders.shared == 0 {
            self.token.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn wait_until(token: &ExclusiveToken, condition: impl Fn(&Holders) -> bool) {
        while !condition(&token.holders.lock()) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn commits_that_waited_for_a_holder_go_before_the_next_one() {
        for _ in 0..100 {
            let token = Arc::new(ExclusiveToken::default());
            let (say, said) = mpsc::channel();
            let holder = token.exclusive();
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    let (token, say) = (Arc::clone(&token), say.clone());
                    scope.spawn(move || {
                        let _turn = token.shared(LONG);
                        say.send("ordinary").unwrap();
                    });
                }
                wait_until(&token, |holders| holders.waiting == 2);
                for _ in 0..2 {
                    let (token, say) = (Arc::clone(&token), say.clone());
                    scope.spawn(move || {
                        let _alone = token.exclusive();
                        say.send("alone").unwrap();
                    });
                }
                drop(holder);
            });
            drop(say);
            assert_eq!(said.iter().collect::<Vec<_>>(), ["ordinary", "ordinary", "alone", "alone"]);
        }
    }

    #[test]
    fn a_holder_that_hangs_loses_its_protection_only() {
        let token = Arc::new(ExclusiveToken::default());
        let hanging = token.exclusive();
        drop(token.shared(Duration::from_millis(1)));
        assert!(token.try_shared().is_none());
        drop(hanging);
        assert!(token.try_shared().is_some());
        drop(token.exclusive());
    }
}
