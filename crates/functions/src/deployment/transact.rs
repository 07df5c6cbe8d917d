//! Short transactions of a push, on threads that may block.

use freshet_database::{CommitError, Database, DatabaseError, Transaction};
use freshet_values::Timestamp;

use super::error::PushError;

/// Runs before giving up on conflicts; competitors are other pushes and the schema worker, so a few are plenty.
const ATTEMPTS_MAX: usize = 20;

/// Reads something on the newest state.
pub(super) async fn read<T: Send + 'static>(
    database: &Database,
    work: impl FnOnce(&mut Transaction) -> Result<T, PushError> + Send + 'static,
) -> Result<T, PushError> {
    let database = database.clone();
    blocking(move || work(&mut begin(&database)?)).await
}

/// Runs `work` in a transaction, again after a conflict, and waits until the commit is durable.
pub(super) async fn write<T: Send + 'static>(
    database: &Database,
    work: impl Fn(&mut Transaction) -> Result<T, PushError> + Send + 'static,
) -> Result<T, PushError> {
    let committing = database.clone();
    let (value, ts) = blocking(move || attempt(&committing, &work)).await?;
    database.wait_durable(ts).await.map_err(|error| PushError::overloaded(error.to_string()))?;
    Ok(value)
}

fn attempt<T>(
    database: &Database,
    work: &dyn Fn(&mut Transaction) -> Result<T, PushError>,
) -> Result<(T, Timestamp), PushError> {
    for _ in 0..ATTEMPTS_MAX {
        let mut transaction = begin(database)?;
        let value = work(&mut transaction)?;
        match database.commit(transaction) {
            Ok(commit) => return Ok((value, commit.ts)),
            Err(CommitError::Conflict { .. }) => {}
            Err(CommitError::Database(error)) => return Err(error.into()),
            Err(error @ (CommitError::Overloaded | CommitError::ReadOnly(_))) => {
                return Err(PushError::overloaded(error.to_string()));
            }
        }
    }
    Err(PushError::overloaded("Other changes to the deployment keep getting in the way. Try again."))
}

fn begin(database: &Database) -> Result<Transaction, PushError> {
    database.begin().map_err(|error| DatabaseError::System(error).into())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PushError> + Send + 'static,
) -> Result<T, PushError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| PushError::internal(&error))?
}

impl From<DatabaseError> for PushError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Developer(error) => Self::bad_request(error.code, error.message),
            DatabaseError::System(error) => Self::internal(&error),
        }
    }
}
