//! The keys of one document in the indexes of its table, made once and shared by whoever needs them.
//!
//! A document has one key in a database index, and any number in an index that finds it by what it contains.

use std::sync::Arc;

use freshet_store::{IndexId, TableId};

use crate::catalog::{Catalog, IndexMeta};
use crate::document::Document;
use crate::error::SystemError;

/// A key; transactions, commits, the overlay and the store share it.
pub(crate) type Key = Arc<[u8]>;

/// All keys of one document in one index, ascending.
#[derive(Clone, Debug)]
pub(crate) enum IndexKeys {
    One(Key),
    Many(Arc<[Key]>),
}

impl IndexKeys {
    pub(crate) fn as_slice(&self) -> &[Key] {
        match self {
            IndexKeys::One(key) => std::slice::from_ref(key),
            IndexKeys::Many(keys) => keys,
        }
    }
}

/// See the module. None for a document that is not there.
#[derive(Clone, Default)]
pub(crate) struct Keys(Arc<[(IndexId, IndexKeys)]>);

/// How many bytes of keys may still be made for a transaction, those of built-in indexes aside: these are few and short.
pub(crate) struct KeyAllowance {
    bytes_max: u64,
    bytes: u64,
}

impl KeyAllowance {
    /// For as many bytes as may be.
    pub(crate) fn of(bytes_max: u64) -> KeyAllowance {
        KeyAllowance { bytes_max, bytes: 0 }
    }

    /// For whom nothing counts.
    pub(crate) fn unlimited() -> KeyAllowance {
        KeyAllowance::of(u64::MAX)
    }

    /// Bytes that were made.
    pub(crate) fn used(&self) -> u64 {
        self.bytes
    }

    fn is_exceeded(&self) -> bool {
        self.bytes > self.bytes_max
    }

    fn count(&mut self, index: &IndexMeta, keys: &IndexKeys) {
        if index.row.is_some() {
            self.bytes += keys.as_slice().iter().map(|key| key.len() as u64).sum::<u64>();
        }
    }
}

/// A version of a document with its keys.
#[derive(Clone, Copy)]
pub(crate) struct Keyed<'a> {
    pub(crate) document: &'a Document,
    pub(crate) keys: &'a Keys,
}

impl Keys {
    /// The keys of a document in all indexes that writes keep up to date. Those that take long to make are taken from
    /// another version of the document if they are the same there. None when there are more than allowed; then most of them
    /// were not even made.
    pub(crate) fn of(
        catalog: &Catalog,
        table: TableId,
        document: &Document,
        other: Option<Keyed<'_>>,
        allowance: &mut KeyAllowance,
    ) -> Result<Option<Keys>, SystemError> {
        let mut all = Vec::with_capacity(catalog.indexes(table).len());
        for (at, index) in catalog.indexes(table).iter().filter(|index| index.is_maintained()).enumerate() {
            let known = match other {
                Some(other) if index.shares_keys(other.document, document)? => other.keys.known(at, index),
                _ => None,
            };
            let keys = match known {
                Some(keys) => keys.clone(),
                None => {
                    let made = index.keys(document)?;
                    allowance.count(index, &made);
                    if allowance.is_exceeded() {
                        return Ok(None);
                    }
                    made
                }
            };
            all.push((index.id, keys));
        }
        Ok(Some(Keys(all.into())))
    }

    /// The keys in an index. Computed only if the index is newer than these keys; `at` is where it probably stands among the
    /// table's indexes.
    pub(crate) fn keys(
        &self,
        at: usize,
        index: &IndexMeta,
        document: &Document,
    ) -> Result<IndexKeys, SystemError> {
        self.known(at, index).map_or_else(|| index.keys(document), |keys| Ok(keys.clone()))
    }

    fn known(&self, at: usize, index: &IndexMeta) -> Option<&IndexKeys> {
        let known = self.0.get(at).filter(|(id, _)| *id == index.id);
        known.or_else(|| self.0.iter().find(|(id, _)| *id == index.id)).map(|(_, keys)| keys)
    }
}
