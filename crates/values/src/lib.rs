//! Values, their order, sizes and JSON forms, document ids, names, and validators.
//!
//! This is the bottom floor: every other crate speaks in these types. It never does I/O, never reads a clock,
//! never draws random numbers, and knows nothing of tables beyond their names and numbers.
//!
//! | Room | What is in it |
//! |---|---|
//! | [`value`], [`order`](mod@order), [`display`] | [`Value`], its total order, size, nesting, and how it prints in messages |
//! | [`excerpt`](mod@excerpt) | values and texts in messages, shortened |
//! | [`json`] | decoding and encoding of the JSON forms |
//! | [`key`] | the byte encoding whose `memcmp` order is the order of values, and intervals of keys |
//! | [`document_id`], [`timestamp`] | ids and commit timestamps |
//! | [`identifier`], [`name`], [`field_path`], [`function_path`], [`component_path`] | names and paths |
//! | [`validator`] | validators: parsing, checking, comparing |

pub mod component_path;
pub mod display;
pub mod document_id;
pub mod excerpt;
pub mod field_name;
pub mod field_path;
pub mod function_path;
pub mod identifier;
pub mod json;
pub mod key;
pub mod limits;
pub mod name;
pub mod object;
pub mod order;
pub mod path_component;
#[cfg(test)]
mod samples;
pub mod timestamp;
pub mod validator;
pub mod value;

pub use component_path::ComponentPath;
pub use display::byte_size_text;
pub use document_id::{DocumentId, IdError, InternalId, TableNumber};
pub use excerpt::{excerpt, excerpt_object, excerpt_text};
pub use field_path::FieldPath;
pub use function_path::{FunctionPath, FunctionPathError};
pub use identifier::IdentifierError;
pub use json::{DecodeError, Decoder, Format, UnknownFormat};
pub use key::KeyInterval;
pub use name::{IndexName, TableName};
pub use object::Object;
pub use path_component::PathComponentError;
pub use timestamp::{Timestamp, TimestampError};
pub use value::Value;
