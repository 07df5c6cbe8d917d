//! The way of every request: which door it came through, whether there is room for it, and what is recorded of it.
//!
//! HTTP actions leave the common path early: they get no cross-origin headers, no time limit and no body limit here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::uri::PathAndQuery;
use axum::http::{Method, Request, Uri};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::Instrument;

use crate::api;
use crate::config::ServerConfig;
use crate::edge::admission::{Admission, request_timeout};
use crate::edge::body_budget::BodyBudget;
use crate::edge::cors::Cors;
use crate::edge::credentials::Credentials;
use crate::edge::error::ApiError;
use crate::edge::forwarded;
use crate::edge::rate_limit::RateLimit;
use crate::edge::request_ids;
use crate::http_actions;
use crate::services::Services;
use crate::state::{ClientAddress, State};

/// The listener that a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The API port.
    Api,
    /// The HTTP actions port: every path means `/http` plus that path.
    Site,
    /// The port for those who watch over the server: metrics and health, without keys.
    Watch,
}

/// Routes requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    state: Arc<State>,
    api: Router,
    watch: Router,
    requests: Admission,
    bodies: BodyBudget,
    rate_limit: Option<Arc<RateLimit>>,
}

impl Dispatcher {
    /// A dispatcher that hands long-lived tasks to `tasks`, which end after `stopping`.
    pub(crate) fn new(
        config: ServerConfig,
        services: Services,
        stopping: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        let requests = Admission::new(config.limits.requests_max, config.limits.request_queue_time_max);
        let bodies = BodyBudget::new(config.limits.body_bytes_max);
        let rate_limit = config.rate_limit.map(|per_second| Arc::new(RateLimit::new(per_second)));
        let state = Arc::new(State::new(config, services, stopping, tasks));
        let api = api::router(Arc::clone(&state));
        let watch = api::watch_router(Arc::clone(&state));
        Self { state, api, watch, requests, bodies, rate_limit }
    }

    /// What every handler can reach.
    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Answers one request. Never fails: a panic becomes a 500.
    pub(crate) async fn dispatch(
        &self,
        door: Door,
        peer: SocketAddr,
        mut request: Request<Body>,
    ) -> Response {
        let began = Instant::now();
        let running = self.state.meters.begin();
        let request_id = request_ids::of_headers(request.headers());
        let method = request.method().clone();
        // The path alone: query strings can carry keys and tokens.
        let path = request.uri().path().to_owned();
        let trusted = self.state.config.client_ip_header.as_ref();
        let client = forwarded::client_address(request.headers(), trusted, peer);
        request.extensions_mut().insert(ClientAddress(client));
        request.extensions_mut().insert(self.bodies.clone());
        request.extensions_mut().insert(request_id);
        // Whatever is logged on the way bears the id.
        let span = tracing::error_span!("request", id = %request_id);
        let answered = std::panic::AssertUnwindSafe(self.route(door, request))
            .catch_unwind()
            .instrument(span.clone())
            .await;
        let _inside = span.entered();
        let mut response = answered.unwrap_or_else(|_| {
            tracing::error!(%method, path, "a request handler panicked");
            ApiError::internal().into_response()
        });
        response
            .headers_mut()
            .entry(request_ids::HEADER)
            .or_insert_with(|| request_ids::header_value(request_id));
        drop(running);
        self.state.meters.answered(door, response.status(), began.elapsed());
        tracing::debug!(
            %method,
            path,
            ?door,
            status = response.status().as_u16(),
            elapsed_ms = began.elapsed().as_millis(),
            "request"
        );
        response
    }

    async fn route(&self, door: Door, mut request: Request<Body>) -> Response {
        let origin = match door {
            Door::Api => &self.state.config.api_origin,
            Door::Site => &self.state.config.site_origin,
            Door::Watch => return answer(&self.watch, request).await,
        };
        if let Err(error) = self.count(&request) {
            return error.into_response();
        }
        forwarded::strip_prefix(&mut request, forwarded::path_of(origin));
        if let Some(action_path) = http_action_path(door, request.uri().path()) {
            let action_path = action_path.to_owned();
            return http_actions::serve(&self.state, &action_path, request).await;
        }
        let cors = Cors::of(request.method(), request.headers());
        if let Some(preflight) = cors.preflight() {
            return preflight;
        }
        let mut response = self.serve_api(request).await;
        cors.decorate(&mut response);
        response
    }

    /// Whether the client's address may ask once more.
    fn count(&self, request: &Request<Body>) -> Result<(), ApiError> {
        let Some(limit) = &self.rate_limit else { return Ok(()) };
        let credentials = Credentials::from_request(request.headers(), request.uri().query());
        let is_admin = match credentials {
            Ok(Credentials::AdminKey { key, .. }) => self.state.verify_admin_key(&key).is_ok(),
            _ => false,
        };
        match request.extensions().get::<ClientAddress>() {
            Some(client) if !is_admin => limit.count(client.0.ip()),
            _ => Ok(()),
        }
    }

    async fn serve_api(&self, mut request: Request<Body>) -> Response {
        collapse_slashes(&mut request);
        let path = request.uri().path();
        if request.method() == Method::GET && api::is_health_check(path) {
            // Health has to be seen under full load, too.
            return self.call(request).await;
        }
        if api::is_upload(path) {
            return self.call(request).await;
        }
        let place = match self.requests.enter().await {
            Ok(place) => place,
            Err(error) => return error.into_response(),
        };
        let time_max = self.state.config.limits.request_time_max;
        let response = match tokio::time::timeout(time_max, self.call(request)).await {
            Ok(response) => response,
            Err(_) => request_timeout().into_response(),
        };
        drop(place);
        response
    }

    async fn call(&self, request: Request<Body>) -> Response {
        answer(&self.api, request).await
    }
}

async fn answer(router: &Router, request: Request<Body>) -> Response {
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The path as HTTP actions see it; `None` when the request is for the API.
fn http_action_path(door: Door, path: &str) -> Option<&str> {
    match door {
        Door::Site => Some(path),
        Door::Watch => None,
        Door::Api => match path.strip_prefix("/http")? {
            "" => Some("/"),
            rest if rest.starts_with('/') => Some(rest),
            _ => None,
        },
    }
}

/// Clients paste the configured address and a path together: `//api/1.48.0/sync` is meant as one slash.
fn collapse_slashes(request: &mut Request<Body>) {
    let path = request.uri().path();
    if !path.contains("//") {
        return;
    }
    let mut collapsed = String::with_capacity(path.len());
    for c in path.chars() {
        if !(c == '/' && collapsed.ends_with('/')) {
            collapsed.push(c);
        }
    }
    if let Some(query) = request.uri().query() {
        collapsed.push('?');
        collapsed.push_str(query);
    }
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(collapsed).ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_segments_named_http_lead_to_actions() {
        assert_eq!(http_action_path(Door::Api, "/http/a/b"), Some("/a/b"));
        assert_eq!(http_action_path(Door::Api, "/http"), Some("/"));
        assert_eq!(http_action_path(Door::Api, "/httpx"), None);
        assert_eq!(http_action_path(Door::Api, "/api/query"), None);
        assert_eq!(http_action_path(Door::Site, "/api/query"), Some("/api/query"));
    }

    #[test]
    fn repeated_slashes_count_as_one_and_the_query_stays() {
        let mut request = Request::builder().uri("//api///1.48.0/sync?a=//b").body(Body::empty()).unwrap();
        collapse_slashes(&mut request);
        assert_eq!(request.uri(), "/api/1.48.0/sync?a=//b");
    }
}
