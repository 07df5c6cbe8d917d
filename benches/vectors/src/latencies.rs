//! How long things took, and what they cost the processor: on a busy machine these are far apart.

use std::fmt;
use std::time::{Duration, Instant};

/// Some durations.
#[derive(Default)]
pub(crate) struct Latencies {
    wall: Vec<Duration>,
    /// Processor time of the threads that did the work.
    processor: Duration,
}

impl Latencies {
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (started, processor) = (Instant::now(), processor_time());
        let result = work();
        self.wall.push(started.elapsed());
        self.processor += processor_time().saturating_sub(processor);
        result
    }

    /// Mean processor time in milliseconds; 0 where it cannot be known.
    pub(crate) fn processor_ms(&self) -> f64 {
        self.processor.as_secs_f64() * 1e3 / self.wall.len().max(1) as f64
    }

    /// In milliseconds; `share` is 0.5 for the median.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.wall.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(at).map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.3} ms, p99 {:.3} ms", self.quantile_ms(0.5), self.quantile_ms(0.99))
    }
}

/// Processor time of this thread, from Linux's `/proc`; zero elsewhere.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}
