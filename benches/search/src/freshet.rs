//! Freshet's database on its SQLite store.

use std::sync::Arc;

use anyhow::{Context, Result};
use freshet_database::{
    Database, DatabaseOptions, IndexSpec, IndexState, Namespace, Query, Randomness, SystemClock,
};
use freshet_store::{SqliteOptions, SqliteStore};
use freshet_values::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::subject::Subject;

pub(crate) struct Freshet {
    directory: TempDir,
    database: Database,
}

impl Freshet {
    pub(crate) fn new() -> Result<Freshet> {
        let directory = tempfile::tempdir_in(".")?;
        let store = SqliteStore::open(&directory.path().join("db"), &SqliteOptions::default())?;
        let randomness = Randomness::from_seed([1; 32]);
        let clock = Arc::new(SystemClock);
        let database = Database::open(Arc::new(store), DatabaseOptions::default(), clock, randomness)?;
        Ok(Freshet { directory, database })
    }
}

impl Subject for Freshet {
    fn insert(&mut self, texts: &[String]) -> Result<()> {
        let mut transaction = self.database.begin()?;
        for text in texts {
            let object = Value::object([("body", Value::from(text.as_str()))]);
            transaction.user(Namespace::ROOT).insert("texts", object)?;
        }
        let commit = self.database.commit(transaction)?;
        Ok(self.database.wait_durable_blocking(commit.ts)?)
    }

    fn build_index(&mut self) -> Result<()> {
        let spec = IndexSpec::Search { search_field: "body".parse()?, filter_fields: Vec::new() };
        let mut transaction = self.database.begin()?;
        let (table, name) = ("texts".parse()?, "by_body".parse()?);
        let index = transaction.create_index(Namespace::ROOT, &table, &name, spec, false)?;
        self.database.commit(transaction)?;
        let state = || self.database.catalog().index(index).map(|index| index.state);
        while state().context("the index is there")? == IndexState::Backfilling {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let mut transaction = self.database.begin()?;
        transaction.enable_index(index)?;
        let commit = self.database.commit(transaction)?;
        Ok(self.database.wait_durable_blocking(commit.ts)?)
    }

    fn best(&mut self, words: &str, count: usize) -> Result<Vec<String>> {
        let filters = json!([{"type": "Search", "fieldPath": "body", "value": words}]);
        let source = json!({"type": "Search", "indexName": "texts.by_body", "filters": filters});
        let query = Query::from_json(&json!({"source": source, "operators": [{"limit": count}]}))
            .map_err(anyhow::Error::msg)?;
        let mut transaction = self.database.begin()?;
        let found = transaction.user(Namespace::ROOT).collect(&query)?;
        let body =
            |object: &freshet_values::Object| object.get("body").and_then(Value::as_str).map(str::to_owned);
        found.iter().map(|document| Ok(body(document.object()?).unwrap_or_default())).collect()
    }

    fn size(&mut self) -> Result<u64> {
        // Pages that are still in the log alone belong to the database as well.
        let connection = rusqlite::Connection::open(self.directory.path().join("db"))?;
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
        Ok(u64::from(pragma("page_count")? - pragma("freelist_count")?) * u64::from(pragma("page_size")?))
    }
}
