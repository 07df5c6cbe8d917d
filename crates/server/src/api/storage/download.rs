//! `GET` and `HEAD /api/storage/{uuid}`: a file, or a part of it. Whoever knows the address may have it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use freshet_functions::{CallError, FileBytes, OpenFile};
use futures::StreamExt;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use uuid::Uuid;

use super::range::{self, Part};
use crate::edge::error::ApiError;
use crate::edge::path_args::PathArgs;
use crate::edge::query_args::parse_query;
use crate::state::State;

/// A file never changes, so a month is as good as forever.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, max-age=2592000");
const DIGEST: HeaderName = HeaderName::from_static("digest");
/// A client that takes nothing for so long is cut.
const STALLED_MAX: Duration = Duration::from_secs(60);
/// Files up to this size are read at once and need no place among the downloads.
const SMALL_BYTES: u64 = 256 << 10;

#[derive(Deserialize)]
struct DownloadArgs {
    component: Option<String>,
}

/// See the module.
pub(in crate::api) async fn download(
    Shared(state): Shared<Arc<State>>,
    PathArgs(id): PathArgs<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let Ok(storage_id) = Uuid::try_parse(&id) else {
        return Err(ApiError::bad_request(
            "InvalidStoragePath",
            "The path of a file is /api/storage/ and a UUID, as `storage.getUrl()` returns it.",
        ));
    };
    let DownloadArgs { component } = parse_query(request.uri())?;
    let file = match component {
        // Files of components are not files of the app.
        Some(component) if !component.is_empty() => None,
        _ => state.services.functions.find_file(storage_id).await?,
    };
    let Some(file) = file else {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "FileNotFound",
            format!("File {storage_id} not found"),
        ));
    };
    let info = file.info();
    let etag = range::etag(&info.sha256);
    let part = range::wanted(request.headers(), &etag, info.size);
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), &file, &etag, &part);
    *response.status_mut() = match &part {
        Part::Whole => StatusCode::OK,
        Part::Some(_) => StatusCode::PARTIAL_CONTENT,
        Part::Unsatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        Part::NotModified => StatusCode::NOT_MODIFIED,
    };
    let bytes = match part {
        Part::Whole => 0..info.size,
        Part::Some(range) => range,
        Part::Unsatisfiable | Part::NotModified => return Ok(response),
    };
    if request.method() != Method::HEAD {
        *response.body_mut() = body(&state, &file, bytes).await?;
    }
    Ok(response)
}

fn describe(headers: &mut HeaderMap, file: &OpenFile, etag: &str, part: &Part) {
    let info = file.info();
    let value =
        |text: String| HeaderValue::try_from(text).expect("digits, base64 and quotes are header text");
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, value(etag.to_owned()));
    headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
    let length = match part {
        Part::Whole => {
            headers.insert(DIGEST, value(format!("sha-256={}", STANDARD.encode(info.sha256))));
            info.size
        }
        Part::Some(range) => {
            let text = format!("bytes {}-{}/{}", range.start, range.end - 1, info.size);
            headers.insert(header::CONTENT_RANGE, value(text));
            range.end - range.start
        }
        Part::Unsatisfiable => {
            // An error is no file.
            headers.remove(header::CACHE_CONTROL);
            headers.remove(header::ETAG);
            headers.insert(header::CONTENT_RANGE, value(format!("bytes */{}", info.size)));
            0
        }
        Part::NotModified => return,
    };
    headers.insert(header::CONTENT_LENGTH, length.into());
    let content_type = info.content_type.as_deref().map(HeaderValue::from_str);
    if let Some(Ok(content_type)) = content_type
        && *part != Part::Unsatisfiable
    {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
}

async fn body(state: &State, file: &OpenFile, bytes: std::ops::Range<u64>) -> Result<Body, ApiError> {
    if bytes.is_empty() {
        return Ok(Body::empty());
    }
    if bytes.end - bytes.start <= SMALL_BYTES {
        return Ok(Body::from(collect(file.read(bytes).await?).await?));
    }
    let place = state.downloads.enter().await?;
    let (sender, mut receiver) = mpsc::channel(1);
    let pieces = file.read(bytes).await?;
    state.tasks.spawn(send(pieces, sender, place));
    let pieces = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
    Ok(Body::from_stream(pieces))
}

async fn collect(mut pieces: FileBytes) -> Result<Bytes, ApiError> {
    let mut first = Bytes::new();
    let mut rest: Option<Vec<u8>> = None;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&piece),
            None if first.is_empty() => first = piece,
            None => rest = Some([&first[..], &piece[..]].concat()),
        }
    }
    Ok(rest.map_or(first, Bytes::from))
}

/// Passes a file on, piece by piece, for as long as the client takes them. The place is held until then.
async fn send(
    mut pieces: FileBytes,
    client: mpsc::Sender<Result<Bytes, CallError>>,
    place: OwnedSemaphorePermit,
) {
    while let Some(piece) = pieces.next().await {
        let failed = piece.is_err();
        if client.send_timeout(piece, STALLED_MAX).await.is_err() || failed {
            break;
        }
    }
    drop(place);
}
