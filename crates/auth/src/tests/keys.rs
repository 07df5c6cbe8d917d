//! When providers are asked for keys, and what happens while they do not answer.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::provider::{ISSUER, NOW_S, Signer, World, claims, code, custom, oidc};
use crate::{Fetched, Provider, Verifier};

const DISCOVERY: &str = "/.well-known/openid-configuration";

fn token(signer: Signer, id: &str) -> String {
    signer.token(Some(id), &claims(&json!({"exp": NOW_S + 1_000_000})))
}

async fn verify(verifier: &Verifier, token: &str, provider: &Provider) -> &'static str {
    code(&verifier.verify(token, std::slice::from_ref(provider)).await)
}

#[tokio::test]
async fn keys_are_fetched_with_the_first_token_and_kept_while_fresh() {
    let (world, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
    let good = token(Signer::Rsa(0), "1");
    assert_eq!(world.fetched(), [""; 0]);
    assert_eq!(verify(&verifier, &good, &oidc()).await, "accepted");
    assert_eq!(world.fetched(), [DISCOVERY, "/keys"]);
    world.pass(599);
    assert_eq!(verify(&verifier, &good, &oidc()).await, "accepted");
    assert_eq!(world.fetched(), [""; 0]);
    world.pass(1);
    assert_eq!(verify(&verifier, &good, &oidc()).await, "accepted");
    assert_eq!(world.fetched(), [DISCOVERY, "/keys"]);
}

#[tokio::test]
async fn expired_and_foreign_tokens_cause_no_fetch() {
    let (world, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
    for changes in [json!({"exp": 5}), json!({"iss": "https://x.example.com"}), json!({"sub": ""})] {
        let bad = Signer::Rsa(0).token(Some("1"), &claims(&changes));
        assert_ne!(verify(&verifier, &bad, &oidc()).await, "accepted");
    }
    assert_ne!(verify(&verifier, &token(Signer::Ec, "1"), &oidc()).await, "accepted");
    assert_eq!(world.fetched(), [""; 0]);
}

#[tokio::test]
async fn tokens_that_wait_at_the_same_time_share_a_fetch() {
    let (world, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
    let verifier = Arc::new(verifier);
    world.hold();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let verifier = verifier.clone();
            tokio::spawn(async move { verify(&verifier, &token(Signer::Rsa(0), "1"), &oidc()).await })
        })
        .collect();
    // Whoever gave up does not take the fetch along.
    let impatient = {
        let verifier = verifier.clone();
        tokio::spawn(async move { verify(&verifier, &token(Signer::Rsa(0), "1"), &oidc()).await })
    };
    tokio::task::yield_now().await;
    impatient.abort();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    world.release();
    for one in waiting {
        assert_eq!(one.await.unwrap(), "accepted");
    }
    assert_eq!(world.fetched(), [DISCOVERY, "/keys"]);
}

#[tokio::test]
async fn a_new_key_is_found_at_once() {
    let (world, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
    assert_eq!(verify(&verifier, &token(Signer::Rsa(0), "1"), &oidc()).await, "accepted");
    world.publish(&[Signer::Rsa(1).jwk("2")]);
    world.fetched();
    assert_eq!(verify(&verifier, &token(Signer::Rsa(1), "2"), &oidc()).await, "accepted");
    assert_eq!(world.fetched(), ["/keys"], "where the keys are was known");
    assert_eq!(verify(&verifier, &token(Signer::Rsa(0), "1"), &oidc()).await, "Unauthenticated");
}

#[tokio::test]
async fn made_up_keys_do_not_make_us_ask_without_end() {
    let (world, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
    assert_eq!(verify(&verifier, &token(Signer::Rsa(0), "1"), &oidc()).await, "accepted");
    world.fetched();
    for round in 0..200 {
        let made_up = token(Signer::Rsa(1), &format!("../../{round}"));
        assert_eq!(verify(&verifier, &made_up, &oidc()).await, "Unauthenticated");
    }
    assert_eq!(world.fetched(), ["/keys"; 5]);
    assert_eq!(verify(&verifier, &token(Signer::Rsa(0), "1"), &oidc()).await, "accepted");
    world.pass(10);
    assert_eq!(verify(&verifier, &token(Signer::Rsa(1), "x"), &oidc()).await, "Unauthenticated");
    assert_eq!(verify(&verifier, &token(Signer::Rsa(1), "y"), &oidc()).await, "Unauthenticated");
    assert_eq!(world.fetched(), ["/keys"]);
}

#[tokio::test]
async fn known_keys_work_while_an_unknown_one_is_asked_for() {
    let (world, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
    let verifier = Arc::new(verifier);
    assert_eq!(verify(&verifier, &token(Signer::Rsa(0), "1"), &oidc()).await, "accepted");
    world.hold();
    let asking = {
        let verifier = verifier.clone();
        tokio::spawn(async move { verify(&verifier, &token(Signer::Rsa(1), "x"), &oidc()).await })
    };
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert_eq!(verify(&verifier, &token(Signer::Rsa(0), "1"), &oidc()).await, "accepted");
    world.release();
    assert_eq!(asking.await.unwrap(), "Unauthenticated");
}

#[tokio::test]
async fn stale_keys_serve_while_the_provider_is_down_but_not_for_ever() {
    let (world, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
    let good = token(Signer::Rsa(0), "1");
    assert_eq!(verify(&verifier, &good, &oidc()).await, "accepted");
    world.set_down(true);
    world.pass(3600);
    assert_eq!(verify(&verifier, &good, &oidc()).await, "accepted");
    // Whether this one is good only the provider knows.
    assert_eq!(verify(&verifier, &token(Signer::Rsa(1), "2"), &oidc()).await, "Unavailable");
    world.pass(23 * 3600 + 1);
    assert_eq!(verify(&verifier, &good, &oidc()).await, "Unavailable");
    world.set_down(false);
    world.pass(30);
    assert_eq!(verify(&verifier, &good, &oidc()).await, "accepted");
}

#[tokio::test]
async fn a_provider_that_is_down_is_asked_ever_less_often() {
    let (world, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
    let good = token(Signer::Rsa(0), "1");
    world.set_down(true);
    for _ in 0..600 {
        assert_eq!(verify(&verifier, &good, &oidc()).await, "Unavailable");
        world.pass(1);
    }
    let fetches = world.fetched().len();
    assert!((20..=30).contains(&fetches), "{fetches} fetches in ten minutes");
    world.set_down(false);
    world.pass(30);
    assert_eq!(verify(&verifier, &good, &oidc()).await, "accepted");
}

#[tokio::test]
async fn what_may_pass_and_what_will_not_are_told_apart() {
    let answers = [
        (500, "Unavailable"),
        (503, "Unavailable"),
        (429, "Unavailable"),
        (404, "AuthProviderDiscoveryFailed"),
        (403, "AuthProviderDiscoveryFailed"),
        (204, "AuthProviderDiscoveryFailed"),
    ];
    for (status, expected) in answers {
        for path in [DISCOVERY, "/keys"] {
            let (world, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
            world.answer(path, Fetched { status, ..Fetched::default() });
            assert_eq!(verify(&verifier, &token(Signer::Rsa(0), "1"), &oidc()).await, expected, "{status}");
        }
    }
}

#[tokio::test]
async fn discovery_documents_are_not_trusted_blindly() {
    for document in [
        json!({"issuer": "https://other.example.com", "jwks_uri": format!("{ISSUER}/keys")}),
        json!({"issuer": ISSUER, "jwks_uri": "http://issuer.example.com/keys"}),
        json!({"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}),
        json!({"issuer": ISSUER, "jwks_uri": "/keys"}),
        json!({"issuer": ISSUER}),
        json!([]),
    ] {
        let (world, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
        world.document(DISCOVERY, &document);
        let outcome = verify(&verifier, &token(Signer::Rsa(0), "1"), &oidc()).await;
        assert_eq!(outcome, "AuthProviderDiscoveryFailed", "{document}");
        assert_eq!(world.fetched(), [DISCOVERY]);
    }
}

#[tokio::test]
async fn keys_of_a_custom_provider_must_be_declared_as_json() {
    let (world, verifier) = World::publishing(&[]);
    for (content_type, expected) in [
        (Some("application/jwk-set+json"), "accepted"),
        (Some("Application/JSON;charset=utf-8"), "accepted"),
        (Some("text/html"), "AuthProviderDiscoveryFailed"),
        (None, "AuthProviderDiscoveryFailed"),
    ] {
        let body: Json = json!({"keys": [Signer::Rsa(0).jwk("1")]});
        world.answer(
            "/keys",
            Fetched {
                status: 200,
                content_type: content_type.map(str::to_owned),
                cache_control: Some("no-store".to_owned()),
                body: body.to_string().into_bytes(),
                ..Fetched::default()
            },
        );
        let fresh = Verifier::new(world.clone(), world.clone());
        assert_eq!(verify(&fresh, &token(Signer::Rsa(0), "1"), &custom("RS256")).await, expected);
    }
    drop(verifier);
}

#[tokio::test]
async fn keys_in_the_configuration_need_no_network() {
    let (world, verifier) = World::publishing(&[]);
    let keys = json!({"keys": [Signer::Ec.jwk("1")]}).to_string();
    let provider = Provider::from_json(&json!({
        "type": "customJwt", "issuer": ISSUER, "algorithm": "ES256", "jwks": format!("data:application/json,{keys}")
    }))
    .unwrap();
    assert_eq!(verify(&verifier, &token(Signer::Ec, "1"), &provider).await, "accepted");
    assert_eq!(verify(&verifier, &token(Signer::Ec, "2"), &provider).await, "Unauthenticated");
    assert_eq!(world.fetched(), [""; 0]);
}
