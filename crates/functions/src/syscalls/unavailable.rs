//! Operations that exist but that this version does not offer.

use super::Fault;

/// Bytes do not belong into transactions, which may run several times.
pub(crate) const STORE_IN_TRANSACTION: &str = "Can't use storage.store() in queries and mutations. Please consider \
    using an action. See https://docs.convex.dev/functions/actions for more details.";
/// As [`STORE_IN_TRANSACTION`].
pub(crate) const GET_IN_TRANSACTION: &str = "Can't use storage.get() in queries and mutations. Please consider \
    using an action. See https://docs.convex.dev/functions/actions for more details.";

/// The feature behind an operation of an action.
pub(crate) fn in_actions(op: &str) -> Option<&'static str> {
    match op {
        "1.0/createServiceToken" | "1.0/getServiceUrl" => Some("Making service tokens"),
        _ => None,
    }
}

/// The feature behind an operation of a query or mutation.
pub(crate) fn in_transactions(op: &str, is_mutation: bool) -> Option<&'static str> {
    match op {
        "1.0/signJwt" if is_mutation => Some("Signing tokens"),
        "1.0/auditLog" => Some("Audit logging"),
        _ => None,
    }
}

/// What user code is told.
pub(crate) fn fault(feature: &str) -> Fault {
    Fault::developer(format!("{feature} is not available in this version of the server."))
}
