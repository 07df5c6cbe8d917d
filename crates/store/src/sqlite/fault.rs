//! From SQLite's error codes to ours: the kinds that a person can do something about are told apart.

use std::io::ErrorKind;

use rusqlite::{Connection, ErrorCode, ffi};

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

/// Like [`failure`], for an error that the connection has just reported: SQLite calls whatever the operating system refuses an
/// I/O error, and the system knows better.
pub(super) fn failure_on(connection: &Connection, error: &rusqlite::Error) -> StoreError {
    let Some((text, kind)) = refusal(connection, error) else { return failure(error) };
    match kind {
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => StoreError::ReadOnlyDisk(text),
        _ => StoreError::DiskFull(text),
    }
}

/// Whether the file could not be written because there was no room for it, or because the system did not let it be written:
/// unlike after a failure of the disk, the write that failed has certainly not been done.
pub(super) fn is_refused(connection: &Connection, error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || refusal(connection, error).is_some()
}

/// What the operating system said, if it refused a write.
fn refusal(connection: &Connection, error: &rusqlite::Error) -> Option<(String, ErrorKind)> {
    if error.sqlite_error()?.extended_code != ffi::SQLITE_IOERR_WRITE {
        return None;
    }
    // SAFETY: the connection is open and borrowed, so nobody closes it meanwhile.
    let code = unsafe { ffi::sqlite3_system_errno(connection.handle()) };
    let refusal = std::io::Error::from_raw_os_error(code);
    let kind = refusal.kind();
    let is_refused = matches!(
        kind,
        ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::FileTooLarge
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::PermissionDenied
    );
    is_refused.then(|| (refusal.to_string(), kind))
}

/// The shared index of the log could not grow. It is a file beside the others, so the disk is full.
fn lacks_room(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    matches!(extended, Some(ffi::SQLITE_IOERR_SHMSIZE))
}
