//! Stored files: who owns which bytes, and how bytes come, go and are found.
//!
//! A file is a row of `_file_storage`; its bytes lie in a [`FileStore`] under a key of their own. What keeps the two
//! together whatever fails in between:
//!
//! 1. Before bytes can become durable under a key, a *claim* on the key is: a row of `_file_claims`.
//! 2. The transaction that adds a file's row removes the claim. The transaction that deletes a file's row adds one.
//! 3. The collector removes the bytes of claims that are due, and then the claims. It condemns a claim first, and waits
//!    until that is durable: nothing that came before can be undone then, so no row can come back to bytes that are gone.
//!
//! So every key that may hold bytes has a file's row or a claim, at any moment and after any crash, and only bytes without
//! a row are ever removed. Cleaning up costs what there is to clean up, however many files there are.

mod claim;
mod collector;
mod download;
mod reference;
mod row;
mod service;
mod token;
mod upload;

pub use download::{FileBytes, FileInfo, OpenFile};
pub use service::FilesConfig;
pub use token::TokenError;
pub use upload::{FileHead, FileUpload};

pub(crate) use collector::run as collect;
pub(crate) use reference::FileRef;
pub(crate) use row::FileRow;
pub(crate) use service::FileService;

use freshet_files::FilesError;

use crate::call_error::{CallError, ErrorClass};

/// The caller's view of a failure where bytes are kept.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn storage_failure(error: FilesError) -> CallError {
    match error {
        FilesError::Full(_) => {
            tracing::warn!(%error, "a file could not be stored");
            CallError::new(ErrorClass::Overloaded, "FileStorageFull", error.to_string())
        }
        FilesError::TooLarge { .. } => CallError::bad_request("FileTooLarge", error.to_string()),
        FilesError::Missing(_) => CallError::internal(&format!(
            "{error}. The database knows the file: is this the storage that it was uploaded to?"
        )),
        FilesError::Unavailable(_) => {
            tracing::error!(%error, "the file storage failed");
            CallError::new(
                ErrorClass::Overloaded,
                "FileStorageUnavailable",
                "The file storage does not work at the moment. Try again later.",
            )
        }
    }
}
