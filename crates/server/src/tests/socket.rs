//! A WebSocket client that shows what is on the wire.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const PATIENCE: Duration = Duration::from_secs(10);

/// An open socket.
pub(super) struct TestSocket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl TestSocket {
    pub(super) async fn open(server: SocketAddr) -> Self {
        Self::open_at(server, "/api/1.48.0/sync").await
    }

    pub(super) async fn open_at(server: SocketAddr, path: &str) -> Self {
        let request = format!("ws://{server}{path}").into_client_request().unwrap();
        Self(tokio_tungstenite::connect_async(request).await.unwrap().0)
    }

    /// The HTTP status of a refused handshake.
    pub(super) async fn refused(server: SocketAddr) -> u16 {
        Self::try_open(server).await.err().expect("the handshake should be refused")
    }

    /// A socket, or the HTTP status of the refusal.
    pub(super) async fn try_open(server: SocketAddr) -> Result<Self, u16> {
        match tokio_tungstenite::connect_async(format!("ws://{server}/api/1.48.0/sync")).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens and introduces itself.
    pub(super) async fn connected(server: SocketAddr, session: u128) -> Self {
        let mut socket = Self::open(server).await;
        let session = uuid::Uuid::from_u128(session).to_string();
        socket
            .send(json!({
                "type": "Connect", "sessionId": session, "connectionCount": 0, "lastCloseReason": "InitialConnect",
                "clientTs": 1
            }))
            .await;
        socket
    }

    pub(super) async fn send(&mut self, frame: Json) {
        self.send_raw(Message::Text(frame.to_string().into())).await;
    }

    pub(super) async fn send_raw(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    /// As [`Self::send_raw`], for a server that may have hung up.
    pub(super) async fn try_send_raw(&mut self, message: Message) {
        drop(self.0.send(message).await);
    }

    /// Subscribes to one query, as the `version`th change of the query set.
    pub(super) async fn subscribe(&mut self, version: u32, query_id: u32, path: &str, args: Json) {
        let add = json!({"type": "Add", "queryId": query_id, "udfPath": path, "args": [args]});
        self.send(json!({
            "type": "ModifyQuerySet", "baseVersion": version - 1, "newVersion": version, "modifications": [add]
        }))
        .await;
    }

    pub(super) async fn mutate(&mut self, request_id: u32, path: &str, args: Json) {
        self.send(json!({"type": "Mutation", "requestId": request_id, "udfPath": path, "args": [args]}))
            .await;
    }

    /// The next message that is no control frame.
    async fn message(&mut self) -> Option<Message> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("nothing arrived");
            match next {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next frame that is no `Ping`.
    pub(super) async fn frame(&mut self) -> Json {
        loop {
            match self.message().await {
                Some(Message::Text(text)) => {
                    let frame: Json = serde_json::from_str(&text).unwrap();
                    if frame["type"] != "Ping" {
                        return frame;
                    }
                }
                other => panic!("expected a text frame, got {other:?}"),
            }
        }
    }

    /// The next frame of a type; others are passed over.
    pub(super) async fn frame_of(&mut self, kind: &str) -> Json {
        loop {
            let frame = self.frame().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Whether a control frame arrives first.
    pub(super) async fn first_is_ping(&mut self) -> bool {
        let first = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("nothing arrived");
        matches!(first, Some(Ok(Message::Ping(_))))
    }

    /// The close frame; `None` when there is none or the socket just broke.
    pub(super) async fn close_frame_if_any(&mut self) -> Option<CloseFrame> {
        loop {
            match self.message().await {
                Some(Message::Close(frame)) => return frame,
                Some(_) => {}
                None => return None,
            }
        }
    }

    /// The close frame, after whatever comes before it; `None` for one without code and reason.
    pub(super) async fn close_frame(&mut self) -> Option<CloseFrame> {
        loop {
            match self.message().await {
                Some(Message::Close(frame)) => return frame,
                Some(_) => {}
                None => panic!("the socket broke without a close frame"),
            }
        }
    }
}
