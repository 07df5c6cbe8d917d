//! When a session has to speak, to give up a silent client, and to try again.

use std::time::Duration;

use crate::limits;

/// Times are those of [`Now::elapsed`](super::Now::elapsed).
pub(super) struct Liveness {
    /// When the last protocol message was handed out.
    pub(super) last_sent: Duration,
    /// When any frame of the client was last seen.
    pub(super) last_heard: Duration,
}

impl Liveness {
    pub(super) fn ping_at(&self) -> Duration {
        self.last_sent + limits::PING_AFTER_SILENCE
    }

    pub(super) fn gone_at(&self) -> Duration {
        self.last_heard + limits::PEER_SILENCE_MAX
    }
}

/// Pauses before computing again.
#[derive(Default)]
pub(super) struct Retry {
    /// Computations that failed in a row for a passing reason.
    failures: u32,
    /// No computation starts before this.
    not_before: Option<Duration>,
    /// When queries that were left out are to be tried again.
    left_out_due: Option<Duration>,
}

impl Retry {
    /// A whole computation failed.
    pub(super) fn failed(&mut self, elapsed: Duration) {
        let pause = limits::RETRY_PAUSE_MIN.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(elapsed + pause.min(limits::RETRY_PAUSE_MAX));
    }

    /// A computation succeeded, perhaps with queries left out.
    pub(super) fn succeeded(&mut self, elapsed: Duration, left_out: bool) {
        *self = Self {
            left_out_due: left_out.then_some(elapsed + limits::UNAVAILABLE_RETRY_PAUSE),
            ..Self::default()
        };
    }

    pub(super) fn must_wait(&self, elapsed: Duration) -> bool {
        self.not_before.is_some_and(|at| elapsed < at)
    }

    pub(super) fn is_left_out_due(&self, elapsed: Duration) -> bool {
        self.left_out_due.is_some_and(|at| elapsed >= at)
    }

    /// The next moment at which something is to be tried again, if it lies ahead of `elapsed`.
    pub(super) fn next(&self, elapsed: Duration) -> Option<Duration> {
        [self.not_before, self.left_out_due].into_iter().flatten().filter(|at| *at > elapsed).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_start_over_after_a_success() {
        let mut retry = Retry::default();
        let mut pauses = Vec::new();
        for _ in 0..14 {
            retry.failed(Duration::ZERO);
            pauses.push(retry.next(Duration::ZERO).unwrap().as_millis());
        }
        assert_eq!(pauses[..3], [500, 1000, 2000]);
        assert_eq!(pauses[13], 600_000);
        retry.succeeded(Duration::ZERO, false);
        assert_eq!(retry.next(Duration::ZERO), None);
        retry.failed(Duration::ZERO);
        assert_eq!(retry.next(Duration::ZERO), Some(Duration::from_millis(500)));
    }
}
