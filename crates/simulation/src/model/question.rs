//! Reads: asked of a transaction, and worked out from the model.

use std::sync::Arc;

use freshet_database::{DatabaseError, Document, Namespace, Query, Transaction};
use freshet_values::{DocumentId, Object};
use serde_json::{Value as Json, json};

use super::page::PageQuestion;
use super::state::{State, Term};

/// A read.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    Get(DocumentId),
    Scan {
        table: String,
        descending: bool,
        limit: Option<u64>,
    },
    Range {
        table: String,
        index: String,
        range: Range,
        descending: bool,
        limit: Option<u64>,
    },
    /// A search for one word or its beginning, perhaps with a value that another field must have.
    Search {
        table: String,
        words: String,
        filter: Option<Term>,
        limit: Option<u64>,
    },
    Count(String),
    Page(PageQuestion),
}

/// Bounds on the fields of an index, from the first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Range {
    pub(crate) equal: Vec<(String, Term)>,
    /// The next field, with a lower bound; inclusive if true.
    pub(crate) lower: Option<(String, Term, bool)>,
    /// The next field, with an upper bound; inclusive if true.
    pub(crate) upper: Option<(String, Term, bool)>,
}

/// What a read returned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Documents(Vec<Arc<Object>>),
    Count(u64),
    Page {
        rows: Vec<Arc<Object>>,
        is_done: bool,
    },
    /// The index does not exist or cannot be queried yet.
    Unusable,
}

impl Question {
    /// Asks a transaction.
    pub(crate) fn ask(&self, transaction: &mut Transaction) -> Result<Answer, DatabaseError> {
        let mut user = transaction.user(Namespace::ROOT);
        let asked = match self {
            Question::Page(page) => return Ok(page.ask(transaction)?.0),
            Question::Get(id) => user
                .get(&id.to_string(), None, false)
                .and_then(|found| found.iter().map(|document| object(document)).collect())
                .map(Answer::Documents),
            Question::Count(table) => user.count(table).map(Answer::Count),
            Question::Scan { .. } | Question::Range { .. } | Question::Search { .. } => user
                .collect(&self.query())
                .and_then(|rows| rows.iter().map(|document| object(document)).collect())
                .map(Answer::Documents),
        };
        match asked {
            Err(DatabaseError::Developer(_)) => Ok(Answer::Unusable),
            other => other,
        }
    }

    pub(super) fn query(&self) -> Query {
        let (source, limit) = match self {
            Question::Scan { table, descending, limit } => {
                (json!({"type": "FullTableScan", "tableName": table, "order": order(*descending)}), *limit)
            }
            Question::Range { table, index, range, descending, limit } => (
                json!({
                    "type": "IndexRange", "indexName": format!("{table}.{index}"), "range": range.json(),
                    "order": order(*descending),
                }),
                *limit,
            ),
            Question::Search { table, words, filter, limit } => {
                let mut filters = vec![json!({"type": "Search", "fieldPath": "b", "value": words})];
                filters.extend(
                    filter.iter().map(|term| json!({"type": "Eq", "fieldPath": "a", "value": term.json()})),
                );
                let index = format!("{table}.{}", crate::chance::SEARCH);
                (json!({"type": "Search", "indexName": index, "filters": filters}), *limit)
            }
            Question::Get(_) | Question::Count(_) | Question::Page(_) => {
                unreachable!("these are no queries")
            }
        };
        let operators: Vec<Json> = limit.iter().map(|limit| json!({"limit": limit})).collect();
        Query::from_json(&json!({"source": source, "operators": operators}))
            .expect("the query is well formed")
    }

    /// The fields of the index that it reads, from the index's name: those of one name are always the same.
    pub(super) fn fields(&self) -> Vec<String> {
        match self {
            Question::Range { index, .. } => crate::chance::fields_of(index),
            _ => Vec::new(),
        }
    }

    pub(super) fn is_descending(&self) -> bool {
        matches!(self, Question::Scan { descending: true, .. } | Question::Range { descending: true, .. })
    }

    /// The answer that the model gives.
    pub(crate) fn expect(&self, state: &State) -> Answer {
        match self {
            Question::Page(page) => page.expect(state),
            Question::Get(id) => Answer::Documents(state.document(*id).cloned().into_iter().collect()),
            Question::Count(table) => {
                Answer::Count(state.tables.get(table).map_or(0, |table| table.documents.len() as u64))
            }
            Question::Scan { table, descending, limit } => {
                let rows = state.tables.get(table).map(|table| table.ordered(&[])).unwrap_or_default();
                Answer::Documents(take(rows, *descending, *limit))
            }
            Question::Range { table, index, range, descending, limit } => {
                let Some(table) = state.tables.get(table) else { return Answer::Unusable };
                let Some(index) = table.indexes.get(index).filter(|index| index.enabled) else {
                    return Answer::Unusable;
                };
                let mut rows = table.ordered(&index.fields);
                rows.retain(|object| range.contains(object));
                Answer::Documents(take(rows, *descending, *limit))
            }
            Question::Search { table, words, filter, limit } => {
                let Some(table) = state.tables.get(table) else { return Answer::Unusable };
                if !table.indexes.get(crate::chance::SEARCH).is_some_and(|index| index.enabled) {
                    return Answer::Unusable;
                }
                // All texts are one word, so all scores are equal: the newest come first.
                let mut rows = table.ordered(&[]);
                rows.retain(|object| {
                    let is_found =
                        matches!(Term::of(object, "b"), Term::Text(text) if text.starts_with(words));
                    is_found && filter.as_ref().is_none_or(|filter| Term::of(object, "a") == *filter)
                });
                Answer::Documents(take(rows, true, *limit))
            }
        }
    }
}

fn take(mut rows: Vec<&Arc<Object>>, descending: bool, limit: Option<u64>) -> Vec<Arc<Object>> {
    if descending {
        rows.reverse();
    }
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    rows.into_iter().take(limit).cloned().collect()
}

fn order(descending: bool) -> &'static str {
    if descending { "desc" } else { "asc" }
}

pub(crate) fn object(document: &Document) -> Result<Arc<Object>, DatabaseError> {
    Ok(Arc::new(document.object()?.clone()))
}

impl Range {
    fn contains(&self, object: &Object) -> bool {
        let equal = self.equal.iter().all(|(field, term)| Term::of(object, field) == *term);
        let lower = self.lower.as_ref().is_none_or(|(field, term, inclusive)| {
            let found = Term::of(object, field);
            found > *term || (*inclusive && found == *term)
        });
        let upper = self.upper.as_ref().is_none_or(|(field, term, inclusive)| {
            let found = Term::of(object, field);
            found < *term || (*inclusive && found == *term)
        });
        equal && lower && upper
    }

    fn json(&self) -> Vec<Json> {
        let bound = |kind: &str, field: &str, term: &Term| json!({"type": kind, "fieldPath": field, "value": term.json()});
        let equal = self.equal.iter().map(|(field, term)| bound("Eq", field, term));
        let lower = self
            .lower
            .iter()
            .map(|(field, term, inclusive)| bound(if *inclusive { "Gte" } else { "Gt" }, field, term));
        let upper = self
            .upper
            .iter()
            .map(|(field, term, inclusive)| bound(if *inclusive { "Lte" } else { "Lt" }, field, term));
        equal.chain(lower).chain(upper).collect()
    }
}
