//! What can go wrong in a store.

use std::path::PathBuf;

use freshet_values::Timestamp;

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
    /// The file is something else than a SQLite database.
    #[error("{path} is not a database: {detail}")]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What it looks like and what to do.
        detail: &'static str,
    },
    /// The file is damaged.
    #[error("{path} is damaged: {detail}; restore a backup, or repair a copy with `sqlite3 FILE .recover`")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The file cannot be opened for reading and writing where it is.
    #[error("{path} cannot be opened: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The file has an older format and there is no room for the new one, which is made beside it.
    #[error(
        "{path} has the format of an older release, and there is no room to bring it up to date: free about {megabytes_needed} \
         MB on its disk and start again; the file was not changed, the older release still opens it"
    )]
    NoRoomToUpgrade {
        /// The file.
        path: PathBuf,
        /// Its size, which the copy needs again, in millions of bytes.
        megabytes_needed: u64,
    },
    /// The disk is full.
    #[error("the disk is full ({0}): free some space, and writes resume by themselves")]
    DiskFull(String),
    /// Files cannot be written any more, or not yet.
    #[error("the disk is read-only ({0}): make the data directory writable, and writes resume by themselves")]
    ReadOnlyDisk(String),
    /// The operating system reports a failure of the disk.
    #[error(
        "the disk fails ({0}): see the system's log and check the disk; writes resume by themselves if it recovers"
    )]
    DiskFailure(String),
    /// A commit failed, and whether it will be there after a crash cannot be told for now.
    #[error("whether the last commit was stored is not known yet: {0}")]
    Undecided(String),
    /// Somebody else has written to the file meanwhile. Nothing is written any more: what is here was checked against another
    /// state.
    #[error(
        "another process has written to the database file; see to it that one server uses it, and start that one again"
    )]
    Overtaken,
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
    /// The log was asked for commits that it may have forgotten.
    #[error("the log of commits after {requested} is no longer complete; it can be followed from {oldest}")]
    LogTruncated {
        /// Where the reader wanted to go on.
        requested: Timestamp,
        /// The earliest timestamp after which every commit is still there.
        oldest: Timestamp,
    },
    /// Anything else that the storage reports.
    #[error("storage failure: {0}")]
    Storage(String),
}
