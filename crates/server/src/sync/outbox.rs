//! Frames on their way out.
//!
//! Text frames leave in order. A long message is cut into several frames. The
//! writing side runs inside the connection's own task, so that a slow client holds up nothing but itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use freshet_sync::ServerMessage;
use freshet_sync::session::CloseFrame;
use futures::SinkExt;
use futures::stream::SplitSink;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes, protocol};

use super::upgrade::Socket;

/// Longer messages are cut into frames of this size. Clients accept 16 MiB; the socket keeps a buffer as large as the
/// largest frame it ever wrote, so that small ones give memory back.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Above this many waiting bytes, nothing more is read from the client: who does not listen is not listened to.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// The same for the number of frames.
const WAITING_FRAMES_MAX: usize = 1_024;

/// What the writing side is to do.
enum Outgoing {
    Text(ServerMessage),
    Ping,
    Close(Option<protocol::CloseFrame>),
}

/// What the writing side has done.
pub(super) enum Written {
    /// A text frame; `true` when a transition was complete with it.
    Frame { ends_transition: bool },
}

#[derive(Default)]
struct Waiting {
    bytes: AtomicUsize,
    frames: AtomicUsize,
}

/// Where the connection puts frames. Never blocks; see [`Outbox::is_full`].
pub(super) struct Outbox {
    frames: mpsc::UnboundedSender<Outgoing>,
    waiting: Arc<Waiting>,
}

/// The writing side.
pub(super) struct Writer {
    frames: mpsc::UnboundedReceiver<Outgoing>,
    waiting: Arc<Waiting>,
    written: mpsc::UnboundedSender<Written>,
    sink: SplitSink<Socket, Message>,
}

/// An outbox, its writing side, and the news of what was written.
pub(super) fn outbox(sink: SplitSink<Socket, Message>) -> (Outbox, Writer, mpsc::UnboundedReceiver<Written>) {
    // Unbounded, because frames must never be dropped and the session must never block. What bounds them: the
    // session has a limit on unsent transitions and open requests, and reading stops while the outbox is full.
    let (frames, receiver) = mpsc::unbounded_channel();
    let (written, news) = mpsc::unbounded_channel();
    let waiting = Arc::new(Waiting::default());
    let outbox = Outbox { frames, waiting: Arc::clone(&waiting) };
    (outbox, Writer { frames: receiver, waiting, written, sink }, news)
}

impl Outbox {
    /// Queues a frame.
    pub(super) fn send(&self, message: ServerMessage) {
        self.waiting.bytes.fetch_add(message.text.len(), Ordering::Relaxed);
        self.waiting.frames.fetch_add(1, Ordering::Relaxed);
        self.push(Outgoing::Text(message));
    }

    /// Queues a control frame that keeps connections through proxies open.
    pub(super) fn ping(&self) {
        self.push(Outgoing::Ping);
    }

    /// Queues the end: nothing is written after it.
    pub(super) fn close(&self, frame: CloseFrame) {
        let frame = match frame {
            CloseFrame::Empty => None,
            CloseFrame::Reason(reason) => Some(protocol::CloseFrame {
                code: CloseCode::from(reason.code()),
                reason: Utf8Bytes::from_static(reason.text()),
            }),
        };
        self.push(Outgoing::Close(frame));
    }

    /// Queues the end for a client whose message was too large to read.
    pub(super) fn close_too_large(&self) {
        self.push(Outgoing::Close(Some(protocol::CloseFrame {
            code: CloseCode::Size,
            reason: Utf8Bytes::from_static("MessageTooLarge"),
        })));
    }

    /// Whether the client should be read from no further.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.bytes.load(Ordering::Relaxed) > WAITING_BYTES_MAX
            || self.waiting.frames.load(Ordering::Relaxed) > WAITING_FRAMES_MAX
    }

    /// Bytes that wait to be written. Not reading does not bound them: what the client asked for before is still
    /// being answered, and answers can be large.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.bytes.load(Ordering::Relaxed)
    }

    fn push(&self, outgoing: Outgoing) {
        // After the writing side has failed the connection ends anyway.
        drop(self.frames.send(outgoing));
    }
}

impl Writer {
    /// Writes until the close frame is out, or the socket breaks.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        while let Some(outgoing) = self.frames.recv().await {
            match outgoing {
                Outgoing::Ping => self.sink.send(Message::Ping(Bytes::new())).await?,
                Outgoing::Close(frame) => {
                    return match self.sink.send(Message::Close(frame)).await {
                        Err(Error::ConnectionClosed) => Ok(()),
                        sent => sent,
                    };
                }
                Outgoing::Text(message) => {
                    let ServerMessage { text, ends_transition, .. } = message;
                    let bytes = text.len();
                    self.write_text(text).await?;
                    self.waiting.bytes.fetch_sub(bytes, Ordering::Relaxed);
                    self.waiting.frames.fetch_sub(1, Ordering::Relaxed);
                    drop(self.written.send(Written::Frame { ends_transition }));
                }
            }
        }
        Ok(())
    }

    async fn write_text(&mut self, text: String) -> Result<(), Error> {
        if text.len() <= FRAME_BYTES_MAX {
            return self.sink.send(Message::Text(text.into())).await;
        }
        for frame in fragments(Bytes::from(text)) {
            self.sink.send(Message::Frame(frame)).await?;
        }
        Ok(())
    }
}

/// One message as several frames. Cuts may fall inside a character: only the whole message has to be text.
fn fragments(text: Bytes) -> impl Iterator<Item = Frame> {
    let count = text.len().div_ceil(FRAME_BYTES_MAX);
    (0..count).map(move |index| {
        let end = text.len().min((index + 1) * FRAME_BYTES_MAX);
        let opcode = if index == 0 { Data::Text } else { Data::Continue };
        Frame::message(text.slice(index * FRAME_BYTES_MAX..end), OpCode::Data(opcode), index + 1 == count)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_message_is_one_text_frame_and_continuations() {
        let text = Bytes::from("x".repeat(2 * FRAME_BYTES_MAX + 1));
        let frames: Vec<Frame> = fragments(text.clone()).collect();
        let opcodes: Vec<OpCode> = frames.iter().map(|frame| frame.header().opcode).collect();
        let continued = OpCode::Data(Data::Continue);
        assert_eq!(opcodes, [OpCode::Data(Data::Text), continued, continued]);
        let last: Vec<bool> = frames.iter().map(|frame| frame.header().is_final).collect();
        assert_eq!(last, [false, false, true]);
        let joined: Vec<u8> = frames.iter().flat_map(|frame| frame.payload().to_vec()).collect();
        assert_eq!(joined, text);
    }
}
