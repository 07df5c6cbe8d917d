//! Stores and disks that are broken on purpose, to see that the simulation notices.

use std::collections::BTreeMap;
use std::sync::Arc;

use freshet_database::schema::{self, SchemaState};
use freshet_database::{CommitError, Database, DatabaseError, IndexId, Namespace, TableId};
use freshet_store::{Batch, CommitRecord, LogEntry, Snapshot, Store, StoreError};
use freshet_values::{Timestamp, Value};

/// What is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing.
    #[default]
    None,
    /// Syncs do nothing, as with `synchronous=OFF`.
    NoSyncs,
    /// A group of commits is written in two transactions, and so is a single commit.
    TornGroups,
    /// Clients are told that a commit is durable when it is visible.
    EarlyAcknowledgement,
    /// Entries of indexes are added and never removed.
    StaleEntries,
    /// Building an index leaves out the entries of documents that were there before.
    LostEntries,
    /// The secret of the cursors is another one in each life.
    ForgottenSecrets,
    /// Schemas count as validated without a look at the documents.
    UncheckedSchemas,
}

impl Sabotage {
    pub(crate) fn wrap(self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        match self {
            Sabotage::TornGroups
            | Sabotage::StaleEntries
            | Sabotage::LostEntries
            | Sabotage::ForgottenSecrets => Arc::new(BrokenStore { inner: store, sabotage: self }),
            _ => store,
        }
    }
}

/// Approves the schema that waits to be checked, if any.
pub(crate) fn approve_schema(database: &Database) {
    let approve = || -> Result<(), CommitError> {
        let mut transaction = database.begin().map_err(DatabaseError::from)?;
        let row = schema::in_progress(&mut transaction, Namespace::ROOT)?;
        let Some(row) = row.filter(|row| row.state == SchemaState::Pending) else { return Ok(()) };
        let state = Value::object([("state", Value::from("validated"))]);
        let fields = BTreeMap::from([("state".to_owned(), Some(state))]);
        let schemas = "_schemas".parse().expect("an identifier");
        transaction.system(Namespace::ROOT).patch(&schemas, row.id, fields)?;
        database.commit(transaction).map(drop)
    };
    // Whatever keeps it from happening keeps what it breaks from happening.
    let _ = approve();
}

struct BrokenStore {
    inner: Arc<dyn Store>,
    sabotage: Sabotage,
}

impl BrokenStore {
    fn commit_torn(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut commits = batch.commits.clone();
        let rest = commits.split_off(commits.len() / 2);
        if !commits.is_empty() {
            self.inner.commit(&Batch { commits, ..Batch::default() })?;
        } else if let Some(only) = rest.first().filter(|only| only.documents.len() > 1) {
            let (first, _) = only.documents.split_at(only.documents.len() / 2);
            let half = CommitRecord {
                timestamp: Timestamp(only.timestamp.0 - 1),
                documents: first.to_vec(),
                indexes: Vec::new(),
            };
            self.inner.commit(&Batch { commits: vec![Arc::new(half)], ..Batch::default() })?;
        }
        self.inner.commit(&Batch { commits: rest, ..batch.clone() })
    }

    fn commit_lossy(&self, batch: &Batch) -> Result<(), StoreError> {
        let keep = |record: &Arc<CommitRecord>| {
            let mut record = (**record).clone();
            let written: Vec<_> =
                record.documents.iter().map(|write| (write.table, write.internal)).collect();
            record.indexes.retain(|write| write.document.is_none_or(|document| written.contains(&document)));
            Arc::new(record)
        };
        self.inner.commit(&Batch { commits: batch.commits.iter().map(keep).collect(), ..batch.clone() })
    }

    fn commit_stale(&self, batch: &Batch) -> Result<(), StoreError> {
        let keep = |record: &Arc<CommitRecord>| {
            let mut record = (**record).clone();
            record.indexes.retain(|write| write.document.is_some());
            Arc::new(record)
        };
        self.inner.commit(&Batch { commits: batch.commits.iter().map(keep).collect(), ..batch.clone() })
    }
}

impl Store for BrokenStore {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.inner.snapshot()
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        match self.sabotage {
            Sabotage::TornGroups => self.commit_torn(batch),
            Sabotage::StaleEntries => self.commit_stale(batch),
            Sabotage::LostEntries => self.commit_lossy(batch),
            _ => self.inner.commit(batch),
        }
    }

    fn recover(&self) -> Result<Timestamp, StoreError> {
        self.inner.recover()
    }

    fn read_log(
        &self,
        after: Timestamp,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        self.inner.read_log(after, limit, bytes_max)
    }

    fn trim_log(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.inner.trim_log(before, limit)
    }

    fn clear_index(&self, index: IndexId, limit: usize) -> Result<usize, StoreError> {
        self.inner.clear_index(index, limit)
    }

    fn clear_table(&self, table: TableId, limit: usize) -> Result<usize, StoreError> {
        self.inner.clear_table(table, limit)
    }

    fn release_unused(&self) {
        self.inner.release_unused();
    }

    fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        if self.sabotage == Sabotage::ForgottenSecrets && name == "cursor_secret" {
            return Ok(None);
        }
        self.inner.meta(name)
    }

    fn table_counts(&self) -> Result<Vec<(TableId, u64)>, StoreError> {
        self.inner.table_counts()
    }
}
