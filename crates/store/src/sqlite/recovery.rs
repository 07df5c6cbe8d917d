//! What is done about the files after a shutdown that was not clean.

use std::ffi::c_int;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ffi};

use super::fault::failure;
use super::layout;
use crate::StoreError;

/// Steps between two looks at the clock. A step of the check may be a page that is read from the disk, which takes up to ten
/// milliseconds on a slow one.
const STEPS_PER_LOOK: i32 = 100;

/// Bytes of the log that are written again at a time. SQLite's files take less than 128 KiB at once: of a larger chunk they
/// write the remainder modulo that, and call the disk full.
const REWRITE_BYTES: usize = 64 << 10;

/// Makes sure that the write-ahead log is on the disk as it reads.
///
/// SQLite takes every commit in the log for durable. After a sync that failed, or a process that was killed before it
/// synced, some are only in the operating system's memory; and after a failed sync Linux counts them as written, so that no
/// later sync stores them. Whatever was then built on them would be lost with the next power cut, or worse, half of it:
/// pages in the database file would be newer than the log beside it. So the log is written again, as it is, and synced,
/// before anything else is written.
pub(super) fn rewrite_log(connection: &Connection) -> rusqlite::Result<()> {
    // Whoever else has the file open, such as a tool that replicates it, must not append what is then overwritten.
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let rewritten = rewrite_locked_log(connection);
    let ended = connection.execute_batch("ROLLBACK");
    rewritten.and(ended)
}

fn rewrite_locked_log(connection: &Connection) -> rusqlite::Result<()> {
    let mut file: *mut ffi::sqlite3_file = std::ptr::null_mut();
    // SAFETY: the connection is open and used by this thread alone; SQLite fills in a pointer to the file of the log,
    // which stays open for as long as the connection, or to one without methods if there is none.
    let methods = unsafe {
        let request = ffi::SQLITE_FCNTL_JOURNAL_POINTER;
        check(ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            request,
            (&raw mut file).cast(),
        ))?;
        if file.is_null() || (*file).pMethods.is_null() {
            return Ok(());
        }
        &*(*file).pMethods
    };
    let (Some(size), Some(read), Some(write), Some(sync)) =
        (methods.xFileSize, methods.xRead, methods.xWrite, methods.xSync)
    else {
        return Ok(());
    };
    let mut length = 0;
    // SAFETY: the file is open, and the answer has a place.
    check(unsafe { size(file, &raw mut length) })?;
    let mut buffer = vec![0_u8; REWRITE_BYTES];
    let mut offset = 0;
    while offset < length {
        let bytes = usize::try_from(length - offset).unwrap_or(REWRITE_BYTES).min(REWRITE_BYTES);
        let count = c_int::try_from(bytes).expect("a chunk is small");
        // SAFETY: the file is open, and the buffer has room for that many bytes.
        unsafe {
            check(read(file, buffer.as_mut_ptr().cast(), count, offset))?;
            check(write(file, buffer.as_ptr().cast(), count, offset))?;
        }
        offset += i64::from(count);
    }
    if length > 0 {
        // SAFETY: the file is open.
        check(unsafe { sync(file, ffi::SQLITE_SYNC_NORMAL) })?;
    }
    Ok(())
}

fn check(code: c_int) -> rusqlite::Result<()> {
    if code == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }
}

/// Runs SQLite's quick check if the last process did not close the file, for at most `check_max`.
///
/// The write-ahead log already makes a crash harmless; the check looks for damage that the crash may be a sign of. A
/// huge file is checked in part only, since a start must not take minutes.
pub(super) fn check_after_crash(
    connection: &mut Connection,
    path: &Path,
    check_max: Duration,
) -> Result<(), StoreError> {
    let clean = layout::required_meta(connection, layout::META_CLEAN).map_err(|error| failure(&error))?;
    if clean == "1" {
        return Ok(());
    }
    let began = Instant::now();
    connection
        .progress_handler(STEPS_PER_LOOK, Some(move || began.elapsed() > check_max))
        .map_err(|error| failure(&error))?;
    let outcome = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    connection.progress_handler(0, None::<fn() -> bool>).map_err(|error| failure(&error))?;
    match outcome {
        Ok(answer) if answer == "ok" => {
            tracing::info!(path = %path.display(), "the last shutdown was not clean; the database file is intact");
            Ok(())
        }
        Ok(detail) => Err(StoreError::Damaged { path: path.to_owned(), detail }),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {
            tracing::info!(path = %path.display(), "the last shutdown was not clean; the first part of the database file is intact");
            Ok(())
        }
        Err(error) => Err(StoreError::Damaged { path: path.to_owned(), detail: error.to_string() }),
    }
}
