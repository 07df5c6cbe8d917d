//! Getting a document from a provider. This file only says what that means; see `http_fetch` for doing it.

use std::time::Duration;

use async_trait::async_trait;
use url::Url;

/// An answer of a provider, whatever its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, as sent.
    pub content_type: Option<String>,
    /// `Cache-Control`, as sent.
    pub cache_control: Option<String>,
    /// How long caches on the way have held the answer already.
    pub age: Duration,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The provider cannot be reached now: no connection, no answer in time.
    #[error("{0}")]
    Unreachable(String),
    /// What the provider does will not be accepted later either: a redirect to an insecure place, an answer that is too
    /// large.
    #[error("{0}")]
    Unacceptable(String),
}

/// Gets documents. Implementations bound the size of an answer and the time it takes.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// Gets one document.
    ///
    /// # Errors
    /// [`FetchError`]; an answer with a bad status is not an error.
    async fn get(&self, url: &Url) -> Result<Fetched, FetchError>;
}
