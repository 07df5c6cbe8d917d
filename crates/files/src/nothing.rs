//! A place that keeps nothing.

use std::ops::Range;

use async_trait::async_trait;

use crate::error::FilesError;
use crate::key::FileKey;
use crate::store::{ByteStream, FileStore, FileWriter, MultipartNote};

/// Refuses every file: for servers, in tests mostly, that have no place for any.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

fn refused() -> FilesError {
    FilesError::Unavailable("this server keeps no files".into())
}

#[async_trait]
impl FileStore for NoFiles {
    async fn create(
        &self,
        _key: &FileKey,
        _size: Option<u64>,
        _note: Box<dyn MultipartNote>,
    ) -> Result<Box<dyn FileWriter>, FilesError> {
        Err(refused())
    }

    async fn read(&self, _key: &FileKey, _range: Range<u64>) -> Result<ByteStream, FilesError> {
        Err(refused())
    }

    async fn remove(&self, _key: &FileKey, _multipart: Option<&str>) -> Result<(), FilesError> {
        Ok(())
    }

    fn writers_max(&self) -> usize {
        1
    }

    fn describe(&self) -> String {
        "nowhere".into()
    }
}
