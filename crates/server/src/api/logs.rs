//! Following the executions of functions.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use freshet_functions::RequestId;
use freshet_functions::log_stream::{LineFormat, LogPage};
use serde::Deserialize;

use super::calls::Presented;
use crate::access::Operation;
use crate::edge::client_version;
use crate::edge::error::ApiError;
use crate::edge::query_args::QueryArgs;
use crate::state::State;

/// How long a poll without news is held. Shorter than the idle limits of common proxies.
const POLL_TIME: Duration = Duration::from_secs(55);

/// Where a reader stands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reader {
    #[serde(default)]
    cursor: f64,
    session_id: Option<String>,
    client_request_counter: Option<u64>,
}

impl Reader {
    /// With both halves of a WebSocket request's name, only that request is followed.
    fn request_id(&self) -> Option<String> {
        let (session, counter) = (self.session_id.as_deref()?, self.client_request_counter?);
        Some(RequestId::of_session_request(session, counter).to_string())
    }
}

/// `GET /api/stream_function_logs`: completions and progress of running actions.
pub(super) async fn stream_function_logs(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
    headers: HeaderMap,
    QueryArgs(reader): QueryArgs<Reader>,
) -> Result<Json<LogPage>, ApiError> {
    state.require_admin(&credentials, Operation::LOGS_VIEW)?;
    let client = client_version::of_headers(&headers)?;
    let format = if client_version::wants_structured_logs(&client) {
        LineFormat::Structured
    } else {
        LineFormat::Text
    };
    Ok(Json(poll(&state, &reader, format).await))
}

/// `GET /api/stream_udf_execution`: completions only, lines as text.
pub(super) async fn stream_udf_execution(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
    QueryArgs(reader): QueryArgs<Reader>,
) -> Result<Json<LogPage>, ApiError> {
    state.require_admin(&credentials, Operation::LOGS_VIEW)?;
    let mut page = poll(&state, &reader, LineFormat::Text).await;
    page.entries.retain(|entry| entry["kind"] == "Completion");
    Ok(Json(page))
}

async fn poll(state: &State, reader: &Reader, format: LineFormat) -> LogPage {
    let request_id = reader.request_id();
    let logs = &state.services.logs;
    tokio::select! {
        page = logs.poll(reader.cursor, POLL_TIME, format, request_id.as_deref()) => page,
        // Readers come back; they must not hold up the shutdown.
        () = state.stopping.cancelled() => logs.read(reader.cursor, format, request_id.as_deref()),
    }
}
