//! The one total order of values: equality, ordering and hashing of [`Value`].
//!
//! `undefined` < null < int64 < float64 < boolean < string < bytes < array < object. Indexes, filters, range
//! bounds and literals all use it, and [`crate::key`] encodes it into bytes. Int64 and float64 never compare
//! numerically; floats order by their bits (IEEE-754 totalOrder), so `-0 < 0` and NaN equals itself.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::value::Value;

impl Value {
    /// Position of the type in the order. The same numbers tag the types in [`crate::key`].
    pub(crate) fn type_rank(&self) -> u8 {
        match self {
            Value::Null => 2,
            Value::Int64(_) | Value::CommitTs => 3,
            Value::Float64(_) => 4,
            Value::Boolean(_) => 5,
            Value::String(_) => 6,
            Value::Bytes(_) => 7,
            Value::Array(_) => 8,
            Value::Object(_) => 9,
        }
    }

    /// The number that an int64 or the placeholder orders by.
    fn order_i64(&self) -> Option<i64> {
        match self {
            Value::Int64(number) => Some(*number),
            Value::CommitTs => Some(i64::MAX),
            _ => None,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Float64(a), Value::Float64(b)) => a.total_cmp(b),
            (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) => a.cmp(b),
            // As their sequences of (name, value) pairs, which is the documented order.
            (Value::Object(a), Value::Object(b)) => a.cmp(b),
            _ => match (self.order_i64(), other.order_i64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => self.type_rank().cmp(&other.type_rank()),
            },
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            // Lengths first: unequal ones need no walk.
            (Value::Array(a), Value::Array(b)) => a == b,
            (Value::Object(a), Value::Object(b)) => a == b,
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            _ => self.cmp(other) == Ordering::Equal,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.type_rank());
        match self {
            Value::Null => {}
            Value::Int64(number) => state.write_i64(*number),
            Value::CommitTs => state.write_i64(i64::MAX),
            Value::Float64(number) => state.write_u64(number.to_bits()),
            Value::Boolean(truth) => truth.hash(state),
            Value::String(text) => text.hash(state),
            Value::Bytes(bytes) => bytes.hash(state),
            Value::Array(elements) => elements.hash(state),
            Value::Object(object) => object.hash(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{any_value, ascending};
    use proptest::prelude::*;

    #[test]
    fn the_documented_sample_ascends() {
        let sample = ascending();
        for (i, a) in sample.iter().enumerate() {
            for (j, b) in sample.iter().enumerate() {
                assert_eq!(a.cmp(b), i.cmp(&j), "{a:?} against {b:?}");
                assert_eq!(a == b, i == j, "{a:?} against {b:?}");
            }
        }
    }

    #[test]
    fn negative_nan_is_the_least_float() {
        let negative_nan = Value::Float64(-f64::NAN);
        assert!(negative_nan < Value::Float64(f64::NEG_INFINITY));
        assert!(negative_nan > Value::Int64(i64::MAX));
    }

    #[test]
    fn the_commit_timestamp_placeholder_is_the_largest_int64() {
        assert_eq!(Value::CommitTs, Value::Int64(i64::MAX));
        assert!(Value::CommitTs > Value::Int64(i64::MAX - 1));
        assert!(Value::CommitTs < Value::Float64(f64::NEG_INFINITY));
    }

    fn hash(value: &Value) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    proptest! {
        #[test]
        fn equality_and_hashes_agree_with_the_order(a in any_value(), b in any_value()) {
            prop_assert_eq!(a == b, a.cmp(&b) == Ordering::Equal);
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a == b {
                prop_assert_eq!(hash(&a), hash(&b));
            }
        }
    }

    #[test]
    fn the_placeholder_hashes_as_what_it_equals() {
        assert_eq!(hash(&Value::CommitTs), hash(&Value::Int64(i64::MAX)));
    }
}
