//! Writing a small file so that it is either wholly there after a power cut or not there at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a directory, and those above it, that only its owner can enter. One that exists is left as it is.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes `path` with owner-only permissions: new file, fsync, rename, fsync of the folder.
/// The caller makes sure that nobody else writes the same path at the same time.
pub(crate) fn write_private(path: &Path, contents: &str) -> io::Result<()> {
    let folder = path.parent().expect("the path of a file inside a folder");
    let staged = path.with_extension("new");
    // A leftover of an interrupted write may have other permissions, so it is not reused.
    match fs::remove_file(&staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
    file.write_all(contents.as_bytes())?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_readable_by_their_owner_only_even_over_a_leftover() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(folder.path().join("secret.new"), "left by a crash").unwrap();
        write_private(&path, "text").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!folder.path().join("secret.new").exists());
    }
}
