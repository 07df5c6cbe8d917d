//! Files in a bucket that speaks S3.
//!
//! What fits in one part is one request. Larger files go up part by part, one at a time, so that an upload holds one part in
//! memory. The store's name of a multi-part upload is remembered before the first part is sent: should the process end,
//! [`FileStore::remove`] aborts it, or the parts would be kept, and paid for, where no listing of objects shows them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
};

use crate::error::FilesError;
use crate::key::FileKey;
use crate::store::{ByteStream, FileStore, FileWriter, MultipartNote};

/// S3 takes no smaller part than 5 MiB, except the last.
const PART_BYTES_MIN: u64 = 8 << 20;
/// S3 takes 10,000.
const PARTS_MAX: u64 = 9_999;
/// A part is held in memory, so that it cannot grow without bound: files of up to 625 GiB.
const PART_BYTES_MAX: u64 = 64 << 20;
/// Uploads at once: each holds one part.
const WRITERS_MAX: usize = 64;
/// A connection over which nothing comes for so long is given up.
const READ_TIME_MAX: Duration = Duration::from_secs(30);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// All attempts at one request together.
const RETRY_TIME_MAX: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct S3Files {
    s3: Arc<AmazonS3>,
    bucket: String,
    prefix: String,
}

impl S3Files {
    /// A bucket, with endpoint, region and credentials of the usual variables (`AWS_ACCESS_KEY_ID`, `AWS_REGION`,
    /// `AWS_ENDPOINT_URL`, ...), or those that the machine has by itself. Sends nothing yet.
    ///
    /// # Errors
    /// A text that says which variable is unusable.
    pub fn from_environment(bucket: &str, prefix: &str) -> Result<Self, String> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "S3_ENDPOINT_URL"]
            .into_iter()
            .find_map(set);
        let mut client = ClientOptions::new()
            // The whole of a large file may take longer than any time that would be too long for silence.
            .with_timeout_disabled()
            .with_read_timeout(READ_TIME_MAX)
            .with_connect_timeout(CONNECT_TIME_MAX);
        if let Some(endpoint) = endpoint {
            // Written out by the operator, so that it is meant.
            client = client.with_allow_http(endpoint.starts_with("http://"));
            builder = builder.with_endpoint(endpoint);
        }
        let retry = RetryConfig { max_retries: 5, retry_timeout: RETRY_TIME_MAX, ..RetryConfig::default() };
        let s3 = builder
            .with_client_options(client)
            .with_retry(retry)
            .build()
            .map_err(|error| format!("the S3 storage cannot be used: {error}"))?;
        Ok(Self { s3: Arc::new(s3), bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    /// Asks the bucket for a file that is not there, to find out at the start what would fail later.
    ///
    /// # Errors
    /// When the bucket does not answer, does not exist, or refuses these credentials.
    pub async fn probe(&self) -> Result<(), FilesError> {
        let nothing = self.path(&FileKey::from_bytes([0; 16]));
        match self.s3.head(&nothing).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(FilesError::remote("reach the S3 storage", &error)),
        }
    }

    fn path(&self, key: &FileKey) -> Path {
        Path::from(format!("{}{key}", self.prefix))
    }
}

#[async_trait]
impl FileStore for S3Files {
    async fn create(
        &self,
        key: &FileKey,
        size: Option<u64>,
        note: Box<dyn MultipartNote>,
    ) -> Result<Box<dyn FileWriter>, FilesError> {
        let part_bytes = size.unwrap_or(0).div_ceil(PARTS_MAX).max(PART_BYTES_MIN);
        if part_bytes > PART_BYTES_MAX {
            return Err(FilesError::TooLarge { bytes_max: PART_BYTES_MAX * PARTS_MAX });
        }
        Ok(Box::new(S3Writer {
            s3: self.s3.clone(),
            path: self.path(key),
            note,
            part_bytes,
            gathered: Vec::new(),
            gathered_bytes: 0,
            multipart: None,
        }))
    }

    async fn read(&self, key: &FileKey, range: Range<u64>) -> Result<ByteStream, FilesError> {
        // S3 has no empty ranges.
        let range = (!range.is_empty()).then_some(GetRange::Bounded(range));
        let options = GetOptions { range, ..GetOptions::default() };
        let found = self.s3.get_opts(&self.path(key), options).await;
        let found = found.map_err(|error| FilesError::remote("read a file", &error))?;
        let pieces = found.into_stream();
        Ok(pieces.map(|piece| piece.map_err(|error| FilesError::remote("read a file", &error))).boxed())
    }

