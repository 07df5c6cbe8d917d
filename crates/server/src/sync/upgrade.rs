//! The WebSocket handshake.
//!
//! Done here rather than by the web framework, because transitions larger than one frame have to be sent as several
//! frames, which the framework's messages cannot express.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::edge::error::ApiError;

/// Largest message and frame that a client may send.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
const FRAME_BYTES_MAX: usize = 16 << 20;
/// Allocated for every socket, idle ones too: thousands of them must fit into memory.
const READ_BUFFER_BYTES: usize = 4 << 10;
const WRITE_BUFFER_BYTES: usize = 4 << 10;

/// An open socket.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A handshake that was accepted but not yet answered.
pub(super) struct Handshake {
    accept: String,
    on_upgrade: OnUpgrade,
}

impl Handshake {
    /// Checks the request.
    ///
    /// # Errors
    /// 400 `InvalidWebSocketUpgrade`, 426 for an unknown protocol version.
    pub(super) fn check(mut request: Request<Body>) -> Result<Self, ApiError> {
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
        let accept = derive_accept_key(key.as_bytes());
        let Some(on_upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
            return refuse("This connection cannot be turned into a WebSocket.");
        };
        Ok(Self { accept, on_upgrade })
    }

    /// The 101 answer, and the socket that exists once the answer is sent.
    pub(super) fn accept(self) -> (Response, impl Future<Output = Option<Socket>> + Send) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(
            header::SEC_WEBSOCKET_ACCEPT,
            HeaderValue::from_str(&self.accept).expect("base64 fits into a header"),
        );
        let on_upgrade = self.on_upgrade;
        let socket = async move {
            let upgraded = on_upgrade.await.ok()?;
            let config = WebSocketConfig::default()
                .max_message_size(Some(MESSAGE_BYTES_MAX))
                .max_frame_size(Some(FRAME_BYTES_MAX))
                .read_buffer_size(READ_BUFFER_BYTES)
                .write_buffer_size(WRITE_BUFFER_BYTES);
            let io = TokioIo::new(upgraded);
            Some(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await)
        };
        (response, socket)
    }
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}
