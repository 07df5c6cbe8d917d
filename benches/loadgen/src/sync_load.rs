//! Load over the WebSocket protocol: each connection is one client that sends mutations and waits for their responses.
//!
//! A mutation counts as answered when its response arrives. At the end each connection waits for the Transition that
//! reaches the last commit, which is what resolves a client's promise: without it the run has failed.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::{FutureExt, SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::choice::Transfers;
use crate::http::Endpoint;
use crate::load::{DRAIN_TIME_MAX, Load, Window, measure};
use crate::outcome::{Outcome, Tally};

/// Runs the load.
///
/// # Errors
/// When a connection cannot be opened.
pub(crate) async fn run(
    endpoint: &Endpoint,
    mut transfers: Transfers,
    load: Load,
    server_pid: Option<u32>,
) -> Result<Outcome> {
    let mut clients = Vec::new();
    for _ in 0..load.connections {
        clients.push(Client::connect(endpoint, transfers.fork()).await?);
    }
    let window = Window::begin(load.time);
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(drive(client, load.in_flight as usize, window));
    }
    measure(window, tasks, server_pid).await
}

async fn drive(mut client: Client, in_flight: usize, window: Window) -> Result<Tally> {
    let deadline = (window.end + DRAIN_TIME_MAX).into();
    match timeout_at(deadline, client.converse(in_flight, window)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let lost = client.sent.len().max(1) as u64;
            client.tally.fail(lost, || format!("{error:#}"));
        }
        Err(_) => {
            let lost = client.sent.len().max(1) as u64;
            client.tally.fail(lost, || format!("no answer within {DRAIN_TIME_MAX:?}"));
        }
    }
    Ok(client.tally)
}

/// What is looked at in frames of the server.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    request_id: Option<u32>,
    success: Option<bool>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<Cow<'a, str>>,
    #[serde(borrow)]
    end_version: Option<Version<'a>>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Version<'a> {
    #[serde(borrow)]
    ts: Cow<'a, str>,
}

/// One client and its requests.
struct Client {
    socket: WebSocketStream<TcpStream>,
    transfers: Transfers,
    /// When the unanswered requests were sent; answers come in the order of the requests.
    sent: VecDeque<Instant>,
    /// Of the next request.
    request_id: u32,
    /// Timestamp of the newest commit that a response named.
    committed: u64,
    /// Timestamp that the newest Transition has reached.
    shown: u64,
    tally: Tally,
}

impl Client {
    async fn connect(endpoint: &Endpoint, transfers: Transfers) -> Result<Self> {
        let stream = endpoint.connect().await?;
        let url = format!("ws://{}/api/1.48.0/sync", endpoint.authority());
        let (mut socket, _) = client_async(url, stream).await.context("the WebSocket handshake failed")?;
        let session = uuid::Uuid::new_v4();
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
        let connect = format!(
            r#"{{"type":"Connect","sessionId":"{session}","connectionCount":0,"lastCloseReason":"InitialConnect","clientTs":{now_ms}}}"#
        );
        let query_set = r#"{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[]}"#;
        socket.feed(Message::text(connect)).await?;
        socket.send(Message::text(query_set)).await?;
        Ok(Self {
            socket,
            transfers,
            sent: VecDeque::new(),
            request_id: 0,
            committed: 0,
            shown: 0,
            tally: Tally::default(),
        })
    }

    async fn converse(&mut self, in_flight: usize, window: Window) -> Result<()> {
        loop {
            let now = Instant::now();
            while self.sent.len() < in_flight && now < window.end {
                let frame = self.next_mutation();
                self.socket.feed(Message::text(frame)).await?;
                self.sent.push_back(now);
            }
            self.socket.flush().await?;
            if self.sent.is_empty() && self.shown >= self.committed {
                return Ok(());
            }
            let mut message = self.socket.next().await;
            // All that has arrived is taken in before anything is sent, to save system calls.
            loop {
                self.take(&message.context("the server has closed the connection")??, window)?;
                match self.socket.next().now_or_never() {
                    Some(next) => message = next,
                    None => break,
                }
            }
        }
    }

    fn next_mutation(&mut self) -> String {
        let transfer = self.transfers.next();
        let mut frame = String::with_capacity(220);
        let written = write!(
            frame,
            r#"{{"type":"Mutation","requestId":{},"udfPath":"accounts:transfer","args":[{{"from":"{}","to":"{}","amount":{}}}]}}"#,
            self.request_id, transfer.from, transfer.to, transfer.amount
        );
        written.expect("a string takes everything");
        self.request_id += 1;
        frame
    }

    fn take(&mut self, message: &Message, window: Window) -> Result<()> {
        let text = match message {
            Message::Text(text) => text.as_str(),
            Message::Close(frame) => bail!("the server has closed the connection: {frame:?}"),
            Message::Binary(_) => bail!("the server has sent a binary message"),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(()),
        };
        let frame: Frame<'_> = serde_json::from_str(text).with_context(|| format!("odd frame: {text}"))?;
        match frame.kind.as_ref() {
            "MutationResponse" => {
                let answered = self.request_id - u32::try_from(self.sent.len())?;
                ensure!(frame.request_id == Some(answered), "not the answer to request {answered}: {text}");
                let sent = self.sent.pop_front().context("a response to nothing")?;
                if frame.success == Some(true) {
                    self.committed = timestamp(frame.ts.as_deref().context("a response without ts")?)?;
                    self.tally.answered(&window, sent);
                    if frame.result.is_some_and(|result| result.get() != "true") {
                        self.tally.refused += 1;
                    }
                } else {
                    self.tally.fail(1, || text.chars().take(500).collect());
                }
            }
            "Transition" => {
                self.shown = timestamp(&frame.end_version.context("a Transition without an end")?.ts)?;
            }
            "Ping" => {}
            "FatalError" => bail!("fatal error: {}", frame.error.unwrap_or_default()),
            other => bail!("unexpected {other}"),
        }
        Ok(())
    }
}

/// Eight bytes, little-endian, in base64.
fn timestamp(text: &str) -> Result<u64> {
    let mut bytes = [0; 8];
    let length = BASE64.decode_slice(text, &mut bytes).with_context(|| format!("odd timestamp {text:?}"))?;
    ensure!(length == 8, "odd timestamp {text:?}");
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_little_endian() {
        assert_eq!(timestamp("AAEAAAAAAAA=").unwrap(), 256);
        assert_eq!(timestamp("Fc0HHeOq3hc=").unwrap(), 1_720_000_000_123_456_789);
        assert!(timestamp("AAA=").is_err());
        assert!(timestamp("nonsense").is_err());
    }

    #[test]
    fn frames_are_read_in_any_order_of_fields() {
        let text = r#"{"logLines":[],"ts":"AQAAAAAAAAA=","result":true,"requestId":3,"success":true,"type":"MutationResponse"}"#;
        let frame: Frame<'_> = serde_json::from_str(text).unwrap();
        assert_eq!((frame.kind.as_ref(), frame.request_id), ("MutationResponse", Some(3)));
        assert_eq!(frame.result.map(RawValue::get), Some("true"));
    }
}
