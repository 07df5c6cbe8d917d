//! What all files share: the place for bytes, the key of upload addresses, and the keys that are being written.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use freshet_files::{FileKey, FileStore};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::token::UploadTokens;
use crate::call_error::CallError;

/// Where files are kept, and for how long.
#[derive(Clone)]
pub struct FilesConfig {
    /// The place for bytes.
    pub store: Arc<dyn FileStore>,
    /// Signs upload addresses; a secret of this deployment alone.
    pub upload_key: [u8; 32],
    /// How long the bytes of a deleted file stay, for those who are reading them.
    pub deleted_kept: Duration,
}

/// See the module.
pub(crate) struct FileService {
    pub(crate) store: Arc<dyn FileStore>,
    pub(crate) tokens: UploadTokens,
    pub(crate) deleted_kept: Duration,
    /// Tells the collector that a claim may have become due.
    pub(crate) claims_changed: Notify,
    /// Keys whose bytes are being written: their claims are in use. Bounded by `writers`.
    in_flight: Mutex<HashSet<FileKey>>,
    writers: Arc<Semaphore>,
    writers_max: usize,
}

impl FileService {
    pub(crate) fn new(config: FilesConfig) -> Self {
        let writers_max = config.store.writers_max();
        Self {
            store: config.store,
            tokens: UploadTokens::new(&config.upload_key),
            deleted_kept: config.deleted_kept,
            claims_changed: Notify::new(),
            in_flight: Mutex::default(),
            writers: Arc::new(Semaphore::new(writers_max)),
            writers_max,
        }
    }

    /// The right to write one more file; waits for it no longer than `wait_max`.
    pub(crate) async fn writer_slot(&self, wait_max: Duration) -> Result<OwnedSemaphorePermit, CallError> {
        match tokio::time::timeout(wait_max, self.writers.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(CallError::shutting_down()),
            Err(_elapsed) => Err(CallError::too_many_concurrent("file uploads", self.writers_max)),
        }
    }

    /// Marks a key as being written for as long as the mark lives.
    pub(crate) fn mark(self: &Arc<Self>, key: FileKey) -> InFlight {
        self.in_flight.lock().insert(key.clone());
        InFlight { service: self.clone(), key, is_settled: false }
    }

    pub(crate) fn is_in_flight(&self, key: &FileKey) -> bool {
        self.in_flight.lock().contains(key)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.lock().len()
    }
}

/// A key whose bytes are being written.
pub(crate) struct InFlight {
    service: Arc<FileService>,
    pub(crate) key: FileKey,
    is_settled: bool,
}

impl InFlight {
    /// The claim on the key has become a file.
    pub(crate) fn settle(&mut self) {
        self.is_settled = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.service.in_flight.lock().remove(&self.key);
        if !self.is_settled {
            // The claim that was left behind is due now.
            self.service.claims_changed.notify_one();
        }
    }
}
