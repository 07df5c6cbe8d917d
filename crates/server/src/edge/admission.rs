//! How many requests are worked on at once, and for how long.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;

/// A counted door. Whoever holds a permit is inside.
#[derive(Clone)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    places_max: usize,
    wait_max: Duration,
}

impl Admission {
    /// A door for so many at once; others wait so long.
    pub(crate) fn new(places_max: usize, wait_max: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(places_max)), places_max, wait_max }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// 429 `TooManyConcurrentRequests` when none became free in time.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let waited = tokio::time::timeout(self.wait_max, Arc::clone(&self.places).acquire_owned()).await;
        match waited {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyConcurrentRequests",
                format!(
                    "Too many concurrent requests. This server works on {} such requests at once. \
                     Try again with backoff.",
                    self.places_max
                ),
            )),
        }
    }
}

/// 408 for a request that took too long.
pub(crate) fn request_timeout() -> ApiError {
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "RequestTimeout",
        "The request took too long and was given up.",
    )
}
