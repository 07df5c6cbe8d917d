//! WebSockets: the driver around the sync crate's state machine.
//!
//! The state machine decides what happens and in which order; everything here carries it out: frames, timers,
//! function calls, subscriptions. Nothing here knows what a frame says.

mod backlog;
mod compute;
mod connection;
mod identity;
mod own_mutations;
pub(crate) mod printing;
mod requests;
mod socket;
mod upgrade;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use freshet_sync::ClientVersion;

pub(crate) use self::backlog::Backlog;
use crate::edge::client_version;
use crate::edge::error::ApiError;
use crate::edge::path_args::PathArgs;
use crate::state::{ClientAddress, State};

/// `GET /api/sync`: clients that name themselves in a header.
pub(crate) async fn open_by_header(
    Shared(state): Shared<Arc<State>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    open(state, None, request)
}

/// `GET /api/{version}/sync`: browsers, which cannot set headers. A segment that is no version is an unknown one.
pub(crate) async fn open_by_path(
    Shared(state): Shared<Arc<State>>,
    PathArgs(version): PathArgs<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    open(state, Some(&version), request)
}

fn open(state: Arc<State>, segment: Option<&str>, request: Request<Body>) -> Result<Response, ApiError> {
    let header = request.headers().get(client_version::HEADER).and_then(|value| value.to_str().ok());
    let client = ClientVersion::from_request(segment, header);
    client_version::check_supported(&client)?;
    let address =
        request.extensions().get::<ClientAddress>().map(|address| address.0.ip().to_string().into());
    let metadata = requests::metadata(&request, address);
    let Ok(place) = Arc::clone(&state.sockets).try_acquire_owned() else {
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "TooManyConnections",
            format!("This server holds {} WebSockets at once.", state.config.limits.sockets_max),
        ));
    };
    let (response, socket) =
        upgrade::Handshake::check(request, state.config.compression)?.accept(Arc::clone(&state.backlog));
    state.tasks.clone().spawn(async move {
        if let Some(socket) = socket.await {
            state.meters.sockets_opened.increment();
            // Boxed, so that a handshake that never ends does not take the room of a connection.
            Box::pin(connection::run(state, client, metadata, socket)).await;
        }
        drop(place);
    });
    Ok(response.into_response())
}
