//! Reading from a pinned state in memory.

use std::ops::Bound;
use std::sync::Arc;

use freshet_values::key::KeyInterval;
use freshet_values::{InternalId, Timestamp};

use super::{Disk, DocumentKey, EntryKey};
use crate::{IndexId, IndexRow, KeyChunk, Order, ScanChunk, Snapshot, StoreError, StoredDocument, TableId};

pub(super) struct MemorySnapshot {
    pub(super) disk: Disk,
}

impl Snapshot for MemorySnapshot {
    fn timestamp(&self) -> Timestamp {
        self.disk.timestamp
    }

    fn get(&self, table: TableId, internal: InternalId) -> Result<Option<StoredDocument>, StoreError> {
        Ok(self.disk.documents.get(&(table, internal)).cloned())
    }

    fn scan(
        &self,
        index: IndexId,
        interval: &KeyInterval,
        order: Order,
        limit: usize,
        bytes_max: usize,
    ) -> Result<ScanChunk<IndexRow>, StoreError> {
        let start = Bound::Included((index, Arc::from(interval.start.as_slice())));
        let end = match &interval.end {
            Some(end) => Bound::Excluded((index, Arc::from(end.as_slice()))),
            None => Bound::Excluded((IndexId(index.0 + 1), Arc::from([]))),
        };
        if interval.is_empty() {
            return Ok(ScanChunk { rows: Vec::new(), exhausted: true });
        }
        let rows = self.disk.entries.range((start, end));
        let load = |(key, document): (&EntryKey, &DocumentKey)| {
            let document = self.disk.documents.get(document).expect("an index entry leads to a document");
            IndexRow { key: Arc::clone(&key.1), document: document.clone() }
        };
        Ok(match order {
            Order::Asc => collect(rows.map(load), limit, bytes_max, |row| row.document.json.len()),
            Order::Desc => collect(rows.rev().map(load), limit, bytes_max, |row| row.document.json.len()),
        })
    }

    fn scan_keys(
        &self,
        index: IndexId,
        interval: &KeyInterval,
        limit: usize,
    ) -> Result<KeyChunk, StoreError> {
        let mut chunk = KeyChunk::default();
        let mut keys = self.keys(index, interval);
        while chunk.len() < limit {
            let Some(key) = keys.next() else {
                chunk.exhausted = true;
                break;
            };
            chunk.push(key);
        }
        Ok(chunk)
    }

    fn count_keys(&self, index: IndexId, interval: &KeyInterval) -> Result<u64, StoreError> {
        Ok(self.keys(index, interval).count() as u64)
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
        if start > end {
            return Ok(ScanChunk { rows: Vec::new(), exhausted: true });
        }
        let rows =
            self.disk.documents.range((table, start)..=(table, end)).map(|(_, document)| document.clone());
        Ok(match order {
            Order::Asc => collect(rows, limit, bytes_max, |row| row.json.len()),
            Order::Desc => collect(rows.rev(), limit, bytes_max, |row| row.json.len()),
        })
    }
}

impl MemorySnapshot {
    fn keys(&self, index: IndexId, interval: &KeyInterval) -> impl Iterator<Item = &[u8]> {
        let start = Bound::Included((index, Arc::from(interval.start.as_slice())));
        let end = match &interval.end {
            Some(end) => Bound::Excluded((index, Arc::from(end.as_slice()))),
            None => Bound::Excluded((IndexId(index.0 + 1), Arc::from([]))),
        };
        let entries = (!interval.is_empty()).then(|| self.disk.entries.range((start, end)));
        entries.into_iter().flatten().map(|((_, key), _)| &**key)
    }
}

fn collect<R>(
    rows: impl Iterator<Item = R>,
    limit: usize,
    bytes_max: usize,
    weight: impl Fn(&R) -> usize,
) -> ScanChunk<R> {
    let mut chunk = ScanChunk { rows: Vec::new(), exhausted: true };
    let mut bytes = 0;
    for row in rows {
        if chunk.rows.len() >= limit || (!chunk.rows.is_empty() && bytes >= bytes_max) {
            chunk.exhausted = false;
            break;
        }
        bytes += weight(&row);
        chunk.rows.push(row);
    }
    chunk
}
