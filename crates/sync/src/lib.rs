//! Sync protocol messages and the per-connection state machine; no I/O.
//!
//! The protocol keeps a client's live queries current over one WebSocket and runs its mutations and actions. This crate
//! knows the frames and the rules of a connection, and nothing else:
//!
//! | Room | What is in it |
//! |---|---|
//! | [`session`] | the state machine of one connection; start reading here |
//! | [`message`] | frames: parsing the client's, writing the server's |
//! | [`answer`] | a query's result, serialised and fingerprinted once for all connections |
//! | [`client_version`], [`close`], [`limits`] | who connects, how it ends, how much is allowed |
//!
//! It never opens a socket, spawns a task, reads a clock or draws a random number, and never looks inside arguments and
//! results: those pass through as JSON text.

pub mod answer;
pub mod client_version;
pub mod close;
pub mod limits;
pub mod message;
pub mod session;

pub use answer::{Answer, FunctionFailure};
pub use client_version::ClientVersion;
pub use close::CloseReason;
pub use message::server::{FrameKind, ServerMessage};
pub use session::Session;
