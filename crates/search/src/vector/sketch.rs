//! One bit a dimension.
//!
//! The sketch of a rotated vector `u` in a segment with mean `c` is the signs of its residual `r = u - c`. The vector of signs, scaled
//! to length one, is `x`; with `a` the cosine between `r` and `x`, the product of `r` with the query's residual `p` is estimated as
//! `|r| / a * <x, p>`. After a random rotation its error has mean zero and a standard deviation of about
//! `|r| |p| sqrt((1 - a^2) / a^2 / (d - 1))` (Gao and Long, "RaBitQ", SIGMOD 2024). From that follows `<u, q>`, because
//! `<u, q> = <r, p> + <u, c> + <c, q> - <c, c>`.
//!
//! Rows lie in blocks of eight: the first words of eight sketches, then the second ones, and so on. So the loop
//! over a block works on eight rows at once, whatever the dimensions are.

use super::code::{ROUNDING, dot};
use super::segment::Shape;
use super::simd::accelerated;

/// Rows of a block.
pub(crate) const LANES: usize = 8;
/// Bytes of the numbers that belong to a sketch.
pub(crate) const FACTOR_BYTES: usize = 16;
/// Bits to which the query's numbers are rounded.
const PLANES: usize = 4;
/// Standard deviations by which an estimate may be off before its row is missed. The rounding of the query adds a little to what
/// the formula says, which this allows for as well.
const DEVIATIONS: f32 = 2.6;

/// The numbers that belong to the sketch of one row.
#[derive(Clone, Copy)]
pub(crate) struct Factors {
    /// `|r| / a / sqrt(d)`.
    length: f32,
    /// Standard deviation of the error for a query residual of length one.
    deviation: f32,
    /// `<u, c>`.
    offset: f32,
    /// Number of ones.
    ones: u32,
}

impl Factors {
    pub(crate) fn to_bytes(self) -> [u8; FACTOR_BYTES] {
        let mut bytes = [0; FACTOR_BYTES];
        bytes[..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.deviation.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.offset.to_le_bytes());
        bytes[12..].copy_from_slice(&self.ones.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; FACTOR_BYTES]) -> Factors {
        let part = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        Factors {
            length: f32::from_le_bytes(part(0)),
            deviation: f32::from_le_bytes(part(4)),
            offset: f32::from_le_bytes(part(8)),
            ones: u32::from_le_bytes(part(12)),
        }
    }
}

/// Sketches a residual: sets its bits in lane `lane` of a block of zeros. `offset` is the product of the vector with the mean.
pub(crate) fn encode(residual: &[f32], offset: f32, block: &mut [u8], lane: usize) -> Factors {
    let (mut squared, mut sum, mut ones) = (0.0_f32, 0.0_f32, 0_u32);
    for (at, r) in residual.iter().enumerate() {
        squared += r * r;
        sum += r.abs();
        if *r > 0.0 {
            let word = (at / 64) * LANES + lane;
            block[word * 8 + (at % 64) / 8] |= 1 << (at % 8);
            ones += 1;
        }
    }
    let dimensions = residual.len() as f32;
    let norm = squared.sqrt();
    if norm <= 1e-12 {
        return Factors { length: 0.0, deviation: 0.0, offset, ones };
    }
    let a = (sum / (norm * dimensions.sqrt())).min(1.0);
    Factors {
        length: norm / (a * dimensions.sqrt()),
        deviation: norm * ((1.0 - a * a).max(0.0) / (a * a) / (dimensions - 1.0)).sqrt(),
        offset,
        ones,
    }
}

/// A query as one segment sees it.
pub(crate) struct SketchQuery {
    /// For each word of a sketch, the bits of the rounded query residual.
    planes: Vec<[u64; PLANES]>,
    lowest: f32,
    step: f32,
    /// Sum of the query residual.
    sum: f32,
    length: f32,
    /// `<c, q> - <c, c>`.
    shift: f32,
}

impl SketchQuery {
    /// From a rotated query of length one and its residual.
    pub(crate) fn new(query: &[f32], residual: &[f32], center: &[f32], shape: Shape) -> SketchQuery {
        let lowest = residual.iter().copied().fold(f32::INFINITY, f32::min);
        let highest = residual.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let steps = ((1 << PLANES) - 1) as f32;
        let step = (highest - lowest) / steps;
        let factor = if step > 0.0 { 1.0 / step } else { 0.0 };
        let mut planes = vec![[0; PLANES]; shape.sketch_words()];
        for (at, p) in residual.iter().enumerate() {
            let rounded = ((p - lowest) * factor).round() as u64;
            for (plane, bits) in planes[at / 64].iter_mut().enumerate() {
                *bits |= ((rounded >> plane) & 1) << (at % 64);
            }
        }
        SketchQuery {
            planes,
            lowest,
            step,
            sum: residual.iter().sum(),
            length: dot(residual, residual).sqrt(),
            shift: dot(center, query) - dot(center, center),
        }
    }

    /// Appends, for each row of some blocks, the estimated score and the highest one that it may have.
    pub(crate) fn estimate(
        &self,
        blocks: &[u8],
        factors: &[u8],
        weights: &mut Vec<u32>,
        out: &mut Vec<(f32, f32)>,
    ) {
        let (factors, _) = factors.as_chunks::<FACTOR_BYTES>();
        weights.clear();
        weights.resize(factors.len().next_multiple_of(LANES), 0);
        weigh(blocks, &self.planes, weights);
        out.extend(factors.iter().zip(&*weights).map(|(bytes, weight)| {
            let row = Factors::from_bytes(bytes);
            let of_ones = self.lowest * row.ones as f32 + self.step * *weight as f32;
            let score = row.length * (2.0 * of_ones - self.sum) + row.offset + self.shift;
            (score, score + DEVIATIONS * row.deviation * self.length + ROUNDING)
        }));
    }
}

accelerated! {
    /// For each row, the sum of the rounded query's numbers where the sketch has ones.
    fn weigh(blocks: &[u8], planes: &[[u64; PLANES]], out: &mut [u32]) {
        let (words, _) = blocks.as_chunks::<8>();
        for (block, out) in words.chunks_exact(planes.len() * LANES).zip(out.as_chunks_mut::<LANES>().0) {
            let mut counts = [[0_u64; LANES]; PLANES];
            for (row_words, planes) in block.as_chunks::<LANES>().0.iter().zip(planes) {
                for (counts, plane) in counts.iter_mut().zip(planes) {
                    for (count, word) in counts.iter_mut().zip(row_words) {
                        *count += u64::from((u64::from_le_bytes(*word) & plane).count_ones());
                    }
                }
            }
            for (lane, out) in out.iter_mut().enumerate() {
                *out = counts.iter().enumerate().map(|(plane, counts)| (counts[lane] as u32) << plane).sum();
            }
        }
    }
}
