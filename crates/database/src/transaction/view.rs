//! One moment of the database: a pinned store snapshot under an overlay.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::sync::Arc;

use freshet_store::{IndexId, IndexRow, Order, ScanChunk, Snapshot};
use freshet_values::{InternalId, KeyInterval, TableNumber, Timestamp, key};

use crate::catalog::{IndexMeta, TableMeta, by_id_key};
use crate::commit::overlay::Overlay;
use crate::document::Document;
use crate::document_cache::DocumentCache;
use crate::error::SystemError;

/// Bytes of JSON that one step of a scan may load.
const CHUNK_BYTES_MAX: usize = 1 << 20;

#[derive(Clone)]
pub(crate) struct View {
    pub(super) snapshot: Arc<dyn Snapshot>,
    pub(super) overlay: Overlay,
    cache: Arc<DocumentCache>,
    timestamp: Timestamp,
    lost: Option<Lost>,
}

/// Indexes whose entries at the view's moment are not known any more.
#[derive(Clone)]
pub(crate) struct Lost {
    pub(crate) indexes: Vec<IndexId>,
    /// The moment from which on all indexes can be read.
    pub(crate) since: Timestamp,
}

/// An index key with its document.
pub(crate) type Row = (Arc<[u8]>, Arc<Document>);

/// Some rows of a scan.
pub(crate) struct Chunk {
    pub(crate) rows: Vec<Row>,
    /// What was not scanned yet; `None` when everything was.
    pub(crate) rest: Option<KeyInterval>,
}

impl View {
    /// The overlay has to have every commit that was not reported to the cache yet.
    pub(crate) fn new(
        snapshot: Arc<dyn Snapshot>,
        overlay: Overlay,
        cache: Arc<DocumentCache>,
        timestamp: Timestamp,
    ) -> View {
        View { snapshot, overlay, cache, timestamp, lost: None }
    }

    /// The same, but these indexes cannot be scanned.
    pub(crate) fn without(self, lost: Option<Lost>) -> View {
        View { lost, ..self }
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    pub(crate) fn get(
        &self,
        table: &TableMeta,
        internal: InternalId,
    ) -> Result<Option<Arc<Document>>, SystemError> {
        if let Some(version) = self.overlay.get(table.id, internal) {
            return Ok(version.cloned());
        }
        let load = || self.snapshot.get(table.id, internal);
        let snapshot_ts = self.snapshot.timestamp();
        if let Some(document) = self.cache.get(table.id, internal, snapshot_ts) {
            if self.cache.is_checked() {
                let stored = load()?;
                assert_eq!(
                    stored.as_ref().map(|stored| &stored.json),
                    Some(document.json()),
                    "a stale document"
                );
            }
            return Ok(Some(document));
        }
        Ok(load()?.map(|stored| {
            let document = Arc::new(Document::from_stored(table.number, stored));
            self.cache.loaded(table.id, &document, snapshot_ts);
            document
        }))
    }

    /// Rows of an index within an interval, in order. Loads at most about `limit` rows from the store.
    pub(crate) fn scan(
        &self,
        table: &TableMeta,
        index: &IndexMeta,
        interval: &KeyInterval,
        order: Order,
        limit: usize,
    ) -> Result<Chunk, SystemError> {
        if interval.is_empty() {
            return Ok(Chunk { rows: Vec::new(), rest: None });
        }
        self.check_known(index.id)?;
        let stored = if index.is_by_id() {
            self.scan_by_id(table, interval, order, limit)?
        } else {
            self.snapshot.scan(index.id, interval, order, limit, CHUNK_BYTES_MAX)?
        };
        // The overlay is merged in exactly as far as the store was read.
        let (covered, rest) = match stored.rows.last().filter(|_| !stored.exhausted) {
            None => (interval.clone(), None),
            Some(last) => {
                let (covered, rest) = split(interval, &last.key, order);
                (covered, Some(rest))
            }
        };
        let is_changed = self.overlay.has_documents(table.id);
        let base = stored.rows.into_iter().map(|row| {
            let newer = if is_changed { self.overlay.get(table.id, row.document.internal) } else { None };
            // A document without this key any more, or none at all: the overlay has the news of the key as well.
            let document = match newer.flatten() {
                Some(newer) => Arc::clone(newer),
                None => Arc::new(Document::from_stored(table.number, row.document)),
            };
            (row.key, document)
        });
        let over = self.overlay.range(table.id, index.id, &covered);
        let rows = match order {
            Order::Asc => merge(base.peekable(), over.peekable(), order),
            Order::Desc => merge(base.peekable(), over.rev().peekable(), order),
        };
        Ok(Chunk { rows, rest })
    }

    /// Refuses an index whose entries at this moment are not known any more.
    pub(super) fn check_known(&self, index: IndexId) -> Result<(), SystemError> {
        match self.lost.as_ref().filter(|lost| lost.indexes.contains(&index)) {
            Some(lost) => Err(SystemError::OutOfRetention { requested: self.timestamp, oldest: lost.since }),
            None => Ok(()),
        }
    }

    /// Documents are stored by id, so the index of ids has no entries of its own.
    fn scan_by_id(
        &self,
        table: &TableMeta,
        interval: &KeyInterval,
        order: Order,
        limit: usize,
    ) -> Result<ScanChunk<IndexRow>, SystemError> {
        let Some((first, last)) = id_bounds(table.number, interval) else {
            return Ok(ScanChunk { rows: Vec::new(), exhausted: true });
        };
        let chunk = self.snapshot.scan_table(table.id, first, last, order, limit, CHUNK_BYTES_MAX)?;
        let rows = chunk.rows.into_iter().map(|document| IndexRow {
            key: Arc::from(by_id_key(freshet_values::DocumentId::new(table.number, document.internal))),
            document,
        });
        Ok(ScanChunk { rows: rows.collect(), exhausted: chunk.exhausted })
    }
}

/// Cuts an interval just after a key in scan order: what has been scanned, and what has not.
fn split(interval: &KeyInterval, at: &[u8], order: Order) -> (KeyInterval, KeyInterval) {
    let cut = match order {
        Order::Asc => key::key_after(at),
        Order::Desc => at.to_vec(),
    };
    let below = KeyInterval { start: interval.start.clone(), end: Some(cut.clone()) };
    let above = KeyInterval { start: cut, end: interval.end.clone() };
    match order {
        Order::Asc => (below, above),
        Order::Desc => (above, below),
    }
}

fn merge<'a>(
    mut base: Peekable<impl Iterator<Item = Row>>,
    mut over: Peekable<impl Iterator<Item = (&'a Arc<[u8]>, Option<&'a Arc<Document>>)>>,
    order: Order,
) -> Vec<Row> {
    let mut rows = Vec::new();
    loop {
        let next = match (base.peek(), over.peek()) {
            (None, None) => return rows,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((base, _)), Some((over, _))) => match order {
                Order::Asc => base.cmp(over),
                Order::Desc => base.cmp(over).reverse(),
            },
        };
        if next == Ordering::Less {
            rows.extend(base.next());
            continue;
        }
        if next == Ordering::Equal {
            base.next();
        }
        if let Some((key, Some(document))) = over.next() {
            rows.push((Arc::clone(key), Arc::clone(document)));
        }
    }
}

