//! `POST /api/storage/upload?token=…`: the body becomes a file.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freshet_functions::{FileHead, FileUpload};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::pace::Pace;
use crate::edge::body::discard;
use crate::edge::error::ApiError;
use crate::edge::query_args::parse_query;
use crate::state::State;

#[derive(Deserialize)]
struct UploadArgs {
    #[serde(default)]
    token: String,
}

/// See the module.
pub(in crate::api) async fn upload(
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let (parts, body) = request.into_parts();
    let mut body = body.into_data_stream();
    match receive(&state, &parts.uri, &parts.headers, &mut body).await {
        Ok(id) => Ok(Json(json!({ "storageId": id }))),
        Err(error) => {
            // Senders that are still sending would see a reset connection instead of the answer.
            discard(Body::from_stream(body)).await;
            Err(error)
        }
    }
}

async fn receive(
    state: &State,
    uri: &axum::http::Uri,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<String, ApiError> {
    let UploadArgs { token } = parse_query(uri)?;
    let functions = &state.services.functions;
    functions
        .check_upload_token(&token)
        .map_err(|error| ApiError::unauthenticated(error.code(), error.to_string()))?;
    let mut upload = functions.begin_upload(head(headers)?).await?;
    let mut pace = Pace::new(Instant::now());
    loop {
        let next = tokio::select! {
            next = timeout_at(pace.deadline(), body.next()) => next,
            () = state.stopping.cancelled() => return Err(shutting_down()),
        };
        match next {
            Ok(Some(Ok(bytes))) => {
                pace.arrived(Instant::now(), bytes.len());
                upload.write(bytes).await?;
            }
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "an upload broke off");
                return Err(ApiError::bad_request("BadRequestBody", "The file broke off before its end."));
            }
            Ok(None) => return finish(upload).await,
            Err(_elapsed) => {
                return Err(ApiError::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "UploadTooSlow",
                    "Next to nothing of the file arrived in half a minute, so the upload was given up.",
                ));
            }
        }
    }
}

/// Goes on when the client leaves, whose file has arrived.
async fn finish(upload: FileUpload) -> Result<String, ApiError> {
    let finished = tokio::spawn(upload.finish()).await;
    Ok(finished.map_err(|_panicked| ApiError::internal())??)
}

fn head(headers: &HeaderMap) -> Result<FileHead, ApiError> {
    let content_type = match headers.get(header::CONTENT_TYPE) {
        Some(value) => {
            let text = value.to_str().map_err(|_| bad_header("Content-Type", "it is not ASCII text"))?;
            (!text.is_empty()).then(|| text.to_owned())
        }
        None => None,
    };
    let size = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let sha256 =
        headers.get("digest").map(|value| sha256_of(value.to_str().unwrap_or_default())).transpose()?;
    Ok(FileHead { content_type, sha256, size })
}

/// The SHA-256 digest of a `Digest` header, which may have others too.
fn sha256_of(header: &str) -> Result<[u8; 32], ApiError> {
    let digests = header.split(',').filter_map(|part| part.trim().split_once('='));
    let mut sha256 = digests.filter(|(algorithm, _)| algorithm.eq_ignore_ascii_case("sha-256"));
    let (_, text) = sha256.next().ok_or_else(|| bad_header("Digest", "it has no sha-256=… digest"))?;
    let bytes =
        STANDARD.decode(text).map_err(|_| bad_header("Digest", "the SHA-256 digest is not base64"))?;
    bytes.try_into().map_err(|_| bad_header("Digest", "a SHA-256 digest has 32 bytes"))
}

fn bad_header(name: &str, reason: &str) -> ApiError {
    ApiError::bad_request("BadHeader", format!("The header {name} cannot be used: {reason}."))
}

fn shutting_down() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "ShuttingDown",
        "The server is shutting down. Send the file again later.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_header_needs_one_whole_sha256() {
        let digest = STANDARD.encode([5; 32]);
        assert_eq!(sha256_of(&format!("sha-256={digest}")).unwrap(), [5; 32]);
        assert_eq!(sha256_of(&format!("MD5=x, SHA-256={digest}")).unwrap(), [5; 32]);
        for bad in ["", "sha-256", "sha-256=", "sha-256=%", "sha-256=AAAA", "md5=AAAA"] {
            assert_eq!(sha256_of(bad).unwrap_err().code, "BadHeader", "{bad}");
        }
    }
}
