//! Bounds the memory that all request bodies take together.
//!
//! Every single body has a limit, but a thousand of them at once would not fit. Bodies take from one budget as they
//! arrive and give back when their request is over. Nobody waits for the budget: half-read bodies that wait for each
//! other would stand still.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;

/// The unit of the budget; semaphores cannot count to many gigabytes in bytes.
const UNIT_BYTES: usize = 1_024;

/// The budget of one server. Travels with each request as an extension.
#[derive(Clone, Debug)]
pub(crate) struct BodyBudget(Arc<Semaphore>);

/// What one body has taken so far; given back when dropped.
#[derive(Debug)]
pub(crate) struct BodyShare {
    budget: BodyBudget,
    taken: Option<OwnedSemaphorePermit>,
    /// Bytes read so far.
    bytes: usize,
}

impl BodyBudget {
    /// A budget of so many bytes, counted in whole kibibytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes_max.div_ceil(UNIT_BYTES).min(Semaphore::MAX_PERMITS))))
    }

    /// The share of a body of which nothing was read yet.
    pub(crate) fn share(&self) -> BodyShare {
        BodyShare { budget: self.clone(), taken: None, bytes: 0 }
    }
}

impl BodyShare {
    /// Takes so many bytes more.
    ///
    /// # Errors
    /// 503 `TooManyRequestBytes` when the budget is used up.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.bytes += bytes;
        let wanted = self.bytes.div_ceil(UNIT_BYTES);
        let missing = wanted - self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = u32::try_from(missing).map_err(|_| exhausted())?;
        let more = Arc::clone(&self.budget.0).try_acquire_many_owned(missing).map_err(|_| exhausted())?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }
}

fn exhausted() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "TooManyRequestBytes",
        "The server is busy with other large requests. Try again with backoff.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_the_budget_and_give_it_back() {
        let budget = BodyBudget::new(10 * UNIT_BYTES);
        let mut first = budget.share();
        let mut second = budget.share();
        for _ in 0..6 {
            first.grow(UNIT_BYTES).unwrap();
        }
        assert_eq!(second.grow(5 * UNIT_BYTES).unwrap_err().code, "TooManyRequestBytes");
        drop(first);
        let mut third = budget.share();
        third.grow(10 * UNIT_BYTES).unwrap();
    }

    #[test]
    fn a_kibibyte_is_taken_once_however_small_the_pieces() {
        let budget = BodyBudget::new(UNIT_BYTES);
        let mut share = budget.share();
        for _ in 0..UNIT_BYTES {
            share.grow(1).unwrap();
        }
        assert!(share.grow(1).is_err());
    }
}
