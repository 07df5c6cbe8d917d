//! The database on a simulated, faulty disk. Only for tests: nothing of this is in any product.
//!
//! [`disk`] is a disk in memory on which the real SQLite runs and which loses power, tears writes, fails to sync, fills
//! up and is slow. [`run`] drives the real database on the real store on such a disk, one step at a time, as one seed says, and
//! compares all that it shows with a model made of plain maps.
//!
//! This crate never starts a thread, never looks at the machine's clock and never touches the machine's files.

mod actors;
mod chance;
pub mod clock;
mod deeds;
mod deployment;
pub mod disk;
mod inspection;
mod journal;
mod life;
mod model;
mod plan;
mod readings;
mod sabotage;
mod session;
mod simulation;
mod trace;
mod violation;
mod watcher;

pub use deeds::Deeds;
pub use disk::Counters;
pub use plan::Trouble;
pub use sabotage::Sabotage;
pub use simulation::{Failure, Summary, run};
pub use trace::Trace;
pub use violation::Violation;
