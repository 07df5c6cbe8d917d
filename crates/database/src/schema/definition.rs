//! What a schema says: tables, their document types and their indexes.
//!
//! Values of these types have passed every rule; [`super::parse`] is the only way to make them from outside.

use std::collections::BTreeMap;

use freshet_values::validator::DocumentValidator;
use freshet_values::{IndexName, TableName};

use crate::catalog::IndexSpec;

/// The field that every database index ends with, and that a schema must not list itself.
pub const CREATION_TIME: &str = "_creationTime";

/// One version of an app's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaDefinition {
    /// Tables by name.
    pub tables: BTreeMap<TableName, TableDefinition>,
    /// Whether documents are checked at all. Indexes apply in any case.
    pub schema_validation: bool,
}

/// One table of a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct TableDefinition {
    /// Indexes of every kind by name, staged ones included.
    pub indexes: BTreeMap<IndexName, IndexDefinition>,
    /// What documents have to look like.
    pub documents: DocumentValidator,
}

/// One index of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDefinition {
    /// What is indexed; filter fields in ascending order.
    pub spec: IndexSpec,
    /// Built and kept up to date, but not to be queried yet.
    pub staged: bool,
}

impl SchemaDefinition {
    /// All indexes with their tables.
    pub fn indexes(&self) -> impl Iterator<Item = (&TableName, &IndexName, &IndexDefinition)> {
        self.tables.iter().flat_map(|(table_name, table)| {
            table.indexes.iter().map(move |(index_name, index)| (table_name, index_name, index))
        })
    }

    /// The index of this name.
    pub fn index(&self, table: &str, index: &str) -> Option<&IndexDefinition> {
        self.tables.get(table)?.indexes.get(index)
    }

    /// What documents of `table` must look like, if anything is asked of them.
    pub fn enforced(&self, table: &str) -> Option<&DocumentValidator> {
        if !self.schema_validation {
            return None;
        }
        self.tables.get(table).map(|table| &table.documents)
    }
}
