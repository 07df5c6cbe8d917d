//! How a SQLite store is opened.

use std::time::Duration;

/// Bounds and durations of one store.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Upper bound on reader connections, hence on snapshots held at one time. With a small `cache_bytes` there are fewer.
    pub readers_max: usize,
    /// How long to wait for a reader connection.
    pub reader_wait: Duration,
    /// Bytes of pages that all connections together keep in memory; at least a MiB. The operating system keeps more pages
    /// of the file, in memory that it can take back. The file is not mapped into memory on purpose: point reads would take a
    /// quarter less time (4.3 instead of 5.6 us), but a disk that fails to read would then end the process.
    pub cache_bytes: usize,
    /// Pages (of 4 KiB) of the write-ahead log from which commits wait for readers, so that it can begin anew.
    pub log_pages_max: u32,
    /// Longest time spent on checking the file after an unclean shutdown.
    pub check_max: Duration,
    /// Unused pages (of 4 KiB) in the file from which they are given back to the disk, if they are a fifth of the file too.
    pub free_pages_max: u32,
    /// Name of the registered SQLite VFS that the file lives on; `None` is the operating system's file system. For
    /// tests that bring a disk of their own.
    pub vfs: Option<String>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        SqliteOptions {
            readers_max: 128,
            reader_wait: Duration::from_secs(5),
            cache_bytes: 64 << 20,
            log_pages_max: 8192,
            check_max: Duration::from_secs(2),
            free_pages_max: 16_384,
            vfs: None,
        }
    }
}
