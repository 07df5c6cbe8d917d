//! Whose tokens are accepted, as far as deployments decide that.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use freshet_auth::{Fetch, FetchError, Fetched};

use super::*;
use crate::authentication::{AuthenticationError, Authenticator, ProviderAuthenticator};

/// Nothing may be fetched: the keys are in the configuration.
struct NoNetwork;

#[async_trait]
impl Fetch for NoNetwork {
    async fn get(&self, url: &url::Url) -> Result<Fetched, FetchError> {
        panic!("{url} was fetched")
    }
}

fn config(issuer: &str) -> (&'static str, Json) {
    let provider = json!({"type": "customJwt", "issuer": issuer, "algorithm": "ES256",
                          "jwks": "data:application/json,{\"keys\":[]}"});
    ("auth.config.js", json!(json!({ "providers": [provider] }).to_string()))
}

/// The code of the refusal of a token that this issuer might have signed: `Unauthenticated` when the issuer counts.
async fn refusal(authenticator: &ProviderAuthenticator, issuer: &str) -> &'static str {
    let encode = |part: Json| URL_SAFE_NO_PAD.encode(part.to_string());
    let claims = json!({"iss": issuer, "sub": "ada", "exp": 4_000_000_000_u64});
    let token = format!("{}.{}.AAAA", encode(json!({"alg": "ES256", "kid": "1"})), encode(claims));
    match authenticator.verify(&token).await {
        Err(AuthenticationError::Rejected { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_next_token_after_a_push_is_judged_by_its_providers() {
    let fixture = Fixture::new();
    let authenticator = ProviderAuthenticator::new(fixture.database.clone(), Arc::new(NoNetwork));
    let (one, two) = ("https://one.example.com", "https://two.example.com");
    assert_eq!(refusal(&authenticator, one).await, "NoAuthProvider");
    fixture.push(&Push::new(&[config(one)])).await;
    assert_eq!(refusal(&authenticator, one).await, "Unauthenticated");
    assert_eq!(refusal(&authenticator, two).await, "NoAuthProvider");
    fixture.push(&Push::new(&[config(two)])).await;
    assert_eq!(refusal(&authenticator, one).await, "NoAuthProvider");
    assert_eq!(refusal(&authenticator, two).await, "Unauthenticated");
    fixture.push(&Push::new(&[messages()])).await;
    assert_eq!(refusal(&authenticator, two).await, "NoAuthProvider");
}

#[tokio::test]
async fn those_who_hold_tokens_hear_of_other_providers_and_of_nothing_else() {
    let fixture = Fixture::new();
    let authenticator = ProviderAuthenticator::new(fixture.database.clone(), Arc::new(NoNetwork));
    let mut changes = authenticator.changes();
    fixture.push(&Push::new(&[config("https://one.example.com")])).await;
    changes.changed().await.unwrap();
    let seen = *changes.borrow_and_update();
    fixture.push(&Push::new(&[config("https://one.example.com"), messages()])).await;
    fixture.set(json!([{"name": "OTHER", "value": "x"}])).await.unwrap();
    fixture.push(&Push::new(&[config("https://two.example.com")])).await;
    changes.changed().await.unwrap();
    assert_eq!(*changes.borrow(), seen + 1);
}

#[tokio::test]
async fn a_server_at_another_address_configures_authentication_anew() {
    let fixture = Fixture::new();
    let auth = (
        "auth.config.js",
        json!("{\"providers\":[{\"domain\":\"{env:CONVEX_SITE_URL}\",\"applicationID\":\"convex\"}]}"),
    );
    fixture.push(&Push::new(&[auth])).await;
    let moved = Deployment::with_worker(
        DeploymentConfig {
            database: fixture.database.clone(),
            host: Arc::new(ScriptedHost),
            cloud_url: "https://api.example.com".into(),
            site_url: "https://site.example.com".into(),
        },
        None,
    );
    moved.reconfigure_authentication().await.unwrap();
    let providers = Deployment::auth_providers(&mut fixture.begin()).unwrap();
    assert_eq!(providers, [json!({"applicationID": "convex", "domain": "https://site.example.com"})]);
}
