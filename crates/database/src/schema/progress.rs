//! The rows of `_schema_validation_progress`: how far the check of existing documents is.
//!
//! A row is written after the documents that it counts were read, so whoever finds it after a crash or a failed write may go on
//! behind them: had a version that was read been lost, the row would be lost, too.

use freshet_values::{DocumentId, KeyInterval, Object, TableName, Value, key};

use crate::error::{DatabaseError, SystemError};
use crate::namespace::Namespace;
use crate::transaction::Transaction;

/// How far one schema is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Documents that were checked.
    pub(super) checked: u64,
    /// Documents to be checked, roughly.
    pub(super) total: u64,
    /// The table under way; those before it in the order of names are done.
    pub(super) table: TableName,
    /// The last document of it that was checked, as a key of the index of ids.
    pub(super) cursor: Option<Vec<u8>>,
}

impl Progress {
    /// What stands in the database; `None` at the beginning.
    pub(super) fn read(
        transaction: &mut Transaction,
        namespace: Namespace,
        schema: DocumentId,
    ) -> Result<Option<Progress>, DatabaseError> {
        let rows = rows(transaction, namespace, schema)?;
        let Some(row) = rows.first() else { return Ok(None) };
        let object = row.object()?;
        let count = |field: &str| u64::try_from(object.get(field)?.as_i64()?).ok();
        let read = || {
            Some(Progress {
                checked: count("numDocsValidated")?,
                total: count("totalDocs")?,
                table: object.get("table")?.as_str()?.parse().ok()?,
                cursor: match object.get("cursor")? {
                    Value::Bytes(cursor) => Some(cursor.clone()),
                    Value::Null => None,
                    _ => return None,
                },
            })
        };
        let unreadable = || SystemError::Unreadable {
            id: row.id().to_string(),
            detail: "unexpected row of _schema_validation_progress".to_owned(),
        };
        // Rows of releases that always began anew do not say where they were.
        if object.get("table").is_none() {
            return Ok(None);
        }
        Ok(Some(read().ok_or_else(unreadable)?))
    }

    /// Notes it, in place of what was noted before.
    pub(super) fn write(
        &self,
        transaction: &mut Transaction,
        namespace: Namespace,
        schema: DocumentId,
    ) -> Result<(), DatabaseError> {
        let count = |count: u64| Value::Int64(i64::try_from(count).unwrap_or(i64::MAX));
        let fields = Object::from([
            ("schemaId".to_owned(), Value::String(schema.to_string())),
            ("numDocsValidated".to_owned(), count(self.checked)),
            ("totalDocs".to_owned(), count(self.total)),
            ("table".to_owned(), Value::String(self.table.to_string())),
            ("cursor".to_owned(), self.cursor.clone().map_or(Value::Null, Value::Bytes)),
        ]);
        let row = rows(transaction, namespace, schema)?.first().map(|row| row.id());
        let mut system = transaction.system(namespace);
        match row {
            Some(row) => system.replace(&table(), row, fields),
            None => system.insert(&table(), fields).map(drop),
        }
    }

    /// Removes it.
    pub(super) fn remove(
        transaction: &mut Transaction,
        namespace: Namespace,
        schema: DocumentId,
    ) -> Result<(), DatabaseError> {
        for row in rows(transaction, namespace, schema)? {
            transaction.system(namespace).delete(&table(), row.id())?;
        }
        Ok(())
    }

    /// The keys of the documents of the table that are left.
    pub(super) fn rest(&self) -> KeyInterval {
        KeyInterval { start: self.cursor.as_deref().map_or(Vec::new(), key::key_after), end: None }
    }
}

fn rows(
    transaction: &mut Transaction,
    namespace: Namespace,
    schema: DocumentId,
) -> Result<Vec<std::sync::Arc<crate::document::Document>>, DatabaseError> {
    let key = [Value::String(schema.to_string())];
    transaction.system(namespace).find(&table(), "by_schema_id", &key)
}

fn table() -> TableName {
    "_schema_validation_progress".parse().expect("names of system tables are identifiers")
}
