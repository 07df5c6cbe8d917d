//! The frames of the protocol: reading the client's, writing the server's. Knows no connection state.

pub mod client;
pub mod server;
