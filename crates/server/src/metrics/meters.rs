//! What is counted at the edge.

use std::time::Duration;

use axum::http::StatusCode;
use freshet_meter::{Counter, Gauge, Histogram};

use crate::dispatch::Door;

/// Classes of status: 1xx to 5xx.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const DOORS: [&str; 3] = ["api", "site", "watch"];

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct EdgeMeters {
    answered: [[Counter; 5]; 3],
    /// Microseconds that requests took.
    pub(super) request_us: Histogram,
    /// Requests that are being answered.
    pub(super) running: Gauge,
    /// WebSockets that were opened.
    pub(crate) sockets_opened: Counter,
    /// WebSockets that were closed because their clients took too little.
    pub(crate) sockets_too_slow: Counter,
    /// Microseconds that transitions took.
    pub(super) transition_us: Histogram,
}

impl EdgeMeters {
    /// A request begins; the end is told by the guard's end.
    pub(crate) fn begin(&self) -> Running<'_> {
        self.running.add(1);
        Running(self)
    }

    /// A request was answered.
    pub(crate) fn answered(&self, door: Door, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.answered[door as usize][class].increment();
        self.request_us.record(microseconds(took));
    }

    /// A client's queries were brought up to date.
    pub(crate) fn transition(&self, took: Duration) {
        self.transition_us.record(microseconds(took));
    }

    /// Answered requests by door and class.
    pub(super) fn requests(&self) -> impl Iterator<Item = ([(&'static str, &'static str); 2], u64)> + '_ {
        DOORS.iter().zip(&self.answered).flat_map(|(door, classes)| {
            CLASSES
                .iter()
                .zip(classes)
                .map(move |(class, count)| ([("door", *door), ("status", *class)], count.get()))
        })
    }
}

/// A request that is being answered.
pub(crate) struct Running<'a>(&'a EdgeMeters);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.add(-1);
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
