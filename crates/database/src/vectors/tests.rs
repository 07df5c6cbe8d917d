//! Vector indexes against the documents themselves, in steps: whatever happens in between, answers are exact ones.

#![allow(clippy::needless_pass_by_value)] // `json!` reads better without a reference to each.

mod answers;
mod declarations;
mod restarts;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use freshet_search::vector::cosine;
use freshet_store::{IndexId, MemoryStore, Store};
use freshet_values::{DocumentId, KeyInterval, Object, TableName, Timestamp, Value};
use serde_json::json;

use super::*;
use crate::catalog::{IndexSpec, IndexState};
use crate::{Database, DatabaseError, DatabaseOptions, ManualClock, Namespace, Randomness};

/// A database without threads, with a table `t` of documents `{v, group, n}`.
struct World {
    database: Database,
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
}

const DIMENSIONS: usize = 3;

fn options(directory: Option<&Path>) -> DatabaseOptions {
    DatabaseOptions {
        vectors: VectorOptions {
            directory: directory.map(Path::to_path_buf),
            // A few dozen rows: segments come into being all the time, and some of them stay on disk.
            memory_bytes: 16 << 10,
            save_period: Duration::from_millis(50),
            search_wait_max: Duration::ZERO,
        },
        ..DatabaseOptions::default()
    }
}

impl World {
    fn new(directory: Option<&Path>) -> World {
        let clock = ManualClock::new(Timestamp(1_700_000_000_000_000_000));
        World::open(Arc::new(MemoryStore::new()), clock, directory)
    }

    fn open(store: Arc<MemoryStore>, clock: Arc<ManualClock>, directory: Option<&Path>) -> World {
        let database = Database::open_stepped(
            Arc::clone(&store) as Arc<dyn Store>,
            options(directory),
            Arc::clone(&clock) as _,
            Randomness::from_seed([1; 32]),
        )
        .unwrap();
        World { database, store, clock }
    }

    /// Ends without a warning and starts again with what is on disk.
    fn crash(self, directory: Option<&Path>) -> World {
        let World { database, store, clock } = self;
        let store = Arc::new(store.after_crash());
        drop(database);
        World::open(store, clock, directory)
    }

    fn insert(&self, vector: Value, group: Value) -> DocumentId {
        self.clock.advance(1_000_000);
        let mut transaction = self.database.begin().unwrap();
        let document = Value::object([("v", vector), ("group", group)]);
        let id = transaction.user(Namespace::ROOT).insert("t", document).unwrap();
        self.database.commit(transaction).unwrap();
        id
    }

    fn patch(&self, id: DocumentId, field: &str, value: Value) {
        self.clock.advance(1_000_000);
        let mut transaction = self.database.begin().unwrap();
        let fields = [(field.to_owned(), Some(value))].into();
        transaction.system(Namespace::ROOT).patch(&table(), id, fields).unwrap();
        self.database.commit(transaction).unwrap();
    }

    fn delete(&self, id: DocumentId) {
        let mut transaction = self.database.begin().unwrap();
        assert!(transaction.system(Namespace::ROOT).delete(&table(), id).unwrap());
        self.database.commit(transaction).unwrap();
    }

    /// Declares an index `i`.
    fn declare(&self, staged: bool) -> IndexId {
        let mut transaction = self.database.begin().unwrap();
        let spec = IndexSpec::Vector {
            vector_field: "v".parse().unwrap(),
            dimensions: DIMENSIONS as u32,
            filter_fields: vec!["group".parse().unwrap()],
        };
        let index = "i".parse().unwrap();
        let id = transaction.create_index(Namespace::ROOT, &table(), &index, spec, staged).unwrap();
        self.database.commit(transaction).unwrap();
        id
    }

    fn enable(&self, index: IndexId) {
        let mut transaction = self.database.begin().unwrap();
        transaction.enable_index(index).unwrap();
        self.database.commit(transaction).unwrap();
    }

