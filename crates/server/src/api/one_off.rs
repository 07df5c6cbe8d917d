//! `POST /api/run_test_function`: a query that is not deployed, for `convex run --inline-query` and other tools of admins.

use std::sync::Arc;

use axum::Json;
use freshet_functions::{Caller, OneOffModule};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::call_format::CallAnswer;
use super::calls::{CallContext, Presented, text};
use crate::edge::body::{Call, JsonBody};
use crate::edge::credentials::Credentials;
use crate::edge::error::ApiError;

/// What to run.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OneOffBody {
    /// Instead of a header.
    admin_key: Option<String>,
    args: Option<Box<RawValue>>,
    format: Option<String>,
    component_id: Option<String>,
    bundle: Bundle,
}

#[derive(Deserialize)]
struct Bundle {
    path: String,
    source: String,
}

/// The endpoint. Queries only, so a key that may only look is enough.
pub(super) async fn run_test_function(
    Presented(credentials): Presented,
    mut context: CallContext,
    JsonBody { value: body, .. }: JsonBody<OneOffBody, Call>,
) -> Result<Json<CallAnswer>, ApiError> {
    let credentials = match (credentials, body.admin_key) {
        (Credentials::None, Some(key)) => Credentials::from_admin_key(&key)?,
        (credentials, _) => credentials,
    };
    context.state.require_any_admin(&credentials)?;
    context.visitor = Arc::new(context.state.identify(credentials).await?);
    if let Some(id) = body.component_id {
        return Err(ApiError::bad_request(
            "ComponentNotFound",
            format!("There is no component with the id '{id}'."),
        ));
    }
    let module = OneOffModule::new(&body.bundle.path, &body.bundle.source)
        .map_err(|error| ApiError::bad_request("BadOneOffModule", error.to_string()))?;
    let style = context.style(body.format.as_deref())?;
    let args = body.args.map_or_else(|| "{}".to_owned(), text);
    let call = context.call(module.function().clone(), args, Caller::Tester);
    let outcome = context.state.services.functions.one_off_query(call, module).await?;
    style.answer(context.request_id, outcome.result, &outcome.log_lines).map(Json)
}