/// The ids of a table whose keys lie in an interval, both ends inclusive.
///
/// Keys of ids ascend as the ids' bytes do, so both ends are found by bisection: exact for any interval, whatever odd
/// strings a query compares ids with. Most reads by id are not scans and never come here.
fn id_bounds(table: TableNumber, interval: &KeyInterval) -> Option<(InternalId, InternalId)> {
    let key =
        |number: u128| by_id_key(freshet_values::DocumentId::new(table, InternalId(number.to_be_bytes())));
    // The first number whose key is at least the bound; `None` if there is none.
    let first_from = |bound: &[u8]| -> Option<u128> {
        if key(0).as_slice() >= bound {
            return Some(0);
        }
        if key(u128::MAX).as_slice() < bound {
            return None;
        }
        let (mut below, mut from) = (0, u128::MAX);
        while from - below > 1 {
            let middle = below + (from - below) / 2;
            if key(middle).as_slice() >= bound {
                from = middle;
            } else {
                below = middle;
            }
        }
        Some(from)
    };
    let first = first_from(&interval.start)?;
    let last = match &interval.end {
        None => u128::MAX,
        Some(end) => match first_from(end) {
            None => u128::MAX,
            Some(number) => number.checked_sub(1)?,
        },
    };
    (first <= last).then(|| (InternalId(first.to_be_bytes()), InternalId(last.to_be_bytes())))
}

#[cfg(test)]
mod tests {
    use freshet_values::DocumentId;

    use super::*;

    #[test]
    fn any_interval_of_id_keys_becomes_exact_bounds() {
        let table = TableNumber(10_001);
        let id = |number: u128| InternalId(number.to_be_bytes());
        let key = |number: u128| by_id_key(DocumentId::new(table, id(number)));
        assert_eq!(id_bounds(table, &KeyInterval::all()), Some((id(0), id(u128::MAX))));
        assert_eq!(id_bounds(table, &KeyInterval::point(&key(77))), Some((id(77), id(77))));
        let range = KeyInterval { start: key(5), end: Some(key(1 << 90)) };
        assert_eq!(id_bounds(table, &range), Some((id(5), id((1 << 90) - 1))));
        let after = KeyInterval { start: key::key_after(&key(5)), end: None };
        assert_eq!(id_bounds(table, &after), Some((id(6), id(u128::MAX))));
        let other_table = by_id_key(DocumentId::new(TableNumber(10_002), id(5)));
        assert_eq!(id_bounds(table, &KeyInterval::point(&other_table)), None);
    }
}
