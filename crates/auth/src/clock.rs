//! What time it is, as far as tokens and cached keys are concerned. Tests bring a clock of their own.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Two clocks: tokens are judged by the wall clock, ages of keys by one that never jumps.
pub trait Clock: Send + Sync + 'static {
    /// Time since the Unix epoch.
    fn unix(&self) -> Duration;
    /// Time since any fixed moment; never goes back.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn unix(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
