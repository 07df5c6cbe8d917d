//! The JSON forms of values: the encoded form of the wire and of function calls, and two for people and exports.
//!
//! Decoding streams from the text straight into [`Value`](crate::Value)s and holds them to every limit on the way;
//! encoding appends to a string of the caller's. No other JSON of the protocols is known here.

mod decode;
mod encode;
mod error;
mod format;
mod payload;

pub use decode::Decoder;
pub use encode::{encode_object, encode_operand, write_string};
pub use error::DecodeError;
pub use format::{Format, UnknownFormat};
pub(crate) use payload::eight_bytes;
