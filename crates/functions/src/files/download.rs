//! A file that goes out.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::{FileRow, row, storage_failure};
use crate::call_error::CallError;
use crate::functions::Functions;
use crate::own_transaction::begin_query;
use crate::syscalls::database_failure;

/// Bytes of a file in order, in pieces of a bounded size.
pub type FileBytes = BoxStream<'static, Result<Bytes, CallError>>;

/// What is known of a stored file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Number of bytes.
    pub size: u64,
    /// Digest of the bytes.
    pub sha256: [u8; 32],
    /// Media type, if the uploader gave one.
    pub content_type: Option<String>,
}

/// A file that was found. It can be read for a while even when it is deleted meanwhile.
pub struct OpenFile {
    functions: Functions,
    row: FileRow,
    info: FileInfo,
}

impl Functions {
    /// The file at an address, by the UUID in it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_file(&self, storage_id: uuid::Uuid) -> Result<Option<OpenFile>, CallError> {
        let services = self.services.clone();
        let storage_id = storage_id.hyphenated().to_string();
        let (found, ts) = tokio::task::spawn_blocking(move || {
            let mut transaction = begin_query(&services, None)?;
            let found = row::by_storage_id(&mut transaction, &storage_id).map_err(database_failure)?;
            Ok::<_, CallError>((found, transaction.snapshot_ts()))
        })
        .await
        .map_err(|error| CallError::internal(&error))??;
        if found.is_none() {
            // Nobody may hear of a deletion that a power cut could take back. A file's address is known only when it is durable.
            self.wait_durable(ts).await?;
        }
        Ok(found.map(|row| self.open(row)))
    }

    pub(crate) fn open(&self, row: FileRow) -> OpenFile {
        let info = FileInfo {
            size: row.received.size,
            sha256: row.received.sha256,
            content_type: row.content_type.clone(),
        };
        OpenFile { functions: self.clone(), row, info }
    }
}

impl OpenFile {
    /// What is known of it.
    pub fn info(&self) -> &FileInfo {
        &self.info
    }

    /// Reads a part, which must lie within the file.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn read(&self, range: Range<u64>) -> Result<FileBytes, CallError> {
        let pieces = self.functions.services.files.store.read(&self.row.key, range).await;
        Ok(pieces.map_err(storage_failure)?.map_err(storage_failure).boxed())
    }
}
