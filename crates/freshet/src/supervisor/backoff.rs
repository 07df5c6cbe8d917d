//! How long to wait before starting an engine again.

use std::time::Duration;

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// An engine that lived this long is taken to have been healthy; its death starts a new series.
const HEALTHY_LIFE: Duration = Duration::from_secs(2);

/// Doubles the pause with every death in a series. Deterministic: there is one engine, so nothing needs spreading.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    previous: Option<Duration>,
}

impl Backoff {
    /// The pause after an engine that lived for `life`.
    pub(super) fn after_life_of(&mut self, life: Duration) -> Duration {
        let pause = match self.previous {
            Some(previous) if life < HEALTHY_LIFE => (previous * 2).min(PAUSE_MAX),
            _ => PAUSE_MIN,
        };
        self.previous = Some(pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_seconds_and_start_over_after_a_healthy_life() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> =
            (0..8).map(|_| backoff.after_life_of(Duration::from_secs(1)).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.after_life_of(HEALTHY_LIFE), PAUSE_MIN);
        assert_eq!(backoff.after_life_of(Duration::ZERO), PAUSE_MIN * 2);
    }
}
