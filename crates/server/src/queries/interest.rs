//! One client's interest in a result that others may watch, too.

use std::sync::Arc;

use freshet_database::Waker;
use freshet_values::Timestamp;

use super::watch::Watch;

/// Shared by a session and the computation that checks it. The last clone to go ends the interest.
#[derive(Clone)]
pub(crate) struct Interest(Arc<Place>);

/// A place among a watch's watchers.
struct Place {
    watch: Arc<Watch>,
    number: usize,
}

impl Interest {
    /// Joins those who are told. If the result has changed already, `waker` may be called at once.
    pub(crate) fn join(watch: &Arc<Watch>, waker: &Waker) -> Self {
        let number = watch.enter(waker);
        Self(Arc::new(Place { watch: Arc::clone(watch), number }))
    }

    /// Whether no commit up to `ts` has changed what the query read.
    pub(crate) fn is_valid_through(&self, ts: Timestamp) -> bool {
        self.0.watch.is_valid_through(ts)
    }

    /// The last moment at which the result is known to be good.
    pub(crate) fn valid_until(&self) -> Timestamp {
        self.0.watch.valid_until()
    }

    /// The snapshot that the result was computed at.
    pub(crate) fn computed_at(&self) -> Timestamp {
        self.0.watch.computed_at()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.watch.leave(self.number);
    }
}

impl freshet_sync::session::Subscription for Interest {
    /// A result counts as good until its successor is there: nothing is gained by asking earlier.
    fn is_valid(&self) -> bool {
        !self.0.watch.is_replaced()
    }
}
