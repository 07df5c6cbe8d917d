//! SQLite's own full-text index, over a table that holds the texts.

use anyhow::Result;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::subject::Subject;

pub(crate) struct Fts5 {
    _directory: TempDir,
    connection: Connection,
    has_index: bool,
}

impl Fts5 {
    pub(crate) fn new() -> Result<Fts5> {
        let directory = tempfile::tempdir_in(".")?;
        let connection = Connection::open(directory.path().join("db"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // As much as Freshet's connections have together.
        connection.pragma_update(None, "cache_size", -64 * 1024)?;
        connection.execute_batch("CREATE TABLE texts (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")?;
        Ok(Fts5 { _directory: directory, connection, has_index: false })
    }
}

impl Subject for Fts5 {
    fn insert(&mut self, texts: &[String]) -> Result<()> {
        let transaction = self.connection.transaction()?;
        for text in texts {
            transaction.prepare_cached("INSERT INTO texts (body) VALUES (?1)")?.execute([text])?;
            if self.has_index {
                let id = transaction.last_insert_rowid();
                let sql = "INSERT INTO words (rowid, body) VALUES (?1, ?2)";
                transaction.prepare_cached(sql)?.execute(rusqlite::params![id, text])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn build_index(&mut self) -> Result<()> {
        self.connection.execute_batch(
            "CREATE VIRTUAL TABLE words USING fts5(body, content='texts', content_rowid='id'); \
             INSERT INTO words (words) VALUES ('rebuild');",
        )?;
        self.has_index = true;
        Ok(())
    }

    fn best(&mut self, words: &str, count: usize) -> Result<Vec<String>> {
        let words: Vec<String> = words.split(' ').map(|word| format!("\"{word}\"")).collect();
        let query = format!("{}*", words.join(" OR "));
        let sql = "SELECT t.body FROM words w JOIN texts t ON t.id = w.rowid WHERE words MATCH ?1 ORDER BY rank LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_map(rusqlite::params![query, count as u32], |row| row.get(0))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    fn size(&mut self) -> Result<u64> {
        let pragma = |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
        Ok(u64::from(pragma("page_count")? - pragma("freelist_count")?) * u64::from(pragma("page_size")?))
    }
}
