//! What is written to a store: a group of commits that become durable together.

use std::sync::Arc;

use freshet_values::{InternalId, Timestamp};

use crate::{IndexId, StoredDocument, TableId};

/// A group of commits for one write to disk.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The commits, in ascending order of their timestamps; all are greater than the store's timestamp.
    pub commits: Vec<Arc<CommitRecord>>,
    /// Number of documents of each table whose number changed, after the last commit.
    pub counts: Vec<(TableId, u64)>,
    /// Named texts of the database's own bookkeeping, to be set; an empty text removes the name.
    pub meta: Vec<(String, String)>,
    /// Tables that got or lost their readable name.
    pub views: Vec<TableView>,
}

/// All that one transaction wrote.
#[derive(Clone, Debug)]
pub struct CommitRecord {
    /// The commit's timestamp.
    pub timestamp: Timestamp,
    /// Documents, each at most once.
    pub documents: Vec<DocumentWrite>,
    /// Index entries, each key at most once per index.
    pub indexes: Vec<IndexWrite>,
}

/// One document's new version.
#[derive(Clone, Debug)]
pub struct DocumentWrite {
    /// The document's table.
    pub table: TableId,
    /// The document.
    pub internal: InternalId,
    /// The new version; `None` deletes.
    pub new: Option<StoredDocument>,
}

/// One index entry set or removed.
#[derive(Clone, Debug)]
pub struct IndexWrite {
    /// The index.
    pub index: IndexId,
    /// The key.
    pub key: Arc<[u8]>,
    /// The document that the entry leads to; `None` removes the entry.
    pub document: Option<(TableId, InternalId)>,
}

/// The name under which people can read a table with any tool.
#[derive(Clone, Debug)]
pub struct TableView {
    /// The table.
    pub table: TableId,
    /// The name.
    pub name: String,
    /// Whether the table has the name from now on, or had it until now.
    pub present: bool,
}

impl CommitRecord {
    /// Bytes that this commit roughly occupies in memory and on disk; the bound of queues counts in it.
    #[must_use]
    pub fn weight(&self) -> usize {
        let documents: usize =
            self.documents.iter().map(|write| 64 + write.new.as_ref().map_or(0, |new| new.json.len())).sum();
        let indexes: usize = self.indexes.iter().map(|write| 48 + write.key.len()).sum();
        64 + documents + indexes
    }
}
