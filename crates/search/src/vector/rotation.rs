//! A rotation that looks random and is always the same.
//!
//! Signs and codes are good descriptions of a vector only when its numbers are alike. Those of real embeddings are not: some
//! dimensions are large in all of them, others nearly constant, and counts of words are mostly zero. After a random
//! rotation any vector looks like one of independent normal numbers. A full matrix would cost d^2; alternating random signs with
//! the fast Hadamard transform costs d log d and serves as well (Ailon and Chazelle, "The fast Johnson-Lindenstrauss
//! transform", 2009). Where d is no power of two, the transform takes turns on the first and on the last part.

/// Turns of signs and transform. Part of the file format.
const ROUNDS: usize = 4;

/// The rotation for one number of dimensions.
#[derive(Debug)]
pub(crate) struct Rotation {
    /// The largest power of two among the numbers up to the dimensions.
    part: usize,
    /// For each round, 1 or -1 for each dimension.
    signs: Vec<Vec<f32>>,
}

impl Rotation {
    pub(crate) fn new(dimensions: usize) -> Rotation {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ dimensions as u64;
        let mut sign = || {
            // SplitMix64, see Steele, Lea and Flood, 2014.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            if (mixed ^ (mixed >> 31)) & 1 == 0 { 1.0 } else { -1.0 }
        };
        let signs = (0..ROUNDS).map(|_| (0..dimensions).map(|_| sign()).collect()).collect();
        Rotation { part: 1 << dimensions.ilog2(), signs }
    }

    /// Rotates in place.
    pub(crate) fn apply(&self, vector: &mut [f32]) {
        for (round, signs) in self.signs.iter().enumerate() {
            for (x, sign) in vector.iter_mut().zip(signs) {
                *x *= sign;
            }
            let start = if round % 2 == 0 { 0 } else { vector.len() - self.part };
            hadamard(&mut vector[start..start + self.part]);
        }
    }
}

/// The transform of a power of two of numbers, scaled so that lengths stay.
fn hadamard(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let scale = 1.0 / (values.len() as f32).sqrt();
    for value in values {
        *value *= scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_angles_stay() {
        for dimensions in [2, 3, 5, 64, 100, 768, 1025, 1536] {
            let rotation = Rotation::new(dimensions);
            let mut a: Vec<f32> = (0..dimensions).map(|n| (n as f32 * 0.7).sin()).collect();
            let mut b: Vec<f32> = (0..dimensions).map(|n| (n as f32 * 0.3).cos()).collect();
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
            let before = (dot(&a, &a), dot(&a, &b));
            rotation.apply(&mut a);
            rotation.apply(&mut b);
            assert!((dot(&a, &a) - before.0).abs() < before.0 * 1e-4, "{dimensions}");
            assert!((dot(&a, &b) - before.1).abs() < before.0 * 1e-4, "{dimensions}");
        }
    }

    #[test]
    fn a_single_number_is_spread_over_all_dimensions() {
        for (dimensions, at) in [(768, 0), (768, 767), (1000, 500), (1536, 3)] {
            let mut spike = vec![0.0; dimensions];
            spike[at] = 1.0;
            Rotation::new(dimensions).apply(&mut spike);
            let largest = spike.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
            assert!(largest < 6.0 / (dimensions as f32).sqrt(), "{dimensions}, {at}: {largest}");
        }
    }
}
