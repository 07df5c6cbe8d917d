//! How functions name a file: by its id in `_storage`, or by the UUID of its address, as old apps do.

use freshet_database::{DatabaseError, Transaction};
use freshet_values::{DocumentId, excerpt_text};

use super::row::{self, FileRow};
use crate::syscalls::Fault;

/// The name of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileRef {
    Id(DocumentId),
    StorageId(String),
}

impl FileRef {
    /// Reads the argument `storageId` of `method`.
    pub(crate) fn parse(text: &str, method: &str) -> Result<Self, Fault> {
        if let Ok(id) = DocumentId::decode(text) {
            if row::is_file_id(id) {
                return Ok(FileRef::Id(id));
            }
            let cause = "Invalid storage ID. Storage ID cannot be an ID on any table other than '_storage'.";
            return Err(Fault::invalid_argument("storageId", method, cause));
        }
        match uuid::Uuid::try_parse(text) {
            Ok(uuid) => Ok(FileRef::StorageId(uuid.hyphenated().to_string())),
            Err(_) => Err(Fault::invalid_argument(
                "storageId",
                method,
                format!(
                    "Invalid storage ID: \"{}\". Storage ID should be an Id of '_storage' table, or a UUID string.",
                    excerpt_text(text)
                ),
            )),
        }
    }

    /// The file, if there is one of this name.
    pub(crate) fn find(&self, transaction: &mut Transaction) -> Result<Option<FileRow>, DatabaseError> {
        match self {
            FileRef::Id(id) => row::get(transaction, *id),
            FileRef::StorageId(storage_id) => row::by_storage_id(transaction, storage_id),
        }
    }
}