    async fn remove(&self, key: &FileKey, multipart: Option<&str>) -> Result<(), FilesError> {
        let path = self.path(key);
        let ended = |result: object_store::Result<()>| match result {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(FilesError::remote("remove a file", &error)),
        };
        if let Some(multipart) = multipart {
            ended(self.s3.abort_multipart(&path, &multipart.to_owned()).await)?;
        }
        ended(self.s3.delete(&path).await)
    }

    fn writers_max(&self) -> usize {
        WRITERS_MAX
    }

    fn describe(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

/// A file on its way to the bucket.
struct S3Writer {
    s3: Arc<AmazonS3>,
    path: Path,
    note: Box<dyn MultipartNote>,
    part_bytes: u64,
    /// Bytes of the next part.
    gathered: Vec<Bytes>,
    gathered_bytes: u64,
    /// Once there is more than one part.
    multipart: Option<Multipart>,
}

struct Multipart {
    id: String,
    parts: Vec<PartId>,
}

impl S3Writer {
    async fn send_part(&mut self, payload: PutPayload) -> Result<(), FilesError> {
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            none => {
                let id = self.s3.create_multipart(&self.path).await;
                let id = id.map_err(|error| FilesError::remote("begin a large file", &error))?;
                // Set first: whoever drops the writer now aborts it.
                let begun = none.insert(Multipart { id, parts: Vec::new() });
                self.note.remember(&begun.id).await.map_err(FilesError::Unavailable)?;
                begun
            }
        };
        if multipart.parts.len() as u64 >= PARTS_MAX {
            return Err(FilesError::TooLarge { bytes_max: self.part_bytes * PARTS_MAX });
        }
        let part = self.s3.put_part(&self.path, &multipart.id, multipart.parts.len(), payload).await;
        multipart.parts.push(part.map_err(|error| FilesError::remote("write a part of a file", &error))?);
        Ok(())
    }

    /// The first bytes of those gathered, `bytes` of them; all parts but the last must have the same size.
    fn take(&mut self, bytes: u64) -> PutPayload {
        let mut part = Vec::new();
        let mut missing = bytes;
        let mut gathered = std::mem::take(&mut self.gathered).into_iter();
        for mut piece in gathered.by_ref() {
            if (piece.len() as u64) < missing {
                missing -= piece.len() as u64;
                part.push(piece);
                continue;
            }
            part.push(piece.split_to(missing as usize));
            if !piece.is_empty() {
                self.gathered.push(piece);
            }
            break;
        }
        self.gathered.extend(gathered);
        self.gathered_bytes -= bytes;
        PutPayload::from_iter(part)
    }
}

#[async_trait]
impl FileWriter for S3Writer {
    async fn write(&mut self, batch: Vec<Bytes>) -> Result<(), FilesError> {
        self.gathered_bytes += batch.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        self.gathered.extend(batch);
        // What fills exactly one part may be the whole file.
        while self.gathered_bytes > self.part_bytes {
            let part = self.take(self.part_bytes);
            self.send_part(part).await?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), FilesError> {
        let last = self.take(self.gathered_bytes);
        if self.multipart.is_none() {
            let stored = self.s3.put(&self.path, last).await;
            return stored.map(drop).map_err(|error| FilesError::remote("write a file", &error));
        }
        self.send_part(last).await?;
        let multipart = self.multipart.take().expect("parts were sent");
        let done = self.s3.complete_multipart(&self.path, &multipart.id, multipart.parts).await;
        done.map(drop).map_err(|error| FilesError::remote("put the parts of a file together", &error))
    }
}

impl Drop for S3Writer {
    fn drop(&mut self) {
        let Some(multipart) = self.multipart.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (s3, path) = (self.s3.clone(), self.path.clone());
        // Soon rather than surely: the claim on the key stays until the parts are known to be gone.
        runtime.spawn(async move {
            if let Err(error) = s3.abort_multipart(&path, &multipart.id).await {
                tracing::debug!(%error, "an upload to S3 could not be aborted yet");
            }
        });
    }
}
