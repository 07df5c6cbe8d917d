//! Documents that were read lately, so that a point read need not go to the store, nor decode the text again.
//!
//! An entry is the newest version of its document, as far as commits were reported to [`DocumentCache::stored`]. It knows
//! from which commit on that is so. Three rules keep it right for a reader whose store snapshot is at `S` and whose
//! overlay has every commit that was not reported when the reader began:
//!
//! * The reader asks its overlay first, so the cache is asked only for documents without a commit later than `S` there.
//! * An entry counts only if it is the newest version since `S` or an earlier moment. A commit later than `S` that was
//!   reported since made its entry younger than that.
//! * What a reader loaded from the store at `S` is kept only if no commit later than `S` that may have written this very
//!   document was reported yet. Which documents commits wrote is remembered by a few bits of their ids, so now and then a
//!   document is not kept because of another one.
//!
//! Bounded in bytes; the least recently used documents go first. Those that nobody uses go in any case, so that the memory
//! of a busy time is given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use freshet_store::TableId;
use freshet_values::{InternalId, Timestamp};
use hashlink::LinkedHashMap;
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

use crate::commit::changes::Committed;
use crate::document::Document;
use crate::statistics::CacheStatistics;

/// Parts with locks of their own, so that lanes rarely meet. A power of two.
const SHARDS: usize = 16;
/// Groups of documents, in each part, whose last commit is remembered. A power of two.
const GROUPS: usize = 1024;
/// Bytes that an entry takes besides its document.
const ENTRY_BYTES: usize = 96;

/// Nanoseconds after which an unused document goes.
const UNUSED_NANOS_MAX: u64 = 30 * 1_000_000_000;

type Key = (TableId, InternalId);

struct Entry {
    document: Arc<Document>,
    /// Since when this has been the newest version, or earlier.
    since: Timestamp,
    /// When it was last used, on the cache's own slow clock.
    used: u64,
    /// As it was counted; decoding a document makes it heavier later.
    bytes: usize,
}

#[derive(Default)]
struct Shard {
    /// From the least to the most recently used.
    entries: LinkedHashMap<Key, Entry, FxBuildHasher>,
    /// The newest reported commit that wrote a document of each group. Empty until the first.
    written: Box<[Timestamp]>,
    bytes: usize,
    hits: u64,
    misses: u64,
}

/// See the module. The default keeps nothing.
#[derive(Default)]
pub(crate) struct DocumentCache {
    shards: [Mutex<Shard>; SHARDS],
    shard_bytes_max: usize,
    /// A clock that moves when housekeeping looks in, in nanoseconds since the Unix epoch.
    clock: AtomicU64,
    is_checked: bool,
}

impl DocumentCache {
    /// An empty cache.
    pub(crate) fn new(bytes_max: usize, is_checked: bool) -> DocumentCache {
        DocumentCache { shard_bytes_max: bytes_max / SHARDS, is_checked, ..DocumentCache::default() }
    }

    /// Whether readers compare what they find here with the store.
    pub(crate) fn is_checked(&self) -> bool {
        self.is_checked
    }

    /// The document for a reader whose store snapshot is at `snapshot`.
    pub(crate) fn get(
        &self,
        table: TableId,
        internal: InternalId,
        snapshot: Timestamp,
    ) -> Option<Arc<Document>> {
        let mut shard = self.shard(internal).lock();
        let found = shard.entries.to_back(&(table, internal)).and_then(|entry| {
            entry.used = self.clock.load(Ordering::Relaxed);
            (entry.since <= snapshot).then(|| Arc::clone(&entry.document))
        });
        // Counted under the lock that is held anyway.
        *(if found.is_some() { &mut shard.hits } else { &mut shard.misses }) += 1;
        found
    }

    /// Keeps a document that was read from the store at `snapshot`.
    pub(crate) fn loaded(&self, table: TableId, document: &Arc<Document>, snapshot: Timestamp) {
        let mut shard = self.shard(document.id().internal).lock();
        if shard.last_written(document.id().internal) > snapshot {
            return;
        }
        let entry = self.entry(document, snapshot);
        shard.put((table, document.id().internal), entry, self.shard_bytes_max);
    }

    /// A commit is in the store, and the overlay is about to forget it. To be called in the order of commits.
    pub(crate) fn stored(&self, commit: &Committed) {
        for change in &commit.documents {
            let key = (change.table, change.internal);
            let mut shard = self.shard(change.internal).lock();
            shard.note_written(change.internal, commit.timestamp);
            // What nobody has read yet is not likely to be read soon, so only entries that are there are renewed.
            if let Some(old) = shard.entries.remove(&key) {
                shard.bytes -= old.bytes;
                if let Some(new) = &change.new {
                    shard.put(key, self.entry(new, commit.timestamp), self.shard_bytes_max);
                }
            }
        }
    }

    /// Lets go of what was not used lately. To be called every few seconds.
    pub(crate) fn release_unused(&self, now: Timestamp) {
        self.clock.store(now.0, Ordering::Relaxed);
        for shard in &self.shards {
            let mut shard = shard.lock();
            while shard
                .entries
                .front()
                .is_some_and(|(_, entry)| now.0.saturating_sub(entry.used) > UNUSED_NANOS_MAX)
            {
                shard.drop_oldest();
            }
            shard.entries.shrink_to_fit();
        }
    }

    fn entry(&self, document: &Arc<Document>, since: Timestamp) -> Entry {
        Entry {
            document: Arc::clone(document),
            since,
            used: self.clock.load(Ordering::Relaxed),
            bytes: document.decoded_weight() + ENTRY_BYTES,
        }
    }

