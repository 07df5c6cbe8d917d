//! The data directory and the paths inside it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::durable_file::{create_private_dir, write_private};

/// A data directory that exists.
#[derive(Clone, Debug)]
pub struct DataDirectory {
    path: PathBuf,
}

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// The directory could not be made or found.
    #[error("cannot use {path} as the data directory: {source}", path = .path.display())]
    Unusable {
        /// The directory asked for.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl DataDirectory {
    /// Opens the directory, making it (readable by its owner only) when it is missing.
    ///
    /// # Errors
    /// [`DirectoryError::Unusable`] when it can neither be made nor entered, or is a file.
    pub fn open_or_create(path: &Path) -> Result<Self, DirectoryError> {
        let unusable = |source| DirectoryError::Unusable { path: path.to_owned(), source };
        create_private_dir(path).map_err(unusable)?;
        // Absolute, because the engine process and its children may run elsewhere.
        let path = path.canonicalize().map_err(unusable)?;
        Ok(Self { path })
    }

    /// The directory itself, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The SQLite database file.
    pub fn database_file(&self) -> PathBuf {
        self.path.join("freshet.sqlite3")
    }

    /// The folder of stored files. Not made here.
    pub fn storage_folder(&self) -> PathBuf {
        self.path.join("storage")
    }

    /// The folder for scratch files. Not made here.
    pub fn scratch_folder(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// What lanes are running, for the engine that comes after a crash. Not made here.
    pub fn flight_record_file(&self) -> PathBuf {
        self.path.join("flight-record")
    }

    /// Crashes, and the functions that were to blame. Not made here.
    pub fn quarantine_file(&self) -> PathBuf {
        self.path.join("quarantine.json")
    }

    /// The folder of npm packages that apps have asked for. Not made here.
    pub fn packages_folder(&self) -> PathBuf {
        self.path.join("node-packages")
    }

    /// Puts a small file of the directory in the place of an older one, so that a power cut leaves one or the other. Its
    /// owner alone can read it. The caller makes sure that nobody else writes it at the same time.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn replace_file(&self, path: &Path, contents: &str) -> io::Result<()> {
        write_private(path, contents)
    }

    pub(crate) fn credentials_folder(&self) -> PathBuf {
        self.path.join("credentials")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_missing_directory_is_made_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/data");
        let directory = DataDirectory::open_or_create(&path).unwrap();
        assert_eq!(fs::metadata(directory.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(directory.path().is_absolute());
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        fs::write(&path, "").unwrap();
        let error = DataDirectory::open_or_create(&path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}
