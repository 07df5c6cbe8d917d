//! The user tables at one moment. Copies share structure, so every commit can keep one.

use std::collections::BTreeMap;
use std::sync::Arc;

use freshet_database::{IndexId, TableId};
use freshet_values::{DocumentId, Object, Value};
use imbl::OrdMap;

/// All tables by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) tables: OrdMap<String, Table>,
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

    /// The documents in the order of an index over these fields; every index ends with time of creation and id.
    pub(crate) fn ordered(&self, fields: &[String]) -> Vec<&Arc<Object>> {
        let mut rows: Vec<_> = self
            .documents
            .iter()
            .map(|(id, object)| {
                let terms: Vec<Term> = fields.iter().map(|field| Term::of(object, field)).collect();
                let created = object.get("_creationTime").and_then(Value::as_f64).unwrap_or(0.0);
                // Positive doubles order as their bits do.
                ((terms, created.to_bits(), *id), object)
            })
            .collect();
        rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        rows.into_iter().map(|(_, object)| object).collect()
    }
}

impl State {
    pub(crate) fn document(&self, id: DocumentId) -> Option<&Arc<Object>> {
        self.tables.values().find_map(|table| table.documents.get(&id))
    }
}
