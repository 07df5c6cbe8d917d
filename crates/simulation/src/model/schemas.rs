//! What the schemas of the simulation ask of documents, and what may become of one that was handed in.

use std::sync::Arc;

use freshet_database::schema::SchemaState;
use freshet_values::{DocumentId, Object};
use serde_json::json;

use super::state::{State, Term};
use crate::violation::{Checked, check};

/// Which fields which tables must have. Everything else is optional.
pub(crate) const RULES: [&[(&str, &str)]; 4] =
    [&[], &[("ants", "a")], &[("bees", "b")], &[("ants", "b"), ("cats", "a"), ("cats", "b")]];

/// The schemas of one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schemas {
    pub(crate) active: Option<Schema>,
    pub(crate) waiting: Option<Waiting>,
}

/// A schema: which of the rules, and its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) rules: usize,
    pub(crate) id: DocumentId,
}

/// A schema that was handed in and is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) schema: Schema,
    /// Some document did not match when it was handed in, so the check of existing documents may fail it. It need not: the
    /// document may have been changed or deleted before it was looked at.
    pub(crate) may_fail: bool,
    /// A write since did not match, so it has failed.
    pub(crate) has_failed: bool,
}

/// What a transaction saw of the schema that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pending,
    Validated,
    Failed,
}

impl Verdict {
    pub(crate) fn of(state: &SchemaState) -> Option<Verdict> {
        match state {
            SchemaState::Pending => Some(Verdict::Pending),
            SchemaState::Validated => Some(Verdict::Validated),
            SchemaState::Failed { .. } => Some(Verdict::Failed),
            SchemaState::Active | SchemaState::Overwritten => None,
        }
    }
}

/// The tables that these rules speak of.
pub(crate) fn tables(rules: usize) -> Vec<&'static str> {
    let mut tables: Vec<&str> = RULES[rules].iter().map(|(table, _)| *table).collect();
    tables.dedup();
    tables
}

/// The schema in the form in which it is handed in.
pub(crate) fn text(rules: usize) -> String {
    let tables: Vec<_> = tables(rules)
        .into_iter()
        .map(|table| {
            let optional = |field: &str| !RULES[rules].contains(&(table, field));
            json!({"tableName": table, "indexes": [], "documentType": {"type": "object", "value": {
                "a": {"fieldType": {"type": "number"}, "optional": optional("a")},
                "b": {"fieldType": {"type": "string"}, "optional": optional("b")},
                "pad": {"fieldType": {"type": "string"}, "optional": false},
            }}})
        })
        .collect();
    json!({"schemaValidation": true, "tables": tables}).to_string()
}

impl Schema {
    /// Whether a document may be in a table.
    pub(crate) fn accepts(&self, table: &str, object: &Object) -> bool {
        let mut wanted = RULES[self.rules].iter().filter(|(of, _)| *of == table);
        wanted.all(|(_, field)| Term::of(object, field) != Term::Missing)
    }

    /// Whether all documents match.
    pub(crate) fn holds(&self, state: &State) -> bool {
        state
            .tables
            .iter()
            .all(|(name, table)| table.documents.values().all(|object| self.accepts(name, object)))
    }
}

impl State {
    /// A document is written: the schema in force must have been asked, and one that waits fails if it does not match.
    pub(crate) fn enforce(&mut self, table: &str, new: &Arc<Object>) -> Checked {
        let refused = self.schemas.active.is_some_and(|active| !active.accepts(table, new));
        check(!refused, || format!("{new:?} was written to {table} against {:?}", self.schemas.active))?;
        if let Some(waiting) = &mut self.schemas.waiting {
            waiting.has_failed |= !waiting.schema.accepts(table, new);
        }
        Ok(())
    }

    /// A schema was handed in and has this row.
    pub(crate) fn submit(&mut self, schema: Schema) -> Checked {
        let before = self.schemas.waiting.take();
        if let Some(active) = self.schemas.active.filter(|active| active.rules == schema.rules) {
            return check(active == schema, || {
                format!("{schema:?} was made, although {active:?} is in force")
            });
        }
        let before = before.filter(|before| before.schema.rules == schema.rules);
        self.schemas.waiting = Some(match before {
            Some(before) if before.schema.id == schema.id => {
                check(!before.has_failed, || format!("{before:?} was taken up again"))?;
                before
            }
            Some(before) => {
                check(before.may_fail || before.has_failed, || {
                    format!("{schema:?} was made although {before:?} waits")
                })?;
                self.new_waiting(schema)
            }
            None => self.new_waiting(schema),
        });
        Ok(())
    }

    fn new_waiting(&self, schema: Schema) -> Waiting {
        Waiting { schema, may_fail: !schema.holds(self), has_failed: false }
    }

    /// Somebody saw how far the schema that waits is; none means that none waits.
    pub(crate) fn see(&self, seen: Option<(DocumentId, Verdict)>) -> Checked {
        let waiting = self.schemas.waiting.as_ref();
        let (waiting, verdict) = match (waiting, seen) {
            (None, None) => return Ok(()),
            // It is not under way any more, so handing in the schema in force again does not concern it.
            (None, Some((_, Verdict::Failed))) => return Ok(()),
            (Some(waiting), Some((id, verdict))) if waiting.schema.id == id => (waiting, verdict),
            (waiting, seen) => {
                return check(false, || format!("{waiting:?} should wait, but {seen:?} was seen"));
            }
        };
        match verdict {
            Verdict::Pending | Verdict::Validated if waiting.has_failed => {
                check(false, || format!("{waiting:?} is {verdict:?}"))
            }
            Verdict::Pending => Ok(()),
            Verdict::Validated => check(waiting.schema.holds(self), || {
                format!("{waiting:?} counts as validated, but some document does not match")
            }),
            Verdict::Failed => check(waiting.may_fail || waiting.has_failed, || {
                format!("{waiting:?} has failed, but all documents always matched")
            }),
        }
    }

    /// The schema that waits was put in force; none means that no schema is from now on.
    pub(crate) fn activate(&mut self, id: Option<DocumentId>) -> Checked {
        let Some(id) = id else {
            self.schemas.active = None;
            return Ok(());
        };
        self.see(Some((id, Verdict::Validated)))?;
        self.schemas.active = self.schemas.waiting.take().map(|waiting| waiting.schema);
        Ok(())
    }
}
