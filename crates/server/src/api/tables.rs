//! Tables and indexes, as tools look at them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use freshet_database::catalog::{IndexSpec, IndexState, TableState};
use freshet_database::{IndexProgress, Namespace, Transaction};
use serde_json::{Value, json};

use super::calls::Presented;
use crate::access::Operation;
use crate::edge::error::ApiError;
use crate::state::State;

/// `GET /api/shapes2`: what the documents of each table look like. Shapes are not tracked, which clients understand as
/// "anything".
pub(super) async fn shapes(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
) -> Result<Json<Value>, ApiError> {
    state.require_admin(&credentials, Operation::DATA_VIEW)?;
    let shapes: BTreeMap<String, Value> = look(&state, |transaction| {
        let active = transaction.catalog().tables().filter(|table| {
            table.namespace == Namespace::ROOT
                && table.state == TableState::Active
                && !table.name.is_system()
        });
        active.map(|table| (table.name.to_string(), json!({ "type": "Unknown" }))).collect()
    })
    .await?;
    Ok(Json(json!(shapes)))
}

/// `GET /api/get_indexes`: declared indexes, those still being built included.
pub(super) async fn indexes(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
) -> Result<Json<Value>, ApiError> {
    state.require_admin(&credentials, Operation::DATA_VIEW)?;
    let indexes: Vec<Value> = look(&state, |transaction| {
        let all = transaction.index_states(Namespace::ROOT);
        all.iter().filter(|index| !index.table.is_system()).map(describe).collect()
    })
    .await?;
    Ok(Json(json!({ "indexes": indexes })))
}

fn describe(progress: &IndexProgress) -> Value {
    let index = &progress.index;
    let fields = match &index.spec {
        IndexSpec::Database { fields } => {
            let declared = fields.iter().map(ToString::to_string);
            json!(declared.chain(["_creationTime".to_owned()]).collect::<Vec<_>>())
        }
        IndexSpec::Search { search_field, filter_fields } => {
            json!({ "searchField": search_field, "filterFields": filter_fields })
        }
        IndexSpec::Vector { vector_field, dimensions, filter_fields } => {
            json!({ "vectorField": vector_field, "dimensions": dimensions, "filterFields": filter_fields })
        }
    };
    let backfill = if index.state == IndexState::Backfilling { "in_progress" } else { "done" };
    json!({
        "table": progress.table,
        "name": index.name,
        "fields": fields,
        "backfill": { "state": backfill },
        "staged": index.staged,
    })
}

/// Reads the newest snapshot on a thread that may block.
async fn look<T: Send + 'static>(
    state: &State,
    read: impl FnOnce(&Transaction) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let database = state.services.database.clone();
    tokio::task::spawn_blocking(move || read(&database.begin())).await.map_err(|error| {
        tracing::error!(%error, "reading the catalog panicked");
        ApiError::internal()
    })
}
