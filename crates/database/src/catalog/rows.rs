//! The rows of `_tables` and `_index`: how the catalog is written down.
//!
//! `_tables`: `{name, number, namespace, state: "active" | "deleting", tableId, byId, byCreationTime}`.
//! `_index`: `{tableId, indexId, name, config, state: "backfilling" | "backfilled" | "enabled" | "deleting", staged}` with `config`
//! `{type: "database", fields}`, `{type: "search", searchField, filterFields, entries}` (`entries` is the version of the
//! entries' format) or `{type: "vector", vectorField, dimensions,
//! filterFields}`. Numbers are int64.

use freshet_store::{IndexId, TableId};
use freshet_values::{FieldPath, Object, TableNumber, Value};

use super::{IndexMeta, IndexSpec, IndexState, TableMeta, TableState, index};
use crate::document::Document;
use crate::error::SystemError;
use crate::namespace::Namespace;

/// The version of the entries of search indexes.
const TEXT_ENTRIES: u32 = 1;

/// Reads a row of `_tables`.
pub(crate) fn table(row: &Document) -> Result<TableMeta, SystemError> {
    let object = row.object()?;
    let read = || -> Option<TableMeta> {
        Some(TableMeta {
            id: TableId(number(object, "tableId")?),
            number: TableNumber(number(object, "number")?),
            namespace: Namespace(number(object, "namespace")?),
            name: object.get("name")?.as_str()?.parse().ok()?,
            state: match object.get("state")?.as_str()? {
                "active" => TableState::Active,
                "deleting" => TableState::Deleting,
                _ => return None,
            },
            by_id: IndexId(number(object, "byId")?),
            by_creation_time: IndexId(number(object, "byCreationTime")?),
            row: Some(row.id()),
        })
    };
    read().ok_or_else(|| unreadable(row))
}

/// Writes a row of `_tables`, without system fields.
pub(crate) fn table_row(table: &TableMeta) -> Object {
    let state = match table.state {
        TableState::Active => "active",
        TableState::Deleting => "deleting",
    };
    object([
        ("name", Value::from(table.name.as_str())),
        ("number", int(table.number.0)),
        ("namespace", int(table.namespace.0)),
        ("state", Value::from(state)),
        ("tableId", int(table.id.0)),
        ("byId", int(table.by_id.0)),
        ("byCreationTime", int(table.by_creation_time.0)),
    ])
}

/// Reads a row of `_index`.
pub(crate) fn index(row: &Document) -> Result<(TableId, IndexMeta), SystemError> {
    let object = row.object()?;
    let read = || -> Option<(TableId, IndexMeta)> {
        let spec = spec(object.get("config")?.as_object()?)?;
        let fields = match &spec {
            IndexSpec::Database { fields } => index::key_fields(fields),
            _ => Vec::new(),
        };
        let state = match object.get("state")?.as_str()? {
            "deleting" => IndexState::Deleting,
            "backfilling" => IndexState::Backfilling,
            // Declared before there were entries: it has to be built, whatever it was.
            _ if matches!(spec, IndexSpec::Search { .. }) && !has_entries(object) => IndexState::Backfilling,
            "backfilled" => IndexState::Backfilled,
            "enabled" => IndexState::Enabled,
            _ => return None,
        };
        let index = IndexMeta {
            id: IndexId(number(object, "indexId")?),
            name: object.get("name")?.as_str()?.parse().ok()?,
            spec,
            fields,
            state,
            staged: object.get("staged")?.as_bool()?,
            row: Some(row.id()),
        };
        Some((TableId(number(object, "tableId")?), index))
    };
    read().ok_or_else(|| unreadable(row))
}

/// Writes a row of `_index`, without system fields.
pub(crate) fn index_row(table: TableId, index: &IndexMeta) -> Object {
    let state = match index.state {
        IndexState::Backfilling => "backfilling",
        IndexState::Backfilled => "backfilled",
        IndexState::Enabled => "enabled",
        IndexState::Deleting => "deleting",
    };
    let config = match &index.spec {
        IndexSpec::Database { fields } => {
            object([("type", Value::from("database")), ("fields", paths(fields))])
        }
        IndexSpec::Search { search_field, filter_fields } => object([
            ("type", Value::from("search")),
            ("searchField", Value::String(search_field.to_string())),
            ("filterFields", paths(filter_fields)),
            ("entries", int(TEXT_ENTRIES)),
        ]),
        IndexSpec::Vector { vector_field, dimensions, filter_fields } => object([
            ("type", Value::from("vector")),
            ("vectorField", Value::String(vector_field.to_string())),
            ("dimensions", int(*dimensions)),
            ("filterFields", paths(filter_fields)),
        ]),
    };
    object([
        ("tableId", int(table.0)),
        ("indexId", int(index.id.0)),
        ("name", Value::from(index.name.as_str())),
        ("config", Value::Object(config)),
        ("state", Value::from(state)),
        ("staged", Value::Boolean(index.staged)),
    ])
}

fn spec(config: &Object) -> Option<IndexSpec> {
    let path = |name: &str| config.get(name)?.as_str()?.parse::<FieldPath>().ok();
    let list = |name: &str| -> Option<Vec<FieldPath>> {
        config.get(name)?.as_array()?.iter().map(|field| field.as_str()?.parse().ok()).collect()
    };
    match config.get("type")?.as_str()? {
        "database" => Some(IndexSpec::Database { fields: list("fields")? }),
        "search" => Some(IndexSpec::Search {
            search_field: path("searchField")?,
            filter_fields: list("filterFields")?,
        }),
        "vector" => Some(IndexSpec::Vector {
            vector_field: path("vectorField")?,
            dimensions: number(config, "dimensions")?,
            filter_fields: list("filterFields")?,
        }),
        _ => None,
    }
}

/// Whether the row of a search index was written by a version that keeps entries.
fn has_entries(row: &Object) -> bool {
    let config = row.get("config").and_then(Value::as_object);
    config.is_some_and(|config| config.contains_key("entries"))
}

/// Whether a row says that its index is in use, though it has to be built first.
pub(crate) fn was_enabled(row: &Document) -> Result<bool, SystemError> {
    let object = row.object()?;
    Ok(object.get("state").and_then(Value::as_str) == Some("enabled") && !has_entries(object))
}

fn paths(fields: &[FieldPath]) -> Value {
    Value::Array(fields.iter().map(|field| Value::String(field.to_string())).collect())
}

fn number(object: &Object, field: &str) -> Option<u32> {
    u32::try_from(object.get(field)?.as_i64()?).ok()
}

fn int(number: u32) -> Value {
    Value::Int64(i64::from(number))
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Object {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn unreadable(row: &Document) -> SystemError {
    SystemError::Unreadable {
        id: row.id().to_string(),
        detail: format!("unexpected catalog row {}", row.json()),
    }
}
