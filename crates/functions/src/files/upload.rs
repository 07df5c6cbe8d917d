//! A file that comes in: bytes first, then the row that makes them a file.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use freshet_database::SystemError;
use freshet_files::{FileKey, MultipartNote, Received, Upload};
use freshet_values::DocumentId;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::sync::OwnedSemaphorePermit;

use super::service::InFlight;
use super::{claim, row, storage_failure};
use crate::call_error::CallError;
use crate::files::token::TokenError;
use crate::functions::Functions;
use crate::own_transaction::write_durably;

/// What is known of a file before its bytes.
#[derive(Clone, Debug, Default)]
pub struct FileHead {
    /// Media type, as it will be sent with the file.
    pub content_type: Option<String>,
    /// What the digest of the bytes must be.
    pub sha256: Option<[u8; 32]>,
    /// Number of bytes that was announced.
    pub size: Option<u64>,
}

/// A file on its way in. Dropping it abandons the file, and nothing of it stays.
pub struct FileUpload {
    functions: Functions,
    head: FileHead,
    upload: Upload,
    claim: ClaimTask,
    in_flight: InFlight,
    _slot: OwnedSemaphorePermit,
}

/// The claim on the key, once it is durable.
type ClaimTask = Shared<BoxFuture<'static, Result<DocumentId, CallError>>>;

impl Functions {
    /// Checks the token of an upload address.
    ///
    /// # Errors
    /// When it is not one of this deployment or too old.
    pub fn check_upload_token(&self, token: &str) -> Result<(), TokenError> {
        self.services.files.tokens.check(token, self.services.now_ms())
    }

    /// Begins to store a file.
    ///
    /// # Errors
    /// When too many uploads go on already, or the storage cannot be written.
    pub async fn begin_upload(&self, head: FileHead) -> Result<FileUpload, CallError> {
        let files = self.services.files.clone();
        let slot = files.writer_slot(self.services.limits.queue_wait_max).await?;
        let key = FileKey::from_bytes(self.services.database.randomness().bytes());
        let in_flight = files.mark(key.clone());
        let claim = make_claim(self.clone(), key.clone()).boxed().shared();
        // Meanwhile the bytes arrive: the claim has to be there before they are durable, not before they come.
        tokio::spawn(claim.clone());
        let note = Box::new(ClaimNote { functions: self.clone(), claim: claim.clone() });
        let writer = files.store.create(&key, head.size, note).await.map_err(storage_failure)?;
        Ok(FileUpload {
            functions: self.clone(),
            head,
            upload: Upload::new(writer),
            claim,
            in_flight,
            _slot: slot,
        })
    }
}

impl FileUpload {
    /// Takes the next bytes, and waits while the storage is slower than the sender.
    ///
    /// # Errors
    /// When the storage is full or fails.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), CallError> {
        self.upload.write(bytes).await.map_err(storage_failure)
    }

    /// Number of bytes so far.
    pub fn size(&self) -> u64 {
        self.upload.size()
    }

    /// All bytes have arrived. Returns the file's id once neither the file nor its row can be taken back by a power cut.
    ///
    /// # Errors
    /// `Sha256Mismatch` when they are not the announced ones; when the storage or the database is full or fails.
    pub async fn finish(mut self) -> Result<String, CallError> {
        let received = self.upload.complete().await.map_err(storage_failure)?;
        if self.head.sha256.is_some_and(|announced| announced != received.sha256) {
            return Err(CallError::bad_request(
                "Sha256Mismatch",
                format!(
                    "The SHA-256 digest of the {} bytes that arrived is {}, which is not the one that was given.",
                    received.size,
                    hex::encode(received.sha256)
                ),
            ));
        }
        let claim = self.claim.clone().await?;
        self.upload.publish().await.map_err(storage_failure)?;
        let key = self.in_flight.key.clone();
        let id = insert_file(&self.functions, claim, key, received, self.head.content_type).await?;
        self.in_flight.settle();
        Ok(id)
    }
}

async fn make_claim(functions: Functions, key: FileKey) -> Result<DocumentId, CallError> {
    let due_ns = functions.services.now_ns();
    write_durably(&functions.services, move |transaction| Ok(claim::insert(transaction, &key, due_ns)?)).await
}

/// Turns a claim into a file.
async fn insert_file(
    functions: &Functions,
    claim: DocumentId,
    key: FileKey,
    received: Received,
    content_type: Option<String>,
) -> Result<String, CallError> {
    let random = functions.services.database.randomness().bytes();
    let storage_id = uuid::Builder::from_random_bytes(random).into_uuid().hyphenated().to_string();
    let id = write_durably(&functions.services, move |transaction| {
        match claim::get(transaction, claim)? {
            Some(claim) if !claim.condemned => claim::delete(transaction, claim.id)?,
            _ => return Err(SystemError::Defect(format!("the claim on file {key} is gone")).into()),
        }
        Ok(row::insert(transaction, &storage_id, &key, &received, content_type.as_deref())?)
    })
    .await?;
    Ok(id.to_string())
}

/// Keeps the store's name of a multi-part upload in the claim.
struct ClaimNote {
    functions: Functions,
    claim: ClaimTask,
}

#[async_trait]
impl MultipartNote for ClaimNote {
    async fn remember(&self, multipart: &str) -> Result<(), String> {
        let id = self.claim.clone().await.map_err(|error| error.to_string())?;
        let multipart: Arc<str> = multipart.into();
        let noted = write_durably(&self.functions.services, move |transaction| {
            if let Some(mut claim) = claim::get(transaction, id)? {
                claim.multipart = Some((*multipart).to_owned());
                claim::put(transaction, &claim)?;
            }
            Ok(())
        });
        noted.await.map_err(|error| error.to_string())
    }
}
