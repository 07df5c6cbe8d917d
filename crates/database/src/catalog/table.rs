//! What is known of a table.

use freshet_store::{IndexId, TableId};
use freshet_values::{DocumentId, TableName, TableNumber};

use crate::namespace::Namespace;

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableMeta {
    /// Internal number.
    pub id: TableId,
    /// The number in its documents' ids; unique within the namespace.
    pub number: TableNumber,
    /// The namespace.
    pub namespace: Namespace,
    /// The name.
    pub name: TableName,
    /// Whether it can be used.
    pub state: TableState,
    /// The index of ids.
    pub by_id: IndexId,
    /// The index of creation times.
    pub by_creation_time: IndexId,
    /// Its row in `_tables`; the tables that describe all others have none.
    pub row: Option<DocumentId>,
}

/// The life of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableState {
    /// In use.
    Active,
    /// Gone for everybody; its documents are being removed.
    Deleting,
}
