//! Rows of `_file_claims`: keys whose bytes, if there are any, belong to no file. Each is `{storageKey, multipart: the
//! store's name of an unfinished upload or null, dueTs: int64 ns, condemned: boolean}`.

use freshet_database::{DatabaseError, Transaction};
use freshet_files::FileKey;
use freshet_values::{DocumentId, Object, Value};

use crate::rows::{self, Bounds, Row};

const TABLE: &str = "_file_claims";
const BY_DUE_TS: &str = "by_due_ts";

/// A claim, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) id: DocumentId,
    pub(crate) key: FileKey,
    pub(crate) multipart: Option<String>,
    pub(crate) due_ns: i64,
    /// Whether the bytes are being removed: nobody may use them any more.
    pub(crate) condemned: bool,
}

pub(crate) fn insert(
    transaction: &mut Transaction,
    key: &FileKey,
    due_ns: i64,
) -> Result<DocumentId, DatabaseError> {
    rows::insert(transaction, TABLE, fields(key, None, due_ns, false))
}

pub(crate) fn get(transaction: &mut Transaction, id: DocumentId) -> Result<Option<Claim>, DatabaseError> {
    Ok(rows::get(transaction, TABLE, id)?.as_ref().and_then(decode))
}

pub(crate) fn put(transaction: &mut Transaction, claim: &Claim) -> Result<(), DatabaseError> {
    let fields = fields(&claim.key, claim.multipart.as_deref(), claim.due_ns, claim.condemned);
    rows::replace(transaction, TABLE, claim.id, fields)
}

pub(crate) fn delete(transaction: &mut Transaction, id: DocumentId) -> Result<(), DatabaseError> {
    rows::delete(transaction, TABLE, id)
}

/// The claims that become due first, at most so many.
pub(crate) fn first(transaction: &mut Transaction, claims_max: usize) -> Result<Vec<Claim>, DatabaseError> {
    let rows = rows::range(transaction, TABLE, BY_DUE_TS, "dueTs", &Bounds::default(), claims_max)?;
    Ok(rows.iter().filter_map(decode).collect())
}

fn fields(key: &FileKey, multipart: Option<&str>, due_ns: i64, condemned: bool) -> Object {
    rows::fields([
        ("storageKey", key.as_str().into()),
        ("multipart", multipart.map_or(Value::Null, Value::from)),
        ("dueTs", Value::Int64(due_ns)),
        ("condemned", Value::Boolean(condemned)),
    ])
}

fn decode(row: &Row) -> Option<Claim> {
    let text = |field: &str| row.fields.get(field).and_then(Value::as_str);
    let Some(Value::Int64(due_ns)) = row.fields.get("dueTs") else { return None };
    Some(Claim {
        id: row.id,
        key: text("storageKey")?.parse().ok()?,
        multipart: text("multipart").map(str::to_owned),
        due_ns: *due_ns,
        condemned: matches!(row.fields.get("condemned"), Some(Value::Boolean(true))),
    })
}
