//! HTTP requests for the app's own router.
//!
//! Bodies stream both ways, chunk by chunk. Nothing is added to the app's answers: no cross-origin headers, no
//! automatic answer to OPTIONS.

mod head;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use freshet_functions::{HttpActionAnswer, HttpActionRequest};
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::edge::error::ApiError;
use crate::edge::request_ids;
use crate::state::{ClientAddress, State};

/// Chunks of a request body that wait for the function. A slow function slows its client down.
const BODY_CHUNKS_MAX: usize = 8;

/// Runs the router for `path`, the request's path as the app knows it.
pub(crate) async fn serve(state: &Arc<State>, path: &str, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let url = head::url(&parts, path, &state.config.site_origin);
    let has_body = !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let action = HttpActionRequest {
        method: parts.method.as_str().to_owned(),
        url,
        routed_path: path.to_owned(),
        headers: head::headers(&parts.headers),
        body: has_body.then(|| stream_request_body(state, body)),
        request_id: request_ids::of(&parts.extensions),
        ip: parts.extensions.get::<ClientAddress>().map(|address| address.0.ip().to_string().into()),
    };
    // When the client leaves, this future is dropped, and with it everything that the call waits on.
    match state.services.functions.http_action(action).await {
        Ok(answer) if parts.method == Method::HEAD => without_body(state, answer),
        Ok(answer) => {
            let HttpActionAnswer { status, headers, body } = answer;
            let chunks = futures::stream::unfold(body, |mut body| async move {
                body.recv().await.map(|chunk| (Ok::<_, std::convert::Infallible>(chunk), body))
            });
            head::response(status, headers, Body::from_stream(chunks))
        }
        Err(error) => ApiError::from(error).into_response(),
    }
}

/// Hands the request's body to the function as it arrives.
fn stream_request_body(state: &State, body: Body) -> mpsc::Receiver<Result<Bytes, String>> {
    let (sender, receiver) = mpsc::channel(BODY_CHUNKS_MAX);
    state.tasks.spawn(async move {
        let mut chunks = body.into_data_stream();
        loop {
            let chunk = tokio::select! {
                // The function has read enough, or is over.
                () = sender.closed() => return,
                chunk = chunks.next() => chunk,
            };
            let Some(chunk) = chunk else { return };
            let broken = chunk.is_err();
            let chunk = chunk.map_err(|error| format!("The client ended the request: {error}"));
            if sender.send(chunk).await.is_err() || broken {
                return;
            }
        }
    });
    receiver
}

/// The head alone. The body is still read to its end, because dropping it would mean that the client left.
fn without_body(state: &State, answer: HttpActionAnswer) -> Response {
    let HttpActionAnswer { status, headers, mut body } = answer;
    state.tasks.spawn(async move { while body.recv().await.is_some() {} });
    head::response(status, headers, Body::empty())
}
