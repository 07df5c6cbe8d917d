//! The bytes of one WebSocket: what arrives, and what waits to be written.
//!
//! Everything happens in the connection's own task, and nothing here waits: a read takes what is there, a write gives
//! what the kernel takes. A connection that is idle holds no buffers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use freshet_sync::ServerMessage;
use freshet_sync::session::CloseFrame;
use freshet_websocket::{Compression, Decoder, Encoder, Frame, Incoming, Limits, ProtocolError};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::backlog::{Backlog, PieceId, Share};

/// Largest message and frame that a client may send.
const LIMITS: Limits = Limits { message_bytes_max: 64 << 20, frame_bytes_max: 16 << 20 };
/// Taken from the kernel in one read.
const READ_BYTES: usize = 64 << 10;
/// Reads before others get their turn.
const READS_MAX: usize = 8;
/// Pieces handed to the kernel in one write.
const SLICES_MAX: usize = 64;
/// Above this many waiting bytes, nothing more is read from the client: who does not listen is not listened to.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// The same for the number of frames.
const WAITING_FRAMES_MAX: usize = 1_024;

thread_local! {
    /// One for all connections of a thread.
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// An open socket.
pub(super) struct Socket {
    stream: TcpStream,
    decoder: Decoder,
    encoder: Encoder,
    /// What arrived together with the handshake.
    early: Bytes,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    waiting_frames: usize,
    /// What of the pieces above counts among those of all clients.
    share: Share,
    /// Wakes the connection's task.
    wake: Arc<Notify>,
}

/// A piece of a frame that waits to be written.
struct Waiting {
    bytes: Bytes,
    /// Set on the last piece of a frame.
    ends: Option<FrameEnd>,
    /// Set once the kernel did not take it at once.
    counted: Option<PieceId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FrameEnd {
    Frame,
    Transition,
    Close,
}

/// What a write has achieved.
#[derive(Default)]
pub(super) struct Written {
    /// Bytes that the kernel has taken.
    pub(super) bytes: usize,
    /// Transitions that are written completely.
    pub(super) transitions: usize,
    /// Whether the close frame is out, after which nothing may be written.
    pub(super) closed: bool,
}

/// Why nothing more can be read.
#[derive(Debug)]
pub(super) enum ReadEnd {
    /// The other side has gone.
    Gone(io::ErrorKind),
    /// The other side does what it must not.
    Broken(ProtocolError),
}

impl Socket {
    pub(super) fn new(
        stream: TcpStream,
        early: Bytes,
        compression: Option<Compression>,
        backlog: &Arc<Backlog>,
    ) -> Self {
        let wake = Arc::<Notify>::default();
        Self {
            stream,
            decoder: Decoder::new(LIMITS, compression.is_some()),
            encoder: Encoder::new(compression),
            early,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waiting_frames: 0,
            share: backlog.share(Arc::clone(&wake)),
            wake,
        }
    }

    /// What wakes the connection's task: news for it, or that it has to make room.
    pub(super) fn wake(&self) -> &Arc<Notify> {
        &self.wake
    }

    /// Whether what waits for all clients is too much, and this is the one to go.
    pub(super) fn has_to_go(&self) -> bool {
        self.share.has_to_go()
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether something arrived with the handshake and was not read yet.
    pub(super) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// Takes what has arrived, up to a bound.
    pub(super) fn read(&mut self, mut each: impl FnMut(Incoming)) -> Result<(), ReadEnd> {
        let early = std::mem::take(&mut self.early);
        decode(&mut self.decoder, &early, &mut each)?;
        READ_BUFFER.with_borrow_mut(|buffer| {
            for _ in 0..READS_MAX {
                match self.stream.try_read(buffer) {
                    Ok(0) => return Err(ReadEnd::Gone(io::ErrorKind::UnexpectedEof)),
                    Ok(length) => {
                        decode(&mut self.decoder, &buffer[..length], &mut each)?;
                        if length < buffer.len() {
                            break;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(ReadEnd::Gone(error.kind())),
                }
            }
            Ok(())
        })
    }

    /// Reads and forgets; `false` when there is nothing more to come.
    pub(super) fn discard(&self) -> bool {
        READ_BUFFER.with_borrow_mut(|buffer| match self.stream.try_read(buffer) {
            Ok(0) => false,
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        })
    }

    /// Queues a message.
    pub(super) fn send(&mut self, message: &ServerMessage) {
        let frame = self.encoder.text(&message.text);
        self.push(frame, if message.ends_transition { FrameEnd::Transition } else { FrameEnd::Frame });
    }

    /// Queues a control frame that keeps connections through proxies open.
    pub(super) fn ping(&mut self) {
        self.push(Encoder::ping(), FrameEnd::Frame);
    }

    /// Queues the answer to a ping.
    pub(super) fn pong(&mut self, content: &[u8]) {
        self.push(Encoder::pong(content), FrameEnd::Frame);
    }

    /// Queues the end: nothing is written after it.
    pub(super) fn close(&mut self, frame: CloseFrame) {
        let status = match frame {
            CloseFrame::Empty => None,
            CloseFrame::Reason(reason) => Some((reason.code(), reason.text())),
        };
        self.push(Encoder::close(status), FrameEnd::Close);
    }

    /// Queues the end for a client that breaks the rules of WebSockets.
    pub(super) fn close_broken(&mut self, error: ProtocolError) {
        let status = match error {
            ProtocolError::Violation(_) => (1002, "ProtocolError"),
            ProtocolError::InvalidData(_) => (1007, "InvalidData"),
            ProtocolError::TooLarge => (1009, "MessageTooLarge"),
        };
        self.push(Encoder::close(Some(status)), FrameEnd::Close);
    }

    /// Queues the answer to the client's close frame.
    pub(super) fn answer_close(&mut self, code: Option<u16>) {
        self.push(Encoder::close(code.map(|code| (code, ""))), FrameEnd::Close);
    }

    /// Forgets what has not begun to be written.
    pub(super) fn drop_waiting(&mut self) {
        // A frame of which the beginning is out has to be ended. It is not known whether the first piece is the
        // beginning of a frame, so that one frame more may be kept, which does no harm.
        let keep = self.waiting.iter().position(|waiting| waiting.ends.is_some()).map_or(0, |at| at + 1);
        let mut counted = Vec::new();
        for waiting in self.waiting.drain(keep..) {
            self.waiting_bytes -= waiting.bytes.len();
            self.waiting_frames -= usize::from(waiting.ends.is_some());
            counted.extend(waiting.counted);
        }
        self.share.remove(&counted);
    }

    /// Whether the client should be read from no further.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_bytes > WAITING_BYTES_MAX || self.waiting_frames > WAITING_FRAMES_MAX
    }

    /// Bytes that wait to be written. Not reading does not bound them: what the client asked for before is still
    /// being answered, and answers can be large.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Hands to the kernel what it takes.
    pub(super) fn write(&mut self) -> io::Result<Written> {
        let mut written = Written::default();
        while !self.waiting.is_empty() && !written.closed {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut count = 0;
            for (slice, waiting) in slices.iter_mut().zip(&self.waiting) {
                *slice = IoSlice::new(&waiting.bytes);
                count += 1;
            }
            match self.stream.try_write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => self.written(length, &mut written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.count_waiting();
        if self.waiting.is_empty() {
            // Room for what was once a long queue.
            self.waiting.shrink_to(8);
        }
        Ok(written)
    }

    fn written(&mut self, mut length: usize, written: &mut Written) {
        written.bytes += length;
        self.waiting_bytes -= length;
        let mut counted = Vec::new();
        while let Some(first) = self.waiting.front_mut() {
            let taken = length.min(first.bytes.len());
            first.bytes.advance(taken);
            length -= taken;
            if !first.bytes.is_empty() {
                break;
            }
            let ends = first.ends;
            counted.extend(first.counted);
            self.waiting.pop_front();
            self.waiting_frames -= usize::from(ends.is_some());
            written.transitions += usize::from(ends == Some(FrameEnd::Transition));
            written.closed |= ends == Some(FrameEnd::Close);
        }
        self.share.remove(&counted);
    }

    /// Counts what the kernel has not taken, so that a client that takes everything at once costs nothing.
    fn count_waiting(&mut self) {
        let old = self.waiting.iter().rposition(|waiting| waiting.counted.is_some()).map_or(0, |at| at + 1);
        if old == self.waiting.len() {
            return;
        }
        let pieces = self.share.add(self.waiting.range(old..).map(|waiting| &waiting.bytes));
        for (waiting, piece) in self.waiting.range_mut(old..).zip(pieces) {
            waiting.counted = Some(piece);
        }
    }

    fn push(&mut self, frame: Frame, end: FrameEnd) {
        if self.waiting.back().is_some_and(|last| last.ends == Some(FrameEnd::Close)) {
            return;
        }
        self.waiting_bytes += frame.len();
        self.waiting_frames += 1;
        for bytes in frame.into_segments() {
            self.waiting.push_back(Waiting { bytes, ends: None, counted: None });
        }
        if let Some(last) = self.waiting.back_mut() {
            last.ends = Some(end);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let counted: Vec<PieceId> = self.waiting.iter().filter_map(|waiting| waiting.counted).collect();
        self.share.remove(&counted);
    }
}

fn decode(decoder: &mut Decoder, mut bytes: &[u8], each: &mut impl FnMut(Incoming)) -> Result<(), ReadEnd> {
    while !bytes.is_empty() {
        if let Some(incoming) = decoder.take(&mut bytes).map_err(ReadEnd::Broken)? {
            each(incoming);
        }
    }
    Ok(())
}
