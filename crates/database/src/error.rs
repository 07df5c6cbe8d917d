//! What can go wrong in a transaction, and who is told.

use freshet_store::StoreError;
use freshet_values::{TableName, Timestamp};

/// A mistake of the caller: app code sees it as an exception and may catch it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeveloperError {
    /// A stable short name, as HTTP clients see it.
    pub code: &'static str,
    /// The text of the exception.
    pub message: String,
    /// For errors that carry data like an app's own `ConvexError`: encoded JSON.
    pub data: Option<String>,
}

impl DeveloperError {
    /// An error without data.
    pub fn new(code: &'static str, message: impl Into<String>) -> DeveloperError {
        DeveloperError { code, message: message.into(), data: None }
    }

    /// ``Invalid argument `argument` for `method`: cause``.
    pub fn invalid_argument(argument: &str, method: &str, cause: impl std::fmt::Display) -> DeveloperError {
        DeveloperError::new(
            "InvalidArgument",
            format!("Invalid argument `{argument}` for `{method}`: {cause}"),
        )
    }

    /// ``Invalid arguments for `method`: cause``.
    pub fn invalid_arguments(method: &str, cause: impl std::fmt::Display) -> DeveloperError {
        DeveloperError::new("InvalidArgument", format!("Invalid arguments for `{method}`: {cause}"))
    }

    /// The second paginated query of one function.
    #[must_use]
    pub fn multiple_paginated_queries() -> DeveloperError {
        DeveloperError::new(
            "MultiplePaginatedDatabaseQueries",
            "This query or mutation function ran multiple paginated queries. Convex only supports a single \
             paginated query in each function.",
        )
    }

    /// A paginated query inside a component.
    #[must_use]
    pub fn pagination_in_component() -> DeveloperError {
        DeveloperError::new(
            "PaginationUnsupportedInComponents",
            "paginate() is only supported in the app. Learn more at \
             https://docs.convex.dev/components/authoring#pagination",
        )
    }
}

/// Not the fault of the app: the call ends at once and app code is not resumed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SystemError {
    /// The storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A document on disk does not decode.
    #[error("document {id} cannot be read: {detail}")]
    Unreadable {
        /// The document.
        id: String,
        /// Why.
        detail: String,
    },
    /// The requested time is no longer kept in memory, or has not come yet.
    #[error("the state at {requested} is not available; the oldest one is at {oldest}")]
    OutOfRetention {
        /// The requested time.
        requested: Timestamp,
        /// The oldest time that can be read.
        oldest: Timestamp,
    },
    /// The engine used the database wrongly.
    #[error("internal error: {0}")]
    Defect(String),
}

/// Any failure of an operation inside a transaction.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// App code may catch this.
    #[error(transparent)]
    Developer(#[from] DeveloperError),
    /// App code must not see this.
    #[error(transparent)]
    System(#[from] SystemError),
}

impl From<StoreError> for DatabaseError {
    fn from(error: StoreError) -> Self {
        DatabaseError::System(SystemError::Store(error))
    }
}

/// Why a commit did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// Something that the transaction read was written since its snapshot. Running it again may help.
    #[error(
        "Documents read from or written to the {} table changed while this mutation was being run and on every \
         subsequent retry. See https://docs.convex.dev/error#1",
        table.as_ref().map_or_else(|| "some".to_owned(), |table| format!("\"{table}\""))
    )]
    Conflict {
        /// The table of the conflicting document, if known.
        table: Option<TableName>,
        /// When the conflicting commit was made; `None` when the snapshot is too old to tell.
        conflicting_ts: Option<Timestamp>,
    },
    /// Too many commits wait for the disk.
    #[error("too many commits are waiting for the disk; try again later")]
    Overloaded,
    /// Commits cannot be stored for now. The database tries by itself whether they can again.
    #[error("the database takes no writes for now: {0}")]
    ReadOnly(String),
    /// The transaction's own work could not be completed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// A commit that was visible but could not be stored. It is undone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurabilityError {
    /// It never happened.
    #[error("the commit could not be stored: {0}")]
    NotStored(String),
    /// It may be there again after a crash, so nobody may be told that it did not happen.
    #[error("whether the commit is stored is not known: {0}")]
    Unknown(String),
}
