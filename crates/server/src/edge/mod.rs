//! Rules that hold for every request, whatever it asks for: errors, bodies, credentials, origins.

pub(crate) mod admission;
pub(crate) mod body;
pub(crate) mod body_budget;
pub(crate) mod client_version;
pub(crate) mod cors;
pub(crate) mod credentials;
pub(crate) mod error;
pub(crate) mod forwarded;
pub(crate) mod path_args;
pub(crate) mod query_args;
pub(crate) mod rate_limit;
pub(crate) mod request_ids;
