//! Full-text search.

mod errors;
mod histories;
mod lifecycle;
mod matching;
mod model;
mod paging;
mod reactivity;

use super::*;
use crate::{IndexSpec, IndexState};

/// A table `m` with a search index `s` over `body`, filtered by `ch` and `kind`.
fn messages() -> Fixture {
    let fixture = fixture();
    declare(&fixture, &["ch", "kind"]);
    fixture
}

fn declare(fixture: &Fixture, filters: &[&str]) {
    let spec = IndexSpec::Search {
        search_field: "body".parse().unwrap(),
        filter_fields: filters.iter().map(|field| field.parse().unwrap()).collect(),
    };
    let id = fixture
        .run(|transaction| {
            let (table, index) = (name("m"), "s".parse().unwrap());
            transaction.create_index(Namespace::ROOT, &table, &index, spec, false).unwrap()
        })
        .0;
    wait_until(|| fixture.database.catalog().index(id).unwrap().state != IndexState::Backfilling);
    fixture.run(|transaction| transaction.enable_index(id).unwrap());
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn message_in(channel: &str, body: &str) -> Value {
    object([("body", text(body)), ("ch", text(channel))])
}

/// A search with equality conditions and operators.
fn search_with(words: &str, equal: &[(&str, &str)], operators: serde_json::Value) -> Query {
    let mut filters = vec![serde_json::json!({"type": "Search", "fieldPath": "body", "value": words})];
    filters.extend(
        equal
            .iter()
            .map(|(field, value)| serde_json::json!({"type": "Eq", "fieldPath": field, "value": value})),
    );
    query(serde_json::json!({
        "source": {"type": "Search", "indexName": "m.s", "filters": filters}, "operators": operators,
    }))
}

fn search(words: &str, equal: &[(&str, &str)]) -> Query {
    search_with(words, equal, serde_json::json!([]))
}

fn bodies(transaction: &mut Transaction, query: &Query) -> Vec<String> {
    collect(transaction, query).iter().map(|row| field(row, "body").as_str().unwrap().to_owned()).collect()
}

fn found(fixture: &Fixture, words: &str, equal: &[(&str, &str)]) -> Vec<String> {
    bodies(&mut fixture.database.begin().unwrap(), &search(words, equal))
}
