//! What can go wrong in a store.

use std::path::PathBuf;

/// A failure of the storage below the database. None of these is the fault of an app's code.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The file was written by a newer release.
    #[error(
        "{path} has format version {found}, but this release reads versions up to {supported}: \
         start it with a newer release, or restore a backup made by this one"
    )]
    NewerFormat {
        /// The database file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this release knows.
        supported: u32,
    },
    /// The file is a SQLite database of somebody else.
    #[error("{path} is a SQLite database that was not made by Freshet; choose another file")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error("{path} is damaged: {detail}; restore a backup, or repair a copy with `sqlite3 FILE .recover`")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The disk is full.
    #[error("the disk is full: {0}")]
    DiskFull(String),
    /// An earlier commit failed, so nothing is written until the store is opened again.
    #[error(
        "the store accepts no more writes because an earlier one failed ({0}); fix the cause and restart"
    )]
    Poisoned(String),
    /// The store was closed, so nothing is written until it is opened again.
    #[error("the store is closed")]
    Closed,
    /// All reader connections stayed busy.
    #[error("no reader connection came free within {waited_ms} ms ({connections} are in use)")]
    ReadersBusy {
        /// The bound on reader connections.
        connections: usize,
        /// How long was waited, in milliseconds.
        waited_ms: u64,
    },
    /// The caller broke the order of commits; a defect of the caller.
    #[error("commit at {given} is not after the store's timestamp {current}")]
    OutOfOrder {
        /// The timestamp of the refused commit, in nanoseconds.
        given: u64,
        /// The store's timestamp, in nanoseconds.
        current: u64,
    },
    /// Anything else that the storage reports.
    #[error("storage failure: {0}")]
    Storage(String),
}
