//! The check of the file after a shutdown that was not clean.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{failure, layout};
use crate::StoreError;

/// Opcodes between two looks at the clock: often enough for a bound in tenths of a second.
const OPCODES_PER_LOOK: i32 = 20_000;

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
        .progress_handler(OPCODES_PER_LOOK, Some(move || began.elapsed() > check_max))
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
