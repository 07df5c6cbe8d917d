//! Who may use what.

use axum::http::{Method, StatusCode};
use freshet_instance::{AdminIdentity, AdminKeyClaims};

use super::fixture::Fixture;

const CALL: &str = r#"{"path":"m:f","args":{}}"#;

#[tokio::test]
async fn a_good_key_is_good_in_the_header_and_in_the_query_string() {
    let server = Fixture::new().await;
    let key = server.admin_key();
    let header = server.request(Method::GET, "/api/check_admin_key").admin(&key).send().await;
    assert_eq!(header.status, StatusCode::OK);
    assert_eq!(header.json(), serde_json::json!({"success": true, "allowedOps": [], "isReadOnly": false}));
    let query = server.get(&format!("/api/check_admin_key?adminKey={}", key.replace('|', "%7C"))).await;
    assert_eq!(query.status, StatusCode::OK);
}

#[tokio::test]
async fn a_forged_key_is_401_everywhere() {
    let server = Fixture::new().await;
    let other = server.key_of_another_instance();
    for key in [other.as_str(), "garbage", "test-instance|00"] {
        for (method, path) in [
            (Method::GET, "/api/check_admin_key"),
            (Method::POST, "/api/query"),
            (Method::POST, "/api/deploy2/start_push"),
            (Method::GET, "/api/stream_function_logs"),
        ] {
            let answer = server.request(method, path).admin(key).json(CALL).send().await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} {key}");
            assert_eq!(answer.code(), "BadAdminKey");
            assert_eq!(answer.message(), "The provided admin key was invalid for this instance");
        }
    }
}

#[tokio::test]
async fn without_a_key_administration_is_403() {
    let server = Fixture::new().await;
    for (method, path) in [
        (Method::GET, "/api/check_admin_key"),
        (Method::GET, "/api/v1/get_canonical_urls"),
        (Method::POST, "/api/function"),
        (Method::POST, "/api/update_environment_variables"),
        (Method::POST, "/api/get_config_hashes"),
        (Method::GET, "/api/stream_function_logs"),
    ] {
        let body = r#"{"path":"m:f","args":{},"changes":[]}"#;
        let answer = server.request(method, path).json(body).send().await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::FORBIDDEN, "BadDeployKey"),
            "{path}"
        );
        let expected = "The provided deploy key was invalid for this deployment";
        assert!(answer.message().starts_with(expected), "{path}: {}", answer.message());
    }
}

#[tokio::test]
async fn a_user_token_is_no_admin_key_and_names_the_deployment() {
    let server = Fixture::new().await;
    let request = server.request(Method::GET, "/api/check_admin_key").header("authorization", "Bearer a.b.c");
    let answer = request.send().await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let expected = "The provided deploy key was invalid for deployment 'test-instance'";
    assert!(answer.message().starts_with(expected), "{}", answer.message());
}

#[tokio::test]
async fn a_user_token_that_is_not_accepted_is_401() {
    let server = Fixture::new().await;
    let request = server.request(Method::POST, "/api/query").header("authorization", "Bearer a.b.c");
    let answer = request.json(CALL).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "NoAuthProvider"));
    assert!(answer.message().starts_with("No auth provider found matching the given token"));
}

#[tokio::test]
async fn unusable_authorization_headers_are_400() {
    let server = Fixture::new().await;
    for (header, code) in [
        ("x", "InvalidHeaderFailure"),
        ("Basic dTpw", "InvalidAdminKey"),
        ("Convex a|b:%", "HeaderParseFailure"),
    ] {
        let request = server.request(Method::POST, "/api/query").header("authorization", header);
        let answer = request.json(CALL).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, code), "{header}");
    }
}

#[tokio::test]
async fn a_push_takes_the_key_from_the_body() {
    let server = Fixture::new().await;
    let hashes = async |key: &str| {
        let body = serde_json::json!({"version": "1.48.0", "adminKey": key}).to_string();
        server.request(Method::POST, "/api/get_config_hashes").json(&body).send().await
    };
    let good = hashes(&server.admin_key()).await;
    assert_eq!(good.status, StatusCode::OK);
    assert_eq!(good.json()["config"]["functions"], "convex/");
    assert_eq!(hashes("nonsense").await.code(), "BadAdminKey");
}

#[tokio::test]
async fn a_read_only_key_looks_but_does_not_touch() {
    let server = Fixture::new().await;
    let claims = AdminKeyClaims { issued_at_s: 1, identity: AdminIdentity::System, read_only: true };
    let key = server.issue(&claims);
    let checked = server.request(Method::GET, "/api/check_admin_key").admin(&key).send().await;
    assert_eq!(checked.json()["isReadOnly"], true);
    let acting = format!("{key}:eyJzdWJqZWN0IjoidTEiLCJpc3N1ZXIiOiJpIn0=");
    let answer = server.request(Method::POST, "/api/query").admin(&acting).json(CALL).send().await;
    assert!(answer.message().ends_with("(functions:actAsUser)."), "{}", answer.message());
    let listed = server.request(Method::GET, "/api/v1/list_environment_variables").admin(&key).send().await;
    assert_eq!(listed.status, StatusCode::OK);
    for path in ["/api/update_environment_variables", "/api/mutation", "/api/deploy2/start_push"] {
        let body = r#"{"path":"m:f","args":{},"changes":[]}"#;
        let answer = server.request(Method::POST, path).admin(&key).json(body).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "OperationNotPermitted"));
        let expected = "You do not have permission to perform this operation";
        assert!(answer.message().starts_with(expected), "{}", answer.message());
    }
}
