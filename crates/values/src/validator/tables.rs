//! [`TableNames`]: how validators learn which table an id belongs to.

use crate::document_id::TableNumber;
use crate::name::TableName;

/// A table as ids see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRef {
    /// The table's name; for a virtual table the name that users know.
    pub name: TableName,
    /// Whether it is a system table, virtual ones included.
    pub is_system: bool,
}

impl TableRef {
    /// The table of that name; a leading underscore makes it a system table.
    pub fn new(name: TableName) -> TableRef {
        TableRef { is_system: name.is_system(), name }
    }
}

/// The table numbers of one component.
pub trait TableNames {
    /// The table of that number now, if there is one.
    fn name_of(&self, number: TableNumber) -> Option<TableRef>;
}

/// No tables at all: for validators that cannot mention ids.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTables;

impl TableNames for NoTables {
    fn name_of(&self, _: TableNumber) -> Option<TableRef> {
        None
    }
}
