//! Scheduled functions, as admins cancel and delete them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use freshet_functions::JobFilter;
use freshet_values::FunctionPath;
use serde::{Deserialize, Serialize};

use super::calls::Presented;
use crate::access::Operation;
use crate::edge::body::JsonBody;
use crate::edge::error::ApiError;
use crate::state::State;

/// Which job.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CancelBody {
    id: String,
    component_id: Option<String>,
}

/// Which jobs. Times are in nanoseconds since the Unix epoch; a job is meant from the first to before the second.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CancelAllBody {
    component_id: Option<String>,
    component_path: Option<String>,
    udf_path: Option<String>,
    start_next_ts: Option<Nanoseconds>,
    end_next_ts: Option<Nanoseconds>,
}

/// Whose jobs.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeleteBody {
    component_id: Option<String>,
}

/// How many jobs there were.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changed {
    jobs: u64,
}

/// A number, or its digits as text: JavaScript's numbers are not exact to the nanosecond.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Nanoseconds {
    Integer(i64),
    Float(f64),
    #[serde(deserialize_with = "digits")]
    Text(i64),
}

fn digits<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl Nanoseconds {
    fn get(self) -> i64 {
        match self {
            Nanoseconds::Integer(nanoseconds) | Nanoseconds::Text(nanoseconds) => nanoseconds,
            Nanoseconds::Float(nanoseconds) => nanoseconds as i64,
        }
    }
}

/// `POST /api/cancel_job`
pub(super) async fn cancel(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
    JsonBody { value: body, .. }: JsonBody<CancelBody>,
) -> Result<Json<Changed>, ApiError> {
    state.require_admin(&credentials, Operation::DATA_WRITE)?;
    check_component(body.component_id.as_deref())?;
    state.services.functions.cancel_scheduled(&body.id).await?;
    Ok(Json(Changed { jobs: 1 }))
}

/// `POST /api/cancel_all_jobs`
pub(super) async fn cancel_all(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
    JsonBody { value: body, .. }: JsonBody<CancelAllBody>,
) -> Result<Json<Changed>, ApiError> {
    state.require_admin(&credentials, Operation::DATA_WRITE)?;
    check_component(body.component_id.as_deref())?;
    if let Some(path) = body.component_path.filter(|path| !path.is_empty()) {
        return Err(unknown_component(&path));
    }
    let function = body.udf_path.map(|path| {
        path.parse::<FunctionPath>().map_err(|error| {
            ApiError::bad_request(
                "BadConvexFunctionIdentifier",
                format!("{path} is not the path of a function. {error}"),
            )
        })
    });
    let filter = JobFilter {
        function: function.transpose()?,
        due_from_ns: body.start_next_ts.map(Nanoseconds::get),
        due_before_ns: body.end_next_ts.map(Nanoseconds::get),
    };
    let jobs = state.services.functions.cancel_all_scheduled(filter).await?;
    Ok(Json(Changed { jobs }))
}

/// `POST /api/delete_scheduled_functions_table`
pub(super) async fn delete_all(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
    JsonBody { value: body, .. }: JsonBody<DeleteBody>,
) -> Result<Json<Changed>, ApiError> {
    state.require_admin(&credentials, Operation::DATA_WRITE)?;
    check_component(body.component_id.as_deref())?;
    let jobs = state.services.functions.delete_all_scheduled().await?;
    Ok(Json(Changed { jobs }))
}

fn check_component(id: Option<&str>) -> Result<(), ApiError> {
    id.map_or(Ok(()), |id| Err(unknown_component(id)))
}

fn unknown_component(name: &str) -> ApiError {
    ApiError::bad_request("ComponentNotFound", format!("There is no component '{name}'."))
}
