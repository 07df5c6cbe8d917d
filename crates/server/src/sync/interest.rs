//! A query result's subscription, as the session holds it.

use std::sync::Arc;

use freshet_database::Subscription;
use freshet_values::Timestamp;

/// Shared by the session and the computation that checks it. The last clone to go ends the subscription.
#[derive(Clone)]
pub(super) struct Interest(Arc<Subscription>);

impl Interest {
    pub(super) fn new(subscription: Subscription) -> Self {
        Self(Arc::new(subscription))
    }

    /// Whether no commit up to `ts` has changed what the query read.
    pub(super) fn is_valid_through(&self, ts: Timestamp) -> bool {
        self.0.valid_through(ts)
    }
}

impl freshet_sync::session::Subscription for Interest {
    fn is_valid(&self) -> bool {
        self.0.is_valid()
    }
}
