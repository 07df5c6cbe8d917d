//! [`Value`]: what documents, arguments and results are made of, with its size and nesting.
//!
//! Never here: the order (`order`), printing (`display`), JSON (`json`).

use compact_str::CompactString;

use crate::object::Object;
use crate::timestamp::Timestamp;

/// A value of the data model.
///
/// `undefined` is no value: where it can occur (filter operands, index bounds, removed fields of a patch) it is
/// the `None` of an `Option<Value>`, which sorts before every value just as `undefined` does.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`.
    Null,
    /// A signed 64-bit integer (`bigint` in JavaScript).
    Int64(i64),
    /// An IEEE-754 double (`number` in JavaScript). Every bit pattern is distinct, NaN payloads included.
    Float64(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A Unicode string.
    String(String),
    /// A byte string (`ArrayBuffer` in JavaScript).
    Bytes(Vec<u8>),
    /// A list of values of any types.
    Array(Vec<Value>),
    /// Named fields.
    Object(Object),
    /// The commit timestamp of the running transaction, not known yet. It orders, compares and measures as the
    /// largest int64 and is replaced by the real timestamp at commit.
    CommitTs,
}

impl Value {
    /// An object from pairs of name and value; of a repeated name the last one wins.
    pub fn object<K: Into<CompactString>>(fields: impl IntoIterator<Item = (K, Value)>) -> Value {
        Value::Object(fields.into_iter().collect())
    }

    /// Size in bytes as limits and usage count it: 1 for null and booleans, 9 for numbers, 2 + bytes for strings
    /// and bytes, 2 + contents for containers, where a field costs name + 1 + value.
    pub fn size(&self) -> usize {
        match self {
            Value::Null | Value::Boolean(_) => 1,
            Value::Int64(_) | Value::Float64(_) | Value::CommitTs => 9,
            Value::String(text) => 2 + text.len(),
            Value::Bytes(bytes) => 2 + bytes.len(),
            Value::Array(elements) => 2 + elements.iter().map(Value::size).sum::<usize>(),
            Value::Object(object) => object_size(object),
        }
    }

    /// Container levels: 0 for scalars, 1 for an empty container.
    pub fn nesting(&self) -> usize {
        match self {
            Value::Array(elements) => 1 + elements.iter().map(Value::nesting).max().unwrap_or(0),
            Value::Object(object) => object_nesting(object),
            _ => 0,
        }
    }

    /// The type's name in evaluation errors: `Null`, `Int64`, `Float64`, `Boolean`, `String`, `Bytes`, `Array`
    /// or `Object`. (The name of a missing operand is `undefined`.)
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "Null",
            Value::Int64(_) | Value::CommitTs => "Int64",
            Value::Float64(_) => "Float64",
            Value::Boolean(_) => "Boolean",
            Value::String(_) => "String",
            Value::Bytes(_) => "Bytes",
            Value::Array(_) => "Array",
            Value::Object(_) => "Object",
        }
    }

    /// Whether an unresolved commit timestamp occurs anywhere inside.
    pub fn contains_commit_ts(&self) -> bool {
        match self {
            Value::CommitTs => true,
            Value::Array(elements) => elements.iter().any(Value::contains_commit_ts),
            Value::Object(object) => object.values().any(Value::contains_commit_ts),
            _ => false,
        }
    }

    /// Replaces every unresolved commit timestamp by the int64 `commit_ts`.
    pub fn resolve_commit_ts(&mut self, commit_ts: Timestamp) {
        match self {
            Value::CommitTs => *self = Value::Int64(commit_ts.as_i64()),
            Value::Array(elements) => {
                for element in elements {
                    element.resolve_commit_ts(commit_ts);
                }
            }
            Value::Object(object) => {
                for field in object.values_mut() {
                    field.resolve_commit_ts(commit_ts);
                }
            }
            _ => {}
        }
    }

    /// The string, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The float64, if this is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float64(number) => Some(*number),
            _ => None,
        }
    }

    /// The int64, if this is one. An unresolved commit timestamp is not.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int64(number) => Some(*number),
            _ => None,
        }
    }

    /// The boolean, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Boolean(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The elements, if this is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The fields, if this is an object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }
}

/// [`Value::size`] of an object, in bytes.
pub fn object_size(object: &Object) -> usize {
    2 + object.iter().map(|(name, value)| name.len() + 1 + value.size()).sum::<usize>()
}

/// [`Value::nesting`] of an object.
pub fn object_nesting(object: &Object) -> usize {
    1 + object.values().map(Value::nesting).max().unwrap_or(0)
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Boolean(truth)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int64(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Float64(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::String(text)
    }
}

impl From<Vec<Value>> for Value {
    fn from(elements: Vec<Value>) -> Value {
        Value::Array(elements)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_documented_ones() {
        let one_field = Value::object([("a", Value::Float64(1.0))]);
        assert_eq!(Value::from("héllo").size(), 8);
        assert_eq!(one_field.size(), 13);
        assert_eq!(Value::Null.size(), 1);
        assert_eq!(Value::Boolean(true).size(), 1);
        assert_eq!(Value::Int64(5).size(), 9);
        assert_eq!(Value::CommitTs.size(), 9);
        assert_eq!(Value::Bytes(vec![1, 2, 3]).size(), 5);
        assert_eq!(Value::Array(vec![Value::Null, Value::Float64(0.0)]).size(), 12);
        let document = Value::object([
            ("a", Value::Float64(1.0)),
            ("_id", Value::String("j".repeat(32))),
            ("_creationTime", Value::Float64(1.0)),
        ]);
        assert_eq!(document.size(), 74);
    }

    #[test]
    fn nesting_counts_containers() {
        assert_eq!(Value::Null.nesting(), 0);
        assert_eq!(Value::Array(vec![]).nesting(), 1);
        assert_eq!(Value::Object(Object::new()).nesting(), 1);
        assert_eq!(
            Value::object([("a", Value::Array(vec![Value::Null, Value::Array(vec![])]))]).nesting(),
            3
        );
    }

    #[test]
    fn resolving_replaces_every_placeholder() {
        let mut value =
            Value::object([("a", Value::Array(vec![Value::CommitTs, Value::Null])), ("b", Value::CommitTs)]);
        assert!(value.contains_commit_ts());
        value.resolve_commit_ts(Timestamp(7));
        assert!(!value.contains_commit_ts());
        let expected =
            Value::object([("a", Value::Array(vec![Value::Int64(7), Value::Null])), ("b", Value::Int64(7))]);
        assert_eq!(value, expected);
    }
}
