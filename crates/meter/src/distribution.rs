//! What a histogram held at one moment, or between two.

use crate::histogram::{BUCKETS, bucket, lower_bound};

/// How often values came. Holds only the buckets that are not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Numbers of buckets and what is in them, in ascending order.
    counts: Vec<(u8, u64)>,
    sum: u64,
}

impl Distribution {
    pub(crate) fn new(counts: impl Iterator<Item = u64>, sum: u64) -> Self {
        let counts = counts
            .enumerate()
            .filter(|(_, count)| *count > 0)
            .map(|(bucket, count)| (u8::try_from(bucket).expect("there are 128 buckets"), count))
            .collect();
        Self { counts, sum }
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Their sum.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// What came since `earlier`, which this histogram held before.
    #[must_use]
    pub fn since(&self, earlier: &Distribution) -> Distribution {
        let mut before = [0; BUCKETS];
        for (bucket, count) in &earlier.counts {
            before[usize::from(*bucket)] = *count;
        }
        let counts = self
            .counts
            .iter()
            .map(|(bucket, count)| (*bucket, count.saturating_sub(before[usize::from(*bucket)])))
            .filter(|(_, count)| *count > 0)
            .collect();
        Distribution { counts, sum: self.sum.wrapping_sub(earlier.sum) }
    }

    /// Both together.
    pub fn merge(&mut self, other: &Distribution) {
        let mut counts = [0; BUCKETS];
        for (bucket, count) in self.counts.iter().chain(&other.counts) {
            counts[usize::from(*bucket)] += count;
        }
        *self = Distribution::new(counts.into_iter(), self.sum.wrapping_add(other.sum));
    }

    /// The value that a `share` (0 to 1) of all values do not exceed, to an eighth; `None` when there are none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = share.clamp(0.0, 1.0) * self.count() as f64;
        let mut before = 0.0;
        for (bucket, count) in &self.counts {
            let count = *count as f64;
            if before + count >= wanted {
                let bucket = usize::from(*bucket);
                let low = lower_bound(bucket) as f64;
                let width = lower_bound(bucket + 1) as f64 - low;
                // Values are taken to lie evenly in their bucket; those of a bucket of width one are known.
                let inside = if width > 1.0 { width * (wanted - before) / count } else { 0.0 };
                return Some(low + inside);
            }
            before += count;
        }
        None
    }

    /// How many values are below `bound`, which is a power of two.
    pub fn below(&self, bound: u64) -> u64 {
        debug_assert!(bound.is_power_of_two(), "only there buckets end");
        let end = bucket(bound);
        self.counts.iter().take_while(|(bucket, _)| usize::from(*bucket) < end).map(|(_, count)| count).sum()
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.counts.capacity() * size_of::<(u8, u64)>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::Histogram;

    fn histogram(values: &[u32]) -> Histogram {
        let histogram = Histogram::new();
        values.iter().for_each(|value| histogram.record(u64::from(*value)));
        histogram
    }

    proptest! {
        #[test]
        fn quantiles_are_near_the_true_ones(mut values in prop::collection::vec(any::<u32>(), 1..200), share in 0.0..=1.0_f64) {
            let found = histogram(&values).distribution().quantile(share).unwrap();
            values.sort_unstable();
            let rank = ((share * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let actual = f64::from(values[rank - 1]);
            prop_assert!((found - actual).abs() <= actual / 4.0 + 1.0, "{found} for {actual}");
        }

        #[test]
        fn what_came_between_two_moments_is_their_difference(
            before in prop::collection::vec(any::<u32>(), 0..50),
            after in prop::collection::vec(any::<u32>(), 0..50),
        ) {
            let both = histogram(&before);
            let earlier = both.distribution();
            after.iter().for_each(|value| both.record(u64::from(*value)));
            let mut merged = both.distribution().since(&earlier);
            prop_assert_eq!(&merged, &histogram(&after).distribution());
            merged.merge(&earlier);
            prop_assert_eq!(merged, both.distribution());
        }

        #[test]
        fn values_below_a_power_of_two_are_counted_exactly(values in prop::collection::vec(any::<u32>(), 0..200), octave in 0..33_u32) {
            let bound = 1_u64 << octave;
            let below = values.iter().filter(|value| u64::from(**value) < bound).count() as u64;
            prop_assert_eq!(histogram(&values).distribution().below(bound), below);
        }
    }

    #[test]
    fn nothing_has_no_quantiles() {
        assert_eq!(Histogram::new().distribution().quantile(0.5), None);
    }
}
