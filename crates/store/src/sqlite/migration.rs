//! Brings files of older formats up to date.
//!
//! The steps run on a compact copy beside the file; when all are done the copy takes the file's name, and the file
//! keeps another one (`FILE.format-N`): the way back to the release before, and a safety copy. Until that one rename
//! the file is as it was, so it does not matter where a crash comes in between. The price is room for a second file; if
//! there is none, the file stays as it is and the error says so.
//!
//! | Format | What is new |
//! |---|---|
//! | 2 | Unused pages can be given back to the disk (`auto_vacuum` is incremental); how far the log was trimmed is written down |

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::fault::failure;
use super::opening::{remove, sync_directory, with_suffix};
use super::{layout, log};
use crate::StoreError;

/// From one format to the next, in a transaction.
type Step = fn(&Connection) -> rusqlite::Result<()>;

/// The step at `n` leads from format `n + 1` to `n + 2`.
const STEPS: [Step; layout::FORMAT_VERSION as usize - 1] = [log::note_what_was_trimmed];

/// Where a migration is; tests look at the files there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    LogMerged,
    Copied,
    Stepped,
    Kept,
    Done,
}

/// Makes the file one of this release's format. Takes the only connection to it and closes it.
pub(super) fn bring_up_to_date(
    connection: Connection,
    path: &Path,
    found: u32,
    reached: &mut dyn FnMut(Stage),
) -> Result<(), StoreError> {
    tracing::info!(path = %path.display(), from = found, to = layout::FORMAT_VERSION, "bringing the database file up to date");
    let copy = with_suffix(path, ".upgrade");
    let made = make_copy(&connection, path, &copy, found, reached);
    // Only now: the lock that it holds keeps other programs from writing meanwhile.
    let closed = connection.close().map_err(|(_, error)| failure(&error));
    let kept = made.and(closed).and_then(|()| replace(path, &copy, found, reached));
    if kept.is_err() {
        discard(&copy);
    }
    let kept = kept?;
    reached(Stage::Done);
    tracing::info!(
        kept = %kept.display(),
        "the database file is up to date; delete the old one when you do not want to go back to the release before"
    );
    Ok(())
}

fn make_copy(
    connection: &Connection,
    path: &Path,
    copy: &Path,
    found: u32,
    reached: &mut dyn FnMut(Stage),
) -> Result<(), StoreError> {
    discard(copy);
    let failed = |error: &rusqlite::Error| {
        match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::NoRoomToUpgrade {
            path: path.to_owned(),
            megabytes_needed: fs::metadata(path).map_or(0, |file| file.len()).div_ceil(1_000_000),
        },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Unusable {
            path: path.to_owned(),
            reason: "it has the format of an older release and another program has it open; close that program, so that it \
                     can be brought up to date"
                .to_owned(),
        },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Damaged { path: path.to_owned(), detail: error.to_string() }
        }
        _ => failure(error),
    }
    };
    merge_log(connection).map_err(|error| failed(&error))?;
    reached(Stage::LogMerged);
    connection
        .pragma_update(None, "auto_vacuum", "INCREMENTAL")
        .and_then(|()| connection.execute("VACUUM INTO ?1", [copy.to_string_lossy().as_ref()]))
        .map_err(|error| failed(&error))?;
    reached(Stage::Copied);
    take_steps(copy, found).map_err(|error| failed(&error))?;
    reached(Stage::Stepped);
    Ok(())
}

/// Moves everything into the file itself and keeps others out until the connection is closed: a log that is left behind
/// would be taken for the new file's.
fn merge_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    if mode != "delete" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            Some("the write-ahead log is in use".to_owned()),
        ));
    }
    // Changing the mode alone would take the lock with the next write only.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")
}

fn take_steps(copy: &Path, found: u32) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    for (step, reached) in STEPS.iter().zip(2..).skip(found as usize - 1) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        step(&connection)?;
        connection.pragma_update(None, "user_version", reached)?;
        connection.execute_batch("COMMIT")?;
    }
    connection.close().map_err(|(_, error)| error)
}

