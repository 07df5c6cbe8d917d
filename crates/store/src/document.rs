//! What reading a store returns.

use std::sync::Arc;

use freshet_values::{InternalId, Timestamp};

use crate::TableId;

/// The current version of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDocument {
    /// The document's identity within its table.
    pub internal: InternalId,
    /// The encoded JSON object, including `_id` and `_creationTime`.
    pub json: Arc<str>,
    /// Size of the document in bytes by the data model's rules (not the length of `json`).
    pub size: u32,
}

/// One index entry with the document it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRow {
    /// The entry's key.
    pub key: Arc<[u8]>,
    /// The document.
    pub document: StoredDocument,
}

/// Some rows of a scan, in scan order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanChunk<R> {
    /// The rows; empty only when `exhausted`, or when the limit was zero.
    pub rows: Vec<R>,
    /// Nothing lies beyond the last row within the scanned interval.
    pub exhausted: bool,
}

/// Some keys of an index, ascending, one after the other in one piece of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChunk {
    bytes: Vec<u8>,
    /// Where each key ends.
    ends: Vec<usize>,
    /// Nothing lies beyond the last key within the scanned interval.
    pub exhausted: bool,
}

impl KeyChunk {
    /// Adds a key at the end.
    pub fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    /// The key at a place.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        let end = *self.ends.get(at)?;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        Some(&self.bytes[start..end])
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// There are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The keys.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}

/// One commit of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The commit's timestamp.
    pub timestamp: Timestamp,
    /// What it wrote, in the order in which it was written.
    pub writes: Vec<LogWrite>,
}

/// One write of a logged commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogWrite {
    /// The document's table.
    pub table: TableId,
    /// The document.
    pub internal: InternalId,
    /// The new version; `None` for a deletion.
    pub json: Option<Arc<str>>,
}
