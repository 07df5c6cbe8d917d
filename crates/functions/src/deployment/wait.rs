//! Waiting until a submitted schema has been checked and its indexes are built.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use freshet_database::schema::{self, SchemaRow, SchemaState};
use freshet_database::{Database, Namespace, ReadSet, Transaction};
use freshet_values::Timestamp;
use tokio::sync::Notify;

use super::error::PushError;
use super::request::WaitForSchemaRequest;
use super::response::{SchemaProgress, SchemaStatus};
use super::start::APP;
use super::{Deployment, transact};

/// How long an answer is held back when the client does not say.
const WAIT_TIME_DEFAULT: Duration = Duration::from_secs(10);
/// The longest time that an answer is held back. Clients show progress only from answers and ask for ten seconds, in which
/// most checks are over; they ask again at once, so this is also what keeps them from doing so in a loop.
const WAIT_TIME_MAX: Duration = Duration::from_secs(2);

impl Deployment {
    /// Answers as soon as the schema is settled, or with its progress when the client's time is up.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn wait_for_schema(&self, request: WaitForSchemaRequest) -> Result<SchemaStatus, PushError> {
        let wait = request.timeout_ms.map_or(WAIT_TIME_DEFAULT, Duration::from_millis).min(WAIT_TIME_MAX);
        let deadline = tokio::time::Instant::now() + wait;
        let ids = request.schema_change.schema_ids;
        if let Some(path) = ids.keys().find(|path| path.as_str() != APP) {
            return Err(PushError::bad_request(
                "ComponentPathNotFound",
                format!("Component path '{path}' not found"),
            ));
        }
        let Some(id) = ids.into_values().flatten().next() else { return Ok(SchemaStatus::Complete) };
        loop {
            let id = id.clone();
            let (status, reads, ts) = transact::read(&self.inner.database, move |transaction| {
                let status = status(transaction, &id)?;
                Ok((status, Arc::new(transaction.read_set().clone()), transaction.snapshot_ts()))
            })
            .await?;
            if !matches!(status, SchemaStatus::InProgress { .. }) {
                return Ok(status);
            }
            if !changed(&self.inner.database, reads, ts, deadline).await {
                return Ok(status);
            }
        }
    }
}

/// Waits until something that was read changes; `false` when the time was up before.
async fn changed(
    database: &Database,
    reads: Arc<ReadSet>,
    ts: Timestamp,
    deadline: tokio::time::Instant,
) -> bool {
    let notify = Arc::new(Notify::new());
    let waker = {
        let notify = notify.clone();
        Arc::new(move || notify.notify_one())
    };
    let subscription = database.subscribe(reads, ts, waker);
    if !subscription.is_valid() {
        return tokio::time::Instant::now() < deadline;
    }
    tokio::time::timeout_at(deadline, notify.notified()).await.is_ok()
}

fn status(transaction: &mut Transaction, id: &str) -> Result<SchemaStatus, PushError> {
    let parsed = id.parse().map_err(|error| {
        PushError::bad_request("InvalidSchemaId", format!("Unknown schema {id}: {error}"))
    })?;
    let Some(row) = schema::get(transaction, Namespace::ROOT, parsed)? else {
        // Rows of schemas that were replaced are removed after a while.
        return Ok(SchemaStatus::RaceDetected);
    };
    let SchemaRow { state, .. } = &row;
    let complete = match state {
        SchemaState::Failed { error, table_name } => {
            return Ok(SchemaStatus::Failed {
                error: error.clone(),
                component_path: APP.to_owned(),
                table_name: table_name.clone(),
            });
        }
        SchemaState::Overwritten => return Ok(SchemaStatus::RaceDetected),
        SchemaState::Pending => false,
        SchemaState::Validated | SchemaState::Active => true,
    };
    let definition = schema::definition(&row).map_err(|error| PushError::internal(&error))?;
    let (indexes_complete, indexes_total) =
        schema::index_progress(transaction, Namespace::ROOT, &definition)?;
    if complete && indexes_complete == indexes_total {
        return Ok(SchemaStatus::Complete);
    }
    let progress = SchemaProgress { schema_validation_complete: complete, indexes_complete, indexes_total };
    Ok(SchemaStatus::InProgress { components: BTreeMap::from([(APP.to_owned(), progress)]) })
}
