//! Documents that were read lately, so that a point read need not go to the store, nor decode the text again.
//!
//! An entry is the newest version of its document, as far as commits were reported to [`DocumentCache::stored`]. It knows
//! from which commit on that is so. Three rules keep it right for a reader whose store snapshot is at `S` and whose
//! overlay has every commit that was not reported when the reader began:
//!
//! * The reader asks its overlay first, so the cache is asked only for documents without a commit later than `S` there.
//! * An entry counts only if it is the newest version since `S` or an earlier moment. A commit later than `S` that was
//!   reported since made its entry younger than that.
//! * What a reader loaded from the store at `S` is kept only if no commit later than `S` was reported yet: it might be
//!   the old version of a document that such a commit wrote.
//!
//! Bounded in bytes; the least recently used documents go first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use freshet_store::TableId;
use freshet_values::{InternalId, Timestamp};
use hashlink::LruCache;
use parking_lot::Mutex;

use crate::commit::changes::Committed;
use crate::document::Document;

/// Parts with locks of their own, so that lanes rarely meet. A power of two.
const SHARDS: usize = 16;
/// Bytes that an entry takes besides its document.
const ENTRY_BYTES: usize = 96;

type Key = (TableId, InternalId);

struct Entry {
    document: Arc<Document>,
    /// Since when this has been the newest version, or earlier.
    since: Timestamp,
    /// As it was counted; decoding a document makes it heavier later.
    bytes: usize,
}

struct Shard {
    entries: LruCache<Key, Entry>,
    bytes: usize,
}

/// See the module.
pub(crate) struct DocumentCache {
    shards: [Mutex<Shard>; SHARDS],
    shard_bytes_max: usize,
    /// The last commit that was reported, in nanoseconds. Written before the commit's documents are.
    reported: AtomicU64,
}

impl DocumentCache {
    /// An empty cache for a store that was last written at `stored`.
    pub(crate) fn new(bytes_max: usize, stored: Timestamp) -> DocumentCache {
        DocumentCache {
            shards: std::array::from_fn(|_| Mutex::new(Shard { entries: LruCache::new_unbounded(), bytes: 0 })),
            shard_bytes_max: bytes_max / SHARDS,
            reported: AtomicU64::new(stored.0),
        }
    }

    /// The document for a reader whose store snapshot is at `snapshot`.
    pub(crate) fn get(&self, table: TableId, internal: InternalId, snapshot: Timestamp) -> Option<Arc<Document>> {
        let mut shard = self.shard(internal).lock();
        let entry = shard.entries.get(&(table, internal))?;
        (entry.since <= snapshot).then(|| Arc::clone(&entry.document))
    }

    /// Keeps a document that was read from the store at `snapshot`.
    pub(crate) fn loaded(&self, table: TableId, document: &Arc<Document>, snapshot: Timestamp) {
        let mut shard = self.shard(document.id().internal).lock();
        if self.reported.load(Ordering::Acquire) > snapshot.0 {
            return;
        }
        let entry = Entry::new(document, snapshot);
        shard.put((table, document.id().internal), entry, self.shard_bytes_max);
    }

    /// A commit is in the store, and the overlay is about to forget it. To be called in the order of commits.
    pub(crate) fn stored(&self, commit: &Committed) {
        self.reported.store(commit.timestamp.0, Ordering::Release);
        for change in &commit.documents {
            let key = (change.table, change.internal);
            let mut shard = self.shard(change.internal).lock();
            // What nobody has read yet is not likely to be read soon, so only entries that are there are renewed.
            if let Some(old) = shard.entries.remove(&key) {
                shard.bytes -= old.bytes;
                if let Some(new) = &change.new {
                    shard.put(key, Entry::new(new, commit.timestamp), self.shard_bytes_max);
                }
            }
        }
    }

    /// The last bytes of an id are its day; the first are random.
    fn shard(&self, internal: InternalId) -> &Mutex<Shard> {
        &self.shards[usize::from(internal.0[0]) % SHARDS]
    }

    /// Bytes in use, for metrics and tests.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }
}

impl Entry {
    fn new(document: &Arc<Document>, since: Timestamp) -> Entry {
        Entry { document: Arc::clone(document), since, bytes: document.decoded_weight() + ENTRY_BYTES }
    }
}

impl Shard {
    fn put(&mut self, key: Key, entry: Entry, bytes_max: usize) {
        if entry.bytes > bytes_max {
            return;
        }
        self.bytes += entry.bytes;
        if let Some(old) = self.entries.insert(key, entry) {
            self.bytes -= old.bytes;
        }
        while self.bytes > bytes_max
            && let Some((_, oldest)) = self.entries.remove_lru()
        {
            self.bytes -= oldest.bytes;
        }
    }
}
