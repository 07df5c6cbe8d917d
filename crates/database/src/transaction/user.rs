//! App code's access: its limits, its error texts, and what it may not touch.

use std::collections::BTreeMap;
use std::sync::Arc;

use freshet_values::limits::OBJECT_FIELDS_MAX;
use freshet_values::value::object_nesting;
use freshet_values::{
    DecodeError, DocumentId, KeyInterval, Object, TableName, Value, byte_size_text, excerpt, excerpt_object,
};

use super::rows::Counted;
use super::scan::Reader;
use super::{Page, PageRequest, StreamId, Transaction};
use crate::catalog::TableMeta;
use crate::document::Document;
use crate::error::{DatabaseError, DeveloperError};
use crate::namespace::Namespace;
use crate::query::Query;
use crate::virtual_tables;

/// Largest document, system fields included, in bytes.
const DOCUMENT_SIZE_MAX: u64 = 1 << 20;
/// Deepest document; the document itself is the first level.
const DOCUMENT_NESTING_MAX: usize = 16;

/// See the module. Ids and table names come as the texts that app code gave.
pub struct UserAccess<'a> {
    transaction: &'a mut Transaction,
    namespace: Namespace,
}

impl<'a> UserAccess<'a> {
    pub(super) fn new(transaction: &'a mut Transaction, namespace: Namespace) -> UserAccess<'a> {
        UserAccess { transaction, namespace }
    }

    /// `db.get` and, with `is_system`, `db.system.get`.
    ///
    /// # Errors
    /// A text that is no id, an id of another table than `table`, a table of the other kind, or read limits.
    pub fn get(
        &mut self,
        id: &str,
        table: Option<&str>,
        is_system: bool,
    ) -> Result<Option<Arc<Document>>, DatabaseError> {
        let method = if is_system { "db.system.get" } else { "db.get" };
        let id = parse_id(id, method)?;
        let Some(found) = self.visible_table(id) else { return Ok(None) };
        self.check_expected_table(&found, table, method)?;
        let shown_as = virtual_tables::by_private_name(&found.name);
        match (shown_as, is_system) {
            (Some(_), false) => return Err(system_table_error().into()),
            (None, true) => {
                return Err(DeveloperError::new(
                    "SystemTableError",
                    "User tables cannot be accessed with db.system.",
                )
                .into());
            }
            _ => {}
        }
        let row = self.transaction.read_row(&found, id.internal, Counted::Read)?;
        match (row, shown_as) {
            (Some(row), Some(shown_as)) => self.transaction.show(shown_as, self.namespace, &row).map(Some),
            (row, _) => Ok(row),
        }
    }

    /// `db.normalizeId` and `db.system.normalizeId`: the id if it is one of that table.
    ///
    /// # Errors
    /// A table name that is no identifier.
    pub fn normalize_id(&mut self, table: &str, id: &str) -> Result<Option<DocumentId>, DatabaseError> {
        let name = parse_table(table, "db.normalizeId")?;
        let stored = match virtual_tables::by_public_name(&name) {
            Some((_, private)) => private,
            None if name.is_system() => return Ok(None),
            None => &name,
        };
        let found = self.transaction.find_table(self.namespace, stored);
        let id = DocumentId::decode(id).ok();
        Ok(found.zip(id).filter(|(table, id)| table.number == id.table).map(|(_, id)| id))
    }

    /// `db.insert`: adds a document and makes its table if need be.
    ///
    /// # Errors
    /// A wrong table name or value, a schema mismatch, or write limits.
    pub fn insert(&mut self, table: &str, value: Value) -> Result<DocumentId, DatabaseError> {
        let name = parse_table(table, "db.insert")?;
        if name.is_system() {
            return Err(system_table_error().into());
        }
        let fields = into_object(value, "db.insert")?;
        let existing = self.transaction.find_table(self.namespace, &name);
        let number = match &existing {
            Some(table) => table.number,
            None => self.transaction.catalog.free_number(self.namespace, &name),
        };
        let id = DocumentId::new(number, self.transaction.shared.new_internal_id());
        if let Some(supplied) = fields.get("_id") {
            return Err(wrong_id(id, supplied).into());
        }
        if fields.contains_key("_creationTime") {
            let own = Value::Float64(self.transaction.next_creation_time);
            return Err(wrong_creation_time(&own, &fields).into());
        }
        check_field_names(&fields)?;
        let document = self.transaction.stamp(id, fields);
        check_document(&document)?;
        self.transaction.charge_write(document.size())?;
        // Before the table is made: a rejected document must leave nothing behind.
        self.enforce_schema(&name, None, &document)?;
        let table = match existing {
            Some(table) => table,
            None => self.transaction.create_table(self.namespace, &name, number)?,
        };
        self.transaction.write_user_row(&table, id.internal, None, Some(document))?;
        Ok(id)
    }

    /// `db.patch`: sets some top-level fields and removes others (`None`). Returns the new document.
    ///
    /// # Errors
    /// A wrong id or value, a missing document, a schema mismatch, or limits.
    pub fn patch(
        &mut self,
        id: &str,
        table: Option<&str>,
        fields: BTreeMap<String, Option<Value>>,
    ) -> Result<Arc<Document>, DatabaseError> {
        let (meta, id, old) = self.open_for_write(id, table, "db.patch", "Update")?;
        let mut new = old.object()?.clone();
        for (field, value) in fields {
            let is_system = field == "_id" || field == "_creationTime";
            match value {
                Some(value) => {
                    new.insert(field, value);
                }
                None if is_system => {}
                None => {
                    new.remove(&field);
                }
            }
        }
        self.update(&meta, id, old, new)
    }

    /// `db.replace`: replaces all fields except system fields. Returns the new document.
    ///
    /// # Errors
    /// A wrong id or value, a missing document, a schema mismatch, or limits.
    pub fn replace(
        &mut self,
        id: &str,
        table: Option<&str>,
        value: Value,
    ) -> Result<Arc<Document>, DatabaseError> {
        let mut new = into_object(value, "db.replace")?;
        let (meta, id, old) = self.open_for_write(id, table, "db.replace", "Replace")?;
        for field in ["_id", "_creationTime"] {
            if let Some(value) = old.object()?.get(field) {
                new.insert_missing(field, || value.clone());
            }
        }
        self.update(&meta, id, old, new)
    }

    /// `db.delete`: returns the document that was removed.
    ///
    /// # Errors
    /// A wrong id, a missing document, or limits.
    pub fn delete(&mut self, id: &str, table: Option<&str>) -> Result<Arc<Document>, DatabaseError> {
        let (meta, id, old) = self.open_for_write(id, table, "db.delete", "Delete")?;
        self.transaction.charge_write(old.size())?;
        self.transaction.write_user_row(&meta, id.internal, Some(Arc::clone(&old)), None)?;
        Ok(old)
    }

    /// `db.table(name).count()`: depends on the whole table.
    ///
    /// # Errors
    /// A wrong table name, or read limits.
    pub fn count(&mut self, table: &str) -> Result<u64, DatabaseError> {
        let name = parse_table(table, "db.count")?;
        let stored = match virtual_tables::by_public_name(&name) {
            Some((_, private)) => private,
            None if name.is_system() => return Ok(0),
            None => &name,
        };
        let Some(table) = self.transaction.find_table(self.namespace, stored) else { return Ok(0) };
        self.transaction.record_scan(table.by_id, &KeyInterval::all(), true)?;
        Ok(self.transaction.count_rows(&table))
    }

    /// Opens a stream; read it with [`Transaction::next`].
    ///
    /// # Errors
    /// A wrong index or range.
    pub fn open_query(&mut self, query: &Query) -> Result<StreamId, DatabaseError> {
        self.transaction.open_stream(self.namespace, query, Reader::User)
    }

    /// All rows of a query.
    ///
    /// # Errors
    /// A wrong index or range, filter errors, or read limits.
    pub fn collect(&mut self, query: &Query) -> Result<Vec<Arc<Document>>, DatabaseError> {
        self.transaction.run_to_end(self.namespace, query, Reader::User)
    }

    /// A page of a query. That a function paginates once only is for the caller to see to.
    ///
    /// # Errors
    /// Wrong sizes or cursors, a wrong index or range, filter errors, or read limits before the first row.
    pub fn paginate(&mut self, request: &PageRequest) -> Result<Page, DatabaseError> {
        self.transaction.read_page(self.namespace, request, Reader::User)
    }

    /// The table of an id, unless app code must not know of it.
    fn visible_table(&mut self, id: DocumentId) -> Option<Arc<TableMeta>> {
        self.transaction
            .find_number(self.namespace, id.table)
            .filter(|table| !table.name.is_system() || virtual_tables::by_private_name(&table.name).is_some())
    }

    fn check_expected_table(
        &self,
        found: &TableMeta,
        expected: Option<&str>,
        method: &str,
    ) -> Result<(), DeveloperError> {
        let name = virtual_tables::public_name(&found.name);
        match expected {
            Some(expected) if *name != expected => Err(DeveloperError::invalid_argument(
                "id",
                method,
                format!("expected to be an Id<\"{expected}\">, got Id<\"{name}\"> instead."),
            )),
            _ => Ok(()),
        }
    }

    fn open_for_write(
        &mut self,
        id_text: &str,
        table: Option<&str>,
        method: &str,
        verb: &str,
    ) -> Result<(Arc<TableMeta>, DocumentId, Arc<Document>), DatabaseError> {
        let id = parse_id(id_text, method)?;
        let Some(found) = self.visible_table(id) else {
            let cause = format!("Table for ID \"{id}\" not found");
            return Err(DeveloperError::invalid_argument("id", method, cause).into());
        };
        self.check_expected_table(&found, table, method)?;
        if found.name.is_system() {
            return Err(system_table_error().into());
        }
        let old = self.transaction.read_row(&found, id.internal, Counted::ForWrite)?.ok_or_else(|| {
            DeveloperError::new("NonexistentDocument", format!("{verb} on nonexistent document ID {id}"))
        })?;
        Ok((found, id, old))
    }

    fn update(
        &mut self,
        table: &TableMeta,
        id: DocumentId,
        old: Arc<Document>,
        new: Object,
    ) -> Result<Arc<Document>, DatabaseError> {
        let before = old.object()?;
        match new.get("_id") {
            Some(supplied) if before.get("_id") != Some(supplied) => {
                return Err(wrong_id(id, supplied).into());
            }
            _ => {}
        }
        match (new.get("_creationTime"), before.get("_creationTime")) {
            (Some(supplied), Some(own)) if own != supplied => {
                return Err(wrong_creation_time(own, &new).into());
            }
            _ => {}
        }
        check_field_names(&new)?;
        // A placeholder equals the largest int64 in the order of values, but it is not the same thing: the texts differ.
        let pending = |object: &Object| object.values().any(Value::contains_commit_ts);
        let is_equal = new == *before;
        let has_pending = is_equal && (pending(&new) || pending(before));
        if is_equal && !has_pending {
            return Ok(old);
        }
        let document = Arc::new(Document::new(id, new));
        if has_pending && document.json() == old.json() {
            return Ok(old);
        }
        check_document(&document)?;
        self.transaction.charge_write(document.size())?;
        self.enforce_schema(&table.name, Some(&old), &document)?;
        self.transaction.write_user_row(table, id.internal, Some(old), Some(Arc::clone(&document)))?;
        Ok(document)
    }

    fn enforce_schema(
        &mut self,
        table: &TableName,
        old: Option<&Document>,
        new: &Document,
    ) -> Result<(), DatabaseError> {
        self.transaction.depend_on_schema(self.namespace);
        let catalog = Arc::clone(&self.transaction.catalog);
        let enforcer = Arc::clone(&self.transaction.enforcer);
        let names = catalog.names(self.namespace);
        let old = old.map(Document::object).transpose()?;
        let object = new.object()?;
        enforcer.check_write(self.namespace, table, old, object, &names).map_err(|error| {
            DeveloperError::new(
                "SchemaEnforcementError",
                format!(
                    "Failed to insert or update a document in table \"{table}\" because it does not match the \
                     schema: {error}"
                ),
            )
        })?;
        if let Some(violation) = enforcer.pending_violation(self.namespace, table, object, &names) {
            let state = Value::object([
                ("state", Value::from("failed")),
                ("error", Value::from(violation.error)),
                ("table_name", Value::from(violation.table.as_str())),
            ]);
            let schemas = "_schemas".parse().expect("names of system tables are identifiers");
            let mut system = self.transaction.system(self.namespace);
            if system.get(&schemas, violation.schema)?.is_some() {
                let fields = BTreeMap::from([("state".to_owned(), Some(state))]);
                system.patch(&schemas, violation.schema, fields)?;
            }
        }
        Ok(())
    }
}

fn parse_id(text: &str, method: &str) -> Result<DocumentId, DeveloperError> {
    DocumentId::decode(text).map_err(|error| DeveloperError::invalid_argument("id", method, error))
}

fn parse_table(text: &str, method: &str) -> Result<TableName, DeveloperError> {
    TableName::new(text).map_err(|error| DeveloperError::invalid_argument("table", method, error))
}

fn into_object(value: Value, method: &str) -> Result<Object, DeveloperError> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(DeveloperError::invalid_argument("value", method, "Value must be an Object")),
    }
}

