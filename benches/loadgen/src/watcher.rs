//! One client that watches: a bare WebSocket reader that costs as little as it can.
//!
//! With ten thousand of them in one thread, what they cost is part of what is measured. So most only count frames and
//! bytes; a sample of them keeps the text of every frame, inflates it, and reads from it which version it shows.

use anyhow::{Context, Result, bail, ensure};
use flate2::{Decompress, FlushDecompress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::Endpoint;

/// Frames with fewer bytes are keep-alives and other small talk.
const UPDATE_BYTES_MIN: usize = 64;
/// Largest message that a sampled client keeps.
const TEXT_BYTES_MAX: usize = 64 << 20;

/// A data message of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// The greatest version in its text; none where the client is not sampled.
    pub(crate) version: Option<u64>,
}

/// A connected client.
pub(crate) struct Watcher {
    stream: TcpStream,
    parser: Parser,
    /// Bytes of frames, headers included.
    pub(crate) bytes: u64,
}

impl Watcher {
    /// Connects and sends `greeting`, one text frame each.
    ///
    /// # Errors
    /// When the server does not take it as a WebSocket.
    pub(crate) async fn connect(
        endpoint: &Endpoint,
        deflate: bool,
        sampled: bool,
        greeting: &[String],
    ) -> Result<Self> {
        let mut stream = endpoint.connect().await?;
        let extensions = if deflate {
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        } else {
            ""
        };
        let mut outbound = format!(
            "GET /api/1.48.0/sync HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extensions}\r\n",
            endpoint.authority()
        )
        .into_bytes();
        stream.write_all(&outbound).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.context("the handshake was cut short")?);
            ensure!(head.len() < 8192, "the handshake does not end");
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        ensure!(head.starts_with("http/1.1 101"), "the handshake failed: {head}");
        ensure!(!deflate || head.contains("permessage-deflate"), "the server does not compress");
        outbound.clear();
        for text in greeting {
            write_text(&mut outbound, text);
        }
        stream.write_all(&outbound).await?;
        Ok(Self { stream, parser: Parser::new(sampled), bytes: 0 })
    }

    /// Sends a text frame.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) async fn send(&mut self, text: &str) -> Result<()> {
        let mut frame = Vec::with_capacity(text.len() + 14);
        write_text(&mut frame, text);
        Ok(self.stream.write_all(&frame).await?)
    }

    /// Waits for bytes and reports the messages in them. `buffer` may be shared by all clients of a thread.
    ///
    /// # Errors
    /// When the connection ends or says what it must not.
    pub(crate) async fn read(
        &mut self,
        buffer: &std::cell::RefCell<Vec<u8>>,
        mut seen: impl FnMut(Seen),
    ) -> Result<()> {
        self.stream.readable().await?;
        let mut buffer = buffer.borrow_mut();
        loop {
            match self.stream.try_read(&mut buffer) {
                Ok(0) => bail!("the server has closed the connection"),
                Ok(length) => {
                    self.bytes += length as u64;
                    let pings = self.parser.take(&buffer[..length], &mut seen)?;
                    for _ in 0..pings {
                        // It fits into the send buffer of a client that sends nothing else.
                        self.stream.try_write(&[0x8A, 0x80, 0, 0, 0, 0])?;
                    }
                    if length < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Masked with zeros, which leaves the payload as it is.
fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(0x81);
    match text.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(text.as_bytes());
}

/// Takes frames apart, in whatever pieces they arrive.
struct Parser {
    header: Vec<u8>,
    /// Bytes of the current frame's payload that have not arrived; none before its header is complete.
    missing: Option<usize>,
    /// Payload bytes of the current message so far.
    message_bytes: usize,
    message_compressed: bool,
    sample: Option<Sample>,
}

/// What a sampled client keeps.
struct Sample {
    payload: Vec<u8>,
    text: Vec<u8>,
    inflater: Decompress,
}

impl Parser {
    fn new(sampled: bool) -> Self {
        let sample = || Sample { payload: Vec::new(), text: Vec::new(), inflater: Decompress::new(false) };
        Self {
            header: Vec::new(),
            missing: None,
            message_bytes: 0,
            message_compressed: false,
            sample: sampled.then(sample),
        }
    }

    /// Returns how many pings are to be answered.
    fn take(&mut self, mut bytes: &[u8], seen: &mut impl FnMut(Seen)) -> Result<usize> {
        let mut pings = 0;
        loop {
            if self.missing.is_none() {
                let Some((length, rest)) = self.take_header(bytes)? else { return Ok(pings) };
                self.missing = Some(length);
                bytes = rest;
            }
            let missing = self.missing.unwrap_or_default();
            let (payload, rest) = bytes.split_at(missing.min(bytes.len()));
            let is_data = self.header[0] & 0x08 == 0;
            if is_data {
                self.message_bytes += payload.len();
                if let Some(sample) = &mut self.sample {
                    sample.payload.extend_from_slice(payload);
                    ensure!(sample.payload.len() < TEXT_BYTES_MAX, "a message is too large to keep");
                }
            }
            bytes = rest;
            if payload.len() < missing {
                self.missing = Some(missing - payload.len());
                return Ok(pings);
            }
            match self.header[0] & 0x0F {
                0x8 => bail!("the server has sent a close frame"),
                0x9 => pings += 1,
                _ => {}
            }
            if is_data && self.header[0] & 0x80 != 0 {
                self.end_message(seen)?;
            }
            self.header.clear();
            self.missing = None;
        }
    }

    fn take_header<'a>(&mut self, mut bytes: &'a [u8]) -> Result<Option<(usize, &'a [u8])>> {
        loop {
            let wanted = match self.header.get(1) {
                None => 2,
                Some(byte) => match byte & 0x7F {
                    126 => 4,
                    127 => 10,
                    _ => 2,
                },
            };
            if self.header.len() == wanted {
                let length = match wanted {
                    2 => usize::from(self.header[1] & 0x7F),
                    4 => usize::from(u16::from_be_bytes([self.header[2], self.header[3]])),
                    _ => {
                        let mut length = [0; 8];
                        length.copy_from_slice(&self.header[2..10]);
                        usize::try_from(u64::from_be_bytes(length))?
                    }
                };
                if self.header[0] & 0x0F == 1 {
                    self.message_compressed = self.header[0] & 0x40 != 0;
                }
                return Ok(Some((length, bytes)));
            }
            let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
            self.header.push(*first);
            bytes = rest;
        }
    }

    fn end_message(&mut self, seen: &mut impl FnMut(Seen)) -> Result<()> {
        let bytes = std::mem::take(&mut self.message_bytes);
        let version = match &mut self.sample {
            Some(sample) => Some(sample.version(self.message_compressed)?),
            None => None,
        };
        if bytes >= UPDATE_BYTES_MIN {
            seen(Seen { version });
        }
        Ok(())
    }
}

impl Sample {
    fn version(&mut self, compressed: bool) -> Result<u64> {
        if compressed {
            self.payload.extend_from_slice(&[0, 0, 0xFF, 0xFF]);
            self.text.clear();
            let mut input = &self.payload[..];
            while !input.is_empty() {
                self.text.reserve(32 << 10);
                let before = self.inflater.total_in();
                self.inflater.decompress_vec(input, &mut self.text, FlushDecompress::Sync)?;
                input = &input[usize::try_from(self.inflater.total_in() - before)?..];
            }
            self.payload.clear();
        } else {
            std::mem::swap(&mut self.text, &mut self.payload);
            self.payload.clear();
        }
        let text = std::str::from_utf8(&self.text).context("the server has sent something else than text")?;
        let digits = text.split("v=").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().unwrap_or(0)
        });
        Ok(digits.max().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first, 126];
        frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn messages_are_found_in_any_pieces_and_small_talk_is_passed_over() {
        let text = format!("v=3 {} v=12 x", "y".repeat(100));
        let (first, second) = text.as_bytes().split_at(7);
        let mut wire = frame(0x01, first);
        wire.extend(frame(0x89, b""));
        wire.extend(frame(0x80, second));
        wire.extend(frame(0x81, br#"{"type":"Ping"}"#));
        for size in [1, 3, 1000] {
            let mut parser = Parser::new(true);
            let (mut pings, mut versions) = (0, Vec::new());
            for piece in wire.chunks(size) {
                pings += parser.take(piece, &mut |seen| versions.push(seen.version)).unwrap();
            }
            assert_eq!((pings, versions), (1, vec![Some(12)]));
        }
    }
}
