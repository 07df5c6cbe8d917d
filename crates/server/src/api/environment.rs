//! The deployment's environment variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use freshet_functions::environment::VariableChange;
use serde::{Deserialize, Serialize};

use super::calls::Presented;
use crate::access::Operation;
use crate::edge::body::JsonBody;
use crate::edge::error::ApiError;
use crate::state::State;

/// Changes that are made together or not at all.
#[derive(Deserialize)]
pub(super) struct Changes {
    changes: Vec<Change>,
}

/// One variable; `value` null removes it.
#[derive(Deserialize)]
struct Change {
    name: String,
    value: Option<String>,
}

/// All variables.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Variables {
    environment_variables: BTreeMap<String, String>,
}

/// `POST /api/update_environment_variables`
pub(super) async fn update(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
    JsonBody { value: body, .. }: JsonBody<Changes>,
) -> Result<(), ApiError> {
    state.require_admin(&credentials, Operation::ENV_WRITE)?;
    let changes =
        body.changes.into_iter().map(|Change { name, value }| VariableChange { name, value }).collect();
    Ok(state.services.environment.update(changes).await?)
}

/// `GET /api/v1/list_environment_variables`
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
) -> Result<Json<Variables>, ApiError> {
    state.require_admin(&credentials, Operation::ENV_VIEW)?;
    Ok(Json(Variables { environment_variables: state.services.environment.list().await? }))
}
