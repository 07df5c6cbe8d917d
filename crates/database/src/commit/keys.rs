//! The keys of one document in the indexes of its table, made once and shared by whoever needs them.

use std::sync::Arc;

use freshet_store::{IndexId, TableId};

use crate::catalog::{Catalog, IndexMeta, by_id_key};
use crate::document::Document;
use crate::error::SystemError;

/// A key; transactions, commits, the overlay and the store share it.
pub(crate) type Key = Arc<[u8]>;

/// See the module. None for a document that is not there.
#[derive(Clone, Default)]
pub(crate) struct Keys(Arc<[(IndexId, Key)]>);

impl Keys {
    /// The keys of a document in all indexes that writes keep up to date.
    pub(crate) fn of(catalog: &Catalog, table: TableId, document: &Document) -> Result<Keys, SystemError> {
        let indexes = catalog.indexes(table).iter().filter(|index| index.is_maintained());
        let keys = indexes.map(|index| Ok((index.id, key(index, document)?)));
        Ok(Keys(keys.collect::<Result<_, SystemError>>()?))
    }

    /// The key in an index. Computed only if the index is newer than these keys; `at` is where it probably stands among the
    /// table's indexes.
    pub(crate) fn key(&self, at: usize, index: &IndexMeta, document: &Document) -> Result<Key, SystemError> {
        let known = self.0.get(at).filter(|(id, _)| *id == index.id);
        match known.or_else(|| self.0.iter().find(|(id, _)| *id == index.id)) {
            Some((_, key)) => Ok(Arc::clone(key)),
            None => key(index, document),
        }
    }
}

fn key(index: &IndexMeta, document: &Document) -> Result<Key, SystemError> {
    Ok(Arc::from(if index.is_by_id() { by_id_key(document.id()) } else { index.key(document.object()?) }))
}
