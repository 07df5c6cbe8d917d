//! Arbitrary tables, documents and questions: few enough that clients meet.

use std::sync::Arc;

use freshet_values::{DocumentId, Object, Value};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::model::{PageQuestion, Place, Question, Range, State, Term};

const TABLES: [&str; 3] = ["ants", "bees", "cats"];
const INDEXES: [(&str, &[&str]); 4] =
    [("by_a", &["a"]), ("by_b", &["b"]), ("by_a_b", &["a", "b"]), (SEARCH, &["b", "a"])];

/// The search index: over the first of its fields, with the other as a filter.
pub(crate) const SEARCH: &str = "words";

pub(crate) fn table(rng: &mut ChaCha8Rng) -> String {
    TABLES[rng.random_range(0..TABLES.len())].to_owned()
}

pub(crate) fn tables() -> impl Iterator<Item = &'static str> {
    TABLES.into_iter()
}

pub(crate) fn index(rng: &mut ChaCha8Rng) -> (String, Vec<String>) {
    let (name, fields) = INDEXES[rng.random_range(0..INDEXES.len())];
    (name.to_owned(), fields.iter().map(|field| (*field).to_owned()).collect())
}

/// The fields of the index of this name.
pub(crate) fn fields_of(index: &str) -> Vec<String> {
    let found = INDEXES.iter().find(|(name, _)| *name == index);
    found.into_iter().flat_map(|(_, fields)| fields.iter().map(|field| (*field).to_owned())).collect()
}

pub(crate) fn number(rng: &mut ChaCha8Rng) -> Option<Value> {
    rng.random_bool(0.9).then(|| Value::Float64(f64::from(rng.random_range(0..6))))
}

pub(crate) fn text(rng: &mut ChaCha8Rng) -> Option<Value> {
    rng.random_bool(0.8).then(|| Value::String(format!("b{}", rng.random_range(0..4))))
}

/// The fields of a new document.
pub(crate) fn fields(rng: &mut ChaCha8Rng, pad_max: usize) -> Object {
    let mut object = Object::new();
    object.extend(number(rng).map(|value| ("a".to_owned(), value)));
    object.extend(text(rng).map(|value| ("b".to_owned(), value)));
    let length = match rng.random_range(0..10) {
        0 => rng.random_range(0..=pad_max),
        _ => rng.random_range(0..=pad_max.min(200)),
    };
    // No two pads are alike, so that a page of an old version is never mistaken for a new one.
    let seed: u32 = rng.random();
    object.insert("pad".to_owned(), Value::String(format!("{seed:08x}").repeat(length / 8)));
    object
}

/// A document of the state.
pub(crate) fn document(rng: &mut ChaCha8Rng, state: &State) -> Option<(String, DocumentId, Arc<Object>)> {
    let (name, table) = state.tables.iter().nth(rng.random_range(0..TABLES.len()))?;
    if table.documents.is_empty() {
        return None;
    }
    let (id, object) = table.documents.iter().nth(rng.random_range(0..table.documents.len()))?;
    Some((name.clone(), *id, Arc::clone(object)))
}

/// A read that makes sense in the state.
pub(crate) fn question(rng: &mut ChaCha8Rng, state: &State) -> Question {
    let limit = rng.random_bool(0.4).then(|| rng.random_range(1..5));
    let descending = rng.random();
    match rng.random_range(0..10) {
        0..4 => {
            if let Some((_, id, _)) = document(rng, state) {
                return Question::Get(id);
            }
        }
        4..7 => {
            if let Some((table, index, fields)) = known_index(rng, state) {
                if index == SEARCH {
                    return search(rng, table, limit);
                }
                let range = range(rng, &fields);
                return Question::Range { table, index, range, descending, limit };
            }
        }
        7 => return Question::Count(table(rng)),
        _ => {}
    }
    Question::Scan { table: table(rng), descending, limit }
}

/// The first page of a query that makes sense in the state.
pub(crate) fn first_page(rng: &mut ChaCha8Rng, state: &State) -> Option<PageQuestion> {
    let mut of = question(rng, state);
    match &mut of {
        Question::Scan { limit, .. } | Question::Range { limit, .. } => *limit = None,
        _ => return None,
    }
    Some(PageQuestion { of: Box::new(of), from: Place::Start, cursor: None, size: rng.random_range(1..6) })
}

/// An index that is declared, mostly one that is in use.
fn known_index(rng: &mut ChaCha8Rng, state: &State) -> Option<(String, String, Vec<String>)> {
    let wants_use = rng.random_bool(0.8);
    let tables = state.tables.iter();
    let all = tables.flat_map(|(name, table)| table.indexes.iter().map(move |index| (name, index)));
    let known: Vec<_> = all.filter(|(_, (_, index))| index.enabled || !wants_use).collect();
    if known.is_empty() {
        return None;
    }
    let (table, (index, meta)) = known[rng.random_range(0..known.len())];
    Some((table.clone(), index.clone(), meta.fields.clone()))
}

fn search(rng: &mut ChaCha8Rng, table: String, limit: Option<u64>) -> Question {
    let words = match rng.random_range(0..4) {
        0 => "b".to_owned(),
        _ => format!("b{}", rng.random_range(0..4)),
    };
    let filter = rng.random_bool(0.4).then(|| term(rng, "a"));
    Question::Search { table, words, filter, limit }
}

fn range(rng: &mut ChaCha8Rng, fields: &[String]) -> Range {
    let mut range = Range::default();
    let equal = rng.random_range(0..=fields.len());
    for field in &fields[..equal] {
        range.equal.push((field.clone(), term(rng, field)));
    }
    if let Some(field) = fields.get(equal) {
        range.lower = rng.random_bool(0.5).then(|| (field.clone(), term(rng, field), rng.random()));
        range.upper = rng.random_bool(0.5).then(|| (field.clone(), term(rng, field), rng.random()));
    }
    range
}

fn term(rng: &mut ChaCha8Rng, field: &str) -> Term {
    let value = if field == "a" { number(rng) } else { text(rng) };
    let object: Object = value.map(|value| (field.to_owned(), value)).into_iter().collect();
    Term::of(&object, field)
}
