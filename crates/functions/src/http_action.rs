//! HTTP actions: a request in, a streamed response out, through the app's own router.
//!
//! This file knows requests and responses as data. Sockets, and the HTTP protocol, belong to the server.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use freshet_values::FunctionPath;
use tokio::sync::{mpsc, oneshot};

use crate::action_callbacks::Callbacks;
use crate::action_execution::{ActionExecution, ActionStart};
use crate::call::{Caller, HttpActionAnswer, HttpActionRequest, RequestMetadata};
use crate::call_error::CallError;
use crate::code::{FunctionKind, HttpRoute, LiveCode};
use crate::functions::Functions;
use crate::host::{Environment, HttpActionFailure, HttpActionJob, HttpActionResponse};
use crate::identity::Identity;
use crate::log::LogLevel;
use crate::own_transaction::begin_query;
use crate::variables;

/// The app's router.
const ROUTER_MODULE: &str = "http.js";

/// Chunks of a response that may wait for the client.
const CHUNKS_MAX: usize = 16;

/// Answers one request.
pub(crate) async fn run(
    functions: &Functions,
    request: HttpActionRequest,
) -> Result<HttpActionAnswer, CallError> {
    let functions = functions.clone();
    // Dropped with this future, that is, when the client leaves.
    let (_client, client_left) = oneshot::channel();
    // The function goes on when its client leaves, unless it looks at its signal.
    let head = tokio::spawn(run_to_head(functions, request, client_left)).await;
    head.map_err(|error| CallError::internal(&error))?
}

async fn run_to_head(
    functions: Functions,
    request: HttpActionRequest,
    client_left: oneshot::Receiver<Infallible>,
) -> Result<HttpActionAnswer, CallError> {
    let services = functions.services.clone();
    let (code, env) = tokio::task::spawn_blocking(move || {
        let mut transaction = begin_query(&services, None)?;
        let code = services.code.live_code(&mut transaction)?;
        let env = variables::all(&mut transaction, &services.settings)?;
        Ok::<_, CallError>((code, env))
    })
    .await
    .map_err(|error| CallError::internal(&error))??;
    if code.http_routes.is_none() {
        return Ok(text_answer(404, "This Convex deployment does not have HTTP actions enabled."));
    }
    let _slot = functions.services.action_slot(Environment::Isolate).await?;
    let method = request.method;
    let is_head = method == "HEAD";
    let execution = Arc::new(execution(
        &functions,
        &code,
        &method,
        &request.routed_path,
        request.request_id,
        metadata(&request.headers, request.ip),
    )?);
    let body = if matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS") { None } else { request.body };
    let job = HttpActionJob {
        invocation_id: execution.execution_id.clone(),
        method,
        url: request.url,
        routed_path: request.routed_path,
        headers: request.headers,
        body,
        client_left,
        code: code.package.clone(),
        context: code.context_of("http.js"),
        env,
    };
    let callbacks = Arc::new(Callbacks::new(execution.clone()));
    match functions.services.host.run_http_action(job, callbacks).await {
        Ok(response) => {
            let (sender, body) = mpsc::channel(CHUNKS_MAX);
            let HttpActionResponse { status, headers, body: chunks } = response;
            tokio::spawn(async move {
                // The slot is taken until the stream ends: the function is still running.
                let _slot = _slot;
                pump(&execution, status, chunks, (!is_head).then_some(sender)).await;
            });
            Ok(HttpActionAnswer { status, headers, body })
        }
        Err(failure) => Ok(failure_answer(&execution, &failure)),
    }
}

fn execution(
    functions: &Functions,
    code: &Arc<LiveCode>,
    method: &str,
    routed_path: &str,
    request_id: crate::request_id::RequestId,
    metadata: RequestMetadata,
) -> Result<ActionExecution, CallError> {
    let path = FunctionPath::new(ROUTER_MODULE, "default").map_err(|error| CallError::internal(&error))?;
    let route = route_of(code, method, routed_path);
    // Tokens are looked at only when the function asks: they may belong to the app.
    let identity = if metadata.auth_token.is_some() { None } else { Some(Identity::Anonymous) };
    Ok(ActionExecution::new(ActionStart {
        functions: functions.clone(),
        code: code.clone(),
        kind: FunctionKind::HttpAction,
        path,
        // Routers may know more than they declared.
        identifier: format!("{method} {}", route.unwrap_or(routed_path)),
        is_declared: route.is_some(),
        environment: Environment::Isolate,
        caller: Caller::HttpEndpoint,
        request_id,
        metadata,
        identity,
    }))
}

