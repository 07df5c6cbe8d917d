//! The limits that every value obeys, wherever it comes from.
//!
//! Limits of documents, calls and transactions belong to the crates that know those.

/// Deepest nesting of any value, in container levels (a scalar is 0, an empty container 1).
pub const VALUE_NESTING_MAX: usize = 64;

/// Most elements of one array.
pub const ARRAY_LENGTH_MAX: usize = 8192;

/// Most fields of one object.
pub const OBJECT_FIELDS_MAX: usize = 1024;

/// Longest field name, in bytes (field names are ASCII).
pub const FIELD_NAME_LENGTH_MAX: usize = 1024;

/// Longest identifier (table, index, function, validated field), in bytes.
pub const IDENTIFIER_LENGTH_MAX: usize = 64;

/// Largest [`size`](crate::Value::size) of any value, in bytes (32 MiB).
pub const VALUE_SIZE_MAX: usize = 1 << 25;

/// Deepest nesting of a validator, in validators. Checking, printing and comparing recurse, so this bounds the
/// stack; values nest no deeper than this either.
pub const VALIDATOR_NESTING_MAX: usize = VALUE_NESTING_MAX;
