//! The table of endpoints below `/` and `/api`.

mod app_metrics;
mod call_format;
mod calls;
mod deploy;
mod deployment_info;
mod environment;
mod jobs;
mod logs;
mod meta;
mod metrics;
mod one_off;
mod planned;
mod storage;
mod tables;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tower_http::decompression::RequestDecompressionLayer;

use crate::edge::error::ApiError;
use crate::state::State;
use crate::sync;

/// Whether this path is asked by those who watch over the server.
pub(crate) fn is_health_check(path: &str) -> bool {
    matches!(path, "/version" | "/ready" | "/live" | "/metrics")
}

/// The endpoints of the port for those who watch over the server.
pub(crate) fn watch_router(state: Arc<State>) -> Router {
    Router::new()
        .route("/", get(meta::home))
        .route("/metrics", get(metrics::for_everybody))
        .route("/ready", get(meta::ready))
        .route("/live", get(meta::live))
        .route("/version", get(meta::version))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
}

/// Whether requests of this path take as long as their bodies do. They have limits of their own.
pub(crate) fn is_upload(path: &str) -> bool {
    path == storage::UPLOAD_PATH
}

/// All endpoints.
pub(crate) fn router(state: Arc<State>) -> Router {
    let meta = Router::new()
        .route("/", get(meta::home))
        .route("/version", get(meta::version))
        .route("/ready", get(meta::ready))
        .route("/live", get(meta::live))
        .route("/metrics", get(metrics::for_admins))
        .route("/instance_name", get(meta::instance_name))
        .route("/instance_version", get(meta::version))
        .route("/echo", post(meta::echo))
        .route("/api/debug_event", post(meta::debug_event));
    let calls = Router::new()
        .route("/api/query", post(calls::query).get(calls::query_by_get))
        .route("/api/query_ts", post(calls::query_ts))
        .route("/api/query_at_ts", post(calls::query_at_ts))
        .route("/api/query_batch", post(calls::query_batch))
        .route("/api/mutation", post(calls::mutation))
        .route("/api/action", post(calls::action))
        .route("/api/function", post(calls::function))
        .route("/api/run/{*identifier}", post(calls::run))
        .route("/api/run_test_function", post(one_off::run_test_function));
    let deploy = Router::new()
        .route("/api/get_config_hashes", post(deploy::get_config_hashes))
        .route("/api/deploy2/start_push", post(deploy::start_push))
        .route("/api/deploy2/evaluate_push", post(deploy::evaluate_push))
        .route("/api/deploy2/evaluate_schema", post(deploy::evaluate_schema))
        .route("/api/deploy2/wait_for_schema", post(deploy::wait_for_schema))
        .route("/api/deploy2/finish_push", post(deploy::finish_push))
        .route("/api/deploy2/report_push_completed", post(deploy::report_push_completed));
    let admin = Router::new()
        .route("/api/check_admin_key", get(deployment_info::check_admin_key))
        .route("/api/v1/get_canonical_urls", get(deployment_info::canonical_urls))
        .route("/api/v1/deployment_info", get(deployment_info::deployment_info))
        .route("/api/update_environment_variables", post(environment::update))
        .route("/api/v1/update_environment_variables", post(environment::update))
        .route("/api/list_environment_variables", get(environment::list))
        .route("/api/v1/list_environment_variables", get(environment::list))
        .route("/api/stream_function_logs", get(logs::stream_function_logs))
        .route("/api/app_metrics/stream_function_logs", get(logs::stream_function_logs))
        .route("/api/stream_udf_execution", get(logs::stream_udf_execution))
        .route("/api/app_metrics/stream_udf_execution", get(logs::stream_udf_execution))
        .route("/api/cancel_job", post(jobs::cancel))
        .route("/api/cancel_all_jobs", post(jobs::cancel_all))
        .route("/api/delete_scheduled_functions_table", post(jobs::delete_all))
        .route("/api/app_metrics/{name}", get(app_metrics::answer))
        .route("/api/shapes2", get(tables::shapes))
        .route("/api/get_indexes", get(tables::indexes));
    let sockets = Router::new()
        .route("/api/sync", get(sync::open_by_header))
        .route("/api/{version}/sync", get(sync::open_by_path));
    let files = Router::new()
        .route(storage::UPLOAD_PATH, post(storage::upload))
        .route("/api/storage/{id}", get(storage::download));
    let all = meta.merge(calls).merge(deploy).merge(admin).merge(sockets).merge(files);
    planned::add(all)
        .fallback(|| async { StatusCode::NOT_FOUND })
        .method_not_allowed_fallback(method_not_allowed)
        // What is compressed otherwise stays as it is, and the body reader refuses it with a JSON error.
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .with_state(state)
}

/// 405 does not make clients try again, as 404 would.
async fn method_not_allowed(request: axum::extract::Request) -> impl IntoResponse {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        format!("{} does not take {} requests.", request.uri().path(), request.method()),
    )
}
