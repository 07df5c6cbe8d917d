//! Which tables and indexes exist.
//!
//! A catalog is an immutable value, versioned along with the data: every transaction sees the one of its snapshot plus
//! its own changes. It is derived from the rows of `_tables` and `_index` and never from anything else.

mod index;
mod rows;
pub(crate) mod system_tables;
mod table;
pub(crate) mod text_keys;

use std::sync::Arc;

use freshet_store::{IndexId, TableId};
use freshet_values::validator::{TableNames, TableRef};
use freshet_values::{IndexName, TableName, TableNumber};
use imbl::{HashMap, OrdMap};

use crate::document::Document;
use crate::error::SystemError;
use crate::namespace::Namespace;

pub(crate) use index::by_id_key;
pub use index::{IndexMeta, IndexSpec, IndexState};
pub(crate) use rows::{index_row, table_row, was_enabled};
pub use table::{TableMeta, TableState};

/// All tables and indexes as of one moment.
#[derive(Clone, Debug)]
pub struct Catalog {
    tables: OrdMap<TableId, Arc<TableMeta>>,
    by_name: HashMap<(Namespace, TableName), TableId>,
    by_number: HashMap<(Namespace, TableNumber), TableId>,
    /// Indexes of each table: the built-in ones first.
    indexes: HashMap<TableId, Arc<Vec<Arc<IndexMeta>>>>,
    index_tables: HashMap<IndexId, TableId>,
    /// Live tables of user data, counted as they come and go.
    user_tables: usize,
    /// Below these, all numbers of a namespace's user tables are taken: making many tables does not search from the
    /// beginning each time.
    numbers_taken_below: HashMap<Namespace, u32>,
}

impl Catalog {
    /// The catalog of an empty database: the two tables that describe all others.
    pub(crate) fn bootstrap() -> Catalog {
        let mut catalog = Catalog {
            tables: OrdMap::new(),
            by_name: HashMap::new(),
            by_number: HashMap::new(),
            indexes: HashMap::new(),
            index_tables: HashMap::new(),
            user_tables: 0,
            numbers_taken_below: HashMap::new(),
        };
        for (table, indexes) in system_tables::bootstrap() {
            let id = table.id;
            catalog.add_table(table);
            for index in indexes {
                catalog.put_index(id, index);
            }
        }
        catalog
    }

    /// A live table by name.
    #[must_use]
    pub fn table_by_name(&self, namespace: Namespace, name: &TableName) -> Option<&Arc<TableMeta>> {
        self.by_name.get(&(namespace, name.clone())).and_then(|id| self.tables.get(id))
    }

    /// A live table by the number in its documents' ids.
    #[must_use]
    pub fn table_by_number(&self, namespace: Namespace, number: TableNumber) -> Option<&Arc<TableMeta>> {
        self.by_number.get(&(namespace, number)).and_then(|id| self.tables.get(id))
    }

    /// A table by its internal number, also one that is being deleted.
    #[must_use]
    pub fn table(&self, id: TableId) -> Option<&Arc<TableMeta>> {
        self.tables.get(&id)
    }

