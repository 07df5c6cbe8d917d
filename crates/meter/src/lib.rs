//! Counters and histograms for whoever counts on a hot path: no locks, no allocation, some nanoseconds for each update.
//!
//! Knows no names, units or formats: those belong to whoever shows the numbers. A number that several threads write is
//! exact in the end; while they write, a histogram's sum and its buckets may be one update apart.

mod counter;
mod distribution;
mod histogram;

pub use counter::{Counter, Gauge};
pub use distribution::Distribution;
pub use histogram::Histogram;
