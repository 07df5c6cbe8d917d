//! How a database is opened.

use std::time::Duration;

use crate::limits::TransactionLimits;
use crate::vectors::VectorOptions;

/// Bounds and durations of one database.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// What one transaction may use.
    pub limits: TransactionLimits,
    /// How long recent commits stay in memory at least (unless they need more than `window_bytes_max`): reads of the past and
    /// subscriptions can start within this time, and transactions that take longer cannot commit.
    pub window_age: Duration,
    /// Bytes of recent commits in memory.
    pub window_bytes_max: usize,
    /// Bytes of commits that may wait for the disk before further ones are held back.
    pub queue_bytes_max: usize,
    /// Number of commits that may wait for the disk before further ones are held back.
    pub queue_commits_max: usize,
    /// How long a commit is held back before it fails as overloaded.
    pub queue_wait_max: Duration,
    /// How long ordinary commits wait for the holder of the exclusive token. Longer than any transaction takes: one that is slow
    /// must not lose its protection, only one that hangs.
    pub exclusive_wait_max: Duration,
    /// How long commits stay in the log on disk.
    pub log_retention: Duration,
    /// Number of tables of user data.
    pub user_tables_max: usize,
    /// Bytes of documents that were read lately, kept for further reads. Those that were not used for half a minute are
    /// let go.
    pub document_cache_bytes: usize,
    /// Compares every document found in the cache with the store, at the cost of what the cache saves.
    pub check_document_cache: bool,
    /// Documents that one step of building an index handles.
    pub backfill_chunk: usize,
    /// Documents that one step of checking a schema reads; their bytes are bounded as well.
    pub validation_chunk: usize,
    /// Vector indexes.
    pub vectors: VectorOptions,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        DatabaseOptions {
            limits: TransactionLimits::default(),
            window_age: Duration::from_secs(60),
            window_bytes_max: 128 << 20,
            queue_bytes_max: 64 << 20,
            queue_commits_max: 16_384,
            queue_wait_max: Duration::from_secs(10),
            exclusive_wait_max: Duration::from_secs(20),
            log_retention: Duration::from_secs(2 * 24 * 3600),
            user_tables_max: 10_000,
            document_cache_bytes: 64 << 20,
            check_document_cache: cfg!(debug_assertions),
            backfill_chunk: 512,
            validation_chunk: 512,
            vectors: VectorOptions::default(),
        }
    }
}
