//! The push: new code, schema and indexes from the command line.
//!
//! The key comes in the `Authorization` header or in the body. With a header it is checked before the body is read;
//! without one, the body (up to 200 MB) has to be read to find it, which is why only few are read at once.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use freshet_functions::deployment::PushError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;

use crate::access::Operation;
use crate::edge::body::{Push, RawBody, discard, parse_json, require_json};
use crate::edge::credentials::Credentials;
use crate::edge::error::ApiError;
use crate::state::State;

/// The body of a push endpoint, from somebody who may push.
struct PushBody {
    bytes: Bytes,
    /// Held while the body is in memory.
    _place: OwnedSemaphorePermit,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyInBody {
    admin_key: Option<String>,
}

impl PushBody {
    async fn receive(state: &State, request: Request) -> Result<Self, ApiError> {
        let presented = Credentials::from_request(request.headers(), request.uri().query())?;
        let checked = match &presented {
            Credentials::None => None,
            _ => Some(state.require_admin(&presented, Operation::DEPLOY)),
        };
        if let Some(Err(error)) = checked {
            discard(request.into_body()).await;
            return Err(error);
        }
        if let Err(error) = require_json(request.headers()) {
            discard(request.into_body()).await;
            return Err(error);
        }
        let place = state.pushes.enter().await?;
        let bytes = RawBody::<Push>::from_request(request, &()).await?.bytes;
        if checked.is_none() {
            let key: KeyInBody = parse_json(&bytes)?;
            let credentials = match key.admin_key {
                Some(key) => Credentials::from_admin_key(&key)?,
                None => Credentials::None,
            };
            state.require_admin(&credentials, Operation::DEPLOY)?;
        }
        Ok(Self { bytes, _place: place })
    }

    /// Parses on a thread that may block: megabytes of JSON take a while.
    async fn parse<T: DeserializeOwned + Send + 'static>(
        self,
    ) -> Result<(T, OwnedSemaphorePermit), ApiError> {
        let Self { bytes, _place: place } = self;
        let parsed = tokio::task::spawn_blocking(move || parse_json::<T>(&bytes)).await;
        match parsed {
            Ok(parsed) => Ok((parsed?, place)),
            Err(error) => {
                tracing::error!(%error, "parsing a push body panicked");
                Err(ApiError::internal())
            }
        }
    }
}

impl From<PushError> for ApiError {
    fn from(error: PushError) -> Self {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, error.code, error.message)
    }
}

/// `POST /api/get_config_hashes`
pub(super) async fn get_config_hashes(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Response, ApiError> {
    PushBody::receive(&state, request).await?;
    Ok(Json(state.services.deployment.get_config_hashes().await?).into_response())
}

/// `POST /api/deploy2/start_push`
pub(super) async fn start_push(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (body, _place) = PushBody::receive(&state, request).await?.parse().await?;
    Ok(Json(state.services.deployment.start_push(body).await?).into_response())
}

/// `POST /api/deploy2/evaluate_push`
pub(super) async fn evaluate_push(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (body, _place) = PushBody::receive(&state, request).await?.parse().await?;
    Ok(Json(state.services.deployment.evaluate_push(body).await?).into_response())
}

/// `POST /api/deploy2/evaluate_schema`
pub(super) async fn evaluate_schema(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (body, _place) = PushBody::receive(&state, request).await?.parse().await?;
    Ok(Json(state.services.deployment.evaluate_schema(body).await?).into_response())
}

/// `POST /api/deploy2/wait_for_schema`: held until there is something to say. The body is small and its place is
/// given back before the waiting begins.
pub(super) async fn wait_for_schema(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (body, place) = PushBody::receive(&state, request).await?.parse().await?;
    drop(place);
    tokio::select! {
        answer = state.services.deployment.wait_for_schema(body) => Ok(Json(answer?).into_response()),
        () = state.stopping.cancelled() => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ShuttingDown",
            "The server is shutting down. Try again later.",
        )),
    }
}

/// `POST /api/deploy2/finish_push`
pub(super) async fn finish_push(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (body, _place) = PushBody::receive(&state, request).await?.parse().await?;
    Ok(Json(state.services.deployment.finish_push(body).await?).into_response())
}

/// `POST /api/deploy2/report_push_completed`: the client's own timings. Nothing depends on them.
pub(super) async fn report_push_completed(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Response, ApiError> {
    PushBody::receive(&state, request).await?;
    Ok(Json(serde_json::Value::Null).into_response())
}
