//! The memory that the connections to one file share: SQLite's index of the write-ahead log.

use std::cell::UnsafeCell;

/// One region. Connections keep it alive for as long as they may look at it, also when the machine has forgotten it.
#[derive(Debug)]
pub(super) struct Region(Box<[UnsafeCell<u64>]>);

// SAFETY: Rust code only hands out the address. SQLite orders its own accesses by locks and barriers, and a simulation
// runs on one thread at a time.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    pub(super) fn new(bytes: usize) -> Region {
        // Words rather than bytes: SQLite wants alignment.
        Region((0..bytes.div_ceil(8)).map(|_| UnsafeCell::new(0)).collect())
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.len() * 8
    }

    pub(super) fn address(&self) -> *mut std::ffi::c_void {
        // The whole slice's provenance, not only its first word's.
        UnsafeCell::raw_get(self.0.as_ptr()).cast()
    }
}
