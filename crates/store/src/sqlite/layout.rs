//! The tables of the file and the statements that are not on the hot path.
//!
//! ```text
//! freshet_documents      row, table_id, id, json, size      current version of every document; json is the encoded form
//! freshet_index_entries  index_id, key, document            current entries; key orders bytewise, document is a row number
//! freshet_commit_log     timestamp, writes                  one row per commit: [[table_id, "hex id", {document} | null], ...]
//! freshet_table_counts   table_id, documents                number of documents
//! freshet_meta           name, value                        durable timestamp, clean shutdown, how far the log was trimmed,
//!                                                           and `database.*`
//! ```
//!
//! The format is SQLite's `user_version`. What changed from one to the next is in `migration`.
//!
//! Documents have row numbers so that inserting appends to the big tree, whatever the (random) ids are, and
//! so that an index entry stays small and leads to its document in one step.

use std::path::Path;
use std::time::Duration;

use freshet_values::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::failure;
use crate::{IndexId, StoreError, TableId};

/// The newest format that this release reads and the one that it writes.
pub(super) const FORMAT_VERSION: u32 = 2;
/// Marks the file as ours for `file(1)` and for ourselves: "Fsht".
const APPLICATION_ID: i32 = 0x4673_6874;

/// How long SQLite waits for locks of other processes, such as a tool that looks into the file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) const META_TIMESTAMP: &str = "durable_timestamp";
pub(super) const META_CLEAN: &str = "clean_shutdown";
/// Through which timestamp the log was trimmed.
pub(super) const META_TRIMMED: &str = "log_trimmed_through";

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
INSERT INTO freshet_meta VALUES ('durable_timestamp', '0'), ('clean_shutdown', '1'), ('log_trimmed_through', '0');
";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing is in it yet.
    Nothing,
    /// A database of ours with this format.
    Format(u32),
}

/// Looks what the file is, and refuses what is not ours or too new. Changes nothing.
pub(super) fn identify(connection: &Connection, path: &Path) -> Result<Found, StoreError> {
    let refused = |error: &rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            StoreError::Damaged { path: path.to_owned(), detail: error.to_string() }
        }
        _ => failure(error),
    };
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
        let objects = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((pragma("application_id")?, pragma("user_version")?, objects))
    };
    let (application, version, objects) = read().map_err(|error| refused(&error))?;
    if objects == 0 {
        return Ok(Found::Nothing);
    }
    if application != i64::from(APPLICATION_ID) {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    match u32::try_from(version) {
        Ok(found) if (1..=FORMAT_VERSION).contains(&found) => Ok(Found::Format(found)),
        Ok(0) => {
            Err(StoreError::Damaged { path: path.to_owned(), detail: "it has no format version".to_owned() })
        }
        found => Err(StoreError::NewerFormat {
            path: path.to_owned(),
            found: found.unwrap_or(u32::MAX),
            supported: FORMAT_VERSION,
        }),
    }
}

/// Makes SQLite keep the plans of prepared statements. Otherwise it looks at the values that are bound and prepares each
/// statement anew whenever they change, which takes longer than a short scan itself.
pub(super) fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Lets a file that is still empty give pages back to the disk later on. To be called before anything is written. SQLite then
/// notes who refers to each page, which makes inserting a small document take 2 to 10 % more processor time (23 us), syncs not
/// counted.
pub(super) fn let_shrink(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")
}

/// Makes the tables in an empty file.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    let_shrink(connection)?;
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID}; \
         PRAGMA user_version = {FORMAT_VERSION}; COMMIT;"
    ))
}

/// Makes a connection the one that writes.
pub(super) fn set_writer_pragmas(connection: &Connection, cache_kib: usize) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    keep_plans(connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // From the first commit on, whether the log may be copied is for `checkpoint` to say.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // FULL syncs the log at every commit: a commit that returned survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    set_cache(connection, cache_kib)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // After a burst the log file shrinks back to this many bytes.
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(())
}

/// Bounds the pages that a connection keeps.
pub(super) fn set_cache(connection: &Connection, cache_kib: usize) -> rusqlite::Result<()> {
    // Negative means KiB rather than pages.
    connection.pragma_update(None, "cache_size", -i64::try_from(cache_kib).unwrap_or(i64::MAX))
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

/// Removes a meta row.
pub(super) fn remove_meta(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM freshet_meta WHERE name = ?1")?.execute([name])?;
    Ok(())
}

/// The meta name of a text that belongs to the database above; kept apart from the store's own names.
pub(super) fn database_meta(name: &str) -> String {
    format!("database.{name}")
}

/// The timestamp of the last durable commit.
pub(super) fn durable_timestamp(connection: &Connection) -> rusqlite::Result<Timestamp> {
    timestamp_meta(connection, META_TIMESTAMP)
}

/// Sets the timestamp of the last durable commit, provided that it is still the one that is known. Returns whether it was.
pub(super) fn advance_timestamp(
    connection: &Connection,
    known: Timestamp,
    new: Timestamp,
) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached("UPDATE freshet_meta SET value = ?3 WHERE name = ?1 AND value = ?2")?
        .execute([META_TIMESTAMP, &known.0.to_string(), &new.0.to_string()])?;
    Ok(changed == 1)
}

/// Reads a meta row that holds a timestamp.
pub(super) fn timestamp_meta(connection: &Connection, name: &str) -> rusqlite::Result<Timestamp> {
    let text = required_meta(connection, name)?;
    text.parse().map(Timestamp).map_err(|_| {
        let detail = format!("{name} is `{text}`, which is not a number");
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, detail.into())
    })
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

/// Tables that have a view, at most. Every connection keeps all definitions in memory (1.8 KB for each), beside its share of
/// the page cache, and reads them anew whenever one of them changes: with ten thousand, 128 readers would take more than 2 GB.
const VIEWS_MAX: i64 = 1000;

/// Gives a table a view of its own name, unless that name is taken or there are many already.
///
/// SQLite compares names without case and reserves some, so a few tables may stay without a view; they can still be read
/// from `freshet_documents`.
pub(super) fn create_view(connection: &Connection, table: TableId, name: &str) -> rusqlite::Result<()> {
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("sqlite_") || lower.starts_with("freshet_") {
        return Ok(());
    }
    let (views, is_taken): (i64, bool) = connection
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE type = 'view'), coalesce(max(lower(name) = ?1), 0) FROM sqlite_schema",
        )?
        .query_row([&lower], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if views < VIEWS_MAX && !is_taken {
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
