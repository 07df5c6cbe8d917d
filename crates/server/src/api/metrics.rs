//! The page of metrics, at either of its places.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::calls::Presented;
use crate::access::Operation;
use crate::edge::error::ApiError;
use crate::metrics;
use crate::state::State;

/// `GET /metrics` on the API port: names of functions and how busy they are is nobody else's business.
pub(super) async fn for_admins(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
) -> Result<Response, ApiError> {
    state.require_admin(&credentials, Operation::METRICS_VIEW)?;
    if !state.config.metrics_endpoint {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    page(state).await
}

/// `GET /metrics` on the port that the operator opened for it.
pub(super) async fn for_everybody(Shared(state): Shared<Arc<State>>) -> Result<Response, ApiError> {
    page(state).await
}

async fn page(state: Arc<State>) -> Result<Response, ApiError> {
    let written = tokio::task::spawn_blocking(move || metrics::page(state)).await;
    match written {
        Ok(Ok(page)) => Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response()),
        failed => {
            tracing::error!(?failed, "the metrics could not be written");
            Err(ApiError::internal())
        }
    }
}
