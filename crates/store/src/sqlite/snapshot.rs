//! Reading from a pinned reader.

use std::ops::ControlFlow;
use std::sync::Arc;

use freshet_values::key::KeyInterval;
use freshet_values::{InternalId, Timestamp};
use parking_lot::Mutex;
use rusqlite::{OptionalExtension, Row, params};

use super::fault::failure;
use super::reader::{PinnedReader, ReaderPool};
use crate::{IndexId, IndexRow, KeyChunk, Order, ScanChunk, Snapshot, StoreError, StoredDocument, TableId};

// CROSS JOIN fixes the order of the joins: entries first, then the document of each.
const ASC_BOUNDED: &str = "SELECT e.key, d.id, d.json, d.size FROM freshet_index_entries e \
    CROSS JOIN freshet_documents d ON d.row = e.document \
    WHERE e.index_id = ?1 AND e.key >= ?2 AND e.key < ?3 ORDER BY e.key";
const ASC_OPEN: &str = "SELECT e.key, d.id, d.json, d.size FROM freshet_index_entries e \
    CROSS JOIN freshet_documents d ON d.row = e.document \
    WHERE e.index_id = ?1 AND e.key >= ?2 ORDER BY e.key";
const DESC_BOUNDED: &str = "SELECT e.key, d.id, d.json, d.size FROM freshet_index_entries e \
    CROSS JOIN freshet_documents d ON d.row = e.document \
    WHERE e.index_id = ?1 AND e.key >= ?2 AND e.key < ?3 ORDER BY e.key DESC";
const DESC_OPEN: &str = "SELECT e.key, d.id, d.json, d.size FROM freshet_index_entries e \
    CROSS JOIN freshet_documents d ON d.row = e.document \
    WHERE e.index_id = ?1 AND e.key >= ?2 ORDER BY e.key DESC";
const KEYS_BOUNDED: &str = "SELECT key FROM freshet_index_entries \
    WHERE index_id = ?1 AND key >= ?2 AND key < ?3 ORDER BY key";
const KEYS_OPEN: &str =
    "SELECT key FROM freshet_index_entries WHERE index_id = ?1 AND key >= ?2 ORDER BY key";
const COUNT_BOUNDED: &str =
    "SELECT count(*) FROM freshet_index_entries WHERE index_id = ?1 AND key >= ?2 AND key < ?3";
const COUNT_OPEN: &str = "SELECT count(*) FROM freshet_index_entries WHERE index_id = ?1 AND key >= ?2";
const TABLE_ASC: &str = "SELECT id, json, size FROM freshet_documents \
    WHERE table_id = ?1 AND id >= ?2 AND id <= ?3 ORDER BY id";
const TABLE_DESC: &str = "SELECT id, json, size FROM freshet_documents \
    WHERE table_id = ?1 AND id >= ?2 AND id <= ?3 ORDER BY id DESC";

pub(super) struct SqliteSnapshot {
    timestamp: Timestamp,
    /// `None` only while the snapshot is being dropped.
    reader: Mutex<Option<PinnedReader>>,
    pool: Arc<ReaderPool>,
}

impl SqliteSnapshot {
    pub(super) fn new(reader: PinnedReader, pool: Arc<ReaderPool>) -> SqliteSnapshot {
        SqliteSnapshot { timestamp: reader.timestamp, reader: Mutex::new(Some(reader)), pool }
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let reader = self.reader.lock();
        let reader = reader.as_ref().expect("a snapshot keeps its reader until it is dropped");
        read(&reader.connection).map_err(|error| failure(&error))
    }
}

