//! Bytes of a client become messages.
//!
//! Bytes go in as they arrive, in any pieces. What is held is what has arrived of the current message, never what a
//! header announces. After an error the connection has to end.

use crate::inflate::{InflateError, inflate};

/// Bounds of what a client may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a message, as sent and as inflated.
    pub message_bytes_max: usize,
    /// Bytes of a frame's payload.
    pub frame_bytes_max: usize,
}

/// A message or control frame of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A text message.
    Text(String),
    /// A binary message; nobody here has use for its content.
    Binary,
    /// To be answered with a pong of the same content.
    Ping(Vec<u8>),
    /// The answer to a ping, or a sign of life.
    Pong,
    /// The client says goodbye, with its status code if it sent one.
    Close(Option<u16>),
}

/// What a client must not do, and the status code that tells it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// 1002.
    #[error("the client has broken the WebSocket protocol: {0}")]
    Violation(&'static str),
    /// 1007.
    #[error("the client has sent a message that is {0}")]
    InvalidData(&'static str),
    /// 1009.
    #[error("the client has sent a message that is too large")]
    TooLarge,
}

const CONTROL_BYTES_MAX: usize = 125;
/// Memory that a finished message may leave behind for the next one.
const KEPT_BYTES_MAX: usize = 4 << 10;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Takes the client's side of a connection apart.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    inflates: bool,
    /// The header of the current frame so far.
    header: [u8; 14],
    header_length: usize,
    /// Set while the payload of a frame is read.
    frame: Option<FrameState>,
    /// The message of which frames are still to come.
    message: Option<Message>,
    /// Its payload so far, unmasked.
    payload: Vec<u8>,
    /// Payload of the current control frame.
    control: Vec<u8>,
    closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct FrameState {
    opcode: u8,
    is_final: bool,
    missing: usize,
    mask: [u8; 4],
    /// Payload bytes read so far, modulo 4.
    phase: usize,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    is_text: bool,
    is_compressed: bool,
}

impl Decoder {
    /// The decoder of a new connection. `inflates`: whether compression was agreed on.
    #[must_use]
    pub fn new(limits: Limits, inflates: bool) -> Self {
        Self {
            limits,
            inflates,
            header: [0; 14],
            header_length: 0,
            frame: None,
            message: None,
            payload: Vec::new(),
            control: Vec::new(),
            closed: false,
        }
    }

    /// Takes bytes from the front of `bytes` until a message is complete or nothing is left.
    ///
    /// # Errors
    /// [`ProtocolError`]; then the decoder must not be used again.
    pub fn take(&mut self, bytes: &mut &[u8]) -> Result<Option<Incoming>, ProtocolError> {
        loop {
            if self.closed {
                // Nothing counts after a close frame.
                *bytes = &[];
                return Ok(None);
            }
            let Some(frame) = &mut self.frame else {
                if !self.take_header(bytes)? {
                    return Ok(None);
                }
                continue;
            };
            let (payload, rest) = bytes.split_at(frame.missing.min(bytes.len()));
            *bytes = rest;
            let target = if is_control(frame.opcode) { &mut self.control } else { &mut self.payload };
            let start = target.len();
            target.extend_from_slice(payload);
            unmask(&mut target[start..], frame.mask, frame.phase);
            frame.phase = (frame.phase + payload.len()) % 4;
            frame.missing -= payload.len();
            if frame.missing > 0 {
                return Ok(None);
            }
            let frame = *frame;
            self.frame = None;
            if let Some(incoming) = self.end_frame(frame)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// Bytes of memory held for what has not arrived completely.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.payload.capacity() + self.control.capacity()
    }

    /// `false` when more bytes are needed.
    fn take_header(&mut self, bytes: &mut &[u8]) -> Result<bool, ProtocolError> {
        loop {
            let wanted = match self.header_length {
                0 | 1 => 2,
                _ => {
                    if self.header[1] & 0x80 == 0 {
                        return Err(ProtocolError::Violation("a frame is not masked"));
                    }
                    match self.header[1] & 0x7F {
                        126 => 8,
                        127 => 14,
                        _ => 6,
                    }
                }
            };
            let missing = wanted - self.header_length;
            if missing == 0 {
                break;
            }
            let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
            self.header[self.header_length..self.header_length + taken.len()].copy_from_slice(taken);
            self.header_length += taken.len();
            *bytes = rest;
            if taken.len() < missing {
                return Ok(false);
            }
        }
        let header = &self.header[..self.header_length];
        let length = match header.len() {
            6 => u64::from(header[1] & 0x7F),
            8 => u64::from(u16::from_be_bytes([header[2], header[3]])),
            _ => u64::from_be_bytes(header[2..10].try_into().expect("eight bytes")),
        };
        let mask = header[header.len() - 4..].try_into().expect("four bytes");
        let first = header[0];
        self.header_length = 0;
        self.begin_frame(first, length, mask)?;
        Ok(true)
    }

    fn begin_frame(&mut self, first: u8, length: u64, mask: [u8; 4]) -> Result<(), ProtocolError> {
        let (is_final, is_compressed, opcode) = (first & 0x80 != 0, first & 0x40 != 0, first & 0x0F);
        let violation = |what| Err(ProtocolError::Violation(what));
        if first & 0x30 != 0 {
            return violation("reserved bits are set");
        }
        let length = usize::try_from(length).map_err(|_| ProtocolError::TooLarge)?;
        match opcode {
            CLOSE | PING | PONG => {
                if !is_final || is_compressed || length > CONTROL_BYTES_MAX {
                    return violation("a control frame is not a whole, short one");
                }
                self.control.clear();
            }
            CONTINUATION => {
                if self.message.is_none() {
                    return violation("a message is continued that has not begun");
                }
                if is_compressed {
                    return violation("reserved bits are set");
                }
            }
            TEXT | BINARY => {
                if self.message.is_some() {
                    return violation("a message begins within another");
                }
                if is_compressed && !self.inflates {
                    return violation("a message is compressed without agreement");
                }
                self.message = Some(Message { is_text: opcode == TEXT, is_compressed });
            }
            _ => return violation("a frame is of an unknown kind"),
        }
        let fits = length <= self.limits.frame_bytes_max
            && (is_control(opcode)
                || self.payload.len().saturating_add(length) <= self.limits.message_bytes_max);
        if !fits {
            return Err(ProtocolError::TooLarge);
        }
        self.frame = Some(FrameState { opcode, is_final, missing: length, mask, phase: 0 });
        Ok(())
    }

    fn end_frame(&mut self, frame: FrameState) -> Result<Option<Incoming>, ProtocolError> {
        match frame.opcode {
            PING => Ok(Some(Incoming::Ping(std::mem::take(&mut self.control)))),
            PONG => {
                self.control = Vec::new();
                Ok(Some(Incoming::Pong))
            }
            CLOSE => {
                self.closed = true;
                close_code(&self.control).map(|code| Some(Incoming::Close(code)))
            }
            _ if !frame.is_final => Ok(None),
            _ => {
                let message = self.message.take().expect("a data frame belongs to a message");
                self.end_message(message).map(Some)
            }
        }
    }

    fn end_message(&mut self, message: Message) -> Result<Incoming, ProtocolError> {
        let mut payload = std::mem::take(&mut self.payload);
        if message.is_compressed {
            let inflated = inflate(&payload, self.limits.message_bytes_max).map_err(|error| match error {
                InflateError::Invalid => ProtocolError::InvalidData("not compressed as was agreed"),
                InflateError::TooLarge => ProtocolError::TooLarge,
            })?;
            if payload.capacity() <= KEPT_BYTES_MAX {
                payload.clear();
                self.payload = payload;
            }
            payload = inflated;
        }
        if !message.is_text {
            return Ok(Incoming::Binary);
        }
        String::from_utf8(payload)
            .map(Incoming::Text)
            .map_err(|_| ProtocolError::InvalidData("no text, although it says so"))
    }
}

fn is_control(opcode: u8) -> bool {
    opcode & 0x8 != 0
}

fn unmask(payload: &mut [u8], mask: [u8; 4], phase: usize) {
    let mut mask = mask;
    mask.rotate_left(phase);
    let word = u32::from_ne_bytes(mask);
    let mut chunks = payload.chunks_exact_mut(4);
    for chunk in &mut chunks {
        let value = u32::from_ne_bytes((&*chunk).try_into().expect("four bytes")) ^ word;
        chunk.copy_from_slice(&value.to_ne_bytes());
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, ProtocolError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(ProtocolError::Violation("a close frame has half a code"))
        };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(ProtocolError::Violation("a close frame has a code that is not allowed"));
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(ProtocolError::InvalidData("no text, although it says so"));
    }
    Ok(Some(code))
}
