//! Everything that a Freshet instance says over the network: the HTTP API for clients and the command line, WebSockets,
//! and the app's own HTTP actions.
//!
//! | Room | What is in it |
//! |---|---|
//! | [`start`](Server::start), `dispatch` | listeners, connections, shutdown; the way of every request |
//! | `edge` | rules for all requests: errors, bodies, credentials, origins, room |
//! | `api` | the endpoints |
//! | `queries` | answers to queries, shared by all who ask the same |
//! | `sync` | the driver of the sync crate's sessions |
//! | `http_actions` | requests for the app's router |
//! | `metrics` | the page for those who watch over the server |
//!
//! Only this crate knows HTTP. It runs no function, reads no document and stores nothing: it asks the
//! [`Services`] below.

mod access;
mod api;
mod config;
mod dispatch;
mod edge;
mod http_actions;
mod metrics;
mod queries;
mod services;
mod start;
mod state;
mod sync;

pub use config::{EdgeLimits, OriginError, ServerConfig, SocketCompression};
pub use services::Services;
pub use start::{Server, ServerHandle, StartError};
pub use state::ServerStatistics;

#[cfg(test)]
mod tests;
