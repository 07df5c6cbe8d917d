//! Where documents, index entries and the commit log live on disk.
//!
//! The [`Store`] trait is all that the database knows about persistence; [`SqliteStore`] is the default
//! implementation and [`MemoryStore`] the one for tests, with hooks that inject faults. A store holds the
//! *current* documents and index entries plus an append-only log of commits. It knows nothing of schemas,
//! conflicts, table names or values: documents are JSON text and index keys are bytes.

mod batch;
mod document;
mod error;
mod identifiers;
pub mod memory;
pub mod sqlite;
mod store;

pub use batch::{Batch, CommitRecord, DocumentWrite, IndexWrite, TableView};
pub use document::{IndexRow, KeyChunk, LogEntry, LogWrite, ScanChunk, StoredDocument};
pub use error::StoreError;
pub use identifiers::{IndexId, Order, TableId};
pub use memory::{Faults, MemoryStore};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use store::{Snapshot, Store, StoreStatistics};
