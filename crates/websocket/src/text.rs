//! A message to send: what is its own and what it shares with messages to others.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::shared_deflate::Encodings;

/// Ids start at one: zero stands for no text.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Text that many messages contain. It is held once, written from where it lies, and compressed once for all
/// connections that have the same past.
pub struct SharedText {
    id: u64,
    bytes: Bytes,
    pub(crate) encodings: Mutex<Encodings>,
}

impl SharedText {
    /// Takes a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            bytes: Bytes::from(text),
            encodings: Mutex::default(),
        }
    }

    /// Unique to this text, never zero.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The text's bytes; clones share them.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("it was made from a string")
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it is the empty text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl fmt::Debug for SharedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedText").field(&self.as_str()).finish()
    }
}

/// A piece of a message.
#[derive(Clone, Debug)]
pub enum Part {
    /// Text of this message alone.
    Own(String),
    /// Text of many messages. It must stand where the message may have spaces: some may be put before it, so that the
    /// same text lies equally far from its predecessor on many connections.
    Shared {
        /// Texts that follow each other in the same slot are likely to be similar.
        slot: u32,
        /// The text.
        text: Arc<SharedText>,
    },
}

impl Part {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Part::Own(text) => text,
            Part::Shared { text, .. } => text.as_str(),
        }
    }
}

/// A text message to send.
#[derive(Clone, Debug, Default)]
pub struct Text {
    parts: Vec<Part>,
}

impl Text {
    /// A message of these parts, one after the other.
    #[must_use]
    pub fn new(parts: Vec<Part>) -> Self {
        Self { parts }
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.as_str().len()).sum()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { parts: vec![Part::Own(text)] }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| f.write_str(part.as_str()))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Text {}
