//! A place for files that survives the deployments of a test, as a disk does.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use freshet_files::{ByteStream, FileKey, FileStore, FileWriter, FilesError, MultipartNote};
use futures::StreamExt;
use parking_lot::Mutex;

/// Complete files, and the names of multi-part uploads that were begun and neither finished nor aborted.
#[derive(Default)]
pub(crate) struct MemoryFiles {
    complete: Mutex<BTreeMap<FileKey, Bytes>>,
    unfinished: Mutex<Vec<String>>,
}

impl MemoryFiles {
    pub(crate) fn keys(&self) -> Vec<FileKey> {
        self.complete.lock().keys().cloned().collect()
    }

    pub(crate) fn unfinished(&self) -> Vec<String> {
        self.unfinished.lock().clone()
    }
}

/// What a test keeps in the deployments.
#[derive(Clone, Default)]
pub(crate) struct SharedFiles(pub(crate) Arc<MemoryFiles>);

struct Writer {
    files: Arc<MemoryFiles>,
    key: FileKey,
    note: Box<dyn MultipartNote>,
    gathered: Vec<Bytes>,
}

#[async_trait]
impl FileWriter for Writer {
    async fn write(&mut self, batch: Vec<Bytes>) -> Result<(), FilesError> {
        if self.gathered.is_empty() {
            let name = format!("parts of {}", self.key);
            self.note.remember(&name).await.map_err(FilesError::Unavailable)?;
            self.files.unfinished.lock().push(name);
        }
        self.gathered.extend(batch);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<(), FilesError> {
        let name = format!("parts of {}", self.key);
        self.files.unfinished.lock().retain(|other| *other != name);
        self.files.complete.lock().insert(self.key, self.gathered.concat().into());
        Ok(())
    }
}

#[async_trait]
impl FileStore for SharedFiles {
    async fn create(
        &self,
        key: &FileKey,
        _size: Option<u64>,
        note: Box<dyn MultipartNote>,
    ) -> Result<Box<dyn FileWriter>, FilesError> {
        Ok(Box::new(Writer { files: self.0.clone(), key: key.clone(), note, gathered: Vec::new() }))
    }

    async fn read(&self, key: &FileKey, range: Range<u64>) -> Result<ByteStream, FilesError> {
        let found = self.0.complete.lock().get(key).cloned();
        let bytes = found.ok_or_else(|| FilesError::Missing(key.to_string()))?;
        let part = bytes.slice(range.start as usize..range.end as usize);
        Ok(futures::stream::iter([Ok(part)]).boxed())
    }

    async fn remove(&self, key: &FileKey, multipart: Option<&str>) -> Result<(), FilesError> {
        self.0.complete.lock().remove(key);
        self.0.unfinished.lock().retain(|name| Some(name.as_str()) != multipart);
        Ok(())
    }

    fn writers_max(&self) -> usize {
        4
    }

    fn describe(&self) -> String {
        "memory".into()
    }
}
