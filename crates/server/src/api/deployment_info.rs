//! What tools ask about the deployment before anything else.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};

use super::calls::Presented;
use crate::edge::error::ApiError;
use crate::state::State;

/// Names of what read-only keys may do.
const READ_ONLY_OPERATIONS: [&str; 10] = [
    "ViewEnvironmentVariables",
    "ViewLogs",
    "ViewMetrics",
    "ViewIntegrations",
    "ViewData",
    "ViewBackups",
    "DownloadBackups",
    "ViewAuditLog",
    "RunInternalQueries",
    "RunTestQuery",
];

/// `GET /api/check_admin_key`
pub(super) async fn check_admin_key(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
) -> Result<Json<Value>, ApiError> {
    let access = state.require_any_admin(&credentials)?;
    // An empty list means that everything is allowed.
    let allowed: &[&str] = if access.is_read_only() { &READ_ONLY_OPERATIONS } else { &[] };
    Ok(Json(json!({ "success": true, "allowedOps": allowed, "isReadOnly": access.is_read_only() })))
}

/// `GET /api/v1/get_canonical_urls`
pub(super) async fn canonical_urls(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
) -> Result<Json<Value>, ApiError> {
    state.require_any_admin(&credentials)?;
    Ok(Json(json!({
        "convexCloudUrl": state.config.api_origin,
        "convexSiteUrl": state.config.site_origin,
    })))
}

/// `GET /api/v1/deployment_info`
pub(super) async fn deployment_info(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
) -> Result<Json<Value>, ApiError> {
    state.require_any_admin(&credentials)?;
    Ok(Json(json!({ "kind": "selfHosted" })))
}
