//! Whether an index can be asked, and what is said when it cannot; the same for indexes of every kind.

use crate::catalog::{IndexMeta, IndexState};
use crate::error::DeveloperError;

/// Fails unless the index is complete and in use.
pub(crate) fn check_state(index: &IndexMeta, full_name: &str) -> Result<(), DeveloperError> {
    if index.staged {
        return Err(DeveloperError::new(
            "IndexStagedError",
            format!("Index {full_name} is currently staged and not available to query until it is enabled."),
        ));
    }
    if index.state != IndexState::Enabled {
        return Err(backfilling(full_name));
    }
    Ok(())
}

/// The index is not complete.
pub(crate) fn backfilling(full_name: &str) -> DeveloperError {
    DeveloperError::new(
        "IndexBackfillingError",
        format!("Index {full_name} is currently backfilling and not available to query yet."),
    )
}

/// There is no such index.
pub(crate) fn not_found(full_name: &str) -> DeveloperError {
    DeveloperError::new("IndexNotFoundError", format!("Index {full_name} not found."))
}
