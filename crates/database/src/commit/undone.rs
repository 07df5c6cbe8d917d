//! The timestamps of commits that were visible for a while and could not be stored.
//!
//! Nothing ever has one of these timestamps again. Whoever still holds one (a transaction that began then, somebody who waits
//! until such a commit is durable) has seen what is not there any more, also when later commits have been stored since.

use std::collections::VecDeque;

use freshet_values::Timestamp;

/// Ranges that are remembered. Failures are at least a quarter of a second apart and soon seconds, so the oldest one is
/// longer ago than anybody holds a timestamp.
const RANGES_MAX: usize = 1024;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Undone {
    /// After the first one, through the second one; ascending.
    ranges: VecDeque<(Timestamp, Timestamp)>,
}

impl Undone {
    /// What came after `stored`, through `last`, is undone.
    pub(crate) fn add(&mut self, stored: Timestamp, last: Timestamp) {
        if last <= stored {
            return;
        }
        match self.ranges.back_mut() {
            // Nothing was stored since the failure before.
            Some((after, through)) if *after == stored => *through = last,
            _ => self.ranges.push_back((stored, last)),
        }
        if self.ranges.len() > RANGES_MAX {
            self.ranges.pop_front();
        }
    }

    pub(crate) fn contains(&self, timestamp: Timestamp) -> bool {
        let at = self.ranges.partition_point(|(_, through)| *through < timestamp);
        self.ranges.get(at).is_some_and(|(after, _)| *after < timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_open_at_the_stored_commit_and_closed_at_the_last_one() {
        let mut undone = Undone::default();
        undone.add(Timestamp(10), Timestamp(10));
        undone.add(Timestamp(10), Timestamp(15));
        undone.add(Timestamp(10), Timestamp(20));
        undone.add(Timestamp(30), Timestamp(31));
        let hit: Vec<u64> = (0..40).filter(|at| undone.contains(Timestamp(*at))).collect();
        assert_eq!(hit, [11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 31]);
        assert_eq!(undone.ranges.len(), 2);
    }

    #[test]
    fn the_number_of_ranges_is_bounded() {
        let mut undone = Undone::default();
        for at in 1..5000 {
            undone.add(Timestamp(at * 10), Timestamp(at * 10 + 5));
        }
        assert_eq!(undone.ranges.len(), RANGES_MAX);
        assert!(undone.contains(Timestamp(49_991)));
    }
}
