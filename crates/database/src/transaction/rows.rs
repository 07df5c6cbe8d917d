//! Reading and writing single documents, below all rules about who may do what.

use std::sync::Arc;

use freshet_store::TableId;
use freshet_values::{DocumentId, InternalId, KeyInterval, Object, TableName, Value};

use super::Transaction;
use super::names::SCHEMAS;
use super::pending::PendingChange;
use crate::catalog::system_tables::{self, INDEX, TABLES, TABLES_BY_ID};
use crate::catalog::{IndexState, TableMeta, TableState, by_id_key, table_row};
use crate::commit::keys::{KeyAllowance, Keyed, Keys};
use crate::commit::prepare::view;
use crate::document::Document;
use crate::error::{DatabaseError, DeveloperError, SystemError};
use crate::namespace::Namespace;

/// What of a read counts against the limits of app code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// The document and the interval.
    Read,
    /// The document alone: the write that it is read for has a limit of its own, beyond that of intervals.
    ForWrite,
    /// Nothing: the engine reads for itself.
    Nothing,
}

/// One version of a document that another takes the place of.
struct Change {
    internal: InternalId,
    old: Option<Arc<Document>>,
    new: Option<Arc<Document>>,
}

impl Transaction {
    /// A document by id, with its point in the read set.
    pub(super) fn read_row(
        &mut self,
        table: &TableMeta,
        internal: InternalId,
        counted: Counted,
    ) -> Result<Option<Arc<Document>>, DatabaseError> {
        let id = DocumentId::new(table.number, internal);
        #[cfg(test)]
        if self.shared.weakness.get() == crate::commit::weakness::Weakness::MissingDocuments
            && self.current(table, internal)?.is_none()
        {
            return Ok(None);
        }
        self.record(table.by_id, &KeyInterval::point(&by_id_key(id)), counted == Counted::Read);
        let document = self.current(table, internal)?;
        if counted != Counted::Nothing {
            if let Some(document) = &document {
                self.charge_row(document);
            }
            self.limits.check_reads(&self.usage())?;
        }
        Ok(document)
    }

    /// A document by id, without a trace.
    pub(super) fn current(
        &self,
        table: &TableMeta,
        internal: InternalId,
    ) -> Result<Option<Arc<Document>>, SystemError> {
        if self.is_tracked()
            && let Some(pending) = self.pending.get(table.id, internal)
        {
            return Ok(pending.clone());
        }
        self.view.get(table, internal)
    }

    /// Counts a row as read.
    pub(crate) fn charge_row(&mut self, row: &Document) {
        self.usage.documents_read += 1;
        self.usage.bytes_read += row.size();
    }

    /// Counts a document as written.
    ///
    /// # Errors
    /// When it is too much; then it must not be written.
    pub(super) fn charge_write(&mut self, bytes: u64) -> Result<(), DeveloperError> {
        self.usage.documents_written += 1;
        self.usage.bytes_written += bytes;
        self.limits.check_writes(&self.usage)
    }

    /// Replaces one version of a document by another, on behalf of the engine; `None` is absence.
    pub(super) fn write_row(
        &mut self,
        table: &TableMeta,
        internal: InternalId,
        old: Option<Arc<Document>>,
        new: Option<Arc<Document>>,
    ) -> Result<(), DatabaseError> {
        let change = Change { internal, old, new };
        let keys = self.make_keys(table, &change, &mut KeyAllowance::unlimited())?;
        let (old_keys, new_keys) = keys.expect("there is no limit");
        self.write_keyed(table, change, old_keys, new_keys)
    }

    /// The same on behalf of app code, which may make so many bytes of keys. To remove a document is only refused when there
    /// were too many before, or one that has got ever more indexes could stay for ever.
    ///
    /// # Errors
    /// When it is too much; then nothing is written.
    pub(super) fn write_user_row(
        &mut self,
        table: &TableMeta,
        internal: InternalId,
        old: Option<Arc<Document>>,
        new: Option<Arc<Document>>,
    ) -> Result<(), DatabaseError> {
        let mut allowance = match new {
            Some(_) => {
                KeyAllowance::of(self.limits.index_key_bytes.saturating_sub(self.usage.index_key_bytes))
            }
            None => KeyAllowance::unlimited(),
        };
        let change = Change { internal, old, new };
        let keys = self.make_keys(table, &change, &mut allowance)?;
        self.usage.index_key_bytes += allowance.used();
        match keys {
            Some((old_keys, new_keys)) => self.write_keyed(table, change, old_keys, new_keys),
            None => Err(self.limits.too_many_index_keys().into()),
        }
    }