    /// All tables, also those that are being deleted, in the order of their creation.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableMeta>> {
        self.tables.values()
    }

    /// All indexes of a table, the built-in ones first.
    #[must_use]
    pub fn indexes(&self, table: TableId) -> &[Arc<IndexMeta>] {
        self.indexes.get(&table).map_or(&[], |indexes| indexes)
    }

    /// An index by its internal number.
    #[must_use]
    pub fn index(&self, id: IndexId) -> Option<&Arc<IndexMeta>> {
        let table = self.index_tables.get(&id)?;
        self.indexes(*table).iter().find(|index| index.id == id)
    }

    /// An index that queries by this name use: the enabled one, or else the newest that is not being dropped (while an
    /// index is replaced, two have the same name).
    #[must_use]
    pub fn index_by_name(&self, table: TableId, name: &IndexName) -> Option<&Arc<IndexMeta>> {
        let named = || self.indexes(table).iter().filter(|index| index.name == *name);
        named()
            .find(|index| index.state == IndexState::Enabled && !index.staged)
            .or_else(|| named().rfind(|index| index.state != IndexState::Deleting))
    }

    /// Indexes that writes keep up to date here, but not in another catalog.
    pub(crate) fn maintained_unlike(&self, other: &Catalog) -> Vec<IndexId> {
        self.indexes
            .values()
            .flat_map(|indexes| indexes.iter().filter(|index| index.is_maintained()))
            .map(|index| index.id)
            .filter(|id| !other.index(*id).is_some_and(|index| index.is_maintained()))
            .collect()
    }

    /// The table that an index belongs to.
    #[must_use]
    pub fn table_of_index(&self, index: IndexId) -> Option<&Arc<TableMeta>> {
        self.index_tables.get(&index).and_then(|table| self.tables.get(table))
    }

    /// Number of tables of user data in all namespaces.
    #[must_use]
    pub fn user_tables(&self) -> usize {
        self.user_tables
    }

    /// Table names of one namespace, for printing ids in messages.
    #[must_use]
    pub fn names(&self, namespace: Namespace) -> NamespaceNames<'_> {
        NamespaceNames { catalog: self, namespace }
    }

    /// Follows a write to `_tables` or `_index`; writes to other tables change nothing.
    pub(crate) fn apply(
        &mut self,
        table: TableId,
        old: Option<&Document>,
        new: Option<&Document>,
    ) -> Result<(), SystemError> {
        if table == system_tables::TABLES {
            if let Some(old) = old {
                self.remove_table(rows::table(old)?.id);
            }
            if let Some(new) = new {
                self.add_table(rows::table(new)?);
            } else if let Some(old) = old {
                for index in
                    self.indexes.remove(&rows::table(old)?.id).iter().flat_map(|indexes| indexes.iter())
                {
                    self.index_tables.remove(&index.id);
                }
            }
        } else if table == system_tables::INDEX {
            if let Some(old) = old {
                let (table, index) = rows::index(old)?;
                self.remove_index(table, index.id);
            }
            if let Some(new) = new {
                let (table, index) = rows::index(new)?;
                self.put_index(table, index);
            }
        }
        Ok(())
    }

    fn add_table(&mut self, table: TableMeta) {
        let id = table.id;
        // A row that changes was removed just before; what was declared on the table stays.
        let declared: Vec<Arc<IndexMeta>> =
            self.indexes(id).iter().filter(|index| index.row.is_some()).cloned().collect();
        let built_in = index::built_in(&table).map(Arc::new);
        for index in &built_in {
            self.index_tables.insert(index.id, id);
        }
        self.indexes.insert(id, Arc::new(built_in.into_iter().chain(declared).collect()));
        if table.state == TableState::Active {
            self.by_name.insert((table.namespace, table.name.clone()), id);
            self.by_number.insert((table.namespace, table.number), id);
            self.user_tables += usize::from(!table.name.is_system());
            let below = self.numbers_taken_below.get(&table.namespace).copied().unwrap_or(FIRST_USER_TABLE);
            if table.number.0 == below {
                self.numbers_taken_below.insert(table.namespace, below + 1);
            }
        }
        self.tables.insert(id, Arc::new(table));
    }

    fn remove_table(&mut self, id: TableId) {
        let Some(table) = self.tables.remove(&id) else { return };
        let name = (table.namespace, table.name.clone());
        if self.by_name.get(&name) == Some(&id) {
            self.by_name.remove(&name);
        }
        let number = (table.namespace, table.number);
        if self.by_number.get(&number) == Some(&id) {
            self.by_number.remove(&number);
            if let Some(below) = self.numbers_taken_below.get_mut(&table.namespace) {
                *below = (*below).min(table.number.0.max(FIRST_USER_TABLE));
            }
        }
        if table.state == TableState::Active {
            self.user_tables -= usize::from(!table.name.is_system());
        }
    }

    fn put_index(&mut self, table: TableId, index: IndexMeta) {
        self.index_tables.insert(index.id, table);
        let indexes = Arc::make_mut(self.indexes.entry(table).or_default());
        match indexes.iter_mut().find(|other| other.id == index.id) {
            Some(other) => *other = Arc::new(index),
            None => indexes.push(Arc::new(index)),
        }
    }

    fn remove_index(&mut self, table: TableId, id: IndexId) {
        self.index_tables.remove(&id);
        if let Some(indexes) = self.indexes.get_mut(&table) {
            Arc::make_mut(indexes).retain(|index| index.id != id);
        }
    }

    /// The smallest free number for a new table.
    pub(crate) fn free_number(&self, namespace: Namespace, name: &TableName) -> TableNumber {
        let preferred = system_tables::number(name);
        let free = |number: &TableNumber| !self.by_number.contains_key(&(namespace, *number));
        let taken_below = self.numbers_taken_below.get(&namespace).copied().unwrap_or(FIRST_USER_TABLE);
        let first = if name.is_system() { system_tables::FIRST_FREE_NUMBER } else { taken_below };
        preferred
            .filter(free)
            .or_else(|| (first..).map(TableNumber).find(free))
            .expect("there are fewer tables than numbers")
    }
}

/// Numbers of user tables begin here.
const FIRST_USER_TABLE: u32 = 10_001;

/// Names of the tables of one namespace.
#[derive(Clone, Copy, Debug)]
pub struct NamespaceNames<'a> {
    catalog: &'a Catalog,
    namespace: Namespace,
}

impl TableNames for NamespaceNames<'_> {
    fn name_of(&self, number: TableNumber) -> Option<TableRef> {
        let table = self.catalog.table_by_number(self.namespace, number)?;
        Some(TableRef {
            name: crate::virtual_tables::public_name(&table.name).clone(),
            is_system: table.name.is_system(),
        })
    }
}
