//! Making, enabling and dropping tables and indexes. What takes long is done by `maintenance`.

use std::sync::Arc;

use freshet_search::text::Corpus;
use freshet_store::IndexId;
use freshet_values::{IndexName, KeyInterval, Object, TableName, TableNumber};

use super::Transaction;
use super::rows::Counted;
use crate::catalog::system_tables::{INDEX, TABLES};
use crate::catalog::{
    IndexMeta, IndexSpec, IndexState, TableMeta, TableState, index_row, table_row, was_enabled,
};
use crate::commit::prepare::view;
use crate::document::Document;
use crate::error::{DatabaseError, SystemError};
use crate::namespace::Namespace;

/// Keys that are looked at in one step.
const COUNT_CHUNK: usize = 4096;

/// How far an index is.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexProgress {
    /// The namespace.
    pub namespace: Namespace,
    /// The table.
    pub table: TableName,
    /// The index.
    pub index: Arc<IndexMeta>,
}

impl Transaction {
    /// Declares an index; existing documents are added in the background after the commit. An index of the same name stays
    /// in use until it is dropped.
    ///
    /// # Errors
    /// A storage failure.
    pub fn create_index(
        &mut self,
        namespace: Namespace,
        table: &TableName,
        name: &IndexName,
        spec: IndexSpec,
        staged: bool,
    ) -> Result<IndexId, DatabaseError> {
        let table = self.ensure_table(namespace, table)?;
        let state = if self.count_rows(&table) > 0 {
            IndexState::Backfilling
        } else {
            // Nothing has to be added as long as the table stays empty.
            self.record(table.by_id, &KeyInterval::all(), false);
            IndexState::Backfilled
        };
        self.insert_index(&table, name, spec, state, staged)
    }

    pub(super) fn insert_index(
        &mut self,
        table: &TableMeta,
        name: &IndexName,
        spec: IndexSpec,
        state: IndexState,
        staged: bool,
    ) -> Result<IndexId, DatabaseError> {
        let id = self.shared.new_index_number()?;
        self.numbered = true;
        self.find_index(table, name);
        let index = IndexMeta { id, name: name.clone(), spec, fields: Vec::new(), state, staged, row: None };
        self.insert_row(&self.bootstrap_table(INDEX), index_row(table.id, &index))?;
        Ok(id)
    }

    /// Lets queries use an index that is complete; it is not staged any more.
    ///
    /// # Errors
    /// [`SystemError::Defect`] if there is no such index or it is not complete.
    pub fn enable_index(&mut self, id: IndexId) -> Result<(), DatabaseError> {
        self.change_index(id, |index| {
            if !matches!(index.state, IndexState::Backfilled | IndexState::Enabled) {
                return Err(SystemError::Defect(format!("index {} is not complete", index.name)));
            }
            index.state = IndexState::Enabled;
            index.staged = false;
            Ok(())
        })
    }

    /// Takes an index out of use, or declares that it will be used, without touching its entries.
    ///
    /// # Errors
    /// [`SystemError::Defect`] if there is no such index.
    pub fn set_index_staged(&mut self, id: IndexId, staged: bool) -> Result<(), DatabaseError> {
        self.change_index(id, |index| {
            index.staged = staged;
            if staged && index.state == IndexState::Enabled {
                index.state = IndexState::Backfilled;
            }
            Ok(())
        })
    }

    /// Notes that all existing documents are in an index.
    pub(crate) fn complete_index(&mut self, id: IndexId) -> Result<(), DatabaseError> {
        let row = self.catalog.index(id).and_then(|index| index.row);
        let was_enabled = match row {
            Some(row) => {
                let old = self.read_row(&self.bootstrap_table(INDEX), row.internal, Counted::Nothing)?;
                old.is_some_and(|row| was_enabled(&row).unwrap_or(false))
            }
            None => false,
        };
        self.change_index(id, |index| {
            if index.state == IndexState::Backfilling {
                index.state = if was_enabled { IndexState::Enabled } else { IndexState::Backfilled };
            }
            Ok(())
        })
    }

    /// Counts the documents and words of a search index that has all entries, so that its statistics are there when it is
    /// complete.
    pub(crate) fn count_corpus(&mut self, index: &IndexMeta) -> Result<(), SystemError> {
        let mut corpus = Corpus::default();
        let IndexSpec::Search { .. } = &index.spec else { return Ok(()) };
        // The entries of documents come before those of all terms.
        let mut rest = Some(KeyInterval { start: vec![0], end: Some(vec![1]) });
        while let Some(interval) = rest {
            let (keys, behind) = self.load_keys(index.id, &interval, COUNT_CHUNK)?;
            for key in keys.iter() {
                let one = index.corpus_of_entry(key).unwrap_or_default();
                corpus = corpus.changed(one, Corpus::default());
            }
            rest = behind;
        }
        self.set_corpus(index.id, corpus);
        Ok(())
    }

    /// Drops an index: it is gone for queries at once, its entries are removed in the background.
    ///
    /// # Errors
    /// [`SystemError::Defect`] if there is no such index.
    pub fn drop_index(&mut self, id: IndexId) -> Result<(), DatabaseError> {
        self.change_index(id, |index| {
            index.state = IndexState::Deleting;
            Ok(())
        })
    }

