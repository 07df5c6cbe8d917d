//! WebSocket frames of a server and their compression; no I/O.
//!
//! | Room | What is in it |
//! |---|---|
//! | [`extension`] | negotiation of `permessage-deflate` (RFC 7692) |
//! | [`decoder`] | bytes of a client become messages (RFC 6455), inflated and within bounds |
//! | [`text`] | a message to send: what is its own and what it shares with messages to others |
//! | [`encoder`] | messages become segments of bytes for one vectored write |
//! | `shared_deflate` | compression of shared text, once for all connections that have the same past |
//!
//! It never opens a socket, reads a clock or knows what a message says. Everything that a peer can make it hold has a
//! bound.

pub mod decoder;
pub mod encoder;
pub mod extension;
mod inflate;
mod shared_deflate;
pub mod text;

pub use decoder::{Decoder, Incoming, Limits, ProtocolError};
pub use encoder::{Encoder, Frame};
pub use extension::Compression;
pub use text::{Part, SharedText, Text};
