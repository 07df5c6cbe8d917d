//! How the bound on cached pages is divided among the connections.
//!
//! Every SQLite connection has a page cache of its own. The writer gets a quarter. The pool hands out the connection that
//! came back last, so a few readers do nearly all of the work: those share half of the rest, and the many that only a
//! burst needs share the other half. Shares are fixed, so the bound holds whichever connections are open.

use rusqlite::{Connection, ffi};

use super::SqliteOptions;

/// Less would make no sense of the shares.
const CACHE_BYTES_MIN: usize = 1 << 20;
/// Readers that get a large share.
const FREQUENT_MAX: usize = 8;
/// A reader with less would read the upper pages of its trees again and again.
const READER_KIB_MIN: usize = 64;

/// Which share a reader has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReaderKind {
    Frequent,
    Burst,
}

/// The share of each connection in KiB, and how many readers there may be of each kind.
#[derive(Clone, Debug)]
pub(super) struct CacheShares {
    pub(super) writer_kib: usize,
    frequent_kib: usize,
    frequent_max: usize,
    burst_kib: usize,
    burst_max: usize,
}

impl CacheShares {
    pub(super) fn new(options: &SqliteOptions) -> CacheShares {
        let total_kib = options.cache_bytes.max(CACHE_BYTES_MIN) / 1024;
        let writer_kib = total_kib / 4;
        let half_kib = (total_kib - writer_kib) / 2;
        let readers = options.readers_max.max(1);
        let frequent_max = readers.min(FREQUENT_MAX);
        let burst_max = (readers - frequent_max).min(half_kib / READER_KIB_MIN);
        CacheShares {
            writer_kib,
            frequent_kib: half_kib / frequent_max,
            frequent_max,
            burst_kib: half_kib / burst_max.max(1),
            burst_max,
        }
    }

    /// Readers that may exist at one time.
    pub(super) fn readers_max(&self) -> usize {
        self.frequent_max + self.burst_max
    }

    /// The kind of one more reader when so many frequent ones exist.
    pub(super) fn next_kind(&self, frequent: usize) -> ReaderKind {
        if frequent < self.frequent_max { ReaderKind::Frequent } else { ReaderKind::Burst }
    }

    pub(super) fn reader_kib(&self, kind: ReaderKind) -> usize {
        match kind {
            ReaderKind::Frequent => self.frequent_kib,
            ReaderKind::Burst => self.burst_kib,
        }
    }
}

/// Bytes that a connection's page cache holds.
pub(super) fn used(connection: &Connection) -> usize {
    let (mut now, mut most) = (0, 0);
    // SAFETY: the connection is open and borrowed, so nobody closes it meanwhile; the other pointers lead to integers.
    let code = unsafe {
        ffi::sqlite3_db_status(
            connection.handle(),
            ffi::SQLITE_DBSTATUS_CACHE_USED,
            &raw mut now,
            &raw mut most,
            0,
        )
    };
    if code == ffi::SQLITE_OK { usize::try_from(now).unwrap_or(0) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_connections_stay_within_the_bound() {
        for cache_bytes in [0, 1 << 20, 4 << 20, 64 << 20, 1 << 30] {
            for readers_max in [1, 2, 8, 9, 128, 1000] {
                let shares =
                    CacheShares::new(&SqliteOptions { cache_bytes, readers_max, ..SqliteOptions::default() });
                let all = shares.writer_kib
                    + shares.frequent_kib * shares.frequent_max
                    + shares.burst_kib * shares.burst_max;
                assert!(all * 1024 <= cache_bytes.max(CACHE_BYTES_MIN), "{shares:?}");
                assert!(shares.readers_max() >= 1 && shares.readers_max() <= readers_max, "{shares:?}");
                assert!(shares.burst_max == 0 || shares.burst_kib >= READER_KIB_MIN, "{shares:?}");
            }
        }
    }
}
