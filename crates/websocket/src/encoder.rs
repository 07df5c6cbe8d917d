//! Messages become segments of bytes for one vectored write.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::extension::Compression;
use crate::shared_deflate::{Past, avoids_holes, deflate};
use crate::text::{Part, SharedText, Text};

/// Longer messages are cut into frames of this size. Clients accept 16 MiB.
const FRAME_BYTES_MAX: usize = 8 << 20;
/// Shorter messages are sent as they are.
const COMPRESSED_BYTES_MIN: usize = 256;
/// Shorter shared texts are stored like the text around them.
const SHARED_BYTES_MIN: usize = 128;
/// Own text from this length on is worth a compression of its own...
const OWN_BYTES_MIN: usize = 1 << 10;
/// ...up to this one, beyond which the message is sent as it is: nobody shares the work.
const OWN_BYTES_MAX: usize = 1 << 20;
/// Distances between versions are multiples of this, so that connections whose clocks or ids have other numbers of
/// digits share what is compressed.
const ALIGNMENT: u64 = 32;
/// Longest stored block of Deflate.
const STORED_BYTES_MAX: usize = 0xFFFF;

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
const FINAL: u8 = 0x80;
const COMPRESSED: u8 = 0x40;

/// A message as it goes over the wire.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    segments: Vec<Bytes>,
}

impl Frame {
    /// Pieces to write one after the other; none is empty.
    #[must_use]
    pub fn segments(&self) -> &[Bytes] {
        &self.segments
    }

    /// Takes the pieces out.
    #[must_use]
    pub fn into_segments(self) -> Vec<Bytes> {
        self.segments
    }

    /// Bytes on the wire.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.iter().map(Bytes::len).sum()
    }

    /// Never: a frame has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }
}

/// The server's side of a connection.
#[derive(Debug)]
pub struct Encoder {
    compression: Option<Compression>,
    /// Bytes of text sent in compressed messages so far: the other side's window ends here.
    position: u64,
    /// Shared texts that lie within the window, in the order of their ends. Each has at least `SHARED_BYTES_MIN` bytes,
    /// which bounds their number.
    recent: VecDeque<Recent>,
}

#[derive(Debug)]
struct Recent {
    slot: u32,
    text: Arc<SharedText>,
    /// Position after its last byte.
    end: u64,
}

impl Encoder {
    /// The encoder of a new connection.
    #[must_use]
    pub fn new(compression: Option<Compression>) -> Self {
        Self { compression, position: 0, recent: VecDeque::new() }
    }

    /// A text message.
    pub fn text(&mut self, text: &Text) -> Frame {
        match self.compression {
            Some(compression) if is_worth_compressing(text) => {
                let payload = self.deflate(text, compression);
                frames(payload, TEXT | COMPRESSED)
            }
            _ => {
                let bytes = |part: &Part| match part {
                    Part::Own(text) => Bytes::copy_from_slice(text.as_bytes()),
                    Part::Shared { text, .. } => text.bytes().clone(),
                };
                frames(text.parts().iter().map(bytes).collect(), TEXT)
            }
        }
    }

    /// A ping without content.
    #[must_use]
    pub fn ping() -> Frame {
        control(PING, &[])
    }

    /// The answer to a ping.
    #[must_use]
    pub fn pong(content: &[u8]) -> Frame {
        control(PONG, content)
    }

    /// The end, with a status code and a reason of at most 123 bytes, or without.
    #[must_use]
    pub fn close(status: Option<(u16, &str)>) -> Frame {
        let content = status.map_or(Vec::new(), |(code, reason)| {
            let reason = &reason.as_bytes()[..reason.floor_char_boundary(123)];
            [&code.to_be_bytes()[..], reason].concat()
        });
        control(CLOSE, &content)
    }

    fn deflate(&mut self, text: &Text, compression: Compression) -> Vec<Bytes> {
        let mut payload = Payload::default();
        for part in text.parts() {
            match part {
                Part::Shared { slot, text } if text.len() >= SHARED_BYTES_MIN => {
                    self.deflate_shared(*slot, text, compression, &mut payload);
                }
                Part::Own(text) if text.len() >= OWN_BYTES_MIN => {
                    payload.push_deflated(deflate(text.as_bytes(), compression.window_bits(), &[]));
                    self.position += text.len() as u64;
                }
                part => self.store(part.as_str().as_bytes(), &mut payload),
            }
        }
        let window = 1 << compression.window_bits();
        while self.recent.front().is_some_and(|recent| self.position - recent.end >= window) {
            self.recent.pop_front();
        }
        payload.finish()
    }

    fn store(&mut self, text: &[u8], payload: &mut Payload) {
        payload.stored.extend_from_slice(text);
        self.position += text.len() as u64;
    }

