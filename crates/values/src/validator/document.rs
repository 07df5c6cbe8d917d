//! [`DocumentValidator`]: what the documents of a table must look like.
//!
//! System fields (a leading underscore) are the database's own business: they are dropped from the validator, and
//! skipped in documents.

use crate::object::Object;
use crate::validator::check::accepts_fields;
use crate::validator::{TableNames, ValidationError, Validator, ValidatorError};
use crate::value::Value;

/// An object validator, a union of them, or any; without system fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentValidator(Validator);

impl DocumentValidator {
    /// A table's validator as its schema declares it.
    ///
    /// # Errors
    /// Documents cannot be what it describes: it is no object, union of objects, or any.
    pub fn new(validator: Validator) -> Result<DocumentValidator, ValidatorError> {
        without_system_fields(validator, true).map(DocumentValidator)
    }

    /// The validator, without system fields.
    pub fn validator(&self) -> &Validator {
        &self.0
    }

    /// Checks a document; its system fields are neither checked nor shown.
    ///
    /// # Errors
    /// The first problem, as of [`Validator::check`].
    pub fn check(&self, document: &Object, tables: &dyn TableNames) -> Result<(), ValidationError> {
        if accepts_document(&self.0, document, tables) {
            return Ok(());
        }
        let shown: Object = user_fields(document).map(|(name, value)| (name, value.clone())).collect();
        self.0.check(&Value::Object(shown), tables)
    }

    /// Whether every document that `other` accepts is accepted; see [`Validator::is_superset_of`].
    pub fn is_superset_of(&self, other: &DocumentValidator) -> bool {
        self.0.is_superset_of(&other.0)
    }
}

fn user_fields(document: &Object) -> impl Iterator<Item = (&str, &Value)> {
    document.iter().filter(|(name, _)| !name.starts_with('_'))
}

fn accepts_document(validator: &Validator, document: &Object, tables: &dyn TableNames) -> bool {
    match validator {
        Validator::Any => true,
        Validator::Object(fields) => accepts_fields(fields, user_fields(document), tables),
        Validator::Union(members) => members.iter().any(|member| accepts_document(member, document, tables)),
        _ => false,
    }
}

fn without_system_fields(validator: Validator, any_allowed: bool) -> Result<Validator, ValidatorError> {
    match validator {
        Validator::Any if any_allowed => Ok(Validator::Any),
        Validator::Object(mut fields) => {
            fields.retain(|name, _| !name.starts_with('_'));
            Ok(Validator::Object(fields))
        }
        Validator::Union(members) => {
            let members = members.into_iter().map(|member| without_system_fields(member, false));
            Ok(Validator::Union(members.collect::<Result<_, _>>()?))
        }
        _ => Err(ValidatorError::Document),
    }
}
