//! The engine's own access: every table by name, no limits, no schemas.

use std::collections::BTreeMap;
use std::sync::Arc;

use freshet_store::Order;
use freshet_values::{DocumentId, KeyInterval, Object, TableName, Value};

use super::rows::Counted;
use super::scan::Reader;
use super::{Page, PageRequest, StreamId, Transaction};
use crate::catalog::{IndexMeta, TableMeta};
use crate::document::Document;
use crate::error::{DatabaseError, SystemError};
use crate::namespace::Namespace;
use crate::query::{Query, QuerySource, range};

/// See the module. Dependencies are recorded as for app code, so conflicts are found.
pub struct SystemAccess<'a> {
    transaction: &'a mut Transaction,
    namespace: Namespace,
}

impl<'a> SystemAccess<'a> {
    pub(super) fn new(transaction: &'a mut Transaction, namespace: Namespace) -> SystemAccess<'a> {
        SystemAccess { transaction, namespace }
    }

    /// A document of a table; `None` if it, or the table, does not exist or the id is of another table.
    ///
    /// # Errors
    /// A storage failure.
    pub fn get(&mut self, table: &TableName, id: DocumentId) -> Result<Option<Arc<Document>>, DatabaseError> {
        match self.transaction.find_table(self.namespace, table) {
            Some(table) if table.number == id.table => {
                self.transaction.read_row(&table, id.internal, Counted::Nothing)
            }
            _ => Ok(None),
        }
    }

    /// All rows of a query.
    ///
    /// # Errors
    /// A wrong index or range, or a storage failure.
    pub fn collect(&mut self, query: &Query) -> Result<Vec<Arc<Document>>, DatabaseError> {
        self.transaction.run_to_end(self.namespace, query, Reader::System)
    }

    /// The first row of a query.
    ///
    /// # Errors
    /// A wrong index or range, or a storage failure.
    pub fn first(&mut self, query: &Query) -> Result<Option<Arc<Document>>, DatabaseError> {
        let id = self.open_query(query)?;
        let row = self.transaction.next(id);
        self.transaction.close(id);
        row
    }

    /// Rows whose indexed fields equal the given values, in the order of the index; the values belong to the first fields.
    ///
    /// # Errors
    /// [`SystemError::Defect`] for too many values or an index that is not there, or a storage failure.
    pub fn find(
        &mut self,
        table: &TableName,
        index: &str,
        values: &[Value],
    ) -> Result<Vec<Arc<Document>>, DatabaseError> {
        match self.equal(table, index, values, Order::Asc)? {
            Some((_, query)) => self.collect(&query),
            None => Ok(Vec::new()),
        }
    }

    /// The last of the rows that [`SystemAccess::find`] returns.
    ///
    /// # Errors
    /// As of [`SystemAccess::find`].
    pub fn find_last(
        &mut self,
        table: &TableName,
        index: &str,
        values: &[Value],
    ) -> Result<Option<Arc<Document>>, DatabaseError> {
        match self.equal(table, index, values, Order::Desc)? {
            Some((_, query)) => self.first(&query),
            None => Ok(None),
        }
    }

    /// As if [`SystemAccess::find`] had looked and found nothing, for a caller who knows that it would.
    ///
    /// # Errors
    /// As of [`SystemAccess::find`].
    pub fn find_none(
        &mut self,
        table: &TableName,
        index: &str,
        values: &[Value],
    ) -> Result<(), DatabaseError> {
        if let Some((index, query)) = self.equal(table, index, values, Order::Asc)?
            && let QuerySource::IndexRange { range, .. } = &query.source
        {
            let interval = range::interval(&format!("{table}.{}", index.name), &index.fields, range)?;
            self.transaction.record(index.id, &interval, false);
        }
        Ok(())
    }

    /// The query for rows whose indexed fields equal the given values; `None` if there is no such table.
    fn equal(
        &mut self,
        table: &TableName,
        index: &str,
        values: &[Value],
        order: Order,
    ) -> Result<Option<(Arc<IndexMeta>, Query)>, DatabaseError> {
        let Some(meta) = self.transaction.find_table(self.namespace, table) else { return Ok(None) };
        let missing =
            || SystemError::Defect(format!("there is no index {table}.{index} of {} fields", values.len()));
        let name = index.parse().map_err(|_| missing())?;
        let found = self.transaction.find_index(&meta, &name).ok_or_else(missing)?;
        if values.len() > found.fields.len() {
            return Err(missing().into());
        }
        let equalities = found.fields.iter().cloned().zip(values.iter().cloned().map(Some));
        let query = Query::index_eq(table.clone(), name, equalities, order);
        Ok(Some((found, query)))
    }

    /// All rows of a table in order of creation.
    ///
    /// # Errors
    /// A storage failure.
    pub fn all(&mut self, table: &TableName) -> Result<Vec<Arc<Document>>, DatabaseError> {
        self.collect(&Query::full_table_scan(table.clone(), Order::Asc))
    }

    /// Opens a stream; read it with [`Transaction::next`].
    ///
    /// # Errors
    /// A wrong index or range.
    pub fn open_query(&mut self, query: &Query) -> Result<StreamId, DatabaseError> {
        self.transaction.open_stream(self.namespace, query, Reader::System)
    }

    /// A page of a query over any table.
    ///
    /// # Errors
    /// As for app code.
    pub fn paginate(&mut self, request: &PageRequest) -> Result<Page, DatabaseError> {
        self.transaction.read_page(self.namespace, request, Reader::System)
    }

    /// The number of documents of a table, depending on all of them.
    ///
    /// # Errors
    /// A storage failure.
    pub fn count(&mut self, table: &TableName) -> Result<u64, DatabaseError> {
        let Some(table) = self.transaction.find_table(self.namespace, table) else { return Ok(0) };
        self.transaction.record(table.by_id, &KeyInterval::all(), false);
        Ok(self.transaction.count_rows(&table))
    }

    /// The number of documents of a table without depending on them: for estimates and progress.
    #[must_use]
    pub fn count_untracked(&mut self, table: &TableName) -> u64 {
        let table = self.transaction.catalog.table_by_name(self.namespace, table).cloned();
        table.map_or(0, |table| self.transaction.count_rows(&table))
    }

    /// Adds a document and makes the table if need be.
    ///
    /// # Errors
    /// A storage failure.
    pub fn insert(&mut self, table: &TableName, fields: Object) -> Result<DocumentId, DatabaseError> {
        let table = self.transaction.ensure_table(self.namespace, table)?;
        Ok(self.transaction.insert_row(&table, fields)?.id())
    }

    /// Adds or replaces a document with system fields of its own, as an import does. The table must exist and have the id's
    /// number.
    ///
    /// # Errors
    /// [`SystemError::Defect`] if the id is not of the table or the system fields are missing, or a storage failure.
    pub fn put(&mut self, table: &TableName, id: DocumentId, document: Object) -> Result<(), DatabaseError> {
        let meta = self.table_of(table, id)?;
        let own_id = document.get("_id").and_then(Value::as_str) == Some(id.to_string().as_str());
        if !own_id || !matches!(document.get("_creationTime"), Some(Value::Float64(_))) {
            return Err(SystemError::Defect(format!("document {id} lacks its system fields")).into());
        }
        let old = self.transaction.read_row(&meta, id.internal, Counted::Nothing)?;
        let new = Some(Arc::new(Document::new(id, document)));
        self.transaction.write_row(&meta, id.internal, old, new)
    }

    /// Replaces all fields except system fields.
    ///
    /// # Errors
    /// [`SystemError::Defect`] if there is no such document, or a storage failure.
    pub fn replace(
        &mut self,
        table: &TableName,
        id: DocumentId,
        fields: Object,
    ) -> Result<(), DatabaseError> {
        let patch = |old: &Object| {
            let mut new = fields;
            for field in ["_id", "_creationTime"] {
                if let Some(value) = old.get(field) {
                    new.insert(field.to_owned(), value.clone());
                }
            }
            new
        };
        self.change(table, id, patch)
    }

    /// Sets some fields and removes others (`None`).
    ///
    /// # Errors
    /// [`SystemError::Defect`] if there is no such document, or a storage failure.
    pub fn patch(
        &mut self,
        table: &TableName,
        id: DocumentId,
        fields: BTreeMap<String, Option<Value>>,
    ) -> Result<(), DatabaseError> {
        self.change(table, id, |old| {
            let mut new = old.clone();
            for (field, value) in fields {
                match value {
                    Some(value) => new.insert(field, value),
                    None => new.remove(&field),
                };
            }
            new
        })
    }

    /// Removes a document; returns whether it existed.
    ///
    /// # Errors
    /// A storage failure.
    pub fn delete(&mut self, table: &TableName, id: DocumentId) -> Result<bool, DatabaseError> {
        let Some(meta) = self.transaction.find_table(self.namespace, table) else { return Ok(false) };
        if meta.number != id.table {
            return Ok(false);
        }
        let Some(old) = self.transaction.read_row(&meta, id.internal, Counted::Nothing)? else {
            return Ok(false);
        };
        self.transaction.write_row(&meta, id.internal, Some(old), None)?;
        Ok(true)
    }

    fn change(
        &mut self,
        table: &TableName,
        id: DocumentId,
        change: impl FnOnce(&Object) -> Object,
    ) -> Result<(), DatabaseError> {
        let meta = self.table_of(table, id)?;
        let old = self
            .transaction
            .read_row(&meta, id.internal, Counted::Nothing)?
            .ok_or_else(|| SystemError::Defect(format!("there is no document {id} in {table}")))?;
        let object = change(old.object()?);
        if object == *old.object()? {
            return Ok(());
        }
        let new = Some(Arc::new(Document::new(id, object)));
        self.transaction.write_row(&meta, id.internal, Some(old), new)
    }

    fn table_of(&mut self, table: &TableName, id: DocumentId) -> Result<Arc<TableMeta>, DatabaseError> {
        self.transaction
            .find_table(self.namespace, table)
            .filter(|meta| meta.number == id.table)
            .ok_or_else(|| SystemError::Defect(format!("{id} is not an id of table {table}")).into())
    }
}