    fn drop_index(&self, index: IndexId) {
        let mut transaction = self.database.begin().unwrap();
        transaction.drop_index(index).unwrap();
        self.database.commit(transaction).unwrap();
    }

    fn state(&self, index: IndexId) -> Option<IndexState> {
        self.database.catalog().index(index).map(|index| index.state)
    }

    /// Does all that is due.
    fn settle(&self) {
        while self.database.step_commit() || self.database.step_maintenance().unwrap() {}
    }

    fn search(&self, query: serde_json::Value) -> Result<Vec<(DocumentId, f32)>, DatabaseError> {
        let query = VectorQuery::from_json(&query)?;
        let answer = self.database.vector_search(Namespace::ROOT, &query)?;
        Ok(answer.hits.into_iter().map(|hit| (hit.id, hit.score)).collect())
    }

    /// What a search must find, by a look at every document.
    fn exact(&self, vector: &[f32], limit: usize, groups: Option<&[Value]>) -> Vec<(DocumentId, f32)> {
        let transaction = self.database.begin().unwrap();
        let catalog = Arc::clone(transaction.catalog());
        let Some(table) = catalog.table_by_name(Namespace::ROOT, &table()) else { return Vec::new() };
        let by_id = catalog.index(table.by_id).unwrap();
        let chunk =
            transaction.load(table, by_id, &KeyInterval::all(), freshet_store::Order::Asc, 100_000).unwrap();
        assert!(chunk.rest.is_none());
        let score = |object: &Object| {
            let Some(Value::Array(numbers)) = object.get("v") else { return None };
            let floats: Option<Vec<f32>> = numbers
                .iter()
                .map(|number| if let Value::Float64(number) = number { Some(*number as f32) } else { None })
                .collect();
            let group = object.get("group").cloned().unwrap_or(Value::Null);
            let passes = groups.is_none_or(|groups| groups.contains(&group));
            floats.filter(|floats| passes && floats.len() == DIMENSIONS).map(|floats| cosine(vector, &floats))
        };
        let mut hits: Vec<(DocumentId, f32)> = chunk
            .rows
            .iter()
            .filter_map(|(_, document)| Some((document.id(), score(document.object().unwrap())?)))
            .collect();
        hits.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.internal.0.cmp(&a.0.internal.0)));
        hits.truncate(limit);
        hits
    }

    /// Searches in several ways and compares.
    #[track_caller]
    fn check(&self) {
        for (at, vector) in [[1.0, 0.0, 0.0], [0.3, -0.5, 0.9], [-1.0, 0.2, 0.0]].iter().enumerate() {
            let limit = [1, 7, 40][at];
            let query = json!({"indexName": "t.i", "vector": vector, "limit": limit, "expressions": null});
            assert_eq!(self.search(query).unwrap(), self.exact(vector, limit, None));
            let filter = json!({"$or": [
                {"$eq": [{"$field": "group"}, {"$literal": "a"}]}, {"$eq": [{"$field": "group"}, {"$literal": 2.0}]},
            ]});
            let query = json!({"indexName": "t.i", "vector": vector, "limit": limit, "expressions": filter});
            let groups = [Value::from("a"), Value::Float64(2.0)];
            assert_eq!(self.search(query).unwrap(), self.exact(vector, limit, Some(&groups)));
        }
    }
}

fn table() -> TableName {
    "t".parse().unwrap()
}

fn floats(numbers: &[f64]) -> Value {
    Value::Array(numbers.iter().map(|number| Value::Float64(*number)).collect())
}

/// The nth of some vectors that are spread evenly.
fn nth(n: u32) -> Value {
    let n = f64::from(n);
    floats(&[(n * 0.7).sin(), (n * 1.3).cos(), (n * 0.37).sin()])
}

fn message<T: std::fmt::Debug>(result: Result<T, DatabaseError>) -> (&'static str, String) {
    match result.unwrap_err() {
        DatabaseError::Developer(error) => (error.code, error.message),
        DatabaseError::System(error) => panic!("not an error for app code: {error}"),
    }
}
