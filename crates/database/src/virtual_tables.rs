//! The two system tables that app code can read, shown from the private rows behind them.
//!
//! Rows of `_scheduled_jobs`: `{udfPath, argsId: id in _scheduled_job_args, state: {type, ...}, originalScheduledTs: int64 ns,
//! completedTs: int64 ns | null, nextTs: int64 ns | null, ...}`, where `state.type` is the public `kind` and the other
//! fields of `state` are passed on; rows of `_scheduled_job_args`: `{args: bytes of a JSON array}`. Rows of `_file_storage`:
//! `{storageId, storageKey, sha256: bytes, size: int64, contentType: string | null}`.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freshet_values::{Decoder, Object, TableName, Value};

use crate::document::Document;
use crate::error::SystemError;

/// A table that app code sees under another name than the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VirtualTable {
    ScheduledFunctions,
    Storage,
}

static NAMES: LazyLock<[(VirtualTable, TableName, TableName); 2]> = LazyLock::new(|| {
    let name = |text: &str| text.parse().expect("names of system tables are identifiers");
    [
        (VirtualTable::ScheduledFunctions, name("_scheduled_functions"), name("_scheduled_jobs")),
        (VirtualTable::Storage, name("_storage"), name("_file_storage")),
    ]
});

/// The table that holds the arguments of scheduled functions.
pub(crate) static JOB_ARGS: LazyLock<TableName> =
    LazyLock::new(|| "_scheduled_job_args".parse().expect("names of system tables are identifiers"));

/// The virtual table of this public name, with the name of the table behind it.
pub(crate) fn by_public_name(name: &TableName) -> Option<(VirtualTable, &'static TableName)> {
    NAMES.iter().find(|(_, public, _)| public == name).map(|(table, _, private)| (*table, private))
}

/// The virtual table that shows this private table.
pub(crate) fn by_private_name(name: &TableName) -> Option<VirtualTable> {
    NAMES.iter().find(|(_, _, private)| private == name).map(|(table, _, _)| *table)
}

/// The name that app code knows a table by.
pub(crate) fn public_name(name: &TableName) -> &TableName {
    NAMES.iter().find(|(_, _, private)| private == name).map_or(name, |(_, public, _)| public)
}

/// The id of the arguments of a scheduled function.
pub(crate) fn args_id(row: &Document) -> Result<Option<&str>, SystemError> {
    Ok(row.object()?.get("argsId").and_then(Value::as_str))
}

impl VirtualTable {
    /// The public form of a private row. `args` is the row with the arguments of a scheduled function.
    pub(crate) fn show(self, row: &Document, args: Option<&Document>) -> Result<Arc<Document>, SystemError> {
        let private = row.object()?;
        let mut public: Object = ["_id", "_creationTime"]
            .iter()
            .filter_map(|field| private.get(field).map(|value| ((*field).to_owned(), value.clone())))
            .collect();
        match self {
            VirtualTable::Storage => show_file(private, &mut public),
            VirtualTable::ScheduledFunctions => show_job(private, args, &mut public)?,
        }
        Ok(Arc::new(Document::new(row.id(), public)))
    }
}

fn show_file(private: &Object, public: &mut Object) {
    let sha256 = match private.get("sha256") {
        Some(Value::Bytes(digest)) => Value::String(STANDARD.encode(digest)),
        other => other.cloned().unwrap_or(Value::Null),
    };
    let size = match private.get("size") {
        Some(Value::Int64(size)) => Value::Float64(*size as f64),
        other => other.cloned().unwrap_or(Value::Null),
    };
    public.insert("sha256".to_owned(), sha256);
    public.insert("size".to_owned(), size);
    public.insert("contentType".to_owned(), private.get("contentType").cloned().unwrap_or(Value::Null));
}

fn show_job(private: &Object, args: Option<&Document>, public: &mut Object) -> Result<(), SystemError> {
    let args = match args.map(|args| args.object()).transpose()?.and_then(|args| args.get("args")) {
        Some(Value::Bytes(json)) => {
            std::str::from_utf8(json).ok().and_then(|json| Decoder::STRICT.value(json).ok())
        }
        _ => None,
    };
    public.insert("name".to_owned(), private.get("udfPath").cloned().unwrap_or(Value::Null));
    public.insert("args".to_owned(), args.unwrap_or_else(|| Value::Array(Vec::new())));
    if let Some(Value::Int64(scheduled)) = private.get("originalScheduledTs") {
        public.insert("scheduledTime".to_owned(), milliseconds(*scheduled));
    }
    if let Some(Value::Int64(completed)) = private.get("completedTs") {
        public.insert("completedTime".to_owned(), milliseconds(*completed));
    }
    if let Some(Value::Object(state)) = private.get("state") {
        let shown = state.iter().map(|(field, value)| {
            let field = if field == "type" { "kind" } else { field };
            (field.to_owned(), value.clone())
        });
        public.insert("state".to_owned(), Value::Object(shown.collect()));
    }
    Ok(())
}

fn milliseconds(nanos: i64) -> Value {
    Value::Float64(nanos as f64 / 1e6)
}
