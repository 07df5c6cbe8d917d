//! Cuts clients that send next to nothing, to hold a place for as long as they like.
//!
//! An upload may take any time while it makes progress: in every window of half a minute at least so much must arrive.

use std::time::Duration;

use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(30);
/// Less than the worst mobile connection carries.
const BYTES_MIN: usize = 8 << 10;

/// The progress of one body.
pub(super) struct Pace {
    window_ends: Instant,
    /// Bytes that still have to arrive in this window.
    missing: usize,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { window_ends: now + WINDOW, missing: BYTES_MIN }
    }

    /// When the client is cut, unless something arrives.
    pub(super) fn deadline(&self) -> Instant {
        self.window_ends
    }

    /// Some bytes have arrived.
    pub(super) fn arrived(&mut self, now: Instant, bytes: usize) {
        self.missing = self.missing.saturating_sub(bytes);
        if self.missing == 0 {
            *self = Self::new(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn whoever_makes_progress_may_go_on_for_hours() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for second in 1..10_000 {
            let now = start + SECOND * second;
            assert!(now < pace.deadline(), "second {second}");
            pace.arrived(now, 1000);
        }
    }

    #[test]
    fn a_byte_now_and_then_is_not_progress() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for second in 1..30 {
            pace.arrived(start + SECOND * second, 100);
        }
        assert_eq!(pace.deadline(), start + WINDOW);
    }
}
