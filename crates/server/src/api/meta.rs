//! Who and what is answering: version, name, readiness, echo.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::edge::body::{Echo, RawBody};
use crate::edge::error::ApiError;
use crate::state::State;

/// `GET /`
pub(super) async fn home(Shared(state): Shared<Arc<State>>) -> String {
    format!("This is the Freshet instance '{}'. It is running.\n", state.config.instance_name)
}

/// `GET /version` and `GET /instance_version`
pub(super) async fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// `GET /instance_name`
pub(super) async fn instance_name(Shared(state): Shared<Arc<State>>) -> String {
    state.config.instance_name.to_string()
}

/// `GET /ready`: 200 while requests are welcome; 503 once shutdown began or the database cannot be written, so that a
/// load balancer stops sending. Functions in quarantine are named: they fail, and everything else works.
pub(super) async fn ready(Shared(state): Shared<Arc<State>>) -> Result<String, ApiError> {
    if state.stopping.is_cancelled() {
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ShuttingDown",
            "The server is shutting down. Try again later.",
        ));
    }
    if let Some(failure) = state.services.database.failure() {
        tracing::warn!(%failure, "not ready: the database takes no writes");
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "DatabaseReadOnly",
            format!("The database takes no writes for now: {failure}"),
        ));
    }
    let mut text = "ready".to_owned();
    for entry in state.services.functions.quarantine().list() {
        text += &format!(
            "\nin quarantine since the server ended while it ran: {} ({})",
            entry.function, entry.how
        );
    }
    Ok(text)
}

/// `GET /live`: 200 for as long as the engine answers at all. A full disk is no reason to restart it.
pub(super) async fn live() -> &'static str {
    "live"
}

/// `POST /echo`: the body as it came.
pub(super) async fn echo(headers: HeaderMap, body: RawBody<Echo>) -> Response {
    let mut response = body.bytes.into_response();
    if let Some(content_type) = headers.get(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
    }
    response
}

/// `POST /api/debug_event`: clients report long disconnects. Read and dropped.
pub(super) async fn debug_event(_body: RawBody<crate::edge::body::Small>) {}
