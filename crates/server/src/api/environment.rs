//! The deployment's environment variables.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use freshet_functions::environment::{ListVariablesResponse, UpdateVariablesRequest};

use super::calls::Presented;
use crate::access::Operation;
use crate::edge::body::JsonBody;
use crate::edge::error::ApiError;
use crate::state::State;

/// `POST /api/update_environment_variables`: all changes or none.
pub(super) async fn update(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
    JsonBody { value: body, .. }: JsonBody<UpdateVariablesRequest>,
) -> Result<(), ApiError> {
    state.require_admin(&credentials, Operation::ENV_WRITE)?;
    Ok(state.services.deployment.update_environment_variables(body).await?)
}

/// `GET /api/v1/list_environment_variables`
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
) -> Result<Json<ListVariablesResponse>, ApiError> {
    state.require_admin(&credentials, Operation::ENV_VIEW)?;
    Ok(Json(state.services.deployment.list_environment_variables().await?))
}
