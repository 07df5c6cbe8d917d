//! The keys of one provider: fetched when a token needs them, kept while they are fresh, shared by all who wait.
//!
//! * Fresh keys are used without asking. Stale ones are fetched again; while that fails they go on being used.
//! * A token that names an unknown key is a reason to fetch too, because providers change their keys. Anybody can send such
//!   tokens, so a budget bounds how often.
//! * One fetch at a time. It goes on when those who wait for it leave.
//! * After a failure there is a pause, growing with every further one.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use serde::Deserialize;
use url::Url;

use crate::cache_control::fresh_for;
use crate::clock::Clock;
use crate::error::excerpt;
use crate::fetch::{Fetch, FetchError, Fetched};
use crate::key_set::KeySet;
use crate::provider::{KeyLocation, normalized};
use crate::signature::Algorithm;

/// Keys older than this are not used even if the provider stays away.
const STALE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Fetches for the sake of unknown keys: so many at once, ...
const UNKNOWN_KEY_FETCHES: f64 = 5.0;
/// ... and then one in this time.
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(10);
/// Pause after a failed fetch, doubled by each further one.
const FAILURE_PAUSE_MIN: Duration = Duration::from_millis(500);
const FAILURE_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Why there are no keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// They may be there later.
    Unavailable(String),
    /// The provider would have to change something.
    Broken(String),
}

/// Keys, and whether they are the newest that could be had.
#[derive(Clone, Debug)]
pub(crate) struct FoundKeys {
    pub(crate) keys: Arc<KeySet>,
    /// Why a later set, which might have more keys, could not be fetched.
    pub(crate) missed: Option<KeyError>,
}

/// See the module.
pub(crate) struct KeySource {
    inner: Arc<Inner>,
}

struct Inner {
    location: KeyLocation,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    /// What the discovery document says about where the keys are.
    discovered: Option<Kept<Url>>,
    keys: Option<Kept<Arc<KeySet>>>,
    /// Since the last success.
    failure: Option<Failure>,
    budget: Budget,
    /// The fetch that is under way.
    running: Option<Shared<BoxFuture<'static, ()>>>,
}

struct Kept<T> {
    value: T,
    fetched_at: Duration,
    fresh_for: Duration,
}

#[derive(Clone)]
struct Failure {
    error: KeyError,
    at: Duration,
    count: u32,
}

/// A token bucket.
struct Budget {
    left: f64,
    refilled_at: Duration,
}

/// What to do about a wish for keys.
enum Plan {
    Answer(Result<FoundKeys, KeyError>),
    Wait(Shared<BoxFuture<'static, ()>>),
}

#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
}

impl KeySource {
    pub(crate) fn new(location: KeyLocation, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        let now = clock.elapsed();
        let state = State {
            discovered: None,
            keys: None,
            failure: None,
            budget: Budget { left: UNKNOWN_KEY_FETCHES, refilled_at: now },
            running: None,
        };
        Self { inner: Arc::new(Inner { location, fetch, clock, state: Mutex::new(state) }) }
    }

    /// Keys to check a signature with; if `key_id` is named and can be had, that one is among them.
    ///
    /// # Errors
    /// When there are none at all.
    pub(crate) async fn keys(
        &self,
        algorithm: Algorithm,
        key_id: Option<&str>,
    ) -> Result<FoundKeys, KeyError> {
        let mut has_waited = false;
        loop {
            match self.inner.plan(algorithm, key_id, has_waited) {
                Plan::Answer(answer) => return answer,
                Plan::Wait(fetch) => fetch.await,
            }
            has_waited = true;
        }
    }
}

impl Inner {
    /// After one fetch was waited for there is always an answer.
    fn plan(self: &Arc<Self>, algorithm: Algorithm, key_id: Option<&str>, has_waited: bool) -> Plan {
        let now = self.clock.elapsed();
        let mut state = self.state.lock();
        let usable = state.keys.as_ref().filter(|kept| kept.age(now) <= STALE_MAX);
        let is_fresh = usable.is_some_and(|kept| kept.is_fresh(now));
        let is_known = |keys: &KeySet| key_id.is_none_or(|id| keys.contains(algorithm, id));
        let has_key = usable.is_some_and(|kept| is_known(&kept.value));
        if is_fresh && has_key {
            return state.answer(now);
        }
        if has_waited || state.failure.as_ref().is_some_and(|failure| now < failure.pause_ends()) {
            return state.answer(now);
        }
        if let Some(running) = &state.running {
            return Plan::Wait(running.clone());
        }
        if is_fresh && !state.budget.take(now) {
            return state.answer(now);
        }
        let fetch = self.start();
        state.running = Some(fetch.clone());
        Plan::Wait(fetch)
    }

