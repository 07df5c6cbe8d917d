//! How much load, for how long, and the clock that all connections share.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use crate::outcome::{Outcome, Tally};
use crate::processor::Usage;

/// How long connections may take to answer what is outstanding at the end.
pub(crate) const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);

/// Warm-up and measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    pub(crate) warmup: Duration,
    pub(crate) measured: Duration,
}

/// A closed loop: each connection sends the next request when an answer arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) connections: u32,
    /// Unanswered requests of each connection.
    pub(crate) in_flight: u32,
    pub(crate) time: Time,
}

/// When answers count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) start: Instant,
    /// Nothing is sent after this.
    pub(crate) end: Instant,
}

impl Window {
    pub(crate) fn begin(time: Time) -> Self {
        let start = Instant::now() + time.warmup;
        Self { start, end: start + time.measured }
    }

    /// Whether an answer that came at `now` is part of the measurement.
    pub(crate) fn contains(&self, now: Instant) -> bool {
        (self.start..self.end).contains(&now)
    }
}

/// Waits for the connections' tasks and takes the processor times at both ends of the window.
///
/// # Errors
/// When a connection could not be driven to its end.
pub(crate) async fn measure(
    window: Window,
    mut tasks: JoinSet<Result<Tally>>,
    server_pid: Option<u32>,
) -> Result<Outcome> {
    let mut total = Tally::default();
    tokio::time::sleep_until(window.start.into()).await;
    let before = Usage::now(server_pid);
    tokio::time::sleep_until(window.end.into()).await;
    let after = Usage::now(server_pid);
    while let Some(tally) = tasks.join_next().await {
        total.add(tally??);
    }
    Ok(Outcome::new(total, window.end - window.start, &before, &after))
}
