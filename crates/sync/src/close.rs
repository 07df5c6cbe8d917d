//! Why and with which code the server closes a socket.

/// The reasons that clients know. Clients choose their pause before reconnecting by a prefix of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Something unexpected in the server, or a client whose versions do not fit; reconnecting heals both.
    InternalServerError,
    /// A mutation kept conflicting with others.
    OptimisticConcurrencyControlFailure,
    /// The queue before the commit is full.
    CommitterFullError,
    /// The subscription worker cannot keep up.
    SubscriptionsWorkerFullError,
    /// No room to run the function.
    ExecuteFullError,
    /// The request waited too long for its turn.
    ExpiredInQueue,
    /// The server took too long for its part of the work.
    SystemTimeoutError,
    /// Too many requests at once.
    TooManyConcurrentRequests,
    /// Too many writes in a short time.
    TooManyWritesInTimePeriod,
    /// Vector indexes are still being loaded.
    VectorIndexesUnavailable,
    /// Search indexes are still being loaded.
    SearchIndexesUnavailable,
    /// Table summaries are still being loaded.
    TableSummariesUnavailable,
    /// The keys to verify a token with cannot be fetched now; the client will try again with the same token.
    AuthProviderDiscoveryFailed,
    /// More unanswered mutations on one socket than allowed.
    TooManyConcurrentMutations,
    /// More running actions on one socket than allowed.
    TooManyInflightActionsForSingleClient,
    /// The client lets its answers pile up, or has stopped taking them.
    ClientTooSlow,
    /// The client has been silent for too long.
    ClientDisconnected,
    /// A planned stop; browsers print nothing about it.
    GoingAway,
}

impl CloseReason {
    /// The WebSocket close code.
    pub fn code(self) -> u16 {
        match self {
            CloseReason::InternalServerError => 1011,
            CloseReason::ClientDisconnected => 1000,
            CloseReason::GoingAway => 1001,
            _ => 1013,
        }
    }

    /// The text in the close frame; at most 123 bytes.
    pub fn text(self) -> &'static str {
        match self {
            CloseReason::InternalServerError => "InternalServerError",
            CloseReason::OptimisticConcurrencyControlFailure => "OptimisticConcurrencyControlFailure",
            CloseReason::CommitterFullError => "CommitterFullError",
            CloseReason::SubscriptionsWorkerFullError => "SubscriptionsWorkerFullError",
            CloseReason::ExecuteFullError => "ExecuteFullError",
            CloseReason::ExpiredInQueue => "ExpiredInQueue",
            CloseReason::SystemTimeoutError => "SystemTimeoutError",
            CloseReason::TooManyConcurrentRequests => "TooManyConcurrentRequests",
            CloseReason::TooManyWritesInTimePeriod => "TooManyWritesInTimePeriod",
            CloseReason::VectorIndexesUnavailable => "VectorIndexesUnavailable",
            CloseReason::SearchIndexesUnavailable => "SearchIndexesUnavailable",
            CloseReason::TableSummariesUnavailable => "TableSummariesUnavailable",
            CloseReason::AuthProviderDiscoveryFailed => "AuthProviderDiscoveryFailed",
            CloseReason::TooManyConcurrentMutations => "TooManyConcurrentMutations",
            CloseReason::TooManyInflightActionsForSingleClient => "TooManyInflightActionsForSingleClient",
            CloseReason::ClientTooSlow => "ClientTooSlow",
            CloseReason::ClientDisconnected => "ClientDisconnected",
            CloseReason::GoingAway => "",
        }
    }
}
