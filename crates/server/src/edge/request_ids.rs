//! The id by which a request is named in errors and logs: the client's, or a new one.

use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use freshet_functions::RequestId;

/// Carries the id in both directions.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("convex-request-id");

/// The id that the request was given when it came in.
pub(crate) fn of(extensions: &Extensions) -> RequestId {
    extensions.get::<RequestId>().copied().unwrap_or_else(RequestId::random)
}

/// The id as a header's value.
pub(crate) fn header_value(id: RequestId) -> HeaderValue {
    HeaderValue::try_from(id.to_string()).expect("hexadecimal digits are allowed in headers")
}

/// The id for a request that came in. A header that is not an id is ignored: what clients send ends up in log lines.
pub(crate) fn of_headers(headers: &HeaderMap) -> RequestId {
    headers
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(RequestId::parse)
        .unwrap_or_else(RequestId::random)
}
