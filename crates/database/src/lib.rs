//! Serializable transactions over a store: snapshots, conflicts, indexes, schemas, subscriptions.
//!
//! The way of a write: a [`Transaction`] begins at the newest visible commit, records what it reads as intervals of
//! index keys and keeps what it writes to itself. [`Database::commit`] checks the read set against the commits made
//! since, under one short lock, and lays the writes over the store: visible at once, not yet durable. The
//! committer thread stores everything that waits with one write to disk; [`Database::wait_durable`] waits for that. A
//! [`Subscription`] tells when something in a read set changes.
//!
//! This crate never does network I/O, never runs app code, and knows SQL only through the store.

mod catalog;
mod clock;
mod commit;
mod conditional_read;
mod database;
mod document;
mod document_cache;
mod error;
mod limits;
mod maintenance;
mod namespace;
mod options;
pub mod query;
mod read_set;
pub mod schema;
mod shared;
mod statistics;
mod stepped;
mod subscription;
mod transaction;
mod vectors;
mod virtual_tables;

pub use catalog::{Catalog, IndexMeta, IndexSpec, IndexState, NamespaceNames, TableMeta, TableState};
pub use clock::{Clock, ManualClock, Randomness, SystemClock};
pub use commit::exclusive::ExclusiveGuard;
pub use database::{Commit, Database};
pub use document::Document;
pub use error::{CommitError, DatabaseError, DeveloperError, DurabilityError, SystemError};
pub use freshet_store::{IndexId, Order, TableId};
pub use limits::{Budget, READ_HELP, TransactionLimits, Usage};
pub use namespace::Namespace;
pub use options::DatabaseOptions;
pub use query::Query;
pub use read_set::ReadSet;
pub use schema::SchemaEnforcer;
pub use statistics::{CacheStatistics, DatabaseStatistics};
pub use subscription::{Subscription, Waker};
pub use transaction::{
    IndexProgress, Page, PageRequest, PageStatus, StreamId, SystemAccess, Transaction, UserAccess,
};
pub use vectors::{VectorAnswer, VectorHit, VectorOptions, VectorQuery, VectorStatistics};

#[cfg(test)]
mod tests;
