//! Behaviour of the whole crate over the in-memory store and SQLite. One concern per file.

#![allow(clippy::needless_pass_by_value)] // `json!` reads better without a reference to each.

mod closing;
mod durability;
mod errors;
mod indexes;
mod limits;
mod model;
mod pagination;
mod past;
mod search;
mod serializability;
mod stepped;
mod subscriptions;
mod system;

use std::sync::Arc;

use freshet_store::{MemoryStore, Store};
use freshet_values::{Object, TableName, Timestamp, Value};

use crate::query::Query;
use crate::{
    Commit, Database, DatabaseError, DatabaseOptions, Document, ManualClock, Namespace, Randomness,
    Transaction,
};

/// A database with a clock that stands still and randomness from a seed.
struct Fixture {
    database: Database,
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
}

fn fixture() -> Fixture {
    fixture_on(Arc::new(MemoryStore::new()), DatabaseOptions::default())
}

fn fixture_on(store: Arc<MemoryStore>, options: DatabaseOptions) -> Fixture {
    let clock = ManualClock::new(Timestamp(1_700_000_000_000_000_000));
    let database = open_on(Arc::clone(&store) as Arc<dyn Store>, options, &clock);
    Fixture { database, store, clock }
}

fn open_on(store: Arc<dyn Store>, options: DatabaseOptions, clock: &Arc<ManualClock>) -> Database {
    Database::open(store, options, Arc::clone(clock) as _, Randomness::from_seed([1; 32])).unwrap()
}

impl Fixture {
    /// Runs one transaction and commits it.
    fn run<T>(&self, work: impl FnOnce(&mut Transaction) -> T) -> (T, Commit) {
        // Creation times are doubles: transactions less than a microsecond apart may share one.
        self.clock.advance(1_000_000);
        let mut transaction = self.database.begin().unwrap();
        let result = work(&mut transaction);
        (result, self.database.commit(transaction).unwrap())
    }

    /// Inserts one document in a transaction of its own.
    fn insert(&self, table: &str, value: Value) -> String {
        self.run(|transaction| insert(transaction, table, value)).0
    }

    /// As [`Fixture::insert`] of an empty document; when it was committed.
    fn insert_at(&self, table: &str) -> Timestamp {
        self.run(|transaction| insert(transaction, table, object([]))).1.ts
    }

    fn shared_overlay_is_empty(&self) -> bool {
        self.database.shared().state.lock().overlay.is_empty()
    }

    fn settle(&self) {
        self.database.wait_durable_blocking(self.database.visible_ts()).unwrap();
    }
}

fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::object(fields)
}

fn num(number: f64) -> Value {
    Value::Float64(number)
}

fn insert(transaction: &mut Transaction, table: &str, value: Value) -> String {
    transaction.user(Namespace::ROOT).insert(table, value).unwrap().to_string()
}

fn query(json: serde_json::Value) -> Query {
    Query::from_json(&json).unwrap()
}

/// A full scan of a table with operators.
fn scan(table: &str, order: &str, operators: serde_json::Value) -> Query {
    query(serde_json::json!({
        "source": {"type": "FullTableScan", "tableName": table, "order": order}, "operators": operators,
    }))
}

/// A range of an index.
fn range(index: &str, order: &str, bounds: serde_json::Value) -> Query {
    query(serde_json::json!({
        "source": {"type": "IndexRange", "indexName": index, "range": bounds, "order": order}, "operators": [],
    }))
}

fn collect(transaction: &mut Transaction, query: &Query) -> Vec<Arc<Document>> {
    transaction.user(Namespace::ROOT).collect(query).unwrap()
}

fn field(document: &Document, field: &str) -> Value {
    document.object().unwrap().get(field).cloned().unwrap_or(Value::Null)
}

fn message<T>(result: Result<T, DatabaseError>) -> String {
    match result {
        Err(DatabaseError::Developer(error)) => error.message,
        Err(other) => panic!("not an error for app code: {other}"),
        Ok(_) => panic!("an error was expected"),
    }
}

fn fields_of(document: &Document) -> Object {
    let mut object = document.object().unwrap().clone();
    object.retain(|field, _| !field.starts_with('_'));
    object
}

/// Declares an index, waits until it is complete, and enables it.
fn add_index(fixture: &Fixture, table: &str, index: &str, fields: &[&str]) {
    let spec =
        crate::IndexSpec::Database { fields: fields.iter().map(|field| field.parse().unwrap()).collect() };
    let id = fixture
        .run(|transaction| {
            transaction
                .create_index(Namespace::ROOT, &name(table), &index.parse().unwrap(), spec, false)
                .unwrap()
        })
        .0;
    wait_until(|| fixture.database.catalog().index(id).unwrap().state != crate::IndexState::Backfilling);
    fixture.run(|transaction| transaction.enable_index(id).unwrap());
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "waited too long");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
