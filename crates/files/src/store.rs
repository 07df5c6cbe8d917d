//! What a place for the bytes of files can do.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::error::FilesError;
use crate::key::FileKey;

/// Bytes of a file in order, in pieces of a bounded size.
pub type ByteStream = BoxStream<'static, Result<Bytes, FilesError>>;

/// A place that keeps bytes. Nothing is ever changed in place.
#[async_trait]
pub trait FileStore: Send + Sync + 'static {
    /// Begins to write a new file. `size` is what the sender announced, which may be wrong. `note` hears of what has to
    /// be cleaned up should the process end before the writer does.
    ///
    /// # Errors
    /// When the place cannot be written.
    async fn create(
        &self,
        key: &FileKey,
        size: Option<u64>,
        note: Box<dyn MultipartNote>,
    ) -> Result<Box<dyn FileWriter>, FilesError>;

    /// Reads a part of a file, which must lie within it. The stream goes on when the file is removed meanwhile, as far
    /// as the place allows.
    ///
    /// # Errors
    /// [`FilesError::Missing`] when there is no such file, or when the place cannot be read.
    async fn read(&self, key: &FileKey, range: Range<u64>) -> Result<ByteStream, FilesError>;

    /// Removes whatever is kept under the key: a whole file, a part of one, or nothing. `multipart` is what the
    /// [`MultipartNote`] of the key heard last. Once this has succeeded nothing is left.
    ///
    /// # Errors
    /// When the place cannot be written.
    async fn remove(&self, key: &FileKey, multipart: Option<&str>) -> Result<(), FilesError>;

    /// Files that may be written at the same time. Bounds memory and open files.
    fn writers_max(&self) -> usize;

    /// Where the bytes are, for people.
    fn describe(&self) -> String;
}

/// A file that is being written. Dropping it abandons the file, and leaves nothing behind as far as that can be done
/// without waiting; [`FileStore::remove`] does the rest.
#[async_trait]
pub trait FileWriter: Send {
    /// Appends bytes. May return before they are written: failures then show up in a later call.
    ///
    /// # Errors
    /// When there is no room, or the place cannot be written. The file is lost.
    async fn write(&mut self, batch: Vec<Bytes>) -> Result<(), FilesError>;

    /// Makes the file durable under its key: when this returns, a power cut cannot take it back.
    ///
    /// # Errors
    /// As of [`FileWriter::write`].
    async fn finish(self: Box<Self>) -> Result<(), FilesError>;
}

/// Remembers that a place holds parts of an unfinished file under a name of its own.
#[async_trait]
pub trait MultipartNote: Send + Sync {
    /// Remembers the name so that it survives the process. Called before the first part is sent.
    ///
    /// # Errors
    /// A text that says why it could not be remembered.
    async fn remember(&self, multipart: &str) -> Result<(), String>;
}
