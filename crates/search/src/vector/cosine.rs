//! The similarity that callers are told.

/// The cosine of the angle between two vectors of 32-bit floats, from -1 to 1; 0 when one of them is zero or has numbers that
/// are not finite. Sums are made in 64 bits and always in the same order, so that the answer is the same everywhere.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let (mut product, mut a_squared, mut b_squared) = ([0.0f64; 8], [0.0f64; 8], [0.0f64; 8]);
    let mut add = |lane: usize, x: f32, y: f32| {
        let (x, y) = (f64::from(x), f64::from(y));
        product[lane] += x * y;
        a_squared[lane] += x * x;
        b_squared[lane] += y * y;
    };
    for (at, (x, y)) in a.iter().zip(b).enumerate() {
        add(at % 8, *x, *y);
    }
    let sum = |lanes: [f64; 8]| lanes.iter().sum::<f64>();
    let cosine = sum(product) / (sum(a_squared).sqrt() * sum(b_squared).sqrt());
    if cosine.is_finite() { cosine.clamp(-1.0, 1.0) as f32 } else { 0.0 }
}

/// The vector scaled to length one; all zeros when it is zero or has numbers that are not finite.
pub(crate) fn unit(vector: &[f32]) -> Vec<f32> {
    let squared: f64 = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    if squared == 0.0 || !squared.is_finite() {
        return vec![0.0; vector.len()];
    }
    let length = squared.sqrt();
    vector.iter().map(|x| (f64::from(*x) / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_directions_have_one_and_opposite_ones_minus_one() {
        let vector: Vec<f32> = (1..100).map(|n| n as f32 / 7.0).collect();
        let twice: Vec<f32> = vector.iter().map(|x| x * 2.0).collect();
        let opposite: Vec<f32> = vector.iter().map(|x| -x).collect();
        assert_eq!(cosine(&vector, &twice), 1.0);
        assert_eq!(cosine(&vector, &opposite), -1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 5.0]), 0.0);
        assert_eq!(cosine(&[3.0, 4.0], &[4.0, 3.0]), 0.96);
    }

    #[test]
    fn vectors_without_a_direction_have_zero() {
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
        assert_eq!(cosine(&[f32::INFINITY, 0.0], &[1.0, 0.0]), 0.0);
        assert_eq!(cosine(&[f32::NAN, 0.0], &[1.0, 0.0]), 0.0);
        assert_eq!(unit(&[f32::NAN, 1.0]), [0.0, 0.0]);
        // Squares of these do not fit into 32 bits.
        assert_eq!(cosine(&[3e38, 0.0], &[1e-38, 0.0]), 1.0);
        assert_eq!(unit(&[3e38, 0.0]), [1.0, 0.0]);
    }
}
