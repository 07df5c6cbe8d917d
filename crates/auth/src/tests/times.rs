//! When a token is valid.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::provider::{NOW_S, Signer, World, claims, code, custom, oidc};
use crate::Provider;

async fn verify(provider: Provider, changes: Json) -> &'static str {
    let (_, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
    let token = Signer::Rsa(0).token(Some("1"), &claims(&changes));
    code(&verifier.verify(&token, &[provider]).await)
}

#[tokio::test]
async fn a_token_is_over_when_it_expires() {
    assert_eq!(verify(oidc(), json!({"exp": NOW_S + 1})).await, "accepted");
    assert_eq!(verify(oidc(), json!({"exp": NOW_S})).await, "TokenExpired");
    assert_eq!(verify(custom("RS256"), json!({"exp": NOW_S - 4})).await, "accepted");
    assert_eq!(verify(custom("RS256"), json!({"exp": NOW_S - 5})).await, "TokenExpired");
    assert_eq!(verify(oidc(), json!({"exp": 0})).await, "TokenExpired");
}

#[tokio::test]
async fn what_is_accepted_stays_valid_until_it_would_not_be_accepted() {
    for provider in [oidc(), custom("RS256")] {
        let (world, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
        let token = Signer::Rsa(0).token(Some("1"), &claims(&json!({})));
        let providers = [provider];
        let expires_at = verifier.verify(&token, &providers).await.unwrap().expires_at;
        let left = (expires_at - Duration::from_secs(NOW_S)).as_secs();
        world.pass(left - 1);
        assert_eq!(code(&verifier.verify(&token, &providers).await), "accepted");
        world.pass(1);
        assert_eq!(code(&verifier.verify(&token, &providers).await), "TokenExpired");
    }
}

#[tokio::test]
async fn a_token_is_not_valid_before_its_time() {
    assert_eq!(verify(oidc(), json!({"nbf": NOW_S + 5})).await, "accepted");
    assert_eq!(verify(oidc(), json!({"nbf": NOW_S + 6})).await, "Unauthenticated");
    assert_eq!(verify(custom("RS256"), json!({"nbf": NOW_S + 6})).await, "Unauthenticated");
    assert_eq!(verify(oidc(), json!({"iat": NOW_S + 300})).await, "accepted");
    assert_eq!(verify(oidc(), json!({"iat": NOW_S + 301})).await, "Unauthenticated");
    assert_eq!(verify(oidc(), json!({"iat": null})).await, "accepted");
}

#[tokio::test]
async fn times_and_subjects_must_be_what_they_should_be() {
    for changes in [
        json!({"exp": null}),
        json!({"exp": "tomorrow"}),
        json!({"exp": -1}),
        json!({"exp": [NOW_S + 60]}),
        json!({"nbf": "now"}),
        json!({"iat": {}}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
    ] {
        assert_eq!(verify(oidc(), changes.clone()).await, "Unauthenticated", "{changes}");
        assert_eq!(verify(custom("RS256"), changes.clone()).await, "Unauthenticated", "{changes}");
    }
    assert_eq!(verify(oidc(), json!({"exp": 1e300})).await, "accepted");
    assert_eq!(verify(oidc(), json!({"exp": NOW_S as f64 + 0.5})).await, "accepted");
}
