//! Numbers about a database, for whoever watches over it. Nothing here is stored, and nothing depends on it.

use std::time::{Duration, Instant};

use freshet_meter::{Counter, Distribution, Histogram};
use freshet_store::StoreStatistics;

use crate::shared::Shared;
use crate::vectors::VectorStatistics;

/// What happens on the way of commits, as it is counted.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    /// Commits of each group that was stored.
    pub(crate) group_commits: Histogram,
    /// Microseconds that storing a group took.
    pub(crate) group_us: Histogram,
    /// Groups that could not be stored.
    pub(crate) failed_groups: Counter,
    /// Transactions that were told to begin anew.
    pub(crate) conflicts: Counter,
    /// Subscriptions that a commit made invalid.
    pub(crate) invalidations: Counter,
}

impl Meters {
    /// Counts a group of `commits` that was begun to be stored at `began`.
    pub(crate) fn stored(&self, commits: usize, began: Instant) {
        self.group_commits.record(commits as u64);
        self.group_us.record(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
}

/// Fill and use of the cache of documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Point reads that found their document.
    pub hits: u64,
    /// Point reads that had to ask the store.
    pub misses: u64,
    /// Documents in it.
    pub entries: u64,
    /// Bytes in it.
    pub bytes: u64,
}

/// A database at one moment; what is counted is counted since it was opened.
#[derive(Clone, Debug, Default)]
pub struct DatabaseStatistics {
    /// Commits of each group that was stored; their sum is the number of commits.
    pub group_commits: Distribution,
    /// Microseconds that storing a group took, syncing to disk included.
    pub group_us: Distribution,
    /// Groups that could not be stored.
    pub failed_groups: u64,
    /// Transactions that were told to begin anew, because something they had read was written.
    pub conflicts: u64,
    /// Commits that wait for the disk or are on their way there.
    pub queued_commits: u64,
    /// Bytes of these.
    pub queued_bytes: u64,
    /// Commits of the last moments, kept in memory.
    pub window_commits: u64,
    /// Bytes of these.
    pub window_bytes: u64,
    /// Since when the oldest commit that is not durable yet has waited; `None` when there is none.
    pub oldest_queued: Option<Duration>,
    /// Whether mutations are taken.
    pub is_writable: bool,
    /// The cache of documents.
    pub document_cache: CacheStatistics,
    /// Read sets that somebody watches.
    pub subscriptions: u64,
    /// Subscriptions that a commit made invalid.
    pub invalidations: u64,
    /// Tables of the app and of the server.
    pub tables: u64,
    /// The vector indexes.
    pub vectors: VectorStatistics,
    /// Where the data is kept.
    pub store: StoreStatistics,
}

impl Shared {
    /// Collects the numbers. Takes the locks of commits and of the cache for moments.
    pub(crate) fn statistics(&self) -> DatabaseStatistics {
        let mut statistics = DatabaseStatistics {
            group_commits: self.meters.group_commits.distribution(),
            group_us: self.meters.group_us.distribution(),
            failed_groups: self.meters.failed_groups.get(),
            conflicts: self.meters.conflicts.get(),
            invalidations: self.meters.invalidations.get(),
            document_cache: self.documents.statistics(),
            subscriptions: self.subscriptions.watched(),
            vectors: self.vectors.statistics(),
            store: self.store.statistics(),
            ..DatabaseStatistics::default()
        };
        let now = self.clock.now();
        let state = self.state.lock();
        statistics.queued_commits = state.queued_commits as u64;
        statistics.queued_bytes = state.queued_bytes as u64;
        (statistics.window_commits, statistics.window_bytes) = state.window.size();
        statistics.oldest_queued = (state.visible_ts > state.durable_ts)
            .then(|| state.window.after(state.durable_ts).next().map(|oldest| oldest.timestamp))
            .flatten()
            .map(|oldest| Duration::from_nanos(now.0.saturating_sub(oldest.0)));
        statistics.is_writable = state.failed.is_none();
        statistics.tables = state.catalog.tables().count() as u64;
        statistics
    }
}
