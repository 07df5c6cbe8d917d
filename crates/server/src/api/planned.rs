//! Endpoints that this server does not offer yet.
//!
//! They must not answer 404: clients take that for a server that is still starting and try again for a minute.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;

use crate::edge::body::discard;
use crate::edge::error::ApiError;
use crate::state::State;

const PATHS: [&str; 26] = [
    "/api/import/{*rest}",
    "/api/export/{*rest}",
    "/api/list_snapshot",
    "/api/document_deltas",
    "/api/json_schemas",
    "/api/get_table_column_names",
    "/api/test_streaming_export_connection",
    "/api/v1/data/{*rest}",
    "/api/data_sync_cursor_from_deltas",
    "/api/streaming_import/{*rest}",
    "/api/delete_component",
    "/api/delete_tables",
    "/api/update_canonical_url",
    "/api/v1/update_canonical_url",
    "/api/v1/pause_deployment",
    "/api/v1/unpause_deployment",
    "/api/v1/list_audit_log_events",
    "/api/v1/list_usage_limits",
    "/api/v1/get_current_usage",
    "/api/v1/create_usage_limit",
    "/api/v1/update_usage_limit",
    "/api/v1/delete_usage_limit",
    "/api/push_config",
    "/api/prepare_schema",
    "/api/schema_state/{id}",
    "/api/get_config",
];

/// Adds the endpoints.
pub(super) fn add(router: Router<Arc<State>>) -> Router<Arc<State>> {
    PATHS.into_iter().fold(router, |router, path| router.route(path, any(not_offered)))
}

async fn not_offered(request: Request) -> ApiError {
    let path = request.uri().path().to_owned();
    // Uploads are read to their end, or their senders would see a reset connection instead of this answer.
    discard(request.into_body()).await;
    not_offered_error(&format!("{path} is not available"))
}

/// The refusal of something that a later version will offer.
pub(super) fn not_offered_error(what: &str) -> ApiError {
    ApiError::bad_request(
        "NotSupportedByServer",
        format!("{what} on this server: it is not implemented yet."),
    )
}