    fn deflate_shared(
        &mut self,
        slot: u32,
        text: &Arc<SharedText>,
        compression: Compression,
        payload: &mut Payload,
    ) {
        let window = 1_u64 << compression.window_bits();
        let place = self.recent.iter().rposition(|recent| recent.slot == slot);
        let predecessor = place.and_then(|place| self.recent.remove(place));
        let mut past = Past { previous: 0, gap: 0, window_bits: compression.window_bits() };
        if let Some(predecessor) = predecessor.as_ref().filter(|_| avoids_holes(text.bytes())) {
            let gap = (self.position - predecessor.end).next_multiple_of(ALIGNMENT);
            if gap < window {
                let spaces = gap - (self.position - predecessor.end);
                self.store(&[b' '; ALIGNMENT as usize][..spaces as usize], payload);
                let gap = u32::try_from(gap).expect("a window is no larger than 32 KiB");
                past = Past { previous: predecessor.text.id(), gap, ..past };
            }
        }
        let previous = predecessor.as_ref().filter(|_| past.previous != 0).map(|recent| &*recent.text);
        payload.push_deflated(text.deflated(past, previous));
        self.position += text.len() as u64;
        // The next version of a longer text finds nothing similar within reach.
        if compression.keeps_context() && text.len() as u64 <= window {
            self.recent.push_back(Recent { slot, text: Arc::clone(text), end: self.position });
        }
    }
}

fn is_worth_compressing(text: &Text) -> bool {
    let mut shared_or_long = false;
    for part in text.parts() {
        match part {
            Part::Own(text) if text.len() > OWN_BYTES_MAX => return false,
            Part::Own(text) => shared_or_long |= text.len() >= OWN_BYTES_MIN,
            Part::Shared { text, .. } => shared_or_long |= text.len() >= SHARED_BYTES_MIN,
        }
    }
    shared_or_long && text.len() >= COMPRESSED_BYTES_MIN
}

/// The payload of a compressed message while it is put together.
#[derive(Default)]
struct Payload {
    segments: Vec<Bytes>,
    /// Text that is to follow as it is.
    stored: Vec<u8>,
}

impl Payload {
    fn push_deflated(&mut self, bytes: Bytes) {
        let stored = self.take_stored();
        if !stored.is_empty() {
            self.segments.push(Bytes::from(stored));
        }
        self.segments.push(bytes);
    }

    /// As stored blocks, which begin and end on whole bytes.
    fn take_stored(&mut self) -> Vec<u8> {
        let text = std::mem::take(&mut self.stored);
        let mut blocks = Vec::with_capacity(text.len() + 6);
        for chunk in text.chunks(STORED_BYTES_MAX) {
            let length = u16::try_from(chunk.len()).expect("chunks are short enough");
            blocks.push(0);
            blocks.extend_from_slice(&length.to_le_bytes());
            blocks.extend_from_slice(&(!length).to_le_bytes());
            blocks.extend_from_slice(chunk);
        }
        blocks
    }

    fn finish(mut self) -> Vec<Bytes> {
        let mut last = self.take_stored();
        // An empty stored block, of which the protocol leaves the last four bytes out.
        last.push(0);
        self.segments.push(Bytes::from(last));
        self.segments
    }
}

/// One message as one frame, or as several if it is long. `first` is the first byte of the first frame but for the final
/// bit.
fn frames(payload: Vec<Bytes>, first: u8) -> Frame {
    let mut rest: usize = payload.iter().map(Bytes::len).sum();
    let mut segments = Vec::with_capacity(payload.len() + 1);
    let mut payload = VecDeque::from(payload);
    let mut opcode = first;
    loop {
        let mut length = rest.min(FRAME_BYTES_MAX);
        rest -= length;
        segments.push(Bytes::from(header(opcode | if rest == 0 { FINAL } else { 0 }, length)));
        while length > 0 {
            let mut segment = payload.pop_front().expect("the lengths add up");
            if segment.len() > length {
                payload.push_front(segment.split_off(length));
            }
            length -= segment.len();
            if !segment.is_empty() {
                segments.push(segment);
            }
        }
        if rest == 0 {
            return Frame { segments };
        }
        opcode = 0;
    }
}

fn header(first: u8, length: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(10);
    header.push(first);
    match length {
        0..126 => header.push(length as u8),
        126..0x1_0000 => {
            header.push(126);
            header.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            header.push(127);
            header.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    header
}

fn control(opcode: u8, content: &[u8]) -> Frame {
    debug_assert!(content.len() <= 125, "control frames are short");
    let mut frame = header(opcode | FINAL, content.len());
    frame.extend_from_slice(content);
    Frame { segments: vec![Bytes::from(frame)] }
}
