//! The files of vector indexes: a folder for each, with a manifest and segments.
//!
//! A file is written under another name, brought to disk, and then gets its own. Segments never change; those that no manifest
//! names are left over and removed. A search may still read from a file that was removed: it is open.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use freshet_search::vector::{SegmentData, Source};
use freshet_store::IndexId;

/// Longest manifest that is read: far more than a hundred million rows need.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// The folder of one index.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

/// A file that is open for reading.
struct OpenFile(File);

impl Source for OpenFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

impl Folder {
    /// Makes it if need be.
    pub(super) fn open(root: &Path, index: IndexId) -> io::Result<Folder> {
        let path = root.join(index.0.to_string());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        Ok(Folder(path))
    }

    /// `None` if there is none that makes sense.
    pub(super) fn manifest(&self) -> Option<String> {
        let path = self.0.join("manifest");
        if fs::metadata(&path).ok()?.len() > MANIFEST_BYTES_MAX {
            return None;
        }
        fs::read_to_string(path).ok()
    }

    pub(super) fn write_manifest(&self, text: &str) -> io::Result<()> {
        self.write("manifest", |out| out.write_all(text.as_bytes()))
    }

    pub(super) fn write_segment(&self, number: u64, data: &SegmentData) -> io::Result<Arc<dyn Source>> {
        let name = segment_name(number);
        self.write(&name, |out| data.write(out))?;
        Ok(Arc::new(OpenFile(File::open(self.0.join(name))?)))
    }

    /// A segment and its length.
    pub(super) fn open_segment(&self, number: u64) -> io::Result<(Arc<dyn Source>, u64)> {
        let file = File::open(self.0.join(segment_name(number)))?;
        let length = file.metadata()?.len();
        Ok((Arc::new(OpenFile(file)), length))
    }

    /// Removes all files but the manifest and these segments.
    pub(super) fn keep_only(&self, numbers: &[u64]) -> io::Result<()> {
        let kept: Vec<String> = numbers.iter().map(|number| segment_name(*number)).collect();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != "manifest" && !kept.iter().any(|kept| name == kept.as_str()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> io::Result<()> {
        let staged = self.0.join("new");
        let mut out = BufWriter::with_capacity(1 << 16, File::create(&staged)?);
        write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&staged, self.0.join(name))?;
        File::open(&self.0)?.sync_all()
    }
}

fn segment_name(number: u64) -> String {
    format!("{number}.segment")
}

/// Removes the folder of an index.
pub(super) fn remove(root: &Path, index: IndexId) -> io::Result<()> {
    match fs::remove_dir_all(root.join(index.0.to_string())) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The indexes that have a folder.
pub(super) fn indexes(root: &Path) -> io::Result<Vec<IndexId>> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        if let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            found.push(IndexId(number));
        }
    }
    Ok(found)
}
