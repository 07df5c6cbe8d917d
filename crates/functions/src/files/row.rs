//! Rows of `_file_storage`: the files that there are.

use freshet_database::{DatabaseError, SystemError, Transaction};
use freshet_files::{FileKey, Received};
use freshet_values::{DocumentId, Object, Value};

use super::claim;
use crate::rows::{self, Row};

const TABLE: &str = "_file_storage";
const BY_STORAGE_ID: &str = "by_storage_id";
const BY_STORAGE_KEY: &str = "by_storage_key";

/// Number of the table, also before its first row: that of `_storage` in every deployment.
const TABLE_NUMBER: u32 = 540;

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileRow {
    pub(crate) id: DocumentId,
    /// Whoever knows this UUID can read the file.
    pub(crate) storage_id: String,
    /// Where the bytes are.
    pub(crate) key: FileKey,
    pub(crate) received: Received,
    pub(crate) content_type: Option<String>,
}

/// Whether an id is one of `_storage`.
pub(crate) fn is_file_id(id: DocumentId) -> bool {
    id.table.0 == TABLE_NUMBER
}

pub(crate) fn get(transaction: &mut Transaction, id: DocumentId) -> Result<Option<FileRow>, DatabaseError> {
    decode(rows::get(transaction, TABLE, id)?)
}

pub(crate) fn by_storage_id(
    transaction: &mut Transaction,
    storage_id: &str,
) -> Result<Option<FileRow>, DatabaseError> {
    decode(rows::find(transaction, TABLE, BY_STORAGE_ID, &[storage_id.into()])?)
}

/// Whether the bytes under a key belong to a file.
pub(crate) fn owns(transaction: &mut Transaction, key: &FileKey) -> Result<bool, DatabaseError> {
    Ok(rows::find(transaction, TABLE, BY_STORAGE_KEY, &[key.as_str().into()])?.is_some())
}

/// Adds a file whose bytes are durable.
pub(crate) fn insert(
    transaction: &mut Transaction,
    storage_id: &str,
    key: &FileKey,
    received: &Received,
    content_type: Option<&str>,
) -> Result<DocumentId, DatabaseError> {
    let size = i64::try_from(received.size).expect("nobody has sent eight exabytes");
    let fields = rows::fields([
        ("storageId", storage_id.into()),
        ("storageKey", key.as_str().into()),
        ("sha256", Value::Bytes(received.sha256.to_vec())),
        ("size", Value::Int64(size)),
        ("contentType", content_type.map_or(Value::Null, Value::from)),
    ]);
    rows::insert(transaction, TABLE, fields)
}

impl FileRow {
    /// Removes the file; its bytes follow at `due_ns`.
    pub(crate) fn delete(&self, transaction: &mut Transaction, due_ns: i64) -> Result<(), DatabaseError> {
        rows::delete(transaction, TABLE, self.id)?;
        claim::insert(transaction, &self.key, due_ns).map(drop)
    }
}

fn decode(row: Option<Row>) -> Result<Option<FileRow>, DatabaseError> {
    row.map(|row| {
        decode_fields(row.id, &row.fields)
            .ok_or_else(|| SystemError::Defect(format!("the row of file {} cannot be read", row.id)).into())
    })
    .transpose()
}

fn decode_fields(id: DocumentId, fields: &Object) -> Option<FileRow> {
    let text = |field: &str| fields.get(field).and_then(Value::as_str);
    let (Some(Value::Bytes(sha256)), Some(Value::Int64(size))) = (fields.get("sha256"), fields.get("size"))
    else {
        return None;
    };
    Some(FileRow {
        id,
        storage_id: text("storageId")?.to_owned(),
        key: text("storageKey")?.parse().ok()?,
        received: Received {
            sha256: <[u8; 32]>::try_from(&sha256[..]).ok()?,
            size: u64::try_from(*size).ok()?,
        },
        content_type: text("contentType").map(str::to_owned),
    })
}
