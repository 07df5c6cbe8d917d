//! The server's behaviour, asked through its own front door.

mod credentials;
mod fixture;
mod http_rules;
mod request;
mod socket;
mod sockets;
