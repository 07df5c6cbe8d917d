//! From SQLite's error codes to ours: the kinds that a person can do something about are told apart.

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::StoreError;

/// Turns a SQLite error into ours.
pub(super) fn failure(error: &rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull(text),
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnlyDisk(text),
        Some(ErrorCode::SystemIoFailure) if lacks_room(error) => StoreError::DiskFull(text),
        Some(ErrorCode::SystemIoFailure) => StoreError::DiskFailure(text),
        _ => StoreError::Storage(text),
    }
}

/// The shared index of the log could not grow. It is a file beside the others, so the disk is full.
fn lacks_room(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    matches!(extended, Some(ffi::SQLITE_IOERR_SHMSIZE))
}
