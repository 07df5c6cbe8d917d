//! Validators: what arguments, results and documents must look like.
//!
//! A [`Validator`] is parsed from the JSON that pushed code exports, checks values (with the table numbers of the
//! component at hand, through [`TableNames`]), prints as the source that made it, and can be compared with another.
//! It never looks at documents or decides when to check.

mod ast;
mod check;
mod display;
mod document;
mod error;
mod function;
mod json;
mod subset;
mod tables;

pub use ast::{FieldValidator, LiteralValue, ObjectValidator, RecordValidator, Validator};
pub use document::DocumentValidator;
pub use error::{PathSegment, ValidationError, ValidationProblem, ValidatorError};
pub use function::{
    ArgumentCountError, parse_args_validator, parse_returns_validator, single_object_argument,
};
pub use tables::{NoTables, TableNames, TableRef};
