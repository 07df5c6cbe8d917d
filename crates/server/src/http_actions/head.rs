//! Heads of HTTP actions' requests and responses: URLs as the app sees them, header values as Latin-1.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

/// Headers that describe one connection. The app's response is sent over another one than the app thinks.
const CONNECTION_HEADERS: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    HeaderName::from_static("keep-alive"),
];

/// The absolute URL that the app sees: the client's scheme as far as proxies tell, the `Host` header, and the path
/// below the app's origin.
pub(super) fn url(parts: &Parts, path: &str, site_origin: &str) -> String {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = match host {
        Some(host) if is_host(host) => format!("{}://{host}", scheme(&parts.headers)),
        // A request without a usable host can only mean this server itself.
        _ => site_origin.to_owned(),
    };
    match parts.uri.query() {
        Some(query) => format!("{origin}{path}?{query}"),
        None => format!("{origin}{path}"),
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}

fn scheme(headers: &HeaderMap) -> &'static str {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // With several proxies, the first entry is what the client used.
    let forwarded_proto = text("x-forwarded-proto").and_then(|value| value.split(',').next());
    let forwarded = || {
        let first = text("forwarded")?.split(',').next()?;
        first.split(';').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case("proto").then(|| value.trim().trim_matches('"'))
        })
    };
    match forwarded_proto.or_else(forwarded) {
        Some(proto) if proto.trim().eq_ignore_ascii_case("https") => "https",
        _ => "http",
    }
}

/// All headers in order, duplicates kept, bytes as Latin-1 characters.
pub(super) fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let latin1 = value.as_bytes().iter().copied().map(char::from).collect();
            (name.as_str().to_owned(), latin1)
        })
        .collect()
}

/// The response with the app's status and headers. What HTTP cannot carry is left out and logged.
pub(super) fn response(status: u16, headers: Vec<(String, String)>, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        let latin1: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(c).ok()).collect();
        let value = latin1.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
        match (HeaderName::try_from(name.as_str()), value) {
            (Ok(name), _) if CONNECTION_HEADERS.contains(&name) => {}
            (Ok(name), Some(value)) => {
                response.headers_mut().append(name, value);
            }
            _ => tracing::debug!(name, "an HTTP action set a header that HTTP cannot carry"),
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn url_of(headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder().uri("/http/a%20b?q=1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        url(&parts, "/a%20b", "http://site.example")
    }

    #[test]
    fn the_scheme_is_what_the_first_proxy_says() {
        let host = ("host", "x.example:8443");
        assert_eq!(url_of(&[host]), "http://x.example:8443/a%20b?q=1");
        assert_eq!(url_of(&[host, ("x-forwarded-proto", "https, http")]), "https://x.example:8443/a%20b?q=1");
        assert_eq!(
            url_of(&[host, ("forwarded", "for=1.2.3.4;Proto=\"https\"")]),
            "https://x.example:8443/a%20b?q=1"
        );
        let both = [host, ("x-forwarded-proto", "http"), ("forwarded", "proto=https")];
        assert!(url_of(&both).starts_with("http://"));
    }

    #[test]
    fn an_unusable_host_falls_back_to_the_site_origin() {
        assert_eq!(url_of(&[]), "http://site.example/a%20b?q=1");
        assert_eq!(url_of(&[("host", "evil.example/path?x")]), "http://site.example/a%20b?q=1");
    }

    #[test]
    fn duplicate_headers_are_kept_and_connection_headers_are_not() {
        let pairs =
            [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("Transfer-Encoding", "chunked"), ("x", "é")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let response = response(201, pairs, Body::empty());
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
        assert!(response.headers().get("transfer-encoding").is_none());
        assert_eq!(response.headers()["x"].as_bytes(), [0xE9]);
    }
}
