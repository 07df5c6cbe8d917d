//! The database on a simulated, faulty disk. Only for tests: nothing of this is in any product.
//!
//! [`disk`] is a disk in memory on which the real SQLite runs and which loses power, tears writes, fails to sync, fills
//! up and is slow, all from one seed.
//!
//! This crate never starts a thread, never looks at the machine's clock and never touches the machine's files.

pub mod disk;