/// Gives the copy the file's name; returns the name that the file has from then on.
fn replace(
    path: &Path,
    copy: &Path,
    found: u32,
    reached: &mut dyn FnMut(Stage),
) -> Result<PathBuf, StoreError> {
    let failed = |error: std::io::Error| StoreError::Unusable {
        path: path.to_owned(),
        reason: format!("it has the format of an older release and cannot be brought up to date: {error}"),
    };
    OpenOptions::new().write(true).open(copy).and_then(|file| file.sync_all()).map_err(failed)?;
    let kept = keep(path, found).map_err(failed)?;
    sync_directory(path).map_err(failed)?;
    reached(Stage::Kept);
    fs::rename(copy, path).and_then(|()| sync_directory(path)).map_err(failed)?;
    Ok(kept)
}

/// Gives the old file another name that is free, besides its own.
fn keep(path: &Path, found: u32) -> std::io::Result<PathBuf> {
    for attempt in 1_u32.. {
        let more = if attempt == 1 { String::new() } else { format!(".{attempt}") };
        let name = with_suffix(path, &format!(".format-{found}{more}"));
        match fs::hard_link(path, &name) {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(_) if !name.exists() => {
                // A file system without second names.
                fs::copy(path, &name)?;
                File::open(&name)?.sync_all()?;
                return Ok(name);
            }
            Err(error) => return Err(error),
        }
    }
    unreachable!("there are more numbers than files")
}

/// Removes what an attempt has left.
fn discard(copy: &Path) {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let path = with_suffix(copy, suffix);
        if let Err(error) = remove(&path) {
            tracing::warn!(%error, path = %path.display(), "a file of an interrupted upgrade could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SqliteOptions, SqliteStore, Store as _};
    use freshet_values::Timestamp;

    fn fixture(directory: &Path) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
        fs::copy(source.join("crashed.db"), directory.join("db")).unwrap();
        fs::copy(source.join("crashed.db-wal"), directory.join("db-wal")).unwrap();
        directory.join("db")
    }

    #[test]
    fn a_crash_at_any_stage_leaves_a_file_that_opens_with_everything_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let crashed = tempfile::tempdir().unwrap();
        let path = fixture(directory.path());
        let mut stages = Vec::new();
        let mut look = |stage: Stage| {
            // What a process that is killed now leaves behind.
            let left = crashed.path().join(format!("{stage:?}"));
            fs::create_dir(&left).unwrap();
            for file in fs::read_dir(directory.path()).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), left.join(file.file_name())).unwrap();
            }
            stages.push((stage, left));
        };
        let connection = Connection::open(&path).unwrap();
        bring_up_to_date(connection, &path, 1, &mut look).unwrap();
        assert_eq!(
            stages.iter().map(|(stage, _)| *stage).collect::<Vec<_>>(),
            [Stage::LogMerged, Stage::Copied, Stage::Stepped, Stage::Kept, Stage::Done]
        );
        for (stage, left) in stages {
            let store = SqliteStore::open(&left.join("db"), &SqliteOptions::default())
                .unwrap_or_else(|error| panic!("{stage:?}: {error}"));
            assert_eq!(store.snapshot().unwrap().timestamp(), Timestamp(12_000), "{stage:?}");
            assert_eq!(store.read_log(Timestamp(999), 100, usize::MAX).unwrap().len(), 12, "{stage:?}");
            drop(store);
            assert!(!left.join("db.upgrade").exists(), "{stage:?}");
            assert!(left.join("db.format-1").exists(), "{stage:?}");
        }
    }

    #[test]
    fn half_a_copy_of_an_earlier_attempt_is_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let path = fixture(directory.path());
        fs::write(with_suffix(&path, ".upgrade"), "half").unwrap();
        fs::write(with_suffix(&path, ".upgrade-journal"), "half").unwrap();
        fs::write(with_suffix(&path, ".format-1"), "of an earlier upgrade").unwrap();
        drop(SqliteStore::open(&path, &SqliteOptions::default()).unwrap());
        assert_eq!(fs::read(with_suffix(&path, ".format-1")).unwrap(), b"of an earlier upgrade");
        assert!(with_suffix(&path, ".format-1.2").exists());
    }
}
