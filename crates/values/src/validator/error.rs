//! Why a value does not match ([`ValidationError`]) and why JSON is no validator ([`ValidatorError`]), in the words
//! that users read.

use std::fmt::{self, Display, Formatter};

use crate::identifier::IdentifierError;
use crate::json::DecodeError;
use crate::limits::VALIDATOR_NESTING_MAX;

/// A value does not match its validator: the first problem found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationError {
    /// From the problem outwards, as it is built while returning.
    path_inside_out: Vec<PathSegment>,
    problem: ValidationProblem,
}

/// One step of the way from a value to a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathSegment {
    /// A field of an object: `.name`.
    Field(String),
    /// An element of an array: `[0]`.
    Index(usize),
    /// Some name of a record: `.keys()`.
    Keys,
    /// Some value of a record: `.values()`.
    Values,
}

/// What is wrong. Values and validators are held as they print, long values shortened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValidationProblem {
    /// The wrong type, or no member of a union fits.
    Mismatch {
        /// The value.
        value: String,
        /// The validator.
        validator: String,
    },
    /// A required field is absent.
    MissingField {
        /// Its name.
        field: String,
        /// The object without it.
        object: String,
        /// The object validator.
        validator: String,
    },
    /// A field that the validator does not have.
    ExtraField {
        /// Its name.
        field: String,
        /// The object with it.
        object: String,
        /// The object validator.
        validator: String,
    },
    /// Not the literal.
    Literal {
        /// The value.
        value: String,
        /// The literal validator.
        validator: String,
    },
    /// An id of another user table.
    OtherTable {
        /// The id.
        id: String,
        /// The table that it belongs to.
        table: String,
        /// The id validator.
        validator: String,
    },
    /// An id of a system table that is not the wanted one.
    SystemTable {
        /// The id.
        id: String,
        /// The id validator.
        validator: String,
    },
}

impl ValidationError {
    pub(super) fn new(problem: ValidationProblem) -> ValidationError {
        ValidationError { path_inside_out: Vec::new(), problem }
    }

    /// The same problem, seen from one container further out.
    pub(super) fn inside(mut self, segment: PathSegment) -> ValidationError {
        self.path_inside_out.push(segment);
        self
    }

    /// What is wrong.
    pub fn problem(&self) -> &ValidationProblem {
        &self.problem
    }

    /// Where, from the outermost container inwards.
    pub fn path(&self) -> impl Iterator<Item = &PathSegment> {
        self.path_inside_out.iter().rev()
    }

    /// `Path: .a[0]`, or nothing at the root.
    fn context(&self) -> String {
        if self.path_inside_out.is_empty() {
            return String::new();
        }
        let mut context = "Path: ".to_owned();
        for segment in self.path() {
            context.push_str(&segment.to_string());
        }
        context
    }
}

impl Display for PathSegment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            PathSegment::Field(name) => write!(f, ".{name}"),
            PathSegment::Index(index) => write!(f, "[{index}]"),
            PathSegment::Keys => f.write_str(".keys()"),
            PathSegment::Values => f.write_str(".values()"),
        }
    }
}

impl Display for ValidationError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let context = self.context();
        match &self.problem {
            ValidationProblem::Mismatch { value, validator } => write!(
                f,
                "Value does not match validator.\n{context}\nValue: {value}\nValidator: {validator}"
            ),
            ValidationProblem::MissingField { field, object, validator } => write!(
                f,
                "Object is missing the required field `{field}`. Consider wrapping the field validator in \
                 `v.optional(...)` if this is expected.\n{context}\nObject: {object}\nValidator: {validator}"
            ),
            ValidationProblem::ExtraField { field, object, validator } => write!(
                f,
                "Object contains extra field `{field}` that is not in the validator.\n{context}\nObject: \
                 {object}\nValidator: {validator}"
            ),
            ValidationProblem::Literal { value, validator } => {
                write!(f, "`{value}` does not match literal validator `{validator}`.{context}")
            }
            ValidationProblem::OtherTable { id, table, validator } => write!(
                f,
                "Found ID \"{id}\" from table `{table}`, which does not match the table name in validator \
                 `{validator}`.{context}"
            ),
            ValidationProblem::SystemTable { id, validator } => write!(
                f,
                "Found ID \"{id}\" from a system table, which does not match the table name in validator \
                 `{validator}`.{context}"
            ),
        }
    }
}

impl std::error::Error for ValidationError {}

/// Why JSON is no validator.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ValidatorError {
    /// Not JSON; holds the parser's complaint.
    #[error("{0}")]
    Syntax(String),
    /// Something of the wrong shape; holds what was expected.
    #[error("Invalid validator: expected {0}")]
    Shape(&'static str),
    /// A type that nobody knows.
    #[error("Invalid validator: unknown type `{0}`")]
    UnknownType(String),
    /// Validators nested too deep.
    #[error("Invalid validator: nested deeper than {VALIDATOR_NESTING_MAX} levels")]
    TooNested,
    /// The value of a literal is no value.
    #[error("Invalid validator: {0}")]
    LiteralValue(#[from] DecodeError),
    /// The value of a literal is of a type that has no literals.
    #[error("Invalid validator: literals must be strings, numbers, booleans or int64s")]
    Literal,
    /// A field or table name is no identifier.
    #[error(transparent)]
    Name(#[from] IdentifierError),
    /// The keys of a record are no subtype of string.
    #[error("Records can only have string keys.")]
    RecordKeys,
    /// The keys of a record are string literals.
    #[error("Records cannot have string literal keys")]
    RecordLiteralKeys,
    /// The values of a record are optional.
    #[error("Records cannot have optional values")]
    RecordOptionalValues,
    /// Arguments are always an object.
    #[error("Args validator must be an object or any")]
    Args,
    /// Documents are always objects.
    #[error("Document validator must be an object, a union of objects, or any")]
    Document,
}

impl ValidatorError {
    /// The error's code, for those that have one.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            ValidatorError::RecordKeys
            | ValidatorError::RecordLiteralKeys
            | ValidatorError::RecordOptionalValues => Some("InvalidRecordType"),
            _ => None,
        }
    }
}