impl Snapshot for SqliteSnapshot {
    fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    fn get(&self, table: TableId, internal: InternalId) -> Result<Option<StoredDocument>, StoreError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT id, json, size FROM freshet_documents WHERE table_id = ?1 AND id = ?2",
                )?
                .query_row(params![table.0, &internal.0[..]], |row| document(row, 0))
                .optional()
        })
    }

    fn scan(
        &self,
        index: IndexId,
        interval: &KeyInterval,
        order: Order,
        limit: usize,
        bytes_max: usize,
    ) -> Result<ScanChunk<IndexRow>, StoreError> {
        let sql = match (order, &interval.end) {
            (Order::Asc, Some(_)) => ASC_BOUNDED,
            (Order::Asc, None) => ASC_OPEN,
            (Order::Desc, Some(_)) => DESC_BOUNDED,
            (Order::Desc, None) => DESC_OPEN,
        };
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = match &interval.end {
                Some(end) => statement.query(params![index.0, interval.start, end])?,
                None => statement.query(params![index.0, interval.start])?,
            };
            collect(rows, limit, bytes_max, |row| {
                Ok(IndexRow { key: Arc::from(row.get_ref(0)?.as_blob()?), document: document(row, 1)? })
            })
        })
    }

    fn scan_keys(
        &self,
        index: IndexId,
        interval: &KeyInterval,
        limit: usize,
    ) -> Result<KeyChunk, StoreError> {
        let sql = if interval.end.is_some() { KEYS_BOUNDED } else { KEYS_OPEN };
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = match &interval.end {
                Some(end) => statement.query(params![index.0, interval.start, end])?,
                None => statement.query(params![index.0, interval.start])?,
            };
            let mut chunk = KeyChunk::default();
            while chunk.len() < limit {
                let Some(row) = rows.next()? else {
                    chunk.exhausted = true;
                    break;
                };
                chunk.push(row.get_ref(0)?.as_blob()?);
            }
            Ok(chunk)
        })
    }

    fn count_keys(&self, index: IndexId, interval: &KeyInterval) -> Result<u64, StoreError> {
        let sql = if interval.end.is_some() { COUNT_BOUNDED } else { COUNT_OPEN };
        let count: i64 = self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            match &interval.end {
                Some(end) => statement.query_row(params![index.0, interval.start, end], |row| row.get(0)),
                None => statement.query_row(params![index.0, interval.start], |row| row.get(0)),
            }
        })?;
        Ok(count.cast_unsigned())
    }

    fn scan_table(
        &self,
        table: TableId,
        start: InternalId,
        end: InternalId,
        order: Order,
        limit: usize,
        bytes_max: usize,
    ) -> Result<ScanChunk<StoredDocument>, StoreError> {
        let sql = match order {
            Order::Asc => TABLE_ASC,
            Order::Desc => TABLE_DESC,
        };
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query(params![table.0, &start.0[..], &end.0[..]])?;
            collect(rows, limit, bytes_max, |row| document(row, 0))
        })
    }
}

impl Drop for SqliteSnapshot {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.get_mut().take() {
            self.pool.give_back(reader);
        }
    }
}

/// What the bound on bytes counts in.
trait Weight {
    fn weight(&self) -> usize;
}

impl Weight for StoredDocument {
    fn weight(&self) -> usize {
        self.json.len()
    }
}

impl Weight for IndexRow {
    fn weight(&self) -> usize {
        self.document.json.len()
    }
}

fn collect<R: Weight>(
    mut rows: rusqlite::Rows<'_>,
    limit: usize,
    bytes_max: usize,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<R>,
) -> rusqlite::Result<ScanChunk<R>> {
    let mut chunk = ScanChunk { rows: Vec::new(), exhausted: false };
    let mut bytes = 0;
    let full = |count: usize, bytes: usize| {
        if count >= limit || (count > 0 && bytes >= bytes_max) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    while full(chunk.rows.len(), bytes).is_continue() {
        let Some(row) = rows.next()? else {
            chunk.exhausted = true;
            break;
        };
        let row = read(row)?;
        bytes += row.weight();
        chunk.rows.push(row);
    }
    Ok(chunk)
}

fn document(row: &Row<'_>, first: usize) -> rusqlite::Result<StoredDocument> {
    let id = row.get_ref(first)?.as_blob()?;
    let internal = id.try_into().map(InternalId).map_err(|_| {
        rusqlite::Error::FromSqlConversionFailure(
            first,
            rusqlite::types::Type::Blob,
            "an id has 16 bytes".into(),
        )
    })?;
    Ok(StoredDocument {
        internal,
        json: Arc::from(row.get_ref(first + 1)?.as_str()?),
        size: row.get(first + 2)?,
    })
}