    /// Starts a fetch that ends by itself.
    fn start(self: &Arc<Self>) -> Shared<BoxFuture<'static, ()>> {
        let source = Arc::clone(self);
        let task = tokio::spawn(async move {
            let ended = Ended(&source);
            let outcome = source.fetch().await;
            let now = source.clock.elapsed();
            let mut state = source.state.lock();
            match outcome {
                Ok(keys) => {
                    state.keys = Some(keys);
                    state.failure = None;
                }
                Err(error) => {
                    tracing::warn!(location = ?source.location, ?error, "keys of an auth provider could not be fetched");
                    // The keys may have moved.
                    state.discovered = None;
                    let count = state.failure.as_ref().map_or(0, |failure| failure.count);
                    state.failure = Some(Failure { error, at: now, count: count.saturating_add(1) });
                }
            }
            drop(state);
            drop(ended);
        });
        task.map(drop).boxed().shared()
    }

    async fn fetch(&self) -> Result<Kept<Arc<KeySet>>, KeyError> {
        let (url, of_issuer) = match &self.location {
            KeyLocation::Jwks { url } => (url.clone(), false),
            KeyLocation::Discovery { issuer } => (self.discover(issuer).await?, true),
        };
        let answer = get(&*self.fetch, &url).await?;
        if !of_issuer && !is_json(answer.content_type.as_deref()) {
            return Err(KeyError::Broken(format!(
                "{url} answers with the content type {:?}; it must be application/json or application/jwk-set+json",
                answer.content_type.as_deref().unwrap_or_default()
            )));
        }
        let keys =
            KeySet::parse(&answer.body).map_err(|error| KeyError::Broken(format!("{url}: {error}")))?;
        Ok(self.kept(Arc::new(keys), &answer))
    }

    /// Where an issuer has its keys.
    async fn discover(&self, issuer: &str) -> Result<Url, KeyError> {
        let now = self.clock.elapsed();
        if let Some(kept) = self.state.lock().discovered.as_ref().filter(|kept| kept.is_fresh(now)) {
            return Ok(kept.value.clone());
        }
        let broken = |reason: String| KeyError::Broken(reason);
        let text = format!("{issuer}/.well-known/openid-configuration");
        let url = Url::parse(&text).map_err(|error| broken(format!("{text} is no URL ({error})")))?;
        let answer = get(&*self.fetch, &url).await?;
        let document: DiscoveryDocument = serde_json::from_slice(&answer.body)
            .map_err(|error| broken(format!("{url} is no OpenID discovery document ({error})")))?;
        if normalized(&document.issuer) != normalized(issuer) {
            return Err(broken(format!(
                "{url} is the discovery document of another issuer, \"{}\"",
                excerpt(&document.issuer)
            )));
        }
        let keys = Url::parse(&document.jwks_uri).ok().filter(|keys| {
            // Keys that anybody on the way can exchange prove nothing.
            keys.scheme() == "https" || (keys.scheme() == "http" && url.scheme() == "http")
        });
        let keys = keys.ok_or_else(|| {
            broken(format!("{url} names keys at \"{}\", which is not secure", excerpt(&document.jwks_uri)))
        })?;
        self.state.lock().discovered = Some(self.kept(keys.clone(), &answer));
        Ok(keys)
    }

    fn kept<T>(&self, value: T, answer: &Fetched) -> Kept<T> {
        Kept { value, fetched_at: self.clock.elapsed(), fresh_for: fresh_for(answer) }
    }
}

/// Marks the fetch as over, also when it panicked.
struct Ended<'a>(&'a Inner);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.state.lock().running = None;
    }
}

impl State {
    fn answer(&self, now: Duration) -> Plan {
        let missed = self.failure.as_ref().map(|failure| failure.error.clone());
        match self.keys.as_ref().filter(|kept| kept.age(now) <= STALE_MAX) {
            Some(kept) => Plan::Answer(Ok(FoundKeys { keys: Arc::clone(&kept.value), missed })),
            None => {
                let interrupted = || KeyError::Unavailable("fetching them was interrupted".to_owned());
                Plan::Answer(Err(missed.unwrap_or_else(interrupted)))
            }
        }
    }
}

impl<T> Kept<T> {
    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.fetched_at)
    }

    fn is_fresh(&self, now: Duration) -> bool {
        self.age(now) < self.fresh_for
    }
}

impl Failure {
    fn pause_ends(&self) -> Duration {
        let factor = 2_u32.saturating_pow(self.count.saturating_sub(1).min(16));
        self.at + FAILURE_PAUSE_MIN.saturating_mul(factor).min(FAILURE_PAUSE_MAX)
    }
}

impl Budget {
    fn take(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.refilled_at).as_secs_f64() / UNKNOWN_KEY_PAUSE.as_secs_f64();
        self.left = (self.left + passed).min(UNKNOWN_KEY_FETCHES);
        self.refilled_at = now;
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

async fn get(fetch: &dyn Fetch, url: &Url) -> Result<Fetched, KeyError> {
    let answer = fetch.get(url).await.map_err(|error| match error {
        FetchError::Unreachable(reason) => KeyError::Unavailable(format!("{url}: {reason}")),
        FetchError::Unacceptable(reason) => KeyError::Broken(format!("{url}: {reason}")),
    })?;
    match answer.status {
        200 => Ok(answer),
        408 | 425 | 429 | 500.. => {
            Err(KeyError::Unavailable(format!("{url} answers with status {}", answer.status)))
        }
        status => Err(KeyError::Broken(format!("{url} answers with status {status} instead of 200"))),
    }
}

fn is_json(content_type: Option<&str>) -> bool {
    let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    ["application/json", "application/jwk-set+json"].iter().any(|json| essence.eq_ignore_ascii_case(json))
}
