//! The tables of the file and the statements that are not on the hot path.
//!
//! ```text
//! freshet_documents      row, table_id, id, json, size      current version of every document; json is the encoded form
//! freshet_index_entries  index_id, key, document            current entries; key orders bytewise, document is a row number
//! freshet_commit_log     timestamp, writes                  one row per commit: [[table_id, "hex id", {document} | null], ...]
//! freshet_table_counts   table_id, documents                number of documents
//! freshet_meta           name, value                        format, durable timestamp, clean shutdown, and `database.*`
//! ```
//!
//! Documents have row numbers so that inserting appends to the big tree, whatever the (random) ids are, and
//! so that an index entry stays small and leads to its document in one step.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use freshet_values::{InternalId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::value::RawValue;

use super::{SqliteOptions, failure};
use crate::{IndexId, LogEntry, LogWrite, StoreError, TableId};

/// The newest format that this release reads and the one that it writes.
pub(super) const FORMAT_VERSION: u32 = 1;
/// Marks the file as ours for `file(1)` and for ourselves: "Fsht".
const APPLICATION_ID: i32 = 0x4673_6874;

/// How long SQLite waits for locks of other processes, such as a tool that looks into the file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) const META_TIMESTAMP: &str = "durable_timestamp";
pub(super) const META_CLEAN: &str = "clean_shutdown";

const TABLES: &str = "
CREATE TABLE freshet_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE freshet_documents (
    row INTEGER PRIMARY KEY,
    table_id INTEGER NOT NULL,
    id BLOB NOT NULL,
    json TEXT NOT NULL,
    size INTEGER NOT NULL
);
CREATE UNIQUE INDEX freshet_documents_by_id ON freshet_documents (table_id, id);
CREATE TABLE freshet_index_entries (
    index_id INTEGER NOT NULL,
    key BLOB NOT NULL,
    document INTEGER NOT NULL,
    PRIMARY KEY (index_id, key)
) WITHOUT ROWID;
CREATE TABLE freshet_commit_log (timestamp INTEGER PRIMARY KEY, writes TEXT NOT NULL);
CREATE TABLE freshet_table_counts (table_id INTEGER PRIMARY KEY, documents INTEGER NOT NULL);
INSERT INTO freshet_meta VALUES ('durable_timestamp', '0'), ('clean_shutdown', '1');
";

/// Checks that the file is ours and readable, makes the tables of a new one, and sets the writer's pragmas.
pub(super) fn prepare(
    connection: &Connection,
    path: &Path,
    options: &SqliteOptions,
) -> Result<(), StoreError> {
    let damaged = |error: &rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            StoreError::Damaged { path: path.to_owned(), detail: error.to_string() }
        }
        _ => failure(error),
    };
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|error| failure(&error))?;
    connection.set_prepared_statement_cache_capacity(64);
    keep_plans(connection).map_err(|error| failure(&error))?;
    let pragma = |name: &str| -> Result<i64, StoreError> {
        connection.pragma_query_value(None, name, |row| row.get(0)).map_err(|error| damaged(&error))
    };
    let application = pragma("application_id")?;
    let version = pragma("user_version")?;
    let objects: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| damaged(&error))?;
    if objects > 0 && application != i64::from(APPLICATION_ID) {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    let found = u32::try_from(version).unwrap_or(u32::MAX);
    if found > FORMAT_VERSION {
        return Err(StoreError::NewerFormat { path: path.to_owned(), found, supported: FORMAT_VERSION });
    }
    set_writer_pragmas(connection, options).map_err(|error| failure(&error))?;
    if objects == 0 {
        connection
            .execute_batch(&format!(
                "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID}; \
                 PRAGMA user_version = {FORMAT_VERSION}; COMMIT;"
            ))
            .map_err(|error| failure(&error))?;
    }
    Ok(())
}

/// Makes SQLite keep the plans of prepared statements. Otherwise it looks at the values that are bound and prepares each
/// statement anew whenever they change, which takes longer than a short scan itself.
pub(super) fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn set_writer_pragmas(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL syncs the log at every commit: a commit that returned survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -i64::from(options.writer_cache_kib))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // After a burst the log file shrinks back to this many bytes.
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(())
}

