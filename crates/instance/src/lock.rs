//! Locks that keep two servers from using one data directory.
//!
//! There are two, because the supervisor may be killed while its engine is still on its way out: the supervisor's
//! lock refuses a second server at once, and the engine's lock makes a new engine wait for the old one's end.
//! The locks are advisory, held by an open file, and gone when their process is, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::DataDirectory;

/// Pause between two attempts while waiting for a lock.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

/// Which of the two processes takes the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockHolder {
    /// The process that starts and restarts the engine.
    Supervisor,
    /// The process that opens the database.
    Engine,
}

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub struct DirectoryLock {
    // Held for its effect: closing the file releases the lock.
    _file: File,
}

/// Why a lock was not had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process holds it.
    #[error(
        "{path} is in use by another Freshet server{holder}. Stop that one first, or choose another directory with --data",
        path = .directory.display(),
        holder = .process.map(|id| format!(" (process {id})")).unwrap_or_default(),
    )]
    Taken {
        /// The data directory.
        directory: PathBuf,
        /// The holder, when it could be read.
        process: Option<u32>,
    },
    /// The lock file could not be opened or locked.
    #[error("cannot lock {path}: {source}", path = .path.display())]
    File {
        /// The lock file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl DirectoryLock {
    /// Takes the lock, waiting up to `patience` for a holder that is about to end.
    ///
    /// # Errors
    /// [`LockError::Taken`] when another process (or this one) still holds it, [`LockError::File`] otherwise.
    pub fn acquire(
        directory: &DataDirectory,
        holder: LockHolder,
        patience: Duration,
    ) -> Result<Self, LockError> {
        let path = directory.path().join(match holder {
            LockHolder::Supervisor => "supervisor.lock",
            LockHolder::Engine => "engine.lock",
        });
        let failed = |source| LockError::File { path: path.clone(), source };
        // Not truncated on opening: the text belongs to the holder until the lock is ours.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(RETRY_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Taken {
                        directory: directory.path().to_owned(),
                        process: read_holder(&mut file),
                    });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        write_holder(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> (tempfile::TempDir, DataDirectory) {
        let folder = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open_or_create(folder.path()).unwrap();
        (folder, directory)
    }

    #[test]
    fn a_second_server_is_told_the_directory_and_the_process_that_holds_it() {
        let (_folder, directory) = data();
        let _held = DirectoryLock::acquire(&directory, LockHolder::Supervisor, Duration::ZERO).unwrap();
        let error = DirectoryLock::acquire(&directory, LockHolder::Supervisor, Duration::ZERO)
            .unwrap_err()
            .to_string();
        assert!(error.contains(directory.path().to_str().unwrap()), "{error}");
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    }

    #[test]
    fn supervisor_and_engine_hold_locks_of_their_own() {
        let (_folder, directory) = data();
        let _supervisor = DirectoryLock::acquire(&directory, LockHolder::Supervisor, Duration::ZERO).unwrap();
        let _engine = DirectoryLock::acquire(&directory, LockHolder::Engine, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_patient_caller_gets_the_lock_when_the_holder_lets_go() {
        let (_folder, directory) = data();
        let held = DirectoryLock::acquire(&directory, LockHolder::Engine, Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                DirectoryLock::acquire(&directory, LockHolder::Engine, Duration::from_secs(10)).is_ok()
            });
            std::thread::sleep(Duration::from_millis(50));
            assert!(!waiting.is_finished());
            drop(held);
            assert!(waiting.join().unwrap());
        });
    }
}
