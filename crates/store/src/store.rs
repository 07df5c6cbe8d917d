//! The seam between the database and whatever keeps its data.

use freshet_values::key::KeyInterval;
use freshet_values::{InternalId, Timestamp};

use crate::{
    Batch, IndexId, IndexRow, KeyChunk, LogEntry, Order, ScanChunk, StoreError, StoredDocument, TableId,
};

/// Durable storage. All methods block.
///
/// Commits come from one thread at a time, in ascending order of timestamps. A commit that returned `Ok`
/// survives a power cut. One that returned an error is not there and never will be, and the store takes further commits;
/// only after [`StoreError::Undecided`] it may come back in a crash, and the store refuses commits until
/// [`Store::recover`] has decided that it does not.
pub trait Store: Send + Sync {
    /// Pins the newest durable state.
    ///
    /// # Errors
    /// [`StoreError::ReadersBusy`] when too many snapshots are held, or a storage failure.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError>;

    /// Applies all commits of the batch, or none; returns when they are durable.
    ///
    /// # Errors
    /// [`StoreError::Undecided`] when nobody can tell whether the batch survives a crash; after any other error it does not.
    fn commit(&self, batch: &Batch) -> Result<(), StoreError>;

    /// Finds out whether the store can write again after a failed commit, by writing something of its own to the disk, and
    /// settles the fate of an undecided commit: what never was visible in a snapshot will not come back. Returns the
    /// timestamp of the last durable commit.
    ///
    /// # Errors
    /// The cause is not gone; try again later.
    fn recover(&self) -> Result<Timestamp, StoreError>;

    /// Commits with timestamps greater than `after`, oldest first: at most `limit` of them, and no more once they have
    /// `bytes_max` bytes of JSON. Empty only when there is none.
    ///
    /// # Errors
    /// [`StoreError::LogTruncated`] when some of them may have been forgotten, or a storage failure.
    fn read_log(&self, after: Timestamp, limit: usize, bytes_max: usize)
    -> Result<Vec<LogEntry>, StoreError>;

    /// Forgets at most `limit` of the oldest log entries older than `before`; returns how many.
    ///
    /// # Errors
    /// A storage failure.
    fn trim_log(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;

    /// Removes at most `limit` entries of an index that nobody reads any more; returns how many.
    ///
    /// # Errors
    /// A storage failure.
    fn clear_index(&self, index: IndexId, limit: usize) -> Result<usize, StoreError>;

    /// Removes at most `limit` documents of a table that nobody reads any more; returns how many.
    ///
    /// # Errors
    /// A storage failure.
    fn clear_table(&self, table: TableId, limit: usize) -> Result<usize, StoreError>;

    /// Gives back memory that only a burst of reads needed, and some disk space that nothing needs any more. To be called
    /// every few seconds; quick.
    fn release_unused(&self) {}

    /// How much room the store takes.
    fn statistics(&self) -> StoreStatistics {
        StoreStatistics::default()
    }

    /// A named text of the database's bookkeeping.
    ///
    /// # Errors
    /// A storage failure.
    fn meta(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// The number of documents in every table that has any.
    ///
    /// # Errors
    /// A storage failure.
    fn table_counts(&self) -> Result<Vec<(TableId, u64)>, StoreError>;
}

/// The size of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStatistics {
    /// Bytes of the main file.
    pub file_bytes: u64,
    /// Bytes of the write-ahead log.
    pub log_bytes: u64,
    /// Connections that read, idle or not.
    pub readers: u64,
}

/// An unchanging view of a store. Holding one costs a connection and delays the reuse of disk space.
pub trait Snapshot: Send + Sync {
    /// The timestamp of the last commit that the view contains.
    fn timestamp(&self) -> Timestamp;

    /// The document, if it exists.
    ///
    /// # Errors
    /// A storage failure.
    fn get(&self, table: TableId, internal: InternalId) -> Result<Option<StoredDocument>, StoreError>;

    /// Entries of an index within the interval, in the given order, with their documents. Stops early after
    /// `limit` rows or when the rows' JSON passes `bytes_max`; a chunk that is not exhausted has at least one row.
    ///
    /// # Errors
    /// A storage failure.
    fn scan(
        &self,
        index: IndexId,
        interval: &KeyInterval,
        order: Order,
        limit: usize,
        bytes_max: usize,
    ) -> Result<ScanChunk<IndexRow>, StoreError>;

    /// Keys of an index within the interval, ascending, without their documents: at most `limit`.
    ///
    /// # Errors
    /// A storage failure.
    fn scan_keys(&self, index: IndexId, interval: &KeyInterval, limit: usize)
    -> Result<KeyChunk, StoreError>;

    /// Number of keys of an index within the interval. Takes time in proportion.
    ///
    /// # Errors
    /// A storage failure.
    fn count_keys(&self, index: IndexId, interval: &KeyInterval) -> Result<u64, StoreError>;

    /// Documents of a table by internal id, from `start` (inclusive) to `end` (inclusive), bounded like
    /// [`Snapshot::scan`].
    ///
    /// # Errors
    /// A storage failure.
    fn scan_table(
        &self,
        table: TableId,
        start: InternalId,
        end: InternalId,
        order: Order,
        limit: usize,
        bytes_max: usize,
    ) -> Result<ScanChunk<StoredDocument>, StoreError>;
}
