//! One file on its way in. Bytes come in small pieces; they are written and digested in batches, so that memory stays
//! constant and threads are not switched for every piece.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::FilesError;
use crate::store::FileWriter;

/// A batch is written when it has so many bytes.
const BATCH_BYTES: usize = 1 << 20;

/// See the module. Dropping it abandons the file.
pub struct Upload {
    writer: Box<dyn FileWriter>,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    size: u64,
    digest: Digesting,
}

/// What has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
    /// Number of the bytes.
    pub size: u64,
}

/// The digest of the batches so far, here or on the thread that works on the latest one.
enum Digesting {
    Idle(Sha256),
    Busy(JoinHandle<Sha256>),
    Lost,
}

impl Upload {
    /// Nothing has arrived yet.
    #[must_use]
    pub fn new(writer: Box<dyn FileWriter>) -> Self {
        let digest = Digesting::Idle(Sha256::new());
        Self { writer, batch: Vec::new(), batch_bytes: 0, size: 0, digest }
    }

    /// Takes the next bytes. Waits while earlier ones are being written, so that a fast sender is slowed down.
    ///
    /// # Errors
    /// As of [`FileWriter::write`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), FilesError> {
        self.size += bytes.len() as u64;
        self.batch_bytes += bytes.len();
        self.batch.push(bytes);
        if self.batch_bytes >= BATCH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Number of bytes so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// All bytes have arrived: what they are. The file is not there yet, see [`Upload::publish`].
    ///
    /// # Errors
    /// As of [`FileWriter::write`].
    pub async fn complete(&mut self) -> Result<Received, FilesError> {
        self.flush().await?;
        let digest = self.settle_digest().await?;
        self.digest = Digesting::Idle(digest.clone());
        Ok(Received { sha256: digest.finalize().into(), size: self.size })
    }

    /// Makes the file durable under its key.
    ///
    /// # Errors
    /// As of [`FileWriter::finish`].
    pub async fn publish(self) -> Result<(), FilesError> {
        self.writer.finish().await
    }

    async fn flush(&mut self) -> Result<(), FilesError> {
        let batch = std::mem::take(&mut self.batch);
        if std::mem::take(&mut self.batch_bytes) == 0 {
            return Ok(());
        }
        let mut digest = self.settle_digest().await?;
        let digested = batch.clone();
        self.digest = Digesting::Busy(spawn_blocking(move || {
            digested.iter().for_each(|bytes| digest.update(bytes));
            digest
        }));
        self.writer.write(batch).await
    }

    async fn settle_digest(&mut self) -> Result<Sha256, FilesError> {
        match std::mem::replace(&mut self.digest, Digesting::Lost) {
            Digesting::Idle(digest) => Ok(digest),
            Digesting::Busy(task) => {
                task.await.map_err(|error| FilesError::Unavailable(format!("cannot digest a file: {error}")))
            }
            Digesting::Lost => Err(FilesError::Unavailable("an earlier part could not be written".into())),
        }
    }
}
