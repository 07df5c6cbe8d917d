//! Getting documents over HTTP(S). Decides nothing about what they say.
//!
//! Certificates are checked against the system's store, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name; proxies come from
//! `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{ACCEPT, AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response};
use url::Url;

use crate::fetch::{Fetch, FetchError, Fetched};

/// Documents of providers have a few KiB; key sets with certificate chains some tens.
const BODY_BYTES_MAX: usize = 512 << 10;
/// For a connection to be there.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// For the whole answer, redirects included.
const TOTAL_TIME_MAX: Duration = Duration::from_secs(10);
/// Redirects that are followed.
const REDIRECTS_MAX: usize = 3;
/// Idle connections are not worth keeping: keys are fetched minutes apart.
const IDLE_TIME_MAX: Duration = Duration::from_secs(5);
const ACCEPTED: &str = "application/json, application/jwk-set+json";

/// Reaches the network, but not before the first document is asked for.
#[derive(Debug, Default)]
pub struct HttpFetch {
    client: OnceLock<Client>,
}

impl HttpFetch {
    /// The client, built when it is first needed: a machine without certificates serves apps without providers.
    fn client(&self) -> Result<&Client, FetchError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let built = Client::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(TOTAL_TIME_MAX)
            .pool_idle_timeout(IDLE_TIME_MAX)
            .redirect(Policy::custom(follow))
            .user_agent(concat!("freshet/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                FetchError::Unreachable(format!(
                    "no HTTPS client can be made ({}); install the system's CA certificates or name a file of them in \
                     SSL_CERT_FILE",
                    causes(&error)
                ))
            })?;
        Ok(self.client.get_or_init(|| built))
    }
}

#[async_trait]
impl Fetch for HttpFetch {
    async fn get(&self, url: &Url) -> Result<Fetched, FetchError> {
        let request = self.client()?.get(url.clone()).header(ACCEPT, ACCEPTED);
        let response = request.send().await.map_err(|error| failure(&error))?;
        let headers = response.headers();
        let mut fetched = Fetched {
            status: response.status().as_u16(),
            content_type: text(headers, &CONTENT_TYPE),
            cache_control: text(headers, &CACHE_CONTROL),
            age: text(headers, &AGE)
                .and_then(|age| age.trim().parse().ok())
                .map_or(Duration::ZERO, Duration::from_secs),
            body: Vec::new(),
        };
        fetched.body = body(response).await?;
        Ok(fetched)
    }
}

/// A few redirects, none of which gives up encryption.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let was_secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > REDIRECTS_MAX {
        return attempt.error(Refusal("it redirects too often"));
    }
    if was_secure && attempt.url().scheme() != "https" {
        return attempt.error(Refusal("it redirects from https to http"));
    }
    attempt.follow()
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(&'static str);

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

async fn body(mut response: Response) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(FetchError::Unacceptable(format!(
                "its answer is larger than {BODY_BYTES_MAX} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn failure(error: &reqwest::Error) -> FetchError {
    if error.is_redirect() {
        FetchError::Unacceptable(causes(error))
    } else if error.is_timeout() {
        FetchError::Unreachable(format!("no whole answer within {} s", TOTAL_TIME_MAX.as_secs()))
    } else {
        FetchError::Unreachable(causes(error))
    }
}

/// What lies below an error; its own text repeats the URL.
fn causes(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}
