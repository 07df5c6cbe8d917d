//! Setting the environment variables of the deployment.
//!
//! Over HTTP and not with the `convex` tool: one request sets and removes all of them at once, and no key shows up on
//! a command line.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::model::Model;
use super::step::Steps;
use crate::service::Service;

const PATIENCE: Duration = Duration::from_secs(30);
/// An answer is empty or a short error.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Sets the model's variables on the deployment and removes those that the model does not have.
pub(super) async fn update(steps: &Steps, service: &Service, model: &Model) -> Result<()> {
    let changes: Vec<_> = model
        .variables()
        .into_iter()
        .map(|(name, value)| serde_json::json!({ "name": name, "value": value }))
        .collect();
    let body = serde_json::json!({ "changes": changes }).to_string();
    let (url, admin_key) = (service.local_url(), service.admin_key());
    let request = post(&url, &admin_key, "/api/update_environment_variables", body);
    steps
        .run("Setting the chat's variables", async {
            tokio::time::timeout(PATIENCE, request)
                .await
                .map_err(|_| anyhow!("the server did not answer within {} s", PATIENCE.as_secs()))?
                .context("cannot set environment variables on the server")
        })
        .await
}

async fn post(url: &str, admin_key: &str, path: &str, body: String) -> Result<()> {
    let authority = url.strip_prefix("http://").context("the local URL starts with http://")?;
    let stream = TcpStream::connect(authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, authority)
        .header(header::AUTHORIZATION, format!("Convex {admin_key}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    connection.abort();
    if status.is_success() {
        return Ok(());
    }
    let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
    Err(anyhow!("it answered {status}: {text}"))
}
