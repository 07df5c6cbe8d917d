//! The commit log: what each commit wrote, oldest first, until it is trimmed.

use std::fmt::Write as _;
use std::sync::Arc;

use freshet_values::{InternalId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::value::RawValue;

use super::fault::failure;
use super::layout::{self, META_TRIMMED};
use crate::{CommitRecord, LogEntry, LogWrite, StoreError, TableId};

/// Bytes of old log that one transaction removes at most, if it has more than one entry: each of its pages has to be
/// read to be freed, and commits wait meanwhile.
const TRIM_BYTES_MAX: i64 = 4 << 20;

/// Adds a commit.
pub(super) fn append(connection: &Connection, commit: &CommitRecord) -> rusqlite::Result<()> {
    if commit.documents.is_empty() {
        return Ok(());
    }
    let length: usize =
        commit.documents.iter().map(|write| 64 + write.new.as_ref().map_or(4, |new| new.json.len())).sum();
    let mut text = String::with_capacity(length);
    for write in &commit.documents {
        text.push(if text.is_empty() { '[' } else { ',' });
        let document = write.new.as_ref().map_or("null", |new| &*new.json);
        write!(text, "[{},\"{}\",{}]", write.table.0, hex::encode(write.internal.0), document)
            .expect("writing to a string does not fail");
    }
    text.push(']');
    connection
        .prepare_cached("INSERT INTO freshet_commit_log VALUES (?1, ?2)")?
        .execute(params![commit.timestamp.0.cast_signed(), text])?;
    Ok(())
}

/// Reads commits; the connection is inside a read transaction, so that nothing is trimmed in between.
pub(super) fn read(
    connection: &Connection,
    after: Timestamp,
    limit: usize,
    bytes_max: usize,
) -> Result<Vec<LogEntry>, StoreError> {
    // What comes after the newest commit that was forgotten is all there.
    let oldest = layout::timestamp_meta(connection, META_TRIMMED).map_err(|error| failure(&error))?;
    if after < oldest {
        return Err(StoreError::LogTruncated { requested: after, oldest });
    }
    read_entries(connection, after, limit, bytes_max).map_err(|error| failure(&error))
}

fn read_entries(
    connection: &Connection,
    after: Timestamp,
    limit: usize,
    bytes_max: usize,
) -> rusqlite::Result<Vec<LogEntry>> {
    let mut statement = connection.prepare_cached(
        "SELECT timestamp, writes FROM freshet_commit_log WHERE timestamp > ?1 ORDER BY timestamp LIMIT ?2",
    )?;
    let mut rows =
        statement.query(params![after.0.cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    while (entries.is_empty() || bytes < bytes_max)
        && let Some(row) = rows.next()?
    {
        let timestamp = Timestamp(row.get::<_, i64>(0)?.cast_unsigned());
        let text = row.get_ref(1)?.as_str()?;
        bytes += text.len();
        let writes = parse_writes(text).map_err(|detail| {
            rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, detail.into())
        })?;
        entries.push(LogEntry { timestamp, writes });
    }
    Ok(entries)
}

fn parse_writes(text: &str) -> Result<Vec<LogWrite>, String> {
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

/// Forgets at most `limit` of the oldest commits before `before`, fewer if they are large; returns how many.
pub(super) fn trim(connection: &Connection, before: Timestamp, limit: usize) -> rusqlite::Result<usize> {
    let Some(through) = trim_end(connection, before, limit)? else { return Ok(0) };
    let removed = connection
        .prepare_cached("DELETE FROM freshet_commit_log WHERE timestamp <= ?1")?
        .execute([through])?;
    layout::set_meta(connection, META_TRIMMED, &through.to_string())?;
    Ok(removed)
}

fn trim_end(connection: &Connection, before: Timestamp, limit: usize) -> rusqlite::Result<Option<i64>> {
    // `octet_length` looks at the row's header only, however long the text is.
    let mut statement = connection.prepare_cached(
        "SELECT timestamp, octet_length(writes) FROM freshet_commit_log WHERE timestamp < ?1 \
         ORDER BY timestamp LIMIT ?2",
    )?;
    let mut rows =
        statement.query(params![before.0.cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut through = None;
    let mut bytes = 0;
    while bytes < TRIM_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        through = Some(row.get(0)?);
        bytes += row.get::<_, i64>(1)?;
    }
    Ok(through)
}

/// For files whose log may have been trimmed before that was written down: the log counts as complete after the commit
/// before its first one, or only from now on if it is empty.
pub(super) fn note_what_was_trimmed(connection: &Connection) -> rusqlite::Result<()> {
    let first: Option<i64> =
        connection.query_row("SELECT min(timestamp) FROM freshet_commit_log", [], |row| row.get(0))?;
    let through = match first {
        Some(first) => (first - 1).to_string(),
        None => connection
            .query_row("SELECT value FROM freshet_meta WHERE name = ?1", [layout::META_TIMESTAMP], |row| {
                row.get(0)
            })
            .optional()?
            .unwrap_or_else(|| "0".to_owned()),
    };
    layout::set_meta(connection, META_TRIMMED, &through)
}
