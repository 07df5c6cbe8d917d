//! What came of a run.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::load::Window;
use crate::processor::Usage;

/// What one connection has seen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Of the answers inside the window, in microseconds. Bounded by the length of the window.
    latencies_us: Vec<u32>,
    /// Calls that were not answered as they should have been, whenever that was.
    pub(crate) failed: u64,
    /// Transfers that the rules of the application turned down.
    pub(crate) refused: u64,
    /// Why the first of the failed ones failed.
    pub(crate) first_error: Option<String>,
}

impl Tally {
    /// Notes an answer that came now to a request of that time.
    pub(crate) fn answered(&mut self, window: &Window, sent: Instant) {
        let now = Instant::now();
        if window.contains(now) {
            self.latencies_us.push(u32::try_from((now - sent).as_micros()).unwrap_or(u32::MAX));
        }
    }

    /// Notes calls that failed for one reason.
    pub(crate) fn fail(&mut self, calls: u64, reason: impl FnOnce() -> String) {
        if calls > 0 {
            self.failed += calls;
            self.first_error.get_or_insert_with(reason);
        }
    }

    pub(crate) fn add(&mut self, other: Tally) {
        self.latencies_us.extend(other.latencies_us);
        self.failed += other.failed;
        self.refused += other.refused;
        if self.first_error.is_none() {
            self.first_error = other.first_error;
        }
    }
}

/// The conflicts of a sample of calls.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Retries {
    /// How many calls were looked at.
    pub(crate) calls: u64,
    /// How often one of them had to start over.
    pub(crate) retries: u64,
}

/// The result, as the benchmarks read it.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    seconds: f64,
    completed: usize,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    pub(crate) failed: u64,
    refused: u64,
    pub(crate) first_error: Option<String>,
    /// Processor time of the server for each call, in microseconds; none if no process was named.
    pub(crate) server_cpu_us: Option<f64>,
    /// The same of this process.
    pub(crate) generator_cpu_us: f64,
    /// Share of all processors that something else on the machine has used.
    elsewhere: Option<f64>,
    pub(crate) retries: Option<Retries>,
    /// Whether the balances still add up; none if nobody has looked.
    pub(crate) balanced: Option<bool>,
}

impl Outcome {
    pub(crate) fn new(mut total: Tally, measured: Duration, before: &Usage, after: &Usage) -> Self {
        total.latencies_us.sort_unstable();
        let completed = total.latencies_us.len();
        let at = |share: f64| {
            let index = ((completed as f64 * share) as usize).min(completed.saturating_sub(1));
            total.latencies_us.get(index).map_or(f64::NAN, |&us| f64::from(us) / 1e3)
        };
        let each = |time: Duration| time.as_secs_f64() * 1e6 / completed.max(1) as f64;
        Self {
            seconds: measured.as_secs_f64(),
            completed,
            per_second: completed as f64 / measured.as_secs_f64(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            max_ms: at(1.0),
            failed: total.failed,
            refused: total.refused,
            first_error: total.first_error,
            server_cpu_us: after.server_since(before).map(each),
            generator_cpu_us: each(after.own_since(before)),
            elsewhere: after.elsewhere_since(before),
            retries: None,
            balanced: None,
        }
    }

    /// Writes it to standard output.
    ///
    /// # Errors
    /// When nobody reads there.
    pub(crate) fn print(&self, json: bool) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, self)?;
            writeln!(out)?;
            return Ok(());
        }
        let optional =
            |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
        writeln!(out, "{:.0} calls/s ({} in {:.1} s)", self.per_second, self.completed, self.seconds)?;
        writeln!(
            out,
            "latency: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
            self.p50_ms, self.p99_ms, self.max_ms
        )?;
        writeln!(
            out,
            "processor time of each call: server {} us, load generator {:.0} us; others used {} % of the machine",
            optional(self.server_cpu_us),
            self.generator_cpu_us,
            optional(self.elsewhere.map(|share| share * 100.0)),
        )?;
        writeln!(out, "failed: {}, refused: {}", self.failed, self.refused)?;
        if let Some(Retries { calls, retries }) = self.retries {
            writeln!(out, "conflicts: {retries} retries in the last {calls} calls")?;
        }
        if let Some(balanced) = self.balanced {
            writeln!(out, "balances {}", if balanced { "add up" } else { "DO NOT ADD UP" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_inside_the_window_count() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut tally = Tally::default();
        tally.answered(&Window { start: now - second, end: now + second * 60 }, now);
        tally.answered(&Window { start: now + second * 60, end: now + second * 61 }, now);
        tally.answered(&Window { start: now - second * 2, end: now - second }, now - second * 2);
        assert_eq!(tally.latencies_us.len(), 1);
    }

    #[test]
    fn the_first_reason_is_kept_and_all_failures_are_counted() {
        let mut tally = Tally::default();
        tally.fail(0, || "none".to_owned());
        tally.fail(2, || "one".to_owned());
        let mut other = Tally::default();
        other.fail(1, || "two".to_owned());
        tally.add(other);
        assert_eq!((tally.failed, tally.first_error.as_deref()), (3, Some("one")));
    }
}
