//! Files in a folder of the local disk.
//!
//! ```text
//! storage/incoming/KEY    being written; emptied at every start
//! storage/ab/KEY          complete, for a key that begins with `ab`
//! ```
//!
//! A file is written under `incoming`, synced, renamed, and then its folder is synced: under its last name it is whole and
//! durable. Assumes that renaming within the folder is atomic and that syncing a folder makes its names durable.
//!
//! Disk work is done on threads that may block. Each writer and each reader is at most one batch ahead.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::FilesError;
use crate::key::FileKey;
use crate::store::{ByteStream, FileStore, FileWriter, MultipartNote};

const INCOMING: &str = "incoming";
/// Bytes that are read at once.
const PIECE_BYTES: usize = 256 << 10;
/// Files written at once: each holds a file descriptor and up to two batches.
const WRITERS_MAX: usize = 256;

/// See the module.
#[derive(Debug)]
pub struct LocalFiles {
    root: Arc<Path>,
}

impl LocalFiles {
    /// Opens the folder, making it if need be, and removes what an earlier process left unfinished. The caller must be
    /// the only user of the folder.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(root: &Path) -> io::Result<Self> {
        let incoming = root.join(INCOMING);
        make_folder(&incoming)?;
        for entry in fs::read_dir(&incoming)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { root: Arc::from(root) })
    }

    fn incoming(&self, key: &FileKey) -> PathBuf {
        self.root.join(INCOMING).join(key.as_str())
    }

    fn complete(&self, key: &FileKey) -> PathBuf {
        self.root.join(key.shard()).join(key.as_str())
    }
}

#[async_trait]
impl FileStore for LocalFiles {
    async fn create(
        &self,
        key: &FileKey,
        _size: Option<u64>,
        _note: Box<dyn MultipartNote>,
    ) -> Result<Box<dyn FileWriter>, FilesError> {
        let incoming = self.incoming(key);
        let path = incoming.clone();
        let file = blocking(move || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path))
            .await
            .map_err(|error| FilesError::io("make a file", &error))?;
        let writing = Writing::Idle(file);
        let complete = self.complete(key);
        Ok(Box::new(LocalWriter { incoming, complete, root: self.root.clone(), writing, named: false }))
    }

    async fn read(&self, key: &FileKey, range: Range<u64>) -> Result<ByteStream, FilesError> {
        let path = self.complete(key);
        // The first piece comes with the opening: small files take one trip to another thread.
        let (file, first, rest) = blocking(move || {
            let file = Arc::new(File::open(path)?);
            let (first, rest) = read_piece(&file, range)?;
            Ok((file, first, rest))
        })
        .await
        .map_err(|error| FilesError::io("open a file", &error))?;
        let next = read_ahead(&file, rest.clone());
        let later = stream::unfold((file, rest, next), |(file, _rest, next)| async move {
            match joined(next?).await {
                Ok((piece, rest)) => {
                    let next = read_ahead(&file, rest.clone());
                    Some((Ok(piece), (file, rest, next)))
                }
                Err(error) => Some((Err(FilesError::io("read a file", &error)), (file, 0..0, None))),
            }
        });
        let first = (!first.is_empty()).then_some(Ok(first));
        Ok(stream::iter(first).chain(later).boxed())
    }

    async fn remove(&self, key: &FileKey, _multipart: Option<&str>) -> Result<(), FilesError> {
        let paths = [self.incoming(key), self.complete(key)];
        blocking(move || paths.iter().try_for_each(|path| remove_if_there(path)))
            .await
            .map_err(|error| FilesError::io("remove a file", &error))
    }

    fn writers_max(&self) -> usize {
        WRITERS_MAX
    }

    fn describe(&self) -> String {
        self.root.display().to_string()
    }
}

/// A file under `incoming`.
struct LocalWriter {
    incoming: PathBuf,
    complete: PathBuf,
    root: Arc<Path>,
    writing: Writing,
    /// Whether the file has its last name, so that nothing of this writer is left to remove.
    named: bool,
}

/// Where a writer's file is.
enum Writing {
    Idle(File),
    /// A thread writes a batch and gives the file back.
    Busy(JoinHandle<io::Result<File>>),
    /// An earlier call failed.
    Lost,
}

impl LocalWriter {
    /// The file, once what was begun is written.
    async fn settle(&mut self) -> Result<File, FilesError> {
        match std::mem::replace(&mut self.writing, Writing::Lost) {
            Writing::Idle(file) => Ok(file),
            Writing::Busy(task) => joined(task).await.map_err(|error| FilesError::io("write a file", &error)),
            Writing::Lost => Err(FilesError::Unavailable("an earlier part could not be written".into())),
        }
    }
}

#[async_trait]
impl FileWriter for LocalWriter {
    async fn write(&mut self, batch: Vec<Bytes>) -> Result<(), FilesError> {
        let mut file = self.settle().await?;
        self.writing = Writing::Busy(spawn_blocking(move || {
            write_all(&mut file, &batch)?;
            Ok(file)
        }));
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), FilesError> {
        let file = self.settle().await?;
        let (root, incoming, complete) = (self.root.clone(), self.incoming.clone(), self.complete.clone());
        blocking(move || publish(&file, &root, &incoming, &complete))
            .await
            .map_err(|error| FilesError::io("make a file durable", &error))?;
        self.named = true;
        Ok(())
    }
}

impl Drop for LocalWriter {
    fn drop(&mut self) {
        if self.named {
            return;
        }
        let incoming = std::mem::take(&mut self.incoming);
        let remove = move || {
            if let Err(error) = remove_if_there(&incoming) {
                tracing::warn!(%error, "an unfinished file could not be removed; the next start will");
            }
        };
        // Removing a large file takes a while.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// Gives a complete file its last name, durably.
fn publish(file: &File, root: &Path, incoming: &Path, complete: &Path) -> io::Result<()> {
    file.sync_all()?;
    let folder = complete.parent().expect("files lie in folders");
    if !folder.exists() {
        make_folder(folder)?;
        sync_folder(root)?;
    }
    fs::rename(incoming, complete)?;
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write_all(file: &mut File, batch: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = batch.iter().map(|bytes| IoSlice::new(bytes)).collect();
    let mut left = slices.as_mut_slice();
    // Empty slices at the front would look as if nothing could be written.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The next piece of a range, and what is left of it.
type Piece = (Bytes, Range<u64>);

/// Starts reading the next piece, if anything is left.
fn read_ahead(file: &Arc<File>, range: Range<u64>) -> Option<JoinHandle<io::Result<Piece>>> {
    let file = file.clone();
    (!range.is_empty()).then(|| spawn_blocking(move || read_piece(&file, range)))
}

fn read_piece(file: &File, range: Range<u64>) -> io::Result<Piece> {
    let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(PIECE_BYTES);
    let mut piece = vec![0; length];
    file.read_exact_at(&mut piece, range.start)?;
    Ok((piece.into(), range.start + length as u64..range.end))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    joined(spawn_blocking(work)).await
}

async fn joined<T>(task: JoinHandle<io::Result<T>>) -> io::Result<T> {
    task.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
