//! What can go wrong with bytes, by what one can do about it.

use std::io;

/// A failure of the place where bytes are kept.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// There is no room for more.
    #[error("there is no room for more files: {0}. Free some space; uploads then work again by themselves")]
    Full(String),
    /// Nothing is kept under this key.
    #[error("the bytes of a file are missing: {0}")]
    Missing(String),
    /// More bytes than the place can keep in one file.
    #[error("the file is larger than the {bytes_max} bytes that the storage can take")]
    TooLarge {
        /// Largest file in bytes.
        bytes_max: u64,
    },
    /// The place did not answer or refused.
    #[error("{0}")]
    Unavailable(String),
}

impl FilesError {
    /// Sorts an error of the local disk. `what` was to be done.
    pub(crate) fn io(what: &str, error: &io::Error) -> Self {
        let text = format!("cannot {what}: {error}");
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                FilesError::Full(text)
            }
            io::ErrorKind::NotFound => FilesError::Missing(text),
            _ => FilesError::Unavailable(text),
        }
    }

    /// Sorts an error of the bucket.
    pub(crate) fn remote(what: &str, error: &object_store::Error) -> Self {
        let text = format!("cannot {what}: {error}");
        match error {
            object_store::Error::NotFound { .. } => FilesError::Missing(text),
            _ => FilesError::Unavailable(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let sorted = |kind: io::ErrorKind| FilesError::io("write a file", &kind.into());
        assert!(matches!(sorted(io::ErrorKind::StorageFull), FilesError::Full(_)));
        assert!(matches!(sorted(io::ErrorKind::QuotaExceeded), FilesError::Full(_)));
        assert!(matches!(sorted(io::ErrorKind::PermissionDenied), FilesError::Unavailable(_)));
        assert!(sorted(io::ErrorKind::StorageFull).to_string().contains("Free some space"));
    }
}
