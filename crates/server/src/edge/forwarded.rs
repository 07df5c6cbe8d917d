//! What a proxy in front changes about requests: the client's address, and a path before all paths.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, Request, Uri};

/// The client's address: the last one in the header that the operator's proxy sets, which clients cannot forge because
/// proxies append; else the other end of the connection.
pub(crate) fn client_address(
    headers: &HeaderMap,
    trusted: Option<&HeaderName>,
    peer: SocketAddr,
) -> SocketAddr {
    let forwarded = || {
        let last = headers.get_all(trusted?).iter().next_back()?.to_str().ok()?;
        let last = last.rsplit(',').next()?.trim();
        last.parse::<IpAddr>().ok().or_else(|| last.parse::<SocketAddr>().ok().map(|address| address.ip()))
    };
    forwarded().map_or(peer, |address| SocketAddr::new(address, 0))
}

/// The path of an external URL without a slash at its end: empty, or `/…`.
pub(crate) fn path_of(origin: &str) -> &str {
    let after_scheme = origin.find("://").map_or(0, |at| at + 3);
    origin[after_scheme..].find('/').map_or("", |at| &origin[after_scheme + at..])
}

/// Removes a path before the request's path, if it is there: some proxies have removed it already.
pub(crate) fn strip_prefix<B>(request: &mut Request<B>, prefix: &str) {
    let path = request.uri().path();
    let Some(rest) = path.strip_prefix(prefix).filter(|_| !prefix.is_empty()) else { return };
    if !rest.is_empty() && !rest.starts_with('/') {
        return;
    }
    let mut stripped = if rest.is_empty() { "/".to_owned() } else { rest.to_owned() };
    if let Some(query) = request.uri().query() {
        stripped.push('?');
        stripped.push_str(query);
    }
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(stripped).ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_comes_from_the_trusted_header_alone() {
        let peer: SocketAddr = "10.0.0.1:5".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "6.6.6.6".parse().unwrap());
        headers.append("x-forwarded-for", "7.7.7.7, 8.8.8.8".parse().unwrap());
        let trusted = HeaderName::from_static("x-forwarded-for");
        assert_eq!(client_address(&headers, None, peer), peer);
        assert_eq!(client_address(&headers, Some(&trusted), peer).ip().to_string(), "8.8.8.8");
        assert_eq!(client_address(&HeaderMap::new(), Some(&trusted), peer), peer);
        headers.insert("x-forwarded-for", "[2001:db8::1]:80".parse().unwrap());
        assert_eq!(client_address(&headers, Some(&trusted), peer).ip().to_string(), "2001:db8::1");
        headers.insert("x-forwarded-for", "unknown".parse().unwrap());
        assert_eq!(client_address(&headers, Some(&trusted), peer), peer);
    }

    #[test]
    fn a_prefix_is_removed_where_it_is_and_whole() {
        let stripped = |uri: &str, prefix: &str| {
            let mut request = Request::builder().uri(uri).body(()).unwrap();
            strip_prefix(&mut request, prefix);
            request.uri().to_string()
        };
        assert_eq!(stripped("/base/api/query?a=/base", "/base"), "/api/query?a=/base");
        assert_eq!(stripped("/base//api/1.48.0/sync", "/base"), "//api/1.48.0/sync");
        assert_eq!(stripped("/base", "/base"), "/");
        assert_eq!(stripped("/based/api", "/base"), "/based/api");
        assert_eq!(stripped("/api/query", "/base"), "/api/query");
        assert_eq!(stripped("/api/query", ""), "/api/query");
    }

    #[test]
    fn origins_may_have_a_path() {
        assert_eq!(path_of("https://a.example"), "");
        assert_eq!(path_of("https://a.example/base"), "/base");
        assert_eq!(path_of("http://127.0.0.1:3210/a/b"), "/a/b");
    }
}
