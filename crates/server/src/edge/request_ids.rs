//! The id by which a request is named in errors and logs: the client's, or a new one.

use axum::http::HeaderMap;
use freshet_functions::RequestId;

const HEADER: &str = "convex-request-id";

/// The request's id. A header that is not an id is ignored: what clients send ends up in log lines.
pub(crate) fn of_headers(headers: &HeaderMap) -> RequestId {
    headers
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(RequestId::parse)
        .unwrap_or_else(RequestId::random)
}
