//! Enforcement of schemas: the seam between transactions and whatever interprets `_schemas` rows.
//!
//! Never reads or writes the database by itself: transactions call it with what they are about to write.

use std::sync::Arc;

use freshet_values::validator::TableNames;
use freshet_values::{DocumentId, Object, TableName};

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
    let _ = rows;
    Arc::new(NoSchema)
}

/// Accepts everything.
struct NoSchema;

impl SchemaEnforcer for NoSchema {
    fn check_write(
        &self,
        _namespace: Namespace,
        _table: &TableName,
        _old: Option<&Object>,
        _new: &Object,
        _tables: &dyn TableNames,
    ) -> Result<(), String> {
        Ok(())
    }

    fn pending_violation(
        &self,
        _namespace: Namespace,
        _table: &TableName,
        _new: &Object,
        _tables: &dyn TableNames,
    ) -> Option<PendingViolation> {
        None
    }
}
