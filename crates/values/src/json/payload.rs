//! Tagged objects such as `{"$integer": "AQAAAAAAAAA="}`: their tags and payloads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::json::DecodeError;
use crate::value::Value;

/// The tags in use. All others starting with `$` are reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Integer,
    Float,
    Bytes,
    Undefined,
    CommitTs,
}

impl Tag {
    pub(super) fn from_key(key: &str) -> Option<Tag> {
        [Tag::Integer, Tag::Float, Tag::Bytes, Tag::Undefined, Tag::CommitTs]
            .into_iter()
            .find(|tag| tag.key() == key)
    }

    pub(super) fn key(self) -> &'static str {
        match self {
            Tag::Integer => "$integer",
            Tag::Float => "$float",
            Tag::Bytes => "$bytes",
            Tag::Undefined => "$undefined",
            Tag::CommitTs => "$commitTs",
        }
    }

    /// The value that a string payload means.
    pub(super) fn decode_text(self, text: &str) -> Result<Value, DecodeError> {
        match self {
            Tag::Integer => match eight_bytes(text) {
                Ok(bytes) => Ok(Value::Int64(i64::from_le_bytes(bytes))),
                Err(NotEightBytes::Base64) => Err(DecodeError::Base64(self.key())),
                Err(NotEightBytes::Length) => Err(DecodeError::IntegerLength),
            },
            Tag::Float => match eight_bytes(text) {
                Ok(bytes) => special_float(f64::from_le_bytes(bytes)),
                Err(NotEightBytes::Base64) => Err(DecodeError::Base64(self.key())),
                Err(NotEightBytes::Length) => Err(DecodeError::FloatLength),
            },
            Tag::Bytes => match STANDARD.decode(text) {
                Ok(bytes) => Ok(Value::Bytes(bytes)),
                Err(_) => Err(DecodeError::Base64(self.key())),
            },
            Tag::Undefined | Tag::CommitTs => Err(self.payload_error()),
        }
    }

    /// The value, or undefined, that a null payload means.
    pub(super) fn decode_null(self) -> Result<Option<Value>, DecodeError> {
        match self {
            Tag::Undefined => Ok(None),
            Tag::CommitTs => Ok(Some(Value::CommitTs)),
            Tag::Integer | Tag::Float | Tag::Bytes => Err(self.payload_error()),
        }
    }

    /// The complaint about a payload of the wrong type.
    pub(super) fn payload_error(self) -> DecodeError {
        let expected = match self {
            Tag::Integer | Tag::Float | Tag::Bytes => "a base64 string",
            Tag::Undefined | Tag::CommitTs => "null",
        };
        DecodeError::PayloadType { tag: self.key(), expected }
    }
}

/// Only floats that JSON numbers cannot write may be tagged. +0 is let through, because encoders exist that tag
/// every zero.
fn special_float(number: f64) -> Result<Value, DecodeError> {
    if number.is_finite() && number != 0.0 {
        return Err(DecodeError::OrdinaryFloat(number));
    }
    Ok(Value::Float64(number))
}

/// Why a text is not the base64 of eight bytes.
pub(crate) enum NotEightBytes {
    /// No standard base64 with padding.
    Base64,
    /// Another number of bytes.
    Length,
}

/// Eight bytes from standard base64 with padding (12 characters), without allocating.
pub(crate) fn eight_bytes(text: &str) -> Result<[u8; 8], NotEightBytes> {
    const TEXT_LENGTH: usize = 12;
    if text.len() != TEXT_LENGTH {
        return match STANDARD.decode(text) {
            Ok(_) => Err(NotEightBytes::Length),
            Err(_) => Err(NotEightBytes::Base64),
        };
    }
    let mut buffer = [0; TEXT_LENGTH / 4 * 3];
    match STANDARD.decode_slice(text, &mut buffer) {
        Ok(8) => Ok(buffer[..8].try_into().expect("eight of nine bytes")),
        Ok(_) => Err(NotEightBytes::Length),
        Err(_) => Err(NotEightBytes::Base64),
    }
}