    /// Keys of both versions; none when there are more than allowed.
    fn make_keys(
        &self,
        table: &TableMeta,
        change: &Change,
        allowance: &mut KeyAllowance,
    ) -> Result<Option<(Keys, Keys)>, SystemError> {
        let old_keys = match (self.pending.keys(table.id, change.internal), &change.old) {
            (Some(keys), _) => Some(keys.clone()),
            (None, Some(old)) => Keys::of(&self.catalog, table.id, old, None, allowance)?,
            (None, None) => Some(Keys::default()),
        };
        let Some(old_keys) = old_keys else { return Ok(None) };
        let other = change.old.as_deref().map(|document| Keyed { document, keys: &old_keys });
        let new_keys = match &change.new {
            Some(new) => Keys::of(&self.catalog, table.id, new, other, allowance)?,
            None => Some(Keys::default()),
        };
        Ok(new_keys.map(|new_keys| (old_keys, new_keys)))
    }

    fn write_keyed(
        &mut self,
        table: &TableMeta,
        Change { internal, old, new }: Change,
        old_keys: Keys,
        new_keys: Keys,
    ) -> Result<(), DatabaseError> {
        if !self.is_tracked() {
            return Err(SystemError::Defect("a query on a stale snapshot tried to write".to_owned()).into());
        }
        self.depend_on_definition(table.id);
        let indexes = self.catalog.indexes(table.id).iter().filter(|index| index.is_maintained());
        for (at, index) in indexes.enumerate() {
            if let Some(old) = &old {
                for key in old_keys.keys(at, index, old)?.as_slice() {
                    self.pending.put_entry(index.id, Arc::clone(key), None);
                }
            }
            if let Some(new) = &new {
                for key in new_keys.keys(at, index, new)?.as_slice() {
                    self.pending.put_entry(index.id, Arc::clone(key), Some(Arc::clone(new)));
                }
            }
        }
        self.schemas_written |= table.name == SCHEMAS;
        if table.id == TABLES || table.id == INDEX {
            Arc::make_mut(&mut self.catalog).apply(table.id, old.as_deref(), new.as_deref())?;
        }
        self.pending.put(table.id, internal, PendingChange { old, new, old_keys, new_keys });
        Ok(())
    }

    /// A new document with system fields of its own.
    pub(super) fn insert_row(
        &mut self,
        table: &TableMeta,
        fields: Object,
    ) -> Result<Arc<Document>, DatabaseError> {
        let id = self.new_id(table);
        let document = self.stamp(id, fields);
        self.write_row(table, id.internal, None, Some(Arc::clone(&document)))?;
        Ok(document)
    }

    pub(super) fn new_id(&self, table: &TableMeta) -> DocumentId {
        DocumentId::new(table.number, self.shared.new_internal_id())
    }

    /// Gives a new document its id and the next creation time.
    pub(super) fn stamp(&mut self, id: DocumentId, mut fields: Object) -> Arc<Document> {
        let time = self.next_creation_time;
        self.next_creation_time = time.next_up();
        fields.insert("_id".to_owned(), Value::String(id.to_string()));
        fields.insert("_creationTime".to_owned(), Value::Float64(time));
        Arc::new(Document::new(id, fields))
    }

    /// The table of this name, made if it does not exist, with the indexes that a system table has.
    pub(super) fn ensure_table(
        &mut self,
        namespace: Namespace,
        name: &TableName,
    ) -> Result<Arc<TableMeta>, DatabaseError> {
        if let Some(table) = self.find_table(namespace, name) {
            return Ok(table);
        }
        let number = self.catalog.free_number(namespace, name);
        self.create_table(namespace, name, number)
    }

    pub(super) fn create_table(
        &mut self,
        namespace: Namespace,
        name: &TableName,
        number: freshet_values::TableNumber,
    ) -> Result<Arc<TableMeta>, DatabaseError> {
        if !name.is_system() && self.catalog.user_tables() >= self.shared.options.user_tables_max {
            let most = self.shared.options.user_tables_max;
            return Err(
                DeveloperError::new("TooManyTables", format!("Too many tables (limit: {most})")).into()
            );
        }
        // Two transactions that each make a table must not choose the same number.
        self.record(TABLES_BY_ID, &KeyInterval::all(), false);
        let (id, by_id, by_creation_time) = self.shared.new_table_numbers()?;
        self.numbered = true;
        let state = TableState::Active;
        let table = TableMeta {
            id,
            number,
            namespace,
            name: name.clone(),
            state,
            by_id,
            by_creation_time,
            row: None,
        };
        self.insert_row(&self.bootstrap_table(TABLES), table_row(&table))?;
        self.views.push(view(&table, true));
        if let Some(definition) = system_tables::definition(name) {
            for (index, spec) in definition.index_specs() {
                // The table is empty, so its indexes are complete.
                self.insert_index(&table, &index, spec, IndexState::Enabled, false)?;
            }
        }
        let created = self.catalog.table_by_name(namespace, name).cloned();
        Ok(created.expect("the row that was just written put the table into the catalog"))
    }

    /// One of the tables that describe all others.
    pub(super) fn bootstrap_table(&self, id: TableId) -> Arc<TableMeta> {
        Arc::clone(self.catalog.table(id).expect("every catalog begins with the tables that describe it"))
    }
}
