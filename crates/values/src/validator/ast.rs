//! [`Validator`] and its parts.

use std::collections::BTreeMap;

use crate::name::TableName;
use crate::validator::ValidatorError;
use crate::value::Value;

/// Describes a set of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// Every value.
    Any,
    /// `null`.
    Null,
    /// Every int64, and the unresolved commit timestamp, which becomes one.
    Int64,
    /// Every float64, NaN and infinities included.
    Float64,
    /// Both booleans.
    Boolean,
    /// Every string.
    String,
    /// Every byte string.
    Bytes,
    /// The unresolved commit timestamp, and every int64.
    CommitTs,
    /// One value.
    Literal(LiteralValue),
    /// Strings that are ids of the named table.
    Id(TableName),
    /// Arrays of such elements.
    Array(Box<Validator>),
    /// Objects of such names and values, whatever the names are.
    Record(Box<RecordValidator>),
    /// Objects of exactly these fields.
    Object(ObjectValidator),
    /// Every value of any member; without members, none.
    Union(Vec<Validator>),
}

/// The value of a literal validator: a string, float64, boolean or int64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiteralValue(Value);

/// Names and values of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordValidator {
    /// What names must be; accepts strings alone.
    keys: Validator,
    /// What values must be.
    values: Validator,
}

/// The fields of an object validator, by name.
pub type ObjectValidator = BTreeMap<String, FieldValidator>;

/// A field of an object validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValidator {
    /// What the field's value must be.
    pub validator: Validator,
    /// Whether the field may be absent.
    pub optional: bool,
}

impl LiteralValue {
    /// A literal.
    ///
    /// # Errors
    /// The value is no string, float64, boolean or int64.
    pub fn new(value: Value) -> Result<LiteralValue, ValidatorError> {
        match value {
            Value::String(_) | Value::Float64(_) | Value::Boolean(_) | Value::Int64(_) => {
                Ok(LiteralValue(value))
            }
            _ => Err(ValidatorError::Literal),
        }
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

impl RecordValidator {
    /// A record.
    ///
    /// # Errors
    /// The keys are no subtype of string, or string literals.
    pub fn new(keys: Validator, values: Validator) -> Result<RecordValidator, ValidatorError> {
        check_record_keys(&keys)?;
        Ok(RecordValidator { keys, values })
    }

    /// What names must be.
    pub fn keys(&self) -> &Validator {
        &self.keys
    }

    /// What values must be.
    pub fn values(&self) -> &Validator {
        &self.values
    }
}

fn check_record_keys(keys: &Validator) -> Result<(), ValidatorError> {
    match keys {
        Validator::String | Validator::Id(_) => Ok(()),
        Validator::Union(members) => members.iter().try_for_each(check_record_keys),
        Validator::Literal(literal) if literal.value().as_str().is_some() => {
            Err(ValidatorError::RecordLiteralKeys)
        }
        _ => Err(ValidatorError::RecordKeys),
    }
}

impl FieldValidator {
    /// A field that must be present.
    pub fn required(validator: Validator) -> FieldValidator {
        FieldValidator { validator, optional: false }
    }

    /// A field that may be absent.
    pub fn optional(validator: Validator) -> FieldValidator {
        FieldValidator { validator, optional: true }
    }
}

impl Validator {
    /// An object validator from pairs of name and field.
    pub fn object<K: Into<String>>(fields: impl IntoIterator<Item = (K, FieldValidator)>) -> Validator {
        Validator::Object(fields.into_iter().map(|(name, field)| (name.into(), field)).collect())
    }

    /// Whether ids of `table` are accepted somewhere.
    pub fn mentions_id_of(&self, table: &TableName) -> bool {
        match self {
            Validator::Id(mentioned) => mentioned == table,
            Validator::Array(element) => element.mentions_id_of(table),
            Validator::Record(record) => {
                record.keys.mentions_id_of(table) || record.values.mentions_id_of(table)
            }
            Validator::Object(fields) => fields.values().any(|field| field.validator.mentions_id_of(table)),
            Validator::Union(members) => members.iter().any(|member| member.mentions_id_of(table)),
            _ => false,
        }
    }

    /// Whether checks need [`TableNames`](crate::validator::TableNames): an id occurs somewhere.
    pub fn mentions_ids(&self) -> bool {
        match self {
            Validator::Id(_) => true,
            Validator::Array(element) => element.mentions_ids(),
            Validator::Record(record) => record.keys.mentions_ids() || record.values.mentions_ids(),
            Validator::Object(fields) => fields.values().any(|field| field.validator.mentions_ids()),
            Validator::Union(members) => members.iter().any(Validator::mentions_ids),
            _ => false,
        }
    }
}
