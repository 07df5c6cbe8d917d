//! Checking what is written against the schemas that are in force or about to be.
//!
//! Never reads or writes the database by itself: transactions call it with what they are about to write.

use std::collections::HashMap;
use std::sync::Arc;

use freshet_values::validator::TableNames;
use freshet_values::{DocumentId, Object, TableName};

use super::definition::SchemaDefinition;
use super::row::{SchemaRow, SchemaState};
use crate::document::Document;
use crate::namespace::Namespace;

/// A pending or validated schema that a write does not match: the schema fails, not the write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingViolation {
    /// The row of the schema in `_schemas`.
    pub schema: DocumentId,
    /// The whole error text, `New document in table ...`.
    pub error: String,
    /// The table of the offending document.
    pub table: TableName,
}

/// The schemas of all namespaces as of one moment.
///
/// Objects are passed as stored, with `_id` and `_creationTime`; implementations look past fields that start with `_`.
pub trait SchemaEnforcer: Send + Sync {
    /// Checks a document against the active schema.
    ///
    /// # Errors
    /// The validation error, `{E}` of the documented text, without any prefix.
    fn check_write(
        &self,
        namespace: Namespace,
        table: &TableName,
        old: Option<&Object>,
        new: &Object,
        tables: &dyn TableNames,
    ) -> Result<(), String>;

    /// The schema under construction that this document violates, if any.
    fn pending_violation(
        &self,
        namespace: Namespace,
        table: &TableName,
        new: &Object,
        tables: &dyn TableNames,
    ) -> Option<PendingViolation>;
}

/// Makes the enforcer from the `_schemas` rows in state pending, validated or active.
#[must_use]
pub fn compile(rows: &[(Namespace, Arc<Document>)]) -> Arc<dyn SchemaEnforcer> {
    let mut compiled = CompiledSchemas::default();
    for (namespace, document) in rows {
        compiled.add(*namespace, document);
    }
    Arc::new(compiled)
}

#[derive(Default)]
struct CompiledSchemas {
    active: HashMap<Namespace, Active>,
    in_progress: HashMap<Namespace, (DocumentId, SchemaDefinition)>,
}

enum Active {
    Readable(SchemaDefinition),
    /// The stored text does not parse. Accepting writes would let in what the app's schema forbids.
    Unreadable(String),
}

impl CompiledSchemas {
    fn add(&mut self, namespace: Namespace, document: &Document) {
        let read = SchemaRow::read(document).map_err(|error| error.to_string());
        match read {
            Ok(SchemaRow { id, state, json }) => match (state, super::parse_stored(&json)) {
                (SchemaState::Active, Ok(schema)) => {
                    self.active.insert(namespace, Active::Readable(schema));
                }
                (SchemaState::Active, Err(error)) => self.refuse(namespace, &error.to_string()),
                (SchemaState::Pending | SchemaState::Validated, Ok(schema)) => {
                    self.in_progress.insert(namespace, (id, schema));
                }
                (SchemaState::Pending | SchemaState::Validated, Err(error)) => {
                    tracing::error!(%error, schema = %id, "a pending schema cannot be read");
                }
                (SchemaState::Failed { .. } | SchemaState::Overwritten, _) => {}
            },
            Err(error) => self.refuse(namespace, &error),
        }
    }

    fn refuse(&mut self, namespace: Namespace, error: &str) {
        tracing::error!(%error, %namespace, "the schema cannot be read; writes are refused");
        self.active.insert(namespace, Active::Unreadable(error.to_owned()));
    }
}

impl SchemaEnforcer for CompiledSchemas {
    fn check_write(
        &self,
        namespace: Namespace,
        table: &TableName,
        _old: Option<&Object>,
        new: &Object,
        tables: &dyn TableNames,
    ) -> Result<(), String> {
        match self.active.get(&namespace) {
            None => Ok(()),
            Some(Active::Unreadable(error)) => Err(format!("the stored schema cannot be read ({error}).")),
            Some(Active::Readable(schema)) => match schema.enforced(table) {
                None => Ok(()),
                Some(documents) => documents.check(new, tables).map_err(|error| error.to_string()),
            },
        }
    }

    fn pending_violation(
        &self,
        namespace: Namespace,
        table: &TableName,
        new: &Object,
        tables: &dyn TableNames,
    ) -> Option<PendingViolation> {
        let (id, schema) = self.in_progress.get(&namespace)?;
        let error = schema.enforced(table)?.check(new, tables).err()?;
        Some(PendingViolation {
            schema: *id,
            error: format!("New document in table \"{table}\" does not match the schema: {error}"),
            table: table.clone(),
        })
    }
}
