//! The exclusive token: lets a transaction that keeps losing run alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

#[derive(Default)]
struct Holders {
    /// Somebody runs alone, or waits for the last ordinary commits to finish before doing so.
    exclusive: bool,
    /// Ordinary commits under way.
    shared: usize,
}

/// The token of one database.
#[derive(Default)]
pub(crate) struct ExclusiveToken {
    holders: Mutex<Holders>,
    changed: Condvar,
}

/// While this is held, ordinary commits wait, so what the holder begins now cannot meet a conflict.
///
/// Ordinary commits wait for a bounded time only: a holder that hangs cannot stop all writes, it merely loses
/// its protection. Not to be held across anything slow.
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
        while holders.exclusive {
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
            while holders.exclusive && !self.changed.wait_until(&mut holders, deadline).timed_out() {}
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
