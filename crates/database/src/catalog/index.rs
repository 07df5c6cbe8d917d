//! What is known of an index.

use std::sync::Arc;

use freshet_search::text::{Corpus, document_length};
use freshet_store::IndexId;
use freshet_values::{DocumentId, FieldPath, IndexName, Object, key};

use super::{TableMeta, text_keys};
use crate::commit::keys::{IndexKeys, Key};
use crate::document::Document;
use crate::error::SystemError;

/// An index.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexMeta {
    /// Internal number.
    pub id: IndexId,
    /// The name, unique within the table except while an index is being replaced.
    pub name: IndexName,
    /// What was declared.
    pub spec: IndexSpec,
    /// All fields of the key of a database index, `_creationTime` and `_id` included; empty for other kinds.
    pub fields: Vec<FieldPath>,
    /// How far it is.
    pub state: IndexState,
    /// Kept up to date, but not to be queried until it is enabled.
    pub staged: bool,
    /// Its row in `_index`; built-in indexes have none.
    pub row: Option<DocumentId>,
}

/// What is declared of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexSpec {
    /// Orders documents by fields.
    Database {
        /// The declared fields, without `_creationTime` and `_id`.
        fields: Vec<FieldPath>,
    },
    /// Finds words in a field.
    Search {
        /// The searched field.
        search_field: FieldPath,
        /// Fields that queries may demand a value of.
        filter_fields: Vec<FieldPath>,
    },
    /// Finds near vectors.
    Vector {
        /// The field with the vector.
        vector_field: FieldPath,
        /// The length of the vectors.
        dimensions: u32,
        /// Fields that queries may demand a value of.
        filter_fields: Vec<FieldPath>,
    },
}

/// The life of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// Existing documents are being added.
    Backfilling,
    /// Complete, but not to be queried yet.
    Backfilled,
    /// In use.
    Enabled,
    /// Gone for everybody; its entries are being removed.
    Deleting,
}

impl IndexMeta {
    /// Whether it has entries in the store, which are built for existing documents and kept up to date by writes.
    pub(crate) fn has_entries(&self) -> bool {
        match self.spec {
            IndexSpec::Database { .. } | IndexSpec::Search { .. } => true,
            IndexSpec::Vector { .. } => false,
        }
    }

    /// Whether writes keep its entries up to date.
    pub(crate) fn is_maintained(&self) -> bool {
        self.has_entries() && self.state != IndexState::Deleting
    }

    /// The index of ids: the store needs no entries for it, since documents are stored by id.
    pub(crate) fn is_by_id(&self) -> bool {
        self.row.is_none() && self.fields.len() == 1
    }

    /// All keys of a document, ascending.
    pub(crate) fn keys(&self, document: &Document) -> Result<IndexKeys, SystemError> {
        if self.is_by_id() {
            return Ok(IndexKeys::One(Arc::from(by_id_key(document.id()))));
        }
        let object = document.object()?;
        Ok(match &self.spec {
            IndexSpec::Database { .. } => IndexKeys::One(Arc::from(self.key(object))),
            IndexSpec::Search { search_field, filter_fields } => {
                IndexKeys::Many(text_keys::keys(search_field, filter_fields, document.id(), object))
            }
            IndexSpec::Vector { .. } => IndexKeys::Many(Arc::from([])),
        })
    }

    /// Whether two versions of a document certainly have the same keys, and making them takes long.
    pub(crate) fn shares_keys(&self, a: &Document, b: &Document) -> Result<bool, SystemError> {
        match &self.spec {
            IndexSpec::Search { search_field, filter_fields } => {
                Ok(text_keys::are_same(search_field, filter_fields, a.object()?, b.object()?))
            }
            _ => Ok(false),
        }
    }

    /// What the document with these keys adds to the statistics; `None` for an index that has none.
    pub(crate) fn corpus_of(&self, keys: &[Key]) -> Option<Corpus> {
        // The document's own entry is the first.
        match keys.first() {
            Some(key) => self.corpus_of_entry(key),
            None => matches!(self.spec, IndexSpec::Search { .. }).then(Corpus::default),
        }
    }

    /// What a document adds to the statistics, given its own entry.
    pub(crate) fn corpus_of_entry(&self, key: &[u8]) -> Option<Corpus> {
        let IndexSpec::Search { filter_fields, .. } = &self.spec else { return None };
        let length = document_length(key, filter_fields.len())?;
        Some(Corpus { documents: 1, tokens: u64::from(length) })
    }

    /// The key of a document in a database index.
    fn key(&self, object: &Object) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        for field in &self.fields {
            key::encode(&mut out, field.get(object));
        }
        out
    }

    /// The declared fields with `_creationTime`, as messages and cursors list them.
    pub(crate) fn listed_fields(&self) -> &[FieldPath] {
        if self.fields.len() > 1 { &self.fields[..self.fields.len() - 1] } else { &self.fields }
    }
}

/// The key of a document in the index of ids.
pub(crate) fn by_id_key(id: DocumentId) -> Vec<u8> {
    let mut out = Vec::with_capacity(40);
    key::encode_string(&mut out, id.encode(&mut [0; _]));
    out
}

/// The two indexes of every table.
pub(crate) fn built_in(table: &TableMeta) -> [IndexMeta; 2] {
    let index = |id, name: &str, fields: &[&str]| IndexMeta {
        id,
        name: name.parse().expect("the name is an identifier"),
        spec: IndexSpec::Database { fields: Vec::new() },
        fields: fields.iter().map(|field| system_field(field)).collect(),
        state: IndexState::Enabled,
        staged: false,
        row: None,
    };
    [
        index(table.by_id, "by_id", &["_id"]),
        index(table.by_creation_time, "by_creation_time", &["_creationTime", "_id"]),
    ]
}

/// All fields of the key of an index with these declared fields.
pub(crate) fn key_fields(declared: &[FieldPath]) -> Vec<FieldPath> {
    declared.iter().cloned().chain([system_field("_creationTime"), system_field("_id")]).collect()
}

fn system_field(name: &str) -> FieldPath {
    name.parse().expect("system fields are identifiers")
}
