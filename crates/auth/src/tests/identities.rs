//! What functions get to see of a token.

use serde_json::{Value as Json, json};

use super::provider::{ISSUER, NOW_S, Signer, World, claims, custom, oidc};
use crate::Provider;

async fn attributes(provider: Provider, changes: Json) -> Json {
    let (_, verifier) = World::publishing(&[Signer::Rsa(0).jwk("1")]);
    let token = Signer::Rsa(0).token(Some("1"), &claims(&changes));
    Json::Object(verifier.verify(&token, &[provider]).await.unwrap().attributes)
}

#[tokio::test]
async fn standard_claims_have_other_names_and_custom_ones_their_own() {
    let seen = attributes(
        oidc(),
        json!({
            "name": "Ada", "given_name": "A", "family_name": "L", "nickname": "n", "preferred_username": "ada1",
            "profile": "https://p", "picture": "https://i", "website": "https://w", "email": "a@x.org",
            "email_verified": true, "gender": "f", "birthdate": "1815-12-10", "zoneinfo": "Europe/London",
            "locale": "en", "phone_number": "+44", "phone_number_verified": "false",
            "address": {"formatted": "12 St", "country": "UK"}, "updated_at": 1_700_000_000,
            "role": "admin", "teams": [1, {"a": null}], "nested": {"x": {"y": 1}},
            "jti": "1", "nbf": NOW_S, "fva": [1, 2], "auth_time": NOW_S, "nonce": "n", "azp": "z"
        }),
    )
    .await;
    assert_eq!(
        seen,
        json!({
            "tokenIdentifier": format!("{ISSUER}|ada"), "issuer": ISSUER, "subject": "ada", "name": "Ada",
            "givenName": "A", "familyName": "L", "nickname": "n", "preferredUsername": "ada1",
            "profileUrl": "https://p", "pictureUrl": "https://i", "websiteUrl": "https://w", "email": "a@x.org",
            "emailVerified": true, "gender": "f", "birthday": "1815-12-10", "timezone": "Europe/London",
            "language": "en", "phoneNumber": "+44", "phoneNumberVerified": false, "address": "12 St",
            "updatedAt": "2023-11-14T22:13:20+00:00",
            "role": "admin", "teams": [1, {"a": null}], "nested": {"x": {"y": 1}}
        })
    );
}

#[tokio::test]
async fn claims_of_the_wrong_type_are_left_out() {
    let seen = attributes(
        oidc(),
        json!({"name": 5, "email_verified": "perhaps", "address": "12 St", "updated_at": "2023-11-14T22:13:20Z",
               "picture": {"url": "x"}}),
    )
    .await;
    assert_eq!(
        seen,
        json!({"tokenIdentifier": format!("{ISSUER}|ada"), "issuer": ISSUER, "subject": "ada",
               "updatedAt": "2023-11-14T22:13:20+00:00"})
    );
}

#[tokio::test]
async fn custom_tokens_keep_their_names_and_are_flattened() {
    let seen = attributes(
        custom("RS256"),
        json!({"email_verified": true, "given_name": "A", "props": {"id": 1, "deep": {"er": [1, {"x": 2}]}, "none": {}},
               "jti": "1", "nbf": NOW_S, "fva": 1, "nonce": "kept"}),
    )
    .await;
    assert_eq!(
        seen,
        json!({"tokenIdentifier": format!("{ISSUER}|ada"), "issuer": ISSUER, "subject": "ada",
               "email_verified": true, "given_name": "A", "props.id": 1, "props.deep.er": [1, {"x": 2}],
               "nonce": "kept"})
    );
}

#[tokio::test]
async fn no_claim_can_pretend_to_be_the_identity() {
    let forged = json!({"tokenIdentifier": "https://x|admin", "issuer": "https://x", "subject": "admin"});
    for provider in [oidc(), custom("RS256")] {
        let seen = attributes(provider, forged.clone()).await;
        assert_eq!(
            seen,
            json!({"tokenIdentifier": format!("{ISSUER}|ada"), "issuer": ISSUER, "subject": "ada"})
        );
    }
}

#[tokio::test]
async fn a_refreshed_token_is_the_same_user() {
    let first = attributes(oidc(), json!({"name": "Ada", "jti": "1"})).await;
    let second = attributes(
        oidc(),
        json!({"name": "Ada", "jti": "2", "iat": NOW_S - 9, "exp": NOW_S + 9, "auth_time": 7, "nonce": "x",
               "at_hash": "y"}),
    )
    .await;
    assert_eq!(first, second);
}
