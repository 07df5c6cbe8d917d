//! The server's behaviour, asked through its own front door.

mod app;
mod behind_a_proxy;
mod calls;
mod credentials;
mod fixture;
mod http_actions;
mod http_queries;
mod http_rules;
mod known_tokens;
mod live_queries;
mod metrics;
mod request;
mod socket;
mod sockets;
mod user_tokens;
