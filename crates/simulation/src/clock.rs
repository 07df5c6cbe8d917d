//! The time of a simulation: it stands still until somebody moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use freshet_database::Clock;
use freshet_values::Timestamp;

/// A clock that is moved by hand, in either direction.
#[derive(Debug)]
pub struct SimulatedClock(AtomicU64);

impl SimulatedClock {
    /// A clock that shows a day in November 2023.
    #[must_use]
    pub fn new() -> Arc<SimulatedClock> {
        Arc::new(SimulatedClock(AtomicU64::new(1_700_000_000_000_000_000)))
    }

    /// Moves it forward by a number of nanoseconds.
    pub fn advance(&self, nanos: u64) {
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Sets it back by a number of nanoseconds, as an administrator or a time server does.
    pub fn set_back(&self, nanos: u64) {
        self.0.fetch_sub(nanos, Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}