fn system_table_error() -> DeveloperError {
    DeveloperError::new("SystemTableError", "System tables can only be accessed with db.system.")
}

fn wrong_id(own: DocumentId, supplied: &Value) -> DeveloperError {
    DeveloperError::new(
        "IdMismatch",
        format!("Provided document ID \"{own}\" doesn't match '_id' field {}", excerpt(supplied)),
    )
}

fn wrong_creation_time(time: &Value, document: &Object) -> DeveloperError {
    DeveloperError::new(
        "CreationTimeMismatch",
        format!(
            "Provided creation time {time} doesn't match '_creationTime' field in {}",
            excerpt_object(document)
        ),
    )
}

fn check_field_names(object: &Object) -> Result<(), DeveloperError> {
    match object.keys().find(|field| field.starts_with('_') && *field != "_id" && *field != "_creationTime") {
        None => Ok(()),
        Some(field) => Err(DeveloperError::new(
            "InvalidDocumentError",
            format!(
                "Field '{field}' starts with an underscore, which is only allowed for system fields like '_id'"
            ),
        )),
    }
}

fn check_document(document: &Document) -> Result<(), DatabaseError> {
    let invalid = |code, problem: String| {
        DatabaseError::from(DeveloperError::new(
            code,
            format!("{} isn't a valid document: {problem}", document.id()),
        ))
    };
    if document.size() > DOCUMENT_SIZE_MAX {
        let size = byte_size_text(usize::try_from(document.size()).unwrap_or(usize::MAX));
        return Err(invalid(
            "ValueTooLargeError",
            format!("Value is too large ({size} > maximum size 1 MiB)"),
        ));
    }
    // System fields included: an object with more fields could not be decoded again.
    let fields = document.object()?.len();
    if fields > OBJECT_FIELDS_MAX {
        return Err(invalid("TooManyFieldsError", DecodeError::TooManyFields(fields).to_string()));
    }
    let nesting = object_nesting(document.object()?);
    if nesting > DOCUMENT_NESTING_MAX {
        return Err(invalid(
            "InvalidDocumentError",
            format!(
                "Document is too nested (nested {nesting} levels deep > maximum nesting {DOCUMENT_NESTING_MAX})"
            ),
        ));
    }
    Ok(())
}
