//! What is refused by the `Convex-Client` header: headers of no client, and clients too old to be served.
//!
//! Unknown names are welcome; reading the header is the sync crate's business.

use axum::http::HeaderMap;
use freshet_sync::ClientVersion;

use super::error::ApiError;

/// Header that names the client.
pub(crate) const HEADER: &str = "convex-client";

/// The last version of each client that speaks a protocol this server never spoke.
const TOO_OLD: [(&str, (u64, u64, u64)); 3] =
    [("npm", (0, 19, 1)), ("python", (0, 0, 2)), ("rust", (0, 0, 1))];

/// The client that sent the request.
///
/// # Errors
/// 400 `InvalidClientVersion` without a `-`; 400 `ClientVersionUnsupported` for ancient clients.
pub(crate) fn of_headers(headers: &HeaderMap) -> Result<ClientVersion, ApiError> {
    let Some(value) = headers.get(HEADER) else { return Ok(ClientVersion::default()) };
    let text = String::from_utf8_lossy(value.as_bytes());
    if !text.contains('-') {
        return Err(ApiError::bad_request(
            "InvalidClientVersion",
            format!("The Convex-Client header must look like 'npm-1.48.0', but it is '{text}'."),
        ));
    }
    let client = ClientVersion::from_header(&text);
    check_supported(&client)?;
    Ok(client)
}

/// # Errors
/// 400 `ClientVersionUnsupported`.
pub(crate) fn check_supported(client: &ClientVersion) -> Result<(), ApiError> {
    let (Some(name), Some(version)) = (client.name(), client.version()) else { return Ok(()) };
    let found = (version.major, version.minor, version.patch);
    match TOO_OLD.iter().find(|(old, last)| *old == name && found <= *last) {
        None => Ok(()),
        Some((name, (major, minor, patch))) => Err(ApiError::bad_request(
            "ClientVersionUnsupported",
            format!(
                "{name} clients up to {major}.{minor}.{patch} are not supported by this server. Please upgrade \
                 the client."
            ),
        )),
    }
}

/// Whether a log stream to this client carries lines as objects.
pub(crate) fn wants_structured_logs(client: &ClientVersion) -> bool {
    matches!(client.name(), Some("npm-cli" | "dashboard"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(header: &'static str) -> Result<ClientVersion, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static(header));
        of_headers(&headers)
    }

    #[test]
    fn unknown_clients_are_accepted() {
        assert!(of("my-client").is_ok());
        assert!(of("somebody-9.9.9").is_ok());
        assert!(of_headers(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn a_header_without_a_dash_is_no_client() {
        assert_eq!(of("npm").expect_err("refused").code, "InvalidClientVersion");
    }

    #[test]
    fn ancient_clients_are_refused() {
        assert_eq!(of("npm-0.19.1").expect_err("refused").code, "ClientVersionUnsupported");
        assert!(of("npm-0.20.0").is_ok());
        assert!(of("npm-cli-0.1.0").is_ok());
    }
}
