//! One byte a dimension.
//!
//! A code is that of a residual, the difference between a rotated vector and the mean of its segment: so it is precise also where
//! all vectors are nearly equal. It has, four bytes each, a scale, the standard deviation of the errors and the
//! product of the vector with the mean, which is exact; then a signed byte for each dimension. After the rotation all numbers of a
//! residual are alike, so one scale fits them.
//!
//! With vector `u`, mean `c`, `r = u - c`, query `q` and `p = q - c`: `<u, q> = <r, p> + <u, c> + <c, q> - <c, c>`. Of
//! these only the first is not exact, and it is small where `r` and `p` are.

use super::simd::accelerated;

/// Bytes before the numbers.
pub(crate) const HEAD_BYTES: usize = 12;

/// The query's numbers become whole ones up to this. With dimensions up to 4096 sums stay below 2^31, and
/// what is lost is small beside what the codes have lost.
const QUERY_MAX: f32 = 2047.0;
/// Standard deviations by which a score may be off before its row is missed.
const DEVIATIONS: f32 = 4.0;
/// Errors of sums of 32-bit floats.
pub(crate) const ROUNDING: f32 = 4e-6;

/// Appends the code of a residual. `error` is the standard deviation of the errors that its numbers have already, `along` the
/// product of the vector with the mean.
pub(crate) fn encode(residual: &[f32], error: f32, along: f32, out: &mut Vec<u8>) {
    let largest = residual.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    let scale = largest / 127.0;
    out.extend_from_slice(&scale.to_le_bytes());
    // Rounding is off by any part of half a step, evenly.
    let rounding = scale * 0.288_675_14;
    out.extend_from_slice(&error.hypot(rounding).to_le_bytes());
    out.extend_from_slice(&along.to_le_bytes());
    let factor = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    out.extend(residual.iter().map(|x| ((x * factor).round() as i8).cast_unsigned()));
}

/// The scale of a code.
fn scale(code: &[u8]) -> f32 {
    f32::from_le_bytes(*code.first_chunk().expect("a code begins with its scale"))
}

/// The standard deviation of the errors of a code's numbers: also of its product with a vector of length one, since they
/// are independent.
pub(crate) fn error(code: &[u8]) -> f32 {
    f32::from_le_bytes(*code[4..].first_chunk().expect("a code has the size of its errors"))
}

/// The product of the vector with the mean.
pub(crate) fn along(code: &[u8]) -> f32 {
    f32::from_le_bytes(*code[8..].first_chunk().expect("a code has its product with the mean"))
}

/// The residual that a code stands for.
pub(crate) fn decode(code: &[u8], out: &mut [f32]) {
    let scale = scale(code);
    for (x, byte) in out.iter_mut().zip(&code[HEAD_BYTES..]) {
        *x = f32::from(byte.cast_signed()) * scale;
    }
}

/// The residual of a query in whole numbers.
pub(crate) struct CodeQuery {
    numbers: Vec<i16>,
    scale: f32,
    /// The residual's length.
    length: f32,
    /// `<c, q> - <c, c>`.
    shift: f32,
}

impl CodeQuery {
    /// From a rotated query of length one and its residual.
    pub(crate) fn new(query: &[f32], residual: &[f32], center: &[f32]) -> CodeQuery {
        let largest = residual.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
        let factor = if largest > 0.0 { QUERY_MAX / largest } else { 0.0 };
        CodeQuery {
            numbers: residual.iter().map(|x| (x * factor).round() as i16).collect(),
            scale: largest / QUERY_MAX,
            length: dot(residual, residual).sqrt(),
            shift: dot(center, query) - dot(center, center),
        }
    }

    /// The score of a code's vector.
    pub(crate) fn score(&self, code: &[u8]) -> f32 {
        let product = product(&self.numbers, &code[HEAD_BYTES..]) as f32 * (self.scale * scale(code));
        product + along(code) + self.shift
    }

    /// How far that may be off.
    pub(crate) fn uncertainty(&self, code: &[u8]) -> f32 {
        error(code) * self.length * DEVIATIONS + ROUNDING
    }
}

accelerated! {
    fn product(query: &[i16], code: &[u8]) -> i32 {
        query.iter().zip(code).map(|(x, byte)| i32::from(*x) * i32::from(byte.cast_signed())).sum()
    }
}

accelerated! {
    /// The product of two vectors, in 32-bit floats.
    #[must_use]
    pub fn dot(a: &[f32], b: &[f32]) -> f32 {
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
        let mut lanes = [0.0_f32; 16];
        for (a, b) in a.iter().zip(b) {
            for ((lane, x), y) in lanes.iter_mut().zip(a).zip(b) {
                *lane += x * y;
            }
        }
        let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
        lanes.iter().sum::<f32>() + rest
    }
}

#[cfg(test)]
mod tests {
    use super::super::cosine::unit;
    use super::*;

    #[test]
    fn scores_are_off_by_less_than_the_uncertainty() {
        for dimensions in [2, 17, 768, 4096] {
            let vector =
                |seed: f32| unit(&(0..dimensions).map(|n| (n as f32 * seed).sin()).collect::<Vec<_>>());
            let (query, center) = (vector(0.37), vec![0.01; dimensions]);
            let less = |vector: &[f32]| vector.iter().map(|x| x - 0.01).collect::<Vec<_>>();
            let codes = CodeQuery::new(&query, &less(&query), &center);
            for row in 1..40 {
                let row = vector(row as f32 * 0.113);
                let mut code = Vec::new();
                encode(&less(&row), 0.0, dot(&row, &center), &mut code);
                assert_eq!(code.len(), HEAD_BYTES + dimensions);
                let off = (codes.score(&code) - dot(&query, &row)).abs();
                // The waves that these vectors are have errors that are not independent.
                assert!(off <= codes.uncertainty(&code) + 1e-3, "{dimensions}: {off}");
                let mut back = vec![0.0; dimensions];
                decode(&code, &mut back);
                assert!(back.iter().zip(less(&row)).all(|(x, y)| (x - y).abs() <= scale(&code) * 0.51));
                let mut again = Vec::new();
                encode(&back, error(&code), 0.0, &mut again);
                assert!(error(&again) > error(&code), "errors add up");
            }
        }
    }

    #[test]
    fn the_largest_product_fits() {
        let numbers = vec![i16::MIN / 16; 4096];
        assert_eq!(product(&numbers, &vec![(-127_i8).cast_unsigned(); 4096]), 2048 * 127 * 4096);
    }
}
