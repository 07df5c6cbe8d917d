//! A provider of tokens without a network, and a clock that stands still until it is moved.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::sync::Notify;
use url::Url;

use crate::{Clock, Fetch, FetchError, Fetched, Provider, Rejection, VerifiedToken, Verifier, VerifyError};

pub(super) const ISSUER: &str = "https://issuer.example.com";
/// Seconds since the Unix epoch at which every test begins.
pub(super) const NOW_S: u64 = 1_800_000_000;

static RSA: LazyLock<[RsaKeyPair; 2]> =
    LazyLock::new(|| [(); 2].map(|()| RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
static EC: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
static ED: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

/// A key that signs tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    /// The first or second RSA key.
    Rsa(usize),
    Ec,
    Ed,
}

impl Signer {
    pub(super) fn algorithm(self) -> &'static str {
        match self {
            Signer::Rsa(_) => "RS256",
            Signer::Ec => "ES256",
            Signer::Ed => "EdDSA",
        }
    }

    pub(super) fn jwk(self, id: &str) -> Json {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Signer::Rsa(index) => {
                let public = RSA[index].public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({"kty": "RSA", "kid": id, "alg": "RS256", "use": "sig",
                       "n": text(n.big_endian_without_leading_zero()), "e": text(e.big_endian_without_leading_zero())})
            }
            Signer::Ec => {
                let point = EC.public_key().as_ref();
                json!({"kty": "EC", "kid": id, "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])})
            }
            Signer::Ed => {
                json!({"kty": "OKP", "kid": id, "crv": "Ed25519", "x": text(ED.public_key().as_ref())})
            }
        }
    }

    pub(super) fn sign(self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Signer::Rsa(index) => {
                let mut signature = vec![0; RSA[index].public_modulus_len()];
                RSA[index].sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Signer::Ec => EC.sign(&random, message).unwrap().as_ref().to_vec(),
            Signer::Ed => ED.sign(message).as_ref().to_vec(),
        }
    }

    /// A signed token.
    pub(super) fn token(self, key_id: Option<&str>, claims: &Json) -> String {
        let mut header = json!({"alg": self.algorithm(), "typ": "JWT"});
        if let Some(id) = key_id {
            header["kid"] = id.into();
        }
        self.token_with(&header, claims)
    }

    pub(super) fn token_with(self, header: &Json, claims: &Json) -> String {
        let encode = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// Claims that the provider of [`World`] would sign, with some of them replaced; null removes one.
pub(super) fn claims(changes: &Json) -> Json {
    let mut claims = json!({"iss": ISSUER, "sub": "ada", "aud": "app", "iat": NOW_S, "exp": NOW_S + 60});
    for (name, value) in changes.as_object().expect("changes are an object") {
        match value {
            Json::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

pub(super) fn oidc() -> Provider {
    Provider::from_json(&json!({"domain": ISSUER, "applicationID": "app"})).unwrap()
}

pub(super) fn custom(algorithm: &str) -> Provider {
    Provider::from_json(&json!({
        "type": "customJwt", "issuer": ISSUER, "jwks": format!("{ISSUER}/keys"), "algorithm": algorithm,
        "applicationID": "app"
    }))
    .unwrap()
}

/// A network of documents, and a clock.
#[derive(Default)]
pub(super) struct World {
    state: Mutex<WorldState>,
    /// Fetches wait here while `held` is set.
    released: Notify,
}

#[derive(Default)]
struct WorldState {
    documents: HashMap<String, Fetched>,
    down: bool,
    held: bool,
    fetched: Vec<String>,
    now: Duration,
}

impl World {
    /// A provider that publishes these keys.
    pub(super) fn publishing(keys: &[Json]) -> (Arc<Self>, Verifier) {
        let world = Arc::new(Self::default());
        world.publish(keys);
        world.document(
            "/.well-known/openid-configuration",
            &json!({"issuer": ISSUER, "jwks_uri": format!("{ISSUER}/keys")}),
        );
        let verifier = Verifier::new(world.clone(), world.clone());
        (world, verifier)
    }

    pub(super) fn publish(&self, keys: &[Json]) {
        self.document("/keys", &json!({ "keys": keys }));
    }

    pub(super) fn document(&self, path: &str, body: &Json) {
        self.answer(
            path,
            Fetched {
                status: 200,
                content_type: Some("application/json; charset=utf-8".to_owned()),
                cache_control: Some("max-age=600".to_owned()),
                body: body.to_string().into_bytes(),
                ..Fetched::default()
            },
        );
    }

    pub(super) fn answer(&self, path: &str, answer: Fetched) {
        self.state.lock().documents.insert(format!("{ISSUER}{path}"), answer);
    }

    pub(super) fn set_down(&self, down: bool) {
        self.state.lock().down = down;
    }

    /// Lets no fetch end until [`World::release`].
    pub(super) fn hold(&self) {
        self.state.lock().held = true;
    }

    pub(super) fn release(&self) {
        self.state.lock().held = false;
        self.released.notify_waiters();
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.state.lock().now += Duration::from_secs(seconds);
    }

    /// Paths that were fetched since the last look.
    pub(super) fn fetched(&self) -> Vec<String> {
        let mut fetched = std::mem::take(&mut self.state.lock().fetched);
        for url in &mut fetched {
            *url = url.strip_prefix(ISSUER).unwrap_or(url).to_owned();
        }
        fetched
    }
}

impl Clock for World {
    fn unix(&self) -> Duration {
        Duration::from_secs(NOW_S) + self.state.lock().now
    }

    fn elapsed(&self) -> Duration {
        self.state.lock().now
    }
}

#[async_trait]
impl Fetch for World {
    async fn get(&self, url: &Url) -> Result<Fetched, FetchError> {
        self.state.lock().fetched.push(url.to_string());
        loop {
            let released = self.released.notified();
            if !self.state.lock().held {
                break;
            }
            released.await;
        }
        let state = self.state.lock();
        if state.down {
            return Err(FetchError::Unreachable("connection refused".to_owned()));
        }
        let missing = Fetched { status: 404, ..Fetched::default() };
        Ok(state.documents.get(url.as_str()).cloned().unwrap_or(missing))
    }
}

/// The code of a rejection, or `Unavailable`.
pub(super) fn code(outcome: &Result<VerifiedToken, VerifyError>) -> &'static str {
    match outcome {
        Ok(_) => "accepted",
        Err(VerifyError::Rejected(rejection)) => Rejection::code(rejection),
        Err(VerifyError::Unavailable { .. }) => "Unavailable",
    }
}
