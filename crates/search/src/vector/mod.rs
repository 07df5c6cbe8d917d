//! The nearest vectors by cosine similarity.
//!
//! Every search looks at every vector, but at very little of most of them. Vectors are scaled to length one and rotated by
//! a fixed random rotation, so that whatever they were before, their numbers spread evenly. Then each is held in three ways:
//!
//! 1. a *sketch*, one bit a dimension: the sign of its difference to the mean of its [`Segment`]. Sketches give an
//!    estimate of the similarity and how far it may be off, for some nanoseconds a row (Gao and Long, "RaBitQ", 2024);
//! 2. a *code*, one byte a dimension. Codes are read only of rows that by their sketch may be among the nearest, and
//!    are off by less than a thousandth;
//! 3. the exact vector, which is not here but in its document. The caller scores the last candidates with [`cosine`].
//!
//! Compared with a graph of neighbours there is nothing to build or to repair, rows come and go in microseconds, filters
//! cost less than no filter, the same rows have the same answer, and recall does not depend on what the data looks like; hard data costs
//! time instead. `ARCHITECTURE.md` has the measurements.
//!
//! An [`Index`] is a few immutable segments, marks for rows of theirs that are gone, and a tail of new rows that are still
//! exact. Immutable [`View`]s of it can be searched while it changes.
//!
//! Nothing here opens a file or starts a thread.

mod bitmap;
mod budget;
mod code;
mod column;
mod cosine;
mod index;
mod merge;
mod nearest;
mod rotation;
mod search;
mod segment;
mod simd;
mod sketch;
mod tail;

#[cfg(test)]
mod tests;

pub use bitmap::Bitmap;
pub use budget::Budget;
pub use code::dot;
pub use column::Source;
pub use cosine::cosine;
pub use index::{Index, Row, View};
pub use merge::Plan;
pub use nearest::Candidate;
pub use search::{Filter, Request};
pub use segment::{Damage, Held, Segment, SegmentData, Shape};

/// What names a row; ascending ids of rows that come one after another are best.
pub type RowId = [u8; 16];
