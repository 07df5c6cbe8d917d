//! Checking values against validators.
//!
//! Two walks with one meaning: [`accepts`] answers yes or no without allocating and decides every check; [`explain`]
//! runs only on what was refused and words the first problem.

use crate::document_id::DocumentId;
use crate::excerpt::{excerpt, excerpt_object};
use crate::name::TableName;
use crate::object::Object;
use crate::validator::{
    ObjectValidator, PathSegment, TableNames, ValidationError, ValidationProblem, Validator,
};
use crate::value::Value;

impl Validator {
    /// Checks `value`; ids are looked up in `tables`.
    ///
    /// # Errors
    /// The first problem: in an object declared fields in order of their names, then extra ones; of a union with
    /// one member that member's problem, of others only that none fits.
    pub fn check(&self, value: &Value, tables: &dyn TableNames) -> Result<(), ValidationError> {
        if accepts(self, value, tables) {
            return Ok(());
        }
        explain(self, value, tables)?;
        Err(mismatch(self, value))
    }

    /// Whether [`Validator::check`] would pass.
    pub fn accepts(&self, value: &Value, tables: &dyn TableNames) -> bool {
        accepts(self, value, tables)
    }
}

fn accepts(validator: &Validator, value: &Value, tables: &dyn TableNames) -> bool {
    match (validator, value) {
        (Validator::Any, _)
        | (Validator::Null, Value::Null)
        | (Validator::Int64 | Validator::CommitTs, Value::Int64(_) | Value::CommitTs)
        | (Validator::Float64, Value::Float64(_))
        | (Validator::Boolean, Value::Boolean(_))
        | (Validator::String, Value::String(_))
        | (Validator::Bytes, Value::Bytes(_)) => true,
        (Validator::Literal(literal), value) => literal.value() == value,
        (Validator::Id(table), Value::String(text)) => {
            matches!(look_up(table, text, tables), IdMatch::Wanted)
        }
        (Validator::Array(element), Value::Array(elements)) => {
            elements.iter().all(|value| accepts(element, value, tables))
        }
        (Validator::Record(record), Value::Object(object)) => object.iter().all(|(name, value)| {
            accepts_key(record.keys(), name, tables) && accepts(record.values(), value, tables)
        }),
        (Validator::Object(fields), Value::Object(object)) => accepts_fields(fields, object.iter(), tables),
        (Validator::Union(members), value) => members.iter().any(|member| accepts(member, value, tables)),
        _ => false,
    }
}

/// Whether an object's fields, in order of their names, are what `fields` wants.
pub(super) fn accepts_fields<'a>(
    fields: &ObjectValidator,
    object: impl Iterator<Item = (&'a str, &'a Value)>,
    tables: &dyn TableNames,
) -> bool {
    let mut object = object.peekable();
    for (name, field) in fields {
        match object.next_if(|(present, _)| *present == name) {
            Some((_, value)) => {
                if !accepts(&field.validator, value, tables) {
                    return false;
                }
            }
            // The next field present is an extra one (found again by the next declared field, or at the end), or
            // this one is absent.
            None => {
                if !field.optional {
                    return false;
                }
            }
        }
    }
    object.next().is_none()
}

/// Whether `name` is a key of a record with such `keys`, without making a value of it.
fn accepts_key(keys: &Validator, name: &str, tables: &dyn TableNames) -> bool {
    match keys {
        Validator::String => true,
        Validator::Id(table) => matches!(look_up(table, name, tables), IdMatch::Wanted),
        Validator::Union(members) => members.iter().any(|member| accepts_key(member, name, tables)),
        // `RecordValidator::new` lets no other keys in.
        _ => false,
    }
}

/// What a string is to an id validator.
enum IdMatch {
    Wanted,
    OtherTable(TableName),
    SystemTable,
    NoId,
}

fn look_up(wanted: &TableName, text: &str, tables: &dyn TableNames) -> IdMatch {
    let Some(table) = DocumentId::decode(text).ok().and_then(|id| tables.name_of(id.table)) else {
        return IdMatch::NoId;
    };
    if table.name == *wanted {
        IdMatch::Wanted
    } else if table.is_system {
        IdMatch::SystemTable
    } else {
        IdMatch::OtherTable(table.name)
    }
}

fn mismatch(validator: &Validator, value: &Value) -> ValidationError {
    ValidationError::new(ValidationProblem::Mismatch {
        value: excerpt(value),
        validator: validator.to_string(),
    })
}

/// Finds the first problem of a value that [`accepts`] refuses; passes exactly what it accepts.
fn explain(validator: &Validator, value: &Value, tables: &dyn TableNames) -> Result<(), ValidationError> {
    match (validator, value) {
        (Validator::Literal(literal), value) if literal.value() != value => {
            Err(ValidationError::new(ValidationProblem::Literal {
                value: excerpt(value),
                validator: validator.to_string(),
            }))
        }
        (Validator::Id(table), Value::String(text)) => {
            let problem = match look_up(table, text, tables) {
                IdMatch::Wanted => return Ok(()),
                IdMatch::NoId => return Err(mismatch(validator, value)),
                IdMatch::OtherTable(table) => ValidationProblem::OtherTable {
                    id: text.clone(),
                    table: table.to_string(),
                    validator: validator.to_string(),
                },
                IdMatch::SystemTable => {
                    ValidationProblem::SystemTable { id: text.clone(), validator: validator.to_string() }
                }
            };
            Err(ValidationError::new(problem))
        }
        (Validator::Array(element), Value::Array(elements)) => {
            for (i, value) in elements.iter().enumerate() {
                explain(element, value, tables).map_err(|error| error.inside(PathSegment::Index(i)))?;
            }
            Ok(())
        }
        (Validator::Record(record), Value::Object(object)) => {
            for (name, value) in object {
                explain(record.keys(), &Value::String(name.to_owned()), tables)
                    .map_err(|error| error.inside(PathSegment::Keys))?;
                explain(record.values(), value, tables).map_err(|error| error.inside(PathSegment::Values))?;
            }
            Ok(())
        }
        (Validator::Object(fields), Value::Object(object)) => {
            explain_fields(validator, fields, object, tables)
        }
        (Validator::Union(members), value) => match members.as_slice() {
            [member] => explain(member, value, tables),
            _ if accepts(validator, value, tables) => Ok(()),
            _ => Err(mismatch(validator, value)),
        },
        _ if accepts(validator, value, tables) => Ok(()),
        _ => Err(mismatch(validator, value)),
    }
}

fn explain_fields(
    validator: &Validator,
    fields: &ObjectValidator,
    object: &Object,
    tables: &dyn TableNames,
) -> Result<(), ValidationError> {
    for (name, field) in fields {
        match object.get(name) {
            Some(value) => explain(&field.validator, value, tables)
                .map_err(|error| error.inside(PathSegment::Field(name.clone())))?,
            None if field.optional => {}
            None => {
                return Err(ValidationError::new(ValidationProblem::MissingField {
                    field: name.clone(),
                    object: excerpt_object(object),
                    validator: validator.to_string(),
                }));
            }
        }
    }
    match object.keys().find(|name| !fields.contains_key(*name)) {
        None => Ok(()),
        Some(extra) => Err(ValidationError::new(ValidationProblem::ExtraField {
            field: extra.to_owned(),
            object: excerpt_object(object),
            validator: validator.to_string(),
        })),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
