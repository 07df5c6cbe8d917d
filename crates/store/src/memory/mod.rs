//! A store in memory, for tests: the same promises as the SQLite store, plus faults on demand.
//!
//! Every committed state is an immutable value, so a snapshot is a clone and "what a crash would leave behind" can
//! be had at any moment.

mod faults;
mod snapshot;

use std::sync::Arc;

use freshet_values::{InternalId, Timestamp};
use imbl::{HashMap, OrdMap};
use parking_lot::Mutex;

use crate::{Batch, IndexId, LogEntry, LogWrite, Snapshot, Store, StoreError, StoredDocument, TableId};
pub use faults::Faults;
use snapshot::MemorySnapshot;

type DocumentKey = (TableId, InternalId);
type EntryKey = (IndexId, Arc<[u8]>);

/// All that is "on disk".
#[derive(Clone, Default)]
struct Disk {
    timestamp: Timestamp,
    documents: OrdMap<DocumentKey, StoredDocument>,
    entries: OrdMap<EntryKey, DocumentKey>,
    log: OrdMap<Timestamp, Vec<LogWrite>>,
    /// The newest commit that the log has forgotten.
    trimmed_through: Timestamp,
    counts: HashMap<TableId, u64>,
    meta: HashMap<String, String>,
}

/// A [`Store`] that keeps everything in memory.
#[derive(Default)]
pub struct MemoryStore {
    disk: Mutex<Disk>,
    /// Why the fate of the last commit is open.
    undecided: Mutex<Option<String>>,
    faults: Faults,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// The switches for faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What a process would find that opens the store after a power cut at this moment.
    #[must_use]
    pub fn after_crash(&self) -> MemoryStore {
        MemoryStore { disk: Mutex::new(self.disk.lock().clone()), ..MemoryStore::default() }
    }
}

impl Store for MemoryStore {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.faults.before_read()?;
        Ok(Box::new(MemorySnapshot { disk: self.disk.lock().clone() }))
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        if let Some(cause) = &*self.undecided.lock() {
            return Err(StoreError::Undecided(cause.clone()));
        }
        if let Err(error) = self.faults.before_commit() {
            if let StoreError::Undecided(cause) = &error {
                *self.undecided.lock() = Some(cause.clone());
            }
            return Err(error);
        }
        let mut disk = self.disk.lock();
        let mut next = disk.clone();
        next.apply(batch)?;
        *disk = next;
        Ok(())
    }

    fn recover(&self) -> Result<Timestamp, StoreError> {
        self.faults.before_recovery()?;
        *self.undecided.lock() = None;
        Ok(self.disk.lock().timestamp)
    }

    fn read_log(
        &self,
        after: Timestamp,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let (log, oldest) = {
            let disk = self.disk.lock();
            (disk.log.clone(), disk.trimmed_through)
        };
        if after < oldest {
            return Err(StoreError::LogTruncated { requested: after, oldest });
        }
        let mut bytes = 0;
        Ok(log
            .range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded))
            .take(limit)
            .take_while(|(_, writes)| {
                let fits = bytes < bytes_max.max(1);
                let length = |write: &LogWrite| write.json.as_ref().map_or(0, |json| json.len());
                bytes += writes.iter().map(length).sum::<usize>().max(1);
                fits
            })
            .map(|(timestamp, writes)| LogEntry { timestamp: *timestamp, writes: writes.clone() })
            .collect())
    }

    fn trim_log(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut disk = self.disk.lock();
        let old: Vec<Timestamp> =
            disk.log.range(..before).take(limit).map(|(timestamp, _)| *timestamp).collect();
        for timestamp in &old {
            disk.log.remove(timestamp);
            disk.trimmed_through = *timestamp;
        }
        Ok(old.len())
    }

    fn clear_index(&self, index: IndexId, limit: usize) -> Result<usize, StoreError> {
        let mut disk = self.disk.lock();
        let keys: Vec<EntryKey> = disk
            .entries
            .range((index, Arc::from([]))..)
            .map(|(key, _)| key)
            .take_while(|key| key.0 == index)
            .take(limit)
            .cloned()
            .collect();
        for key in &keys {
            disk.entries.remove(key);
        }
        Ok(keys.len())
    }

    fn clear_table(&self, table: TableId, limit: usize) -> Result<usize, StoreError> {
        let mut disk = self.disk.lock();
        let keys: Vec<DocumentKey> = disk
            .documents
            .range((table, InternalId([0; 16]))..=(table, InternalId([u8::MAX; 16])))
            .map(|(key, _)| *key)
            .take(limit)
            .collect();
        for key in &keys {
            disk.documents.remove(key);
        }
        if keys.len() < limit {
            disk.counts.remove(&table);
        }
        Ok(keys.len())
    }

    fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.disk.lock().meta.get(name).cloned())
    }

    fn table_counts(&self) -> Result<Vec<(TableId, u64)>, StoreError> {
        Ok(self.disk.lock().counts.iter().map(|(table, count)| (*table, *count)).collect())
    }
}

impl Disk {
    fn apply(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for commit in &batch.commits {
            if commit.timestamp <= self.timestamp {
                return Err(StoreError::OutOfOrder { given: commit.timestamp.0, current: self.timestamp.0 });
            }
            self.timestamp = commit.timestamp;
            for write in &commit.documents {
                let key = (write.table, write.internal);
                match &write.new {
                    Some(new) => self.documents.insert(key, new.clone()),
                    None => self.documents.remove(&key),
                };
            }
            for write in &commit.indexes {
                let key = (write.index, Arc::clone(&write.key));
                match write.document {
                    Some(document) if self.documents.contains_key(&document) => {
                        self.entries.insert(key, document)
                    }
                    _ => self.entries.remove(&key),
                };
            }
            if !commit.documents.is_empty() {
                let writes = commit.documents.iter().map(|write| LogWrite {
                    table: write.table,
                    internal: write.internal,
                    json: write.new.as_ref().map(|new| Arc::clone(&new.json)),
                });
                self.log.insert(commit.timestamp, writes.collect());
            }
        }
        for (table, count) in &batch.counts {
            self.counts.insert(*table, *count);
        }
        for (name, value) in &batch.meta {
            if value.is_empty() {
                self.meta.remove(name);
            } else {
                self.meta.insert(name.clone(), value.clone());
            }
        }
        Ok(())
    }
}
