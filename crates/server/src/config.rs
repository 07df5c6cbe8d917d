//! What the operator decides about the server.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::HeaderName;
use freshet_instance::InstanceName;

/// Where to listen, how the world reaches us, and the limits of the edge.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where the API listens. HTTP actions are served here too, below `/http`.
    pub api_addr: SocketAddr,
    /// Where HTTP actions are served at the root; `None` to serve everything from one port.
    pub site_addr: Option<SocketAddr>,
    /// Where metrics and health are shown to everybody who can reach it; `None` to show metrics only to holders of an
    /// admin key.
    pub watch_addr: Option<SocketAddr>,
    /// Whether holders of an admin key find metrics at `/metrics` of the API.
    pub metrics_endpoint: bool,
    /// External URL of the API, without a trailing slash. If it has a path, requests below that path are answered as
    /// those without it.
    pub api_origin: String,
    /// External URL of HTTP actions, without a trailing slash.
    pub site_origin: String,
    /// Name of the instance, as in its admin keys.
    pub instance_name: InstanceName,
    /// Whether clients see only the request id of errors, and no console lines.
    pub redact: bool,
    /// Whether and how messages to WebSocket clients are compressed.
    pub compression: SocketCompression,
    /// The header in which the operator's own proxy tells the client's address; `None` to believe no header.
    pub client_ip_header: Option<HeaderName>,
    /// Requests per second of one address without an admin key; `None` for no limit.
    pub rate_limit: Option<NonZeroU32>,
    /// Bounds of the edge.
    pub limits: EdgeLimits,
}

/// Compression of messages to WebSocket clients that offer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketCompression {
    /// Never.
    Off,
    /// With a window of two to this power in bytes, 9 to 15, or less where the client asks for less.
    On {
        /// Base-2 logarithm of the largest window.
        window_bits_max: u8,
    },
}

impl Default for SocketCompression {
    fn default() -> Self {
        Self::On { window_bits_max: 15 }
    }
}

/// Bounds of everything that a client can make the server hold.
#[derive(Clone, Copy, Debug)]
pub struct EdgeLimits {
    /// HTTP connections of both listeners; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// Open WebSockets; further ones are refused.
    pub sockets_max: usize,
    /// Bytes that wait for one WebSocket's client; one that lets more pile up is closed with 1013 `ClientTooSlow`. Must leave room for the
    /// largest transition that is to arrive.
    pub socket_bytes_max: usize,
    /// Bytes that wait for all WebSocket clients together, shared ones counted once; when there are more, the client that the most
    /// waits for is closed with 1013 `ClientTooSlow`.
    pub backlog_bytes_max: usize,
    /// Bytes of all request bodies in memory together; pushes and HTTP actions do not count.
    pub body_bytes_max: usize,
    /// HTTP requests that are worked on at once; WebSockets do not count.
    pub requests_max: usize,
    /// How long a request may wait for its turn.
    pub request_queue_time_max: Duration,
    /// How long a request may take; 408 afterwards. HTTP actions have a limit of their own.
    pub request_time_max: Duration,
    /// Push bodies (up to 200 MB each) held at once.
    pub pushes_max: usize,
    /// Files that are being sent at once; each holds up to a megabyte. Small files do not count.
    pub downloads_max: usize,
    /// Query results kept for sharing between WebSockets and HTTP.
    pub query_cache_bytes_max: usize,
    /// How long open requests may go on after shutdown began.
    pub drain_time_max: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            sockets_max: 20_000,
            socket_bytes_max: 512 << 20,
            backlog_bytes_max: 1 << 30,
            body_bytes_max: 512 << 20,
            requests_max: 1_024,
            request_queue_time_max: Duration::from_secs(5),
            request_time_max: Duration::from_secs(300),
            pushes_max: 2,
            downloads_max: 512,
            query_cache_bytes_max: 100 << 20,
            drain_time_max: Duration::from_secs(5),
        }
    }
}

/// A configuration that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} must start with http:// or https:// and have no trailing slash, but it is '{value}'")]
pub struct OriginError {
    name: &'static str,
    value: String,
}

impl ServerConfig {
    /// # Errors
    /// [`OriginError`] for an origin that clients could not use.
    pub(crate) fn check(&self) -> Result<(), OriginError> {
        check_origin("the API origin", &self.api_origin)?;
        check_origin("the site origin", &self.site_origin)
    }
}

fn check_origin(name: &'static str, value: &str) -> Result<(), OriginError> {
    let after_scheme = value.strip_prefix("http://").or_else(|| value.strip_prefix("https://"));
    match after_scheme {
        Some(rest) if !rest.is_empty() && !rest.ends_with('/') => Ok(()),
        _ => Err(OriginError { name, value: value.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_need_a_scheme_and_no_trailing_slash() {
        assert!(check_origin("x", "http://127.0.0.1:3210").is_ok());
        assert!(check_origin("x", "https://a.example/http").is_ok());
        for bad in ["", "127.0.0.1:3210", "http://", "https://a.example/", "ws://a"] {
            assert!(check_origin("x", bad).is_err(), "{bad}");
        }
    }
}
