//! The order-preserving byte encoding of values, and intervals of such keys.
//!
//! `memcmp` of two encodings is the order of the values. No encoding is a prefix of another value's, so encodings
//! concatenate to tuples that order as tuples, and all tuples starting with given values are one interval.
//!
//! ```text
//! undefined  01
//! null       02
//! int64      03, 8 bytes big-endian with the sign bit flipped
//! float64    04, 8 bytes big-endian; sign bit flipped if it was clear, all bits flipped if it was set
//! boolean    05, 00 or 01
//! string     06, text bytes, 00
//! bytes      07, bytes, 00
//! array      08, elements, 00
//! object     09, for each field in order: 01, name as text bytes, 00, value; then 00
//! ```
//!
//! Within strings, bytes and names 00 is written 01 01 and 01 is written 01 02, so that 00 only ever ends them.
//! This is a storage format: changing it means rebuilding every index.

#[cfg(test)]
mod agreement;
mod encode;
mod interval;

pub use encode::{encode, encode_float64, encode_int64, encode_string, encode_tuple};
pub use interval::{KeyInterval, key_after, successor_of_prefix};
