//! The user tables at one moment. Copies share structure, so every commit can keep one.

use std::collections::BTreeMap;
use std::sync::Arc;

use freshet_database::{IndexId, TableId};
use freshet_values::{DocumentId, Object, Value};
use imbl::OrdMap;

use super::schemas::Schemas;

/// All tables by name, and the schemas.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) tables: OrdMap<String, Table>,
    pub(crate) schemas: Schemas,
}

/// A table with its documents and declared indexes.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) id: TableId,
    pub(crate) documents: OrdMap<DocumentId, Arc<Object>>,
    pub(crate) indexes: OrdMap<String, Index>,
}

/// A declared index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) id: IndexId,
    pub(crate) fields: Vec<String>,
    pub(crate) enabled: bool,
    pub(crate) staged: bool,
}

/// The last version of each document that a transaction wrote, `None` for deleted ones.
pub(crate) type Writes = BTreeMap<(TableId, DocumentId), Option<Arc<Object>>>;

/// The value of an indexed field, in the order of index keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Term {
    Missing,
    Number(i64),
    Text(String),
}

/// Where a document stands in an index: the indexed fields; then, as in every index, time of creation and id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowKey {
    terms: Vec<Term>,
    /// Positive doubles order as their bits do.
    created: u64,
    /// Ids of one table order as their texts do.
    id: String,
}

impl RowKey {
    pub(crate) fn of(object: &Object, fields: &[String]) -> RowKey {
        let created = object.get("_creationTime").and_then(Value::as_f64).unwrap_or(0.0);
        let id = object.get("_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        RowKey {
            terms: fields.iter().map(|field| Term::of(object, field)).collect(),
            created: created.to_bits(),
            id,
        }
    }
}

impl Term {
    pub(crate) fn of(object: &Object, field: &str) -> Term {
        match object.get(field) {
            Some(Value::Float64(number)) => Term::Number(*number as i64),
            Some(Value::String(text)) => Term::Text(text.clone()),
            _ => Term::Missing,
        }
    }
}

impl Term {
    /// As a query has it.
    pub(crate) fn json(&self) -> serde_json::Value {
        match self {
            Term::Missing => serde_json::json!({"$undefined": null}),
            Term::Number(number) => serde_json::json!(*number as f64),
            Term::Text(text) => serde_json::json!(text),
        }
    }
}

impl Table {
    pub(crate) fn new(id: TableId) -> Table {
        Table { id, documents: OrdMap::new(), indexes: OrdMap::new() }
    }

    /// The documents in the order of an index over these fields.
    pub(crate) fn ordered(&self, fields: &[String]) -> Vec<&Arc<Object>> {
        let mut rows: Vec<_> =
            self.documents.values().map(|object| (RowKey::of(object, fields), object)).collect();
        rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        rows.into_iter().map(|(_, object)| object).collect()
    }
}

impl State {
    pub(crate) fn document(&self, id: DocumentId) -> Option<&Arc<Object>> {
        self.tables.values().find_map(|table| table.documents.get(&id))
    }
}
