//! Who may sign, and with what.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::provider::{ISSUER, Signer, World, claims, code, custom, oidc};

#[tokio::test]
async fn each_kind_of_provider_has_its_algorithms() {
    for (signer, provider, expected) in [
        (Signer::Rsa(0), oidc(), "accepted"),
        (Signer::Ed, oidc(), "accepted"),
        (Signer::Ec, oidc(), "Unauthenticated"),
        (Signer::Rsa(0), custom("RS256"), "accepted"),
        (Signer::Ec, custom("ES256"), "accepted"),
        (Signer::Rsa(0), custom("ES256"), "Unauthenticated"),
        (Signer::Ec, custom("RS256"), "Unauthenticated"),
        (Signer::Ed, custom("RS256"), "Unauthenticated"),
    ] {
        let (_, verifier) = World::publishing(&[signer.jwk("1")]);
        let token = signer.token(Some("1"), &claims(&json!({})));
        let outcome = verifier.verify(&token, &[provider]).await;
        assert_eq!(code(&outcome), expected, "{signer:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_token_cannot_choose_to_be_checked_in_a_weaker_way() {
    let (world, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
    let claims = claims(&json!({}));
    let good = Signer::Rsa(0).token(Some("1"), &claims);
    let unsigned = |algorithm: &str| {
        let encode = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.", encode(&json!({"alg": algorithm, "kid": "1"})), encode(&claims))
    };
    // The signature is right for the text, but not of a kind that is accepted.
    let relabelled =
        |algorithm: &str| Signer::Rsa(0).token_with(&json!({"alg": algorithm, "kid": "1"}), &claims);
    for token in [
        unsigned("none"),
        unsigned("None"),
        unsigned("RS256"),
        unsigned("HS256"),
        relabelled("HS256"),
        relabelled("RS512"),
        relabelled("PS256"),
        relabelled("rs256"),
        relabelled(""),
        // Signed by somebody else.
        Signer::Rsa(1).token(Some("1"), &claims),
        // The key that signed it, in the token itself.
        Signer::Rsa(1).token_with(
            &json!({"alg": "RS256", "kid": "1", "jwk": Signer::Rsa(1).jwk("1"), "jku": "https://evil.example/"}),
            &claims,
        ),
        format!("{good}A"),
        good[..good.len() - 4].to_owned(),
    ] {
        let outcome = verifier.verify(&token, &[oidc()]).await;
        assert!(
            matches!(code(&outcome), "Unauthenticated" | "InvalidAuthHeader"),
            "{token}: {outcome:?}"
        );
    }
    assert!(
        world.fetched().iter().all(|path| path == "/keys" || path == "/.well-known/openid-configuration")
    );
    assert_eq!(code(&verifier.verify(&good, &[oidc()]).await), "accepted");
}

#[tokio::test]
async fn other_claims_under_a_good_signature_are_refused() {
    let (_, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
    let good = Signer::Rsa(0).token(Some("1"), &claims(&json!({})));
    let parts: Vec<&str> = good.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(claims(&json!({"sub": "admin"})).to_string());
    let outcome = verifier.verify(&format!("{}.{other}.{}", parts[0], parts[2]), &[oidc()]).await;
    assert_eq!(code(&outcome), "Unauthenticated");
}

#[tokio::test]
async fn a_key_that_is_meant_for_something_else_does_not_count() {
    let mut encryption = Signer::Rsa(0).jwk("1");
    encryption["use"] = "enc".into();
    let mut other = Signer::Rsa(0).jwk("2");
    other["alg"] = "RS384".into();
    let (_, verifier) = World::publishing(&[encryption, other]);
    for id in ["1", "2"] {
        let token = Signer::Rsa(0).token(Some(id), &claims(&json!({})));
        assert_eq!(code(&verifier.verify(&token, &[oidc()]).await), "Unauthenticated");
    }
}

#[tokio::test]
async fn keys_may_have_the_same_name_in_different_algorithms() {
    let (_, verifier) =
        World::publishing(&[Signer::Ec.jwk("1"), Signer::Rsa(1).jwk("1"), Signer::Rsa(0).jwk("1")]);
    let token = Signer::Rsa(0).token(Some("1"), &claims(&json!({})));
    assert_eq!(code(&verifier.verify(&token, &[oidc()]).await), "accepted");
}

#[tokio::test]
async fn a_token_without_a_key_id_needs_a_single_key() {
    let token = Signer::Rsa(0).token(None, &claims(&json!({})));
    let (_, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1"), Signer::Ec.jwk("2")]);
    assert_eq!(code(&verifier.verify(&token, &[custom("RS256")]).await), "accepted");
    let (_, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1"), Signer::Rsa(1).jwk("2")]);
    assert_eq!(code(&verifier.verify(&token, &[custom("RS256")]).await), "Unauthenticated");
}

#[tokio::test]
async fn a_provider_is_chosen_by_issuer_and_audience() {
    let (world, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
    let verify = async |changes: serde_json::Value| {
        let token = Signer::Rsa(0).token(Some("1"), &claims(&changes));
        code(&verifier.verify(&token, &[oidc()]).await)
    };
    for stranger in [
        json!({"aud": "other"}),
        json!({"aud": null}),
        json!({"aud": []}),
        json!({"aud": {"app": "app"}}),
        json!({"iss": "https://other.example.com"}),
        json!({"iss": "http://issuer.example.com"}),
        json!({"iss": format!("{ISSUER}/tenant")}),
    ] {
        assert_eq!(verify(stranger.clone()).await, "NoAuthProvider", "{stranger}");
    }
    assert_eq!(world.fetched(), [""; 0], "nobody is asked about the tokens of strangers");
    assert_eq!(verify(json!({"aud": ["app"]})).await, "accepted");
    assert_eq!(verify(json!({"aud": ["app", "other"]})).await, "Unauthenticated");
    assert_eq!(verify(json!({"iss": format!("{ISSUER}/")})).await, "accepted");
    assert_eq!(verify(json!({"iss": "issuer.example.com"})).await, "accepted");
    let token = Signer::Rsa(0).token(Some("1"), &claims(&json!({"aud": ["app", "other"]})));
    assert_eq!(code(&verifier.verify(&token, &[custom("RS256")]).await), "accepted");
}

#[tokio::test]
async fn the_refusal_says_what_token_and_configuration_name() {
    let (_, verifier) = World::publishing(&[]);
    let token = Signer::Rsa(0).token(Some("1"), &claims(&json!({"aud": "other"})));
    let error = verifier.verify(&token, &[oidc()]).await.unwrap_err().to_string();
    assert!(error.starts_with("No auth provider found matching the given token"), "{error}");
    assert!(error.contains(r#"audience "other""#) && error.contains(r#"for "app""#), "{error}");
    let error = verifier.verify(&token, &[]).await.unwrap_err().to_string();
    assert!(error.contains("No providers are configured"), "{error}");
}
