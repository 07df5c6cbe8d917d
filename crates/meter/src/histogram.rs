//! A histogram that any number of threads write to.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::distribution::Distribution;

/// Buckets of every histogram. The last one takes whatever is larger; it begins at 7/4 of 2^32: two hours, if the values
/// are microseconds.
pub(crate) const BUCKETS: usize = 128;

/// How often values came, in buckets whose width grows with the value: four for every power of two, so that a quantile is
/// known to an eighth. Takes 1 KiB.
pub struct Histogram {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Histogram {
    /// Nothing recorded yet.
    pub const fn new() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }

    /// Records one value.
    pub fn record(&self, value: u64) {
        self.counts[bucket(value)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What was recorded so far.
    pub fn distribution(&self) -> Distribution {
        Distribution::new(
            self.counts.iter().map(|count| count.load(Ordering::Relaxed)),
            self.sum.load(Ordering::Relaxed),
        )
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.distribution().fmt(f)
    }
}

/// The bucket of a value: the values below four have one each, then every power of two has four.
pub(crate) fn bucket(value: u64) -> usize {
    let Some(octave) = value.checked_ilog2().filter(|octave| *octave >= 2) else {
        return value as usize;
    };
    let quarter = (value >> (octave - 2)) & 3;
    ((octave as usize - 1) * 4 + quarter as usize).min(BUCKETS - 1)
}

/// The smallest value of a bucket.
pub(crate) fn lower_bound(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let octave = bucket / 4 + 1;
    (1 << octave) + (bucket as u64 % 4) * (1 << (octave - 2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket(value: u64) {
            let bucket = bucket(value);
            prop_assert!(lower_bound(bucket) <= value);
            prop_assert!(bucket == BUCKETS - 1 || value < lower_bound(bucket + 1));
        }
    }

    #[test]
    fn buckets_are_narrow_and_in_order() {
        for bucket in 4..BUCKETS - 1 {
            let (low, high) = (lower_bound(bucket), lower_bound(bucket + 1));
            assert!(low < high && (high - low) * 4 <= low, "{bucket}: {low}..{high}");
        }
    }
}