    /// All declared indexes of a namespace that are not being dropped.
    #[must_use]
    pub fn index_states(&self, namespace: Namespace) -> Vec<IndexProgress> {
        let tables = self.catalog.tables().filter(|table| table.namespace == namespace);
        tables
            .flat_map(|table| {
                self.catalog
                    .indexes(table.id)
                    .iter()
                    .filter(|index| index.row.is_some() && index.state != IndexState::Deleting)
                    .map(|index| IndexProgress {
                        namespace,
                        table: table.name.clone(),
                        index: Arc::clone(index),
                    })
            })
            .collect()
    }

    /// Makes a table if it does not exist.
    ///
    /// # Errors
    /// `TooManyTables`, or a storage failure.
    pub fn create_table_if_missing(
        &mut self,
        namespace: Namespace,
        name: &TableName,
    ) -> Result<Arc<TableMeta>, DatabaseError> {
        self.ensure_table(namespace, name)
    }

    /// Makes a table with a given number, for imports that keep ids. `None` if the name or the number is taken.
    ///
    /// # Errors
    /// `TooManyTables`, or a storage failure.
    pub fn create_table_numbered(
        &mut self,
        namespace: Namespace,
        name: &TableName,
        number: TableNumber,
    ) -> Result<Option<Arc<TableMeta>>, DatabaseError> {
        let taken =
            self.find_table(namespace, name).is_some() || self.find_number(namespace, number).is_some();
        if taken { Ok(None) } else { self.create_table(namespace, name, number).map(Some) }
    }

    /// Drops a table with its indexes; documents and entries are removed in the background. Returns whether it existed.
    ///
    /// # Errors
    /// A storage failure.
    pub fn drop_table(&mut self, namespace: Namespace, name: &TableName) -> Result<bool, DatabaseError> {
        let Some(table) = self.find_table(namespace, name) else { return Ok(false) };
        // In-flight writers depend on the name; so do in-flight readers.
        let indexes: Vec<IndexId> = self
            .catalog
            .indexes(table.id)
            .iter()
            .filter(|index| index.row.is_some())
            .map(|index| index.id)
            .collect();
        for index in indexes {
            self.drop_index(index)?;
        }
        self.change_table(&table, |table| table.state = TableState::Deleting)?;
        self.views.push(view(&table, false));
        Ok(true)
    }

    /// Removes the row of an index whose entries are gone.
    pub(crate) fn forget_index(&mut self, id: IndexId) -> Result<(), DatabaseError> {
        let Some(row) = self.catalog.index(id).and_then(|index| index.row) else { return Ok(()) };
        let table = self.bootstrap_table(INDEX);
        let old = self.read_row(&table, row.internal, Counted::Nothing)?;
        self.forgotten.push(id);
        self.write_row(&table, row.internal, old, None)
    }

    /// Removes the row of a table whose documents are gone.
    pub(crate) fn forget_table(&mut self, table: &TableMeta) -> Result<(), DatabaseError> {
        let Some(row) = table.row else { return Ok(()) };
        let tables = self.bootstrap_table(TABLES);
        let old = self.read_row(&tables, row.internal, Counted::Nothing)?;
        self.write_row(&tables, row.internal, old, None)
    }

    fn change_index(
        &mut self,
        id: IndexId,
        change: impl FnOnce(&mut IndexMeta) -> Result<(), SystemError>,
    ) -> Result<(), DatabaseError> {
        let missing = || SystemError::Defect(format!("there is no declared index {id}"));
        let table = self.catalog.table_of_index(id).map(|table| table.id).ok_or_else(missing)?;
        let mut index = self.catalog.index(id).map(|index| (**index).clone()).ok_or_else(missing)?;
        let row = index.row.ok_or_else(missing)?;
        change(&mut index)?;
        self.replace_fields(INDEX, row, index_row(table, &index))
    }

    fn change_table(
        &mut self,
        table: &TableMeta,
        change: impl FnOnce(&mut TableMeta),
    ) -> Result<(), DatabaseError> {
        let mut table = table.clone();
        let row =
            table.row.ok_or_else(|| SystemError::Defect(format!("table {} cannot change", table.name)))?;
        change(&mut table);
        self.replace_fields(TABLES, row, table_row(&table))
    }

    fn replace_fields(
        &mut self,
        table: freshet_store::TableId,
        row: freshet_values::DocumentId,
        fields: Object,
    ) -> Result<(), DatabaseError> {
        let table = self.bootstrap_table(table);
        let old = self
            .read_row(&table, row.internal, Counted::Nothing)?
            .ok_or_else(|| SystemError::Defect(format!("catalog row {row} is missing")))?;
        let mut object = fields;
        for field in ["_id", "_creationTime"] {
            if let Some(value) = old.object()?.get(field) {
                object.insert(field.to_owned(), value.clone());
            }
        }
        if object == *old.object()? {
            return Ok(());
        }
        let new = Arc::new(Document::new(row, object));
        self.write_row(&table, row.internal, Some(old), Some(new))
    }

    /// The number of documents of a table, pending writes included; records nothing.
    pub(super) fn count_rows(&self, table: &TableMeta) -> u64 {
        let stored = self.counts.get(&table.id).copied().unwrap_or(0);
        let pending = if self.is_tracked() { self.pending.count(table.id) } else { 0 };
        stored.saturating_add_signed(pending)
    }
}
