//! Beginning transactions, and short ones of the server itself: for host calls of actions, and for the scheduler.

use std::sync::Arc;

use freshet_database::{CommitError, DatabaseError, DurabilityError, Namespace, NamespaceNames, Transaction};
use freshet_values::Timestamp;

use crate::call_error::{CallError, ErrorClass};
use crate::services::Services;
use crate::syscalls::{Fault, system_failure};

/// Begins a read-write transaction on the newest state. An exclusive one waits for its turn, and then meets no conflict.
pub(crate) fn begin(services: &Services, exclusive: bool) -> Result<Transaction, CallError> {
    // The token first: the snapshot must not be older than the last competing commit.
    let guard = exclusive.then(|| services.database.exclusive()).transpose().map_err(commit_failure)?;
    let mut transaction = services.database.begin().map_err(system_failure)?;
    if let Some(guard) = guard {
        transaction.hold(guard);
    }
    Ok(transaction)
}

/// The app's tables by number, for ids in arguments and results.
pub(crate) fn table_names(transaction: &Transaction) -> NamespaceNames<'_> {
    transaction.catalog().names(Namespace::ROOT)
}

/// Begins a transaction that only reads, on the newest state or an earlier one.
pub(crate) fn begin_query(services: &Services, at: Option<Timestamp>) -> Result<Transaction, CallError> {
    match at {
        None => services.database.begin().map_err(system_failure),
        Some(ts) => services.database.begin_at(ts).map_err(system_failure),
    }
}

/// Runs `work` in a transaction and commits it; again from the start after a conflict, the last times without
/// competition. Blocks a thread of the blocking pool meanwhile. Returns the commit, which may not be durable yet.
pub(crate) async fn write<T: Send + 'static>(
    services: &Arc<Services>,
    work: impl Fn(&mut Transaction) -> Result<T, Fault> + Send + 'static,
) -> Result<(T, Timestamp), Fault> {
    let services = services.clone();
    tokio::task::spawn_blocking(move || write_blocking(&services, &work))
        .await
        .map_err(|error| CallError::internal(&error))?
}

/// As [`write`], for work of the server's own, whose failures are never those of user code. Returns when the commit is
/// durable.
pub(crate) async fn write_durably<T: Send + 'static>(
    services: &Arc<Services>,
    work: impl Fn(&mut Transaction) -> Result<T, Fault> + Send + 'static,
) -> Result<T, CallError> {
    let (value, ts) = write(services, work).await.map_err(|fault| match fault {
        Fault::System(error) => error,
        Fault::Developer { message, .. } => CallError::internal(&message),
    })?;
    services.database.wait_durable(ts).await.map_err(|error| durability_failure(&error))?;
    Ok(value)
}

fn write_blocking<T>(
    services: &Services,
    work: &dyn Fn(&mut Transaction) -> Result<T, Fault>,
) -> Result<(T, Timestamp), Fault> {
    let mut conflicts = 0;
    loop {
        let mut transaction = begin(services, conflicts >= services.limits.conflicts_before_exclusive)?;
        let value = work(&mut transaction)?;
        match services.database.commit(transaction) {
            Ok(commit) => return Ok((value, commit.ts)),
            Err(CommitError::Conflict { .. }) => conflicts += 1,
            Err(CommitError::Database(DatabaseError::Developer(error))) => return Err(error.into()),
            Err(error) => return Err(Fault::System(commit_failure(error))),
        }
    }
}

/// The caller's view of a commit that was undone because it could not be stored.
pub(crate) fn durability_failure(error: &DurabilityError) -> CallError {
    let code = match error {
        DurabilityError::NotStored(_) => "DatabaseReadOnly",
        // A crash may bring it back, so this must not be taken for "it did not happen".
        DurabilityError::Unknown(_) => "CommitFateUnknown",
    };
    CallError::new(ErrorClass::Overloaded, code, error.to_string())
}

/// The caller's view of a commit that did not happen.
pub(crate) fn commit_failure(error: CommitError) -> CallError {
    match error {
        CommitError::Conflict { .. } => {
            CallError::new(ErrorClass::Overloaded, "OptimisticConcurrencyControlFailure", error.to_string())
        }
        CommitError::Overloaded => {
            CallError::new(ErrorClass::Overloaded, "CommitterOverloaded", error.to_string())
        }
        CommitError::ReadOnly(_) => {
            CallError::new(ErrorClass::Overloaded, "DatabaseReadOnly", error.to_string())
        }
        CommitError::Database(DatabaseError::System(error)) => system_failure(error),
        CommitError::Database(DatabaseError::Developer(error)) => CallError::internal(&error),
    }
}
