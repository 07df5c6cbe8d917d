//! What one commit changed, with the versions before and after.

use std::sync::Arc;

use freshet_store::{CommitRecord, IndexId, TableId, TableView};
use freshet_values::{InternalId, Timestamp};

use super::corpora::{CorpusChange, CorpusDelta};
use crate::catalog::Catalog;
use crate::document::Document;
use crate::schema::SchemaEnforcer;

/// A document before and after.
#[derive(Clone, Debug)]
pub(crate) struct DocumentChange {
    pub(crate) table: TableId,
    pub(crate) internal: InternalId,
    pub(crate) old: Option<Arc<Document>>,
    pub(crate) new: Option<Arc<Document>>,
}

/// What an index key led to before and after.
#[derive(Clone, Debug)]
pub(crate) struct KeyChange {
    pub(crate) index: IndexId,
    pub(crate) key: Arc<[u8]>,
    pub(crate) old: Option<Arc<Document>>,
    pub(crate) new: Option<Arc<Document>>,
}

impl KeyChange {
    /// Whether the key came or went. Otherwise only the document behind it changed.
    pub(crate) fn is_move(&self) -> bool {
        self.old.is_some() != self.new.is_some()
    }
}

/// A commit that is visible.
pub(crate) struct Committed {
    pub(crate) timestamp: Timestamp,
    pub(crate) documents: Vec<DocumentChange>,
    pub(crate) keys: Vec<KeyChange>,
    /// By how much the number of documents of each table changed.
    pub(crate) counts: Vec<(TableId, i64)>,
    /// What it adds to search indexes and takes from them, those included that are being built.
    pub(crate) corpus_deltas: Vec<CorpusDelta>,
    /// The numbers of search indexes that it changed.
    pub(crate) corpora: Vec<CorpusChange>,
    /// The catalog before this commit, if it changed it.
    pub(crate) catalog_before: Option<Arc<Catalog>>,
    /// The enforcer before this commit, if it changed it.
    pub(crate) enforcer_before: Option<Arc<dyn SchemaEnforcer>>,
    /// What the store gets.
    pub(crate) record: Arc<CommitRecord>,
    pub(crate) meta: Vec<(String, String)>,
    pub(crate) views: Vec<TableView>,
    /// Bytes of memory, roughly, old versions included.
    pub(crate) weight: usize,
}