    /// The first and last bytes of an id are its time; those between are random.
    fn shard(&self, internal: InternalId) -> &Mutex<Shard> {
        &self.shards[usize::from(internal.0[13]) % SHARDS]
    }

    /// How full it is, and of how much use.
    pub(crate) fn statistics(&self) -> CacheStatistics {
        let mut statistics = CacheStatistics::default();
        for shard in &self.shards {
            let shard = shard.lock();
            statistics.hits += shard.hits;
            statistics.misses += shard.misses;
            statistics.entries += shard.entries.len() as u64;
            statistics.bytes += shard.bytes as u64;
        }
        statistics
    }

    /// Bytes in use.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }
}

impl Shard {
    fn last_written(&self, internal: InternalId) -> Timestamp {
        self.written.get(group(internal)).copied().unwrap_or(Timestamp(0))
    }

    fn note_written(&mut self, internal: InternalId, at: Timestamp) {
        if self.written.is_empty() {
            self.written = vec![Timestamp(0); GROUPS].into();
        }
        self.written[group(internal)] = at;
    }

    fn put(&mut self, key: Key, entry: Entry, bytes_max: usize) {
        if entry.bytes > bytes_max {
            return;
        }
        self.bytes += entry.bytes;
        if let Some(old) = self.entries.insert(key, entry) {
            self.bytes -= old.bytes;
        }
        while self.bytes > bytes_max {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, oldest)) = self.entries.pop_front() {
            self.bytes -= oldest.bytes;
        }
    }
}

/// Which group a document belongs to. These bytes of an id are random, and others than those that choose the part.
fn group(internal: InternalId) -> usize {
    usize::from(u16::from_le_bytes([internal.0[11], internal.0[12]])) % GROUPS
}

#[cfg(test)]
mod tests {
    use freshet_store::{CommitRecord, StoredDocument};
    use freshet_values::TableNumber;

    use super::*;
    use crate::commit::changes::DocumentChange;

    const TABLE: TableId = TableId(70);

    fn document(number: u8, json: &str) -> Arc<Document> {
        let internal = InternalId([number; 16]);
        let stored = StoredDocument { internal, json: Arc::from(json), size: 100 };
        Arc::new(Document::from_stored(TableNumber(10_001), stored))
    }

    fn commit(ts: u64, number: u8, new: Option<Arc<Document>>) -> Committed {
        let timestamp = Timestamp(ts);
        let internal = InternalId([number; 16]);
        let record = CommitRecord { timestamp, documents: Vec::new(), indexes: Vec::new() };
        Committed {
            corpus_deltas: Vec::new(),
            corpora: Vec::new(),
            timestamp,
            documents: vec![DocumentChange { table: TABLE, internal, old: None, new }],
            keys: Vec::new(),
            counts: Vec::new(),
            catalog_before: None,
            enforcer_before: None,
            record: Arc::new(record),
            meta: Vec::new(),
            views: Vec::new(),
            weight: 0,
        }
    }

    fn found(cache: &DocumentCache, number: u8, snapshot: u64) -> Option<String> {
        let found = cache.get(TABLE, InternalId([number; 16]), Timestamp(snapshot));
        found.map(|document| document.json().to_string())
    }

    #[test]
    fn a_version_counts_for_snapshots_from_its_commit_on() {
        let cache = DocumentCache::new(1 << 20, false);
        cache.loaded(TABLE, &document(1, "old"), Timestamp(10));
        assert_eq!(found(&cache, 1, 10).as_deref(), Some("old"));
        assert_eq!(found(&cache, 1, 9), None, "what was there before is not known");
        cache.stored(&commit(12, 1, Some(document(1, "new"))));
        assert_eq!(found(&cache, 1, 11), None);
        assert_eq!(found(&cache, 1, 12).as_deref(), Some("new"));
        cache.stored(&commit(13, 1, None));
        assert_eq!(found(&cache, 1, 13), None);
    }

    #[test]
    fn what_was_loaded_before_a_reported_commit_is_not_kept() {
        let cache = DocumentCache::new(1 << 20, false);
        cache.stored(&commit(12, 1, Some(document(1, "new"))));
        cache.loaded(TABLE, &document(1, "old"), Timestamp(11));
        assert_eq!(found(&cache, 1, 12), None);
        cache.loaded(TABLE, &document(2, "another"), Timestamp(11));
        assert_eq!(found(&cache, 2, 11).as_deref(), Some("another"), "that commit wrote something else");
        cache.loaded(TABLE, &document(1, "new"), Timestamp(12));
        assert_eq!(found(&cache, 1, 12).as_deref(), Some("new"));
    }

    #[test]
    fn bytes_are_bounded_and_what_is_not_used_goes_first() {
        let one = document(1, "x").decoded_weight() + ENTRY_BYTES;
        let cache = DocumentCache::new(SHARDS * (2 * one + 1), false);
        // These three share a shard.
        for number in [1, 17, 33] {
            cache.loaded(TABLE, &document(number, "x"), Timestamp(10));
            assert!(found(&cache, 1, 10).is_some());
        }
        assert_eq!(found(&cache, 17, 10), None);
        assert_eq!(cache.bytes(), 2 * one);
        cache.release_unused(Timestamp(UNUSED_NANOS_MAX));
        assert!(found(&cache, 1, 10).is_some());
        cache.release_unused(Timestamp(UNUSED_NANOS_MAX + 1));
        assert!(found(&cache, 33, 10).is_none() && found(&cache, 1, 10).is_some());
        cache.release_unused(Timestamp(3 * UNUSED_NANOS_MAX));
        assert_eq!(cache.bytes(), 0);
    }
}
