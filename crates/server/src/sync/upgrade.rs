//! The WebSocket handshake.
//!
//! Afterwards the connection's bytes go past the HTTP server's buffers, straight between the kernel and the socket.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use freshet_websocket::Compression;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::net::TcpStream;

use super::backlog::Backlog;
use super::socket::Socket;
use crate::config::SocketCompression;
use crate::edge::error::ApiError;

/// What RFC 6455 has every server append to the client's key.
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A handshake that was accepted but not yet answered.
pub(super) struct Handshake {
    accept: String,
    compression: Option<Compression>,
    on_upgrade: OnUpgrade,
}

impl Handshake {
    /// Checks the request.
    ///
    /// # Errors
    /// 400 `InvalidWebSocketUpgrade`, 426 for an unknown protocol version.
    pub(super) fn check(
        mut request: Request<Body>,
        compression: SocketCompression,
    ) -> Result<Self, ApiError> {
        let refuse = |message: &'static str| Err(ApiError::bad_request("InvalidWebSocketUpgrade", message));
        let headers = request.headers();
        if request.method() != Method::GET {
            return refuse("A WebSocket is opened with GET.");
        }
        if !has_token(headers, header::CONNECTION, "upgrade")
            || !has_token(headers, header::UPGRADE, "websocket")
        {
            return refuse("This address speaks WebSocket. Connect with ws:// or wss://.");
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(ApiError::new(
                StatusCode::UPGRADE_REQUIRED,
                "InvalidWebSocketUpgrade",
                "Only version 13 of the WebSocket protocol is spoken here.",
            ));
        }
        let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
            return refuse("The Sec-WebSocket-Key header is missing.");
        };
        let accept = BASE64.encode(Sha1::new().chain_update(key).chain_update(ACCEPT_SUFFIX).finalize());
        let compression = match compression {
            SocketCompression::Off => None,
            SocketCompression::On { window_bits_max } => negotiate(headers, window_bits_max),
        };
        let Some(on_upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
            return refuse("This connection cannot be turned into a WebSocket.");
        };
        Ok(Self { accept, compression, on_upgrade })
    }

    /// The 101 answer, and the socket that exists once the answer is sent.
    pub(super) fn accept(
        self,
        backlog: Arc<Backlog>,
    ) -> (Response, impl Future<Output = Option<Socket>> + Send) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(
            header::SEC_WEBSOCKET_ACCEPT,
            HeaderValue::from_str(&self.accept).expect("base64 fits into a header"),
        );
        if let Some(compression) = self.compression {
            headers.insert(
                header::SEC_WEBSOCKET_EXTENSIONS,
                HeaderValue::from_str(&compression.response()).expect("it is plain text"),
            );
        }
        let socket = async move {
            let upgraded = self.on_upgrade.await.ok()?;
            let parts = match upgraded.downcast::<TokioIo<TcpStream>>() {
                Ok(parts) => parts,
                Err(_) => {
                    tracing::error!("a WebSocket is on something else than a TCP connection");
                    return None;
                }
            };
            Some(Socket::new(parts.io.into_inner(), parts.read_buf, self.compression, &backlog))
        };
        (response, socket)
    }
}

fn negotiate(headers: &HeaderMap, window_bits_max: u8) -> Option<Compression> {
    headers
        .get_all(header::SEC_WEBSOCKET_EXTENSIONS)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(|offers| Compression::negotiate(offers, window_bits_max))
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}