fn metadata(headers: &[(String, String)], ip: Option<Arc<str>>) -> RequestMetadata {
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let auth_token = header("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| Arc::from(token.trim()))
    });
    RequestMetadata { ip, user_agent: header("user-agent").map(Arc::from), auth_token }
}

/// The declared route that answers a path: the exact one, else the longest prefix.
fn route_of<'a>(code: &'a LiveCode, method: &str, path: &str) -> Option<&'a str> {
    let method = if method == "HEAD" { "GET" } else { method };
    let routes = code.http_routes.as_deref().unwrap_or_default();
    let matching = |route: &&HttpRoute| {
        route.method == method
            && match route.path.strip_suffix('*') {
                Some(prefix) => path.starts_with(prefix),
                None => route.path == path,
            }
    };
    routes
        .iter()
        .filter(matching)
        .max_by_key(|route| (!route.path.ends_with('*'), route.path.len()))
        .map(|route| route.path.as_str())
}

/// Passes the body on, up to the limit, and records the end. Without `client` the body is dropped as it comes.
async fn pump(
    execution: &ActionExecution,
    status: u16,
    mut chunks: mpsc::Receiver<Result<Bytes, crate::host::JsError>>,
    mut client: Option<mpsc::Sender<Bytes>>,
) {
    let bytes_max = execution.functions.services.limits.http_response_bytes_max;
    let mut bytes: usize = 0;
    let mut error = None;
    while let Some(chunk) = chunks.recv().await {
        match chunk {
            Ok(chunk) => {
                let left = bytes_max.saturating_sub(bytes);
                bytes = bytes.saturating_add(chunk.len());
                let Some(sender) = &client else { continue };
                let fits = chunk.len() <= left;
                let passed = if fits { chunk } else { chunk.slice(..left) };
                if sender.send(passed).await.is_err() {
                    execution.log_of_server(
                        LogLevel::Info,
                        "info:httpActionClientDisconnect",
                        "The client closed the connection before the response was complete.",
                    );
                    break;
                }
                if !fits {
                    execution.log_of_server(
                        LogLevel::Error,
                        "error:httpAction",
                        "HttpResponseTooLarge: HTTP actions support responses up to 20 MiB",
                    );
                    client = None;
                }
            }
            Err(thrown) => {
                let text = execution.functions.services.stacks.error_text(&thrown, &execution.code.package);
                execution.log_of_server(LogLevel::Error, "error:httpAction", &text);
                error = Some(text);
                break;
            }
        }
    }
    drop(client);
    execution.completed(error, Some(bytes), Some(status));
}

/// The answer for a function that failed before there was a response.
fn failure_answer(execution: &ActionExecution, failure: &HttpActionFailure) -> HttpActionAnswer {
    let services = &execution.functions.services;
    let (message, trace, data) = match failure {
        HttpActionFailure::Threw(error) => {
            let failure = services.stacks.function_error(error, &execution.code.package);
            (error.message.clone(), failure.message, failure.data)
        }
        HttpActionFailure::Host(failure) => {
            let text = execution.host_failure_text(failure);
            (text.trim_end().to_owned(), text, None)
        }
    };
    let prefix = format!("[Request ID: {}] Server Error", execution.request_id);
    let mut body = serde_json::Map::new();
    if services.settings.redact_errors {
        body.insert("code".into(), prefix.into());
    } else {
        body.insert("code".into(), format!("{prefix}: {message}").into());
        body.insert("trace".into(), trace.clone().into());
    }
    if let Some(data) = data.and_then(|data| serde_json::from_str(&data).ok()) {
        body.insert("data".into(), data);
    }
    execution.completed(Some(trace), None, Some(500));
    answer(500, "application/json", serde_json::Value::Object(body).to_string())
}

fn text_answer(status: u16, text: &str) -> HttpActionAnswer {
    answer(status, "text/plain; charset=utf-8", text.to_owned())
}

fn answer(status: u16, content_type: &str, text: String) -> HttpActionAnswer {
    let (sender, body) = mpsc::channel(1);
    let headers = vec![
        ("content-type".to_owned(), content_type.to_owned()),
        ("content-length".to_owned(), text.len().to_string()),
    ];
    // The channel was just made with room for one chunk.
    let _ = sender.try_send(Bytes::from(text));
    HttpActionAnswer { status, headers, body }
}