/// Reads a meta row that always exists.
pub(super) fn required_meta(connection: &Connection, name: &str) -> rusqlite::Result<String> {
    connection
        .prepare_cached("SELECT value FROM freshet_meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
}

/// Sets a meta row.
pub(super) fn set_meta(connection: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO freshet_meta VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")?
        .execute([name, value])?;
    Ok(())
}

/// The meta name of a text that belongs to the database above; kept apart from the store's own names.
pub(super) fn database_meta(name: &str) -> String {
    format!("database.{name}")
}

/// The timestamp of the last durable commit.
pub(super) fn durable_timestamp(connection: &Connection) -> Result<Timestamp, StoreError> {
    let text = required_meta(connection, META_TIMESTAMP).map_err(|error| failure(&error))?;
    text.parse()
        .map(Timestamp)
        .map_err(|_| StoreError::Storage(format!("the durable timestamp `{text}` is not a number")))
}

/// Reads commits of the log.
pub(super) fn read_log(
    connection: &Connection,
    after: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<LogEntry>> {
    let mut statement = connection.prepare_cached(
        "SELECT timestamp, writes FROM freshet_commit_log WHERE timestamp > ?1 ORDER BY timestamp LIMIT ?2",
    )?;
    let mut rows =
        statement.query(params![after.0.cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let timestamp = Timestamp(row.get::<_, i64>(0)?.cast_unsigned());
        let writes = parse_log_writes(row.get_ref(1)?.as_str()?).map_err(|detail| {
            rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, detail.into())
        })?;
        entries.push(LogEntry { timestamp, writes });
    }
    Ok(entries)
}

fn parse_log_writes(text: &str) -> Result<Vec<LogWrite>, String> {
    let rows: Vec<(u32, &str, Option<&RawValue>)> =
        serde_json::from_str(text).map_err(|error| format!("unreadable log entry: {error}"))?;
    rows.into_iter()
        .map(|(table, id, document)| {
            let mut internal = [0; 16];
            hex::decode_to_slice(id, &mut internal)
                .map_err(|error| format!("unreadable id in the log: {error}"))?;
            Ok(LogWrite {
                table: TableId(table),
                internal: InternalId(internal),
                json: document.map(|raw| Arc::from(raw.get())),
            })
        })
        .collect()
}

/// Forgets old commits of the log.
pub(super) fn trim_log(connection: &Connection, before: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM freshet_commit_log WHERE timestamp IN \
             (SELECT timestamp FROM freshet_commit_log WHERE timestamp < ?1 ORDER BY timestamp LIMIT ?2)",
        )?
        .execute(params![before.0.cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX)])
}

/// Removes entries of a dropped index.
pub(super) fn clear_index(connection: &Connection, index: IndexId, limit: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM freshet_index_entries WHERE index_id = ?1 AND key IN \
             (SELECT key FROM freshet_index_entries WHERE index_id = ?1 ORDER BY key LIMIT ?2)",
        )?
        .execute(params![index.0, i64::try_from(limit).unwrap_or(i64::MAX)])
}

/// Removes documents of a dropped table, its count when none is left.
pub(super) fn clear_table(connection: &Connection, table: TableId, limit: usize) -> rusqlite::Result<usize> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM freshet_documents WHERE row IN \
             (SELECT row FROM freshet_documents WHERE table_id = ?1 LIMIT ?2)",
        )?
        .execute(params![table.0, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    if removed < limit {
        connection.execute("DELETE FROM freshet_table_counts WHERE table_id = ?1", [table.0])?;
    }
    Ok(removed)
}

/// Gives a table a view of its own name, unless that name is taken.
///
/// SQLite compares names without case and reserves some, so a few tables may stay without a view; they can still be read
/// from `freshet_documents`.
pub(super) fn create_view(connection: &Connection, table: TableId, name: &str) -> rusqlite::Result<()> {
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("sqlite_") || lower.starts_with("freshet_") {
        return Ok(());
    }
    let taken: Option<i64> = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE lower(name) = ?1", [&lower], |row| row.get(0))
        .optional()?;
    if taken.is_none() {
        connection.execute_batch(&format!(
            "CREATE VIEW {} AS SELECT json ->> '$._id' AS _id, json ->> '$._creationTime' AS _creationTime, \
             json AS document FROM freshet_documents WHERE table_id = {}",
            quoted(name),
            table.0
        ))?;
    }
    Ok(())
}

/// Takes the view away if it is this table's.
pub(super) fn drop_view(connection: &Connection, table: TableId, name: &str) -> rusqlite::Result<()> {
    let definition: Option<String> = connection
        .query_row("SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?1", [name], |row| {
            row.get(0)
        })
        .optional()?;
    if definition.is_some_and(|sql| sql.ends_with(&format!("table_id = {}", table.0))) {
        connection.execute_batch(&format!("DROP VIEW {}", quoted(name)))?;
    }
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
