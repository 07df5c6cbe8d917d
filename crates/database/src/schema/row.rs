//! The rows of `_schemas`: one version of a namespace's schema and how far it is.
//!
//! ```text
//!           submit              all documents match            push finished
//!  (none) ─────────▶ Pending ───────────────────▶ Validated ────────────────▶ Active
//!                       │ a document does not        │ a write does not         │ replaced
//!                       ▼                            ▼                          ▼
//!                     Failed                       Failed                  Overwritten
//! ```
//!
//! A namespace has at most one row that is pending or validated, and at most one that is active. A failed row is never
//! revived.

use freshet_values::{DocumentId, Object, Value};

use crate::document::Document;
use crate::error::SystemError;

/// A schema as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaRow {
    /// The row.
    pub id: DocumentId,
    /// How far it is.
    pub state: SchemaState,
    /// The schema's JSON text, as [`super::SchemaDefinition::to_json`] writes it.
    pub json: String,
}

/// The life of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// Existing documents are being checked.
    Pending,
    /// All documents match; waits for the push to be finished.
    Validated,
    /// In force.
    Active,
    /// Some document does not match.
    Failed {
        /// What the developer reads.
        error: String,
        /// The table of the offending document.
        table_name: Option<String>,
    },
    /// A newer schema took its place.
    Overwritten,
}

impl SchemaState {
    /// The word in the row.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Validated => "validated",
            Self::Active => "active",
            Self::Failed { .. } => "failed",
            Self::Overwritten => "overwritten",
        }
    }

    pub(super) fn to_value(&self) -> Value {
        let mut fields = vec![("state", Value::String(self.name().to_owned()))];
        if let Self::Failed { error, table_name } = self {
            fields.push(("error", Value::String(error.clone())));
            if let Some(table_name) = table_name {
                fields.push(("table_name", Value::String(table_name.clone())));
            }
        }
        Value::object(fields)
    }
}

impl SchemaRow {
    /// Reads a row of `_schemas`.
    ///
    /// # Errors
    /// The row is not one.
    pub fn read(document: &Document) -> Result<Self, SystemError> {
        let object = document.object()?;
        let read = || -> Option<Self> {
            let state = object.get("state")?.as_object()?;
            let text = |name: &str| state.get(name).and_then(Value::as_str).map(str::to_owned);
            Some(Self {
                id: document.id(),
                state: match state.get("state")?.as_str()? {
                    "pending" => SchemaState::Pending,
                    "validated" => SchemaState::Validated,
                    "active" => SchemaState::Active,
                    "failed" => SchemaState::Failed {
                        error: text("error").unwrap_or_default(),
                        table_name: text("table_name"),
                    },
                    "overwritten" => SchemaState::Overwritten,
                    _ => return None,
                },
                json: object.get("schema")?.as_str()?.to_owned(),
            })
        };
        read().ok_or_else(|| SystemError::Unreadable {
            id: document.id().to_string(),
            detail: "unexpected row of _schemas".to_owned(),
        })
    }

    /// The fields of a row, without system fields.
    pub(super) fn fields(state: &SchemaState, json: &str) -> Object {
        Object::from([
            ("state".to_owned(), state.to_value()),
            ("schema".to_owned(), Value::String(json.to_owned())),
        ])
    }
}
