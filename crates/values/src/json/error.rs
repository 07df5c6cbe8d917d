//! [`DecodeError`]: why a text is no value, in the words that users read.

use crate::display::{FloatText, byte_size_text};
use crate::excerpt::excerpt_text;
use crate::limits::{
    ARRAY_LENGTH_MAX, FIELD_NAME_LENGTH_MAX, OBJECT_FIELDS_MAX, VALUE_NESTING_MAX, VALUE_SIZE_MAX,
};

/// Why a text is no value. Callers put it in context (``Invalid argument `value` for `db.insert`: …``).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The text is not JSON (a lone surrogate included); holds the parser's complaint.
    #[error("{0}")]
    Syntax(String),
    /// A field name starting with `$` that does not make its object a tagged value.
    #[error("Field name {} starts with '$', which is reserved.", excerpt_text(.0))]
    ReservedField(String),
    /// A field name with a control character or beyond ASCII.
    #[error(
        "Field name {} has invalid character {invalid}: Field names can only contain non-control ASCII characters",
        excerpt_text(name)
    )]
    FieldCharacter {
        /// The field name.
        name: String,
        /// Its first offending character.
        invalid: char,
    },
    /// Holds the field name's length in characters.
    #[error("Field name is too long ({0} > maximum {FIELD_NAME_LENGTH_MAX})")]
    FieldTooLong(usize),
    /// Holds the nesting at which decoding gave up.
    #[error("Value is too nested (nested {0} levels deep > maximum nesting {VALUE_NESTING_MAX})")]
    TooNested(usize),
    /// Holds the array's length.
    #[error("Array length is too long ({0} > maximum length {ARRAY_LENGTH_MAX})")]
    ArrayTooLong(usize),
    /// Holds the number of fields.
    #[error("Object has too many fields ({0} > maximum number {OBJECT_FIELDS_MAX})")]
    TooManyFields(usize),
    /// Holds the value's size in bytes.
    #[error("Value is too large ({} > maximum size {})", byte_size_text(*.0), byte_size_text(VALUE_SIZE_MAX))]
    TooLarge(usize),
    /// `$integer` of other than eight bytes.
    #[error("Int64 must be exactly eight bytes")]
    IntegerLength,
    /// `$float` of other than eight bytes.
    #[error("Float64 must be exactly eight bytes")]
    FloatLength,
    /// `$float` of a number that JSON can write.
    #[error("Float64 {} should be encoded as a number", FloatText(*.0))]
    OrdinaryFloat(f64),
    /// The payload of a tagged value is of the wrong type.
    #[error("{tag} must hold {expected}")]
    PayloadType {
        /// The tag, with its `$`.
        tag: &'static str,
        /// What it holds: "a base64 string" or "null".
        expected: &'static str,
    },
    /// The payload of a tagged value (named) is no standard base64 with padding.
    #[error("{0} must hold standard base64 with padding")]
    Base64(&'static str),
    /// `undefined` where only values may be.
    #[error("undefined is not a valid value here")]
    Undefined,
    /// A commit timestamp placeholder where none may be.
    #[error("An unresolved commit timestamp is not allowed here")]
    CommitTs,
    /// A patch that is no object.
    #[error("Value must be an Object")]
    NotAnObject,
    /// An integer token of the export form that does not fit an int64.
    #[error("Integer {0} does not fit into a 64-bit signed integer")]
    IntegerRange(u64),
}

impl DecodeError {
    /// The error's code, for the limits that have one.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            DecodeError::TooNested(_) => Some("TooNestedError"),
            DecodeError::ArrayTooLong(_) => Some("ArrayTooLong"),
            DecodeError::TooManyFields(_) => Some("TooManyFieldsError"),
            DecodeError::TooLarge(_) => Some("ValueTooLargeError"),
            _ => None,
        }
    }

    /// Whether the text is not even JSON.
    pub fn is_syntax(&self) -> bool {
        matches!(self, DecodeError::Syntax(_))
    }
}
