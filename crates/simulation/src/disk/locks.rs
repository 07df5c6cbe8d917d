//! Who holds which lock of one file: SQLite's five levels, and the eight slots of a write-ahead index.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::ffi;

/// Identifies an open handle.
pub(super) type HandleId = u64;

/// The locks of one file. Locks live as long as the machine runs; they are not on the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Locks {
    levels: BTreeMap<HandleId, i32>,
    shared: BTreeSet<(usize, HandleId)>,
    exclusive: [Option<HandleId>; ffi::SQLITE_SHM_NLOCK as usize],
}

impl Locks {
    /// Raises a handle's level; false when another handle is in the way.
    pub(super) fn raise(&mut self, handle: HandleId, level: i32) -> bool {
        let current = self.level(handle);
        if current >= level {
            return true;
        }
        let others = self.levels.iter().filter(|(other, _)| **other != handle).map(|(_, level)| *level);
        let highest = others.max().unwrap_or(ffi::SQLITE_LOCK_NONE);
        let free = match level {
            ffi::SQLITE_LOCK_SHARED => highest < ffi::SQLITE_LOCK_PENDING,
            ffi::SQLITE_LOCK_RESERVED => highest < ffi::SQLITE_LOCK_RESERVED,
            _ if highest < ffi::SQLITE_LOCK_SHARED => true,
            _ => {
                // Keeps new readers out while the old ones go.
                if highest < ffi::SQLITE_LOCK_RESERVED {
                    self.levels.insert(handle, ffi::SQLITE_LOCK_PENDING);
                }
                false
            }
        };
        if free {
            self.levels.insert(handle, level);
        }
        free
    }

    pub(super) fn lower(&mut self, handle: HandleId, level: i32) {
        if level == ffi::SQLITE_LOCK_NONE {
            self.levels.remove(&handle);
        } else if self.level(handle) > level {
            self.levels.insert(handle, level);
        }
    }

    fn level(&self, handle: HandleId) -> i32 {
        self.levels.get(&handle).copied().unwrap_or(ffi::SQLITE_LOCK_NONE)
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.levels.values().any(|level| *level >= ffi::SQLITE_LOCK_RESERVED)
    }

    /// Takes slots of the write-ahead index for reading; false when another handle writes.
    pub(super) fn share(&mut self, handle: HandleId, slots: std::ops::Range<usize>) -> bool {
        let free = slots.clone().all(|slot| self.exclusive[slot].is_none_or(|holder| holder == handle));
        if free {
            self.shared.extend(slots.map(|slot| (slot, handle)));
        }
        free
    }

    /// Takes slots of the write-ahead index alone; false when another handle has one of them.
    pub(super) fn exclude(&mut self, handle: HandleId, slots: std::ops::Range<usize>) -> bool {
        let free = slots.clone().all(|slot| {
            self.exclusive[slot].is_none_or(|holder| holder == handle)
                && self.shared.range((slot, 0)..=(slot, HandleId::MAX)).all(|(_, holder)| *holder == handle)
        });
        if free {
            for slot in slots {
                self.exclusive[slot] = Some(handle);
            }
        }
        free
    }

    pub(super) fn release(&mut self, handle: HandleId, slots: std::ops::Range<usize>) {
        for slot in slots {
            self.shared.remove(&(slot, handle));
            if self.exclusive[slot] == Some(handle) {
                self.exclusive[slot] = None;
            }
        }
    }

    /// The handle was closed.
    pub(super) fn forget(&mut self, handle: HandleId) {
        self.levels.remove(&handle);
        self.release(handle, 0..self.exclusive.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writer_and_many_readers_until_somebody_wants_the_file_alone() {
        let mut locks = Locks::default();
        assert!(locks.raise(1, ffi::SQLITE_LOCK_SHARED));
        assert!(locks.raise(2, ffi::SQLITE_LOCK_SHARED));
        assert!(locks.raise(1, ffi::SQLITE_LOCK_RESERVED));
        assert!(!locks.raise(2, ffi::SQLITE_LOCK_RESERVED));
        assert!(!locks.raise(1, ffi::SQLITE_LOCK_EXCLUSIVE));
        assert!(!locks.raise(3, ffi::SQLITE_LOCK_SHARED), "a waiting writer keeps new readers out");
        locks.forget(2);
        assert!(locks.raise(1, ffi::SQLITE_LOCK_EXCLUSIVE));
    }

    #[test]
    fn slots_are_shared_or_exclusive() {
        let mut locks = Locks::default();
        assert!(locks.share(1, 3..4));
        assert!(locks.share(2, 3..4));
        assert!(!locks.exclude(1, 3..5));
        assert!(locks.exclude(1, 4..5));
        locks.release(2, 3..4);
        assert!(locks.exclude(1, 3..4));
        assert!(!locks.share(2, 3..4));
    }
}
