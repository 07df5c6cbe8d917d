//! Operations that exist but that this version does not offer.

use super::Fault;

/// The feature behind an operation of an action.
pub(crate) fn in_actions(op: &str) -> Option<&'static str> {
    match op {
        "1.0/actions/vectorSearch" => Some("Vector search"),
        "1.0/storageGetUrl"
        | "1.0/storageGetMetadata"
        | "1.0/storageGenerateUploadUrl"
        | "1.0/storageDelete" => Some("File storage"),
        "1.0/createServiceToken" | "1.0/getServiceUrl" => Some("Service tokens"),
        _ => None,
    }
}

/// The feature behind an operation of a query or mutation.
pub(crate) fn in_transactions(op: &str, is_mutation: bool) -> Option<&'static str> {
    match op {
        "1.0/storageGetUrl" | "1.0/storageGetMetadata" => Some("File storage"),
        "1.0/storageGenerateUploadUrl" | "1.0/storageDelete" | "1.0/storageStore" | "1.0/storageGet"
            if is_mutation =>
        {
            Some("File storage")
        }
        "1.0/signJwt" if is_mutation => Some("Signing tokens"),
        "1.0/auditLog" => Some("Audit logging"),
        _ => None,
    }
}

/// What user code is told.
pub(crate) fn fault(feature: &str) -> Fault {
    Fault::developer(format!("{feature} is not available in this version of the server."))
}
