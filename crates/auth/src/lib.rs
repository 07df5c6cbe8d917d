//! Users' tokens: which authentication providers an app trusts, and whether a token is one of theirs.
//!
//! [`Verifier`] is the way in: a token and the app's [`Provider`]s go in, the attributes of a user come out. What is decided
//! about a token ([`token`], [`signature`], [`claims`]) does no I/O and takes the time as an argument; only [`KeySource`]
//! fetches, through the trait [`Fetch`], and only when a token of a configured provider has arrived. [`HttpFetch`] is the
//! implementation that reaches the network.
//!
//! This crate knows no database, no request and no connection, and it never issues a token.

mod cache_control;
mod claims;
mod clock;
mod error;
mod fetch;
mod http_fetch;
mod key_set;
mod key_source;
mod provider;
mod signature;
mod token;
mod verifier;

#[cfg(test)]
mod tests;

pub use clock::{Clock, SystemClock};
pub use error::{Rejection, VerifyError};
pub use fetch::{Fetch, FetchError, Fetched};
pub use http_fetch::HttpFetch;
pub use provider::{Provider, ProviderError};
pub use verifier::{VerifiedToken, Verifier};
