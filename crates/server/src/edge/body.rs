//! Request bodies: size limits after decompression, content types, and JSON into types.
//!
//! Nothing is buffered beyond the limit of its endpoint, whatever the compressed size claims.

use std::marker::PhantomData;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::de::DeserializeOwned;

use super::body_budget::{BodyBudget, BodyShare};
use super::error::ApiError;

/// How much of a body an endpoint takes, and how it refuses more.
pub(crate) trait BodyLimit: Send + Sync + 'static {
    /// Largest accepted body after decompression.
    const BYTES_MAX: usize;
    /// Status of the refusal.
    const TOO_LARGE: StatusCode = StatusCode::PAYLOAD_TOO_LARGE;
    /// Whether it counts towards the common budget. Pushes are bounded by their own number instead.
    const COUNTS: bool = true;
}

/// Small administrative requests: 2 MB.
pub(crate) enum Small {}
impl BodyLimit for Small {
    const BYTES_MAX: usize = 2_000_000;
}

/// Function calls: the arguments' own limit and some room for the path.
pub(crate) enum Call {}
impl BodyLimit for Call {
    const BYTES_MAX: usize = 16_777_216 + 2_000;
}

/// Pushed code. 400 rather than 413, because the command line repeats a push that failed with anything but 400.
pub(crate) enum Push {}
impl BodyLimit for Push {
    const BYTES_MAX: usize = 200_000_000;
    const TOO_LARGE: StatusCode = StatusCode::BAD_REQUEST;
    const COUNTS: bool = false;
}

/// `/echo`.
pub(crate) enum Echo {}
impl BodyLimit for Echo {
    const BYTES_MAX: usize = 134_217_728;
}

/// A refused client is still read this far, so that it gets to see the answer instead of a reset connection.
const DISCARDED_BYTES_MAX: usize = 200_000_000;
const DISCARD_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// A JSON body of type `T` within limit `L`.
pub(crate) struct JsonBody<T, L = Small> {
    /// The body.
    pub(crate) value: T,
    /// Held for as long as the request is worked on.
    _share: Option<BodyShare>,
    limit: PhantomData<L>,
}

impl<S: Send + Sync, T: DeserializeOwned, L: BodyLimit> FromRequest<S> for JsonBody<T, L> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if let Err(error) = require_json(request.headers()) {
            discard(request.into_body()).await;
            return Err(error);
        }
        let RawBody { bytes, _share, .. } = RawBody::<L>::read(request).await?;
        Ok(Self { value: parse_json(&bytes)?, _share, limit: PhantomData })
    }
}

/// The bytes of a body within limit `L`, decompressed.
pub(crate) struct RawBody<L> {
    /// The bytes.
    pub(crate) bytes: Bytes,
    /// Held for as long as the request is worked on.
    _share: Option<BodyShare>,
    limit: PhantomData<L>,
}

impl<L: BodyLimit> RawBody<L> {
    async fn read(request: Request) -> Result<Self, ApiError> {
        // The decompression layer removes the header of every coding that it undoes.
        if let Some(coding) = request.headers().get(header::CONTENT_ENCODING)
            && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            let message = format!(
                "Content-Encoding '{}' is not supported; use br, gzip, deflate or zstd.",
                String::from_utf8_lossy(coding.as_bytes())
            );
            discard(request.into_body()).await;
            return Err(ApiError::bad_request("BadContentEncoding", message));
        }
        let budget = request.extensions().get::<BodyBudget>().filter(|_| L::COUNTS);
        let mut share = budget.map(BodyBudget::share);
        let mut stream = request.into_body().into_data_stream();
        let mut read = BytesMut::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| {
                tracing::debug!(%error, "request body broke off");
                ApiError::bad_request("BadRequestBody", "The request body could not be read or decompressed.")
            })?;
            if read.len() + chunk.len() > L::BYTES_MAX {
                drop((read, chunk));
                discard(Body::from_stream(stream)).await;
                return Err(ApiError::new(
                    L::TOO_LARGE,
                    "RequestBodyTooLarge",
                    format!("The request body is too large (limit: {} bytes).", L::BYTES_MAX),
                ));
            }
            if let Some(Err(error)) = share.as_mut().map(|share| share.grow(chunk.len())) {
                drop((read, chunk));
                discard(Body::from_stream(stream)).await;
                return Err(error);
            }
            read.extend_from_slice(&chunk);
        }
        Ok(Self { bytes: read.freeze(), _share: share, limit: PhantomData })
    }
}

impl<S: Send + Sync, L: BodyLimit> FromRequest<S> for RawBody<L> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        Self::read(request).await
    }
}

/// Reads and drops what is left of a body.
pub(crate) async fn discard(body: Body) {
    let drain = async {
        let mut left = DISCARDED_BYTES_MAX;
        let mut stream = body.into_data_stream();
        while let Some(Ok(chunk)) = stream.next().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // A client that trickles its body has had its chance.
    drop(tokio::time::timeout(DISCARD_TIME_MAX, drain).await);
}

/// Parses JSON text.
///
/// # Errors
/// 400 `BadJsonBody`.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let kind = if error.is_data() {
            "Failed to deserialize the JSON body into the target type"
        } else {
            "Failed to parse the request body as JSON"
        };
        bad_json(format!("{kind}: {error}"))
    })
}

fn bad_json(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("BadJsonBody", message.into())
}

/// # Errors
/// 400 `BadJsonBody` unless the content type is JSON.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    if has_json_content_type(headers) {
        return Ok(());
    }
    Err(bad_json("Expected request with `Content-Type: application/json`"))
}

fn has_json_content_type(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}
