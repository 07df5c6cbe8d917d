//! Users' tokens, over WebSockets and over HTTP.

use std::time::{Duration, SystemTime};

use axum::http::{Method, StatusCode};
use serde_json::{Value as Json, json};

use super::fixture::Fixture;
use super::socket::TestSocket;

const WHO: &str = r#"{"path":"m:who","args":{}}"#;

fn authenticate(version: u32, token: Option<&str>) -> Json {
    match token {
        Some(token) => {
            json!({"type": "Authenticate", "baseVersion": version, "tokenType": "User", "value": token})
        }
        None => json!({"type": "Authenticate", "baseVersion": version, "tokenType": "None"}),
    }
}

/// A socket that is logged in and subscribed to who it is.
async fn logged_in(server: &Fixture, token: &str) -> TestSocket {
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    socket.send(authenticate(0, Some(token))).await;
    socket.subscribe(1, 0, "m:who", json!({})).await;
    loop {
        let transition = socket.frame_of("Transition").await;
        assert_eq!(transition["endVersion"]["identity"], 1);
        if let Some(updated) = transition["modifications"].get(0) {
            assert!(updated["value"]["subject"].is_string(), "{updated}");
            return socket;
        }
    }
}

#[tokio::test]
async fn a_query_over_http_sees_its_user() {
    let server = Fixture::new().await;
    server.tokens.add("ada's", "ada");
    let ask = async |header: &str| {
        server.request(Method::POST, "/api/query").header("authorization", header).json(WHO).send().await
    };
    let answer = ask("Bearer ada's").await;
    assert_eq!(answer.json()["value"]["tokenIdentifier"], "https://i|ada");
    let answer = ask("Bearer nobody's").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "NoAuthProvider"));
    let answer = ask("Bearer later").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "AuthProviderDiscoveryFailed")
    );
    server.tokens.add_until("old", "ada", SystemTime::now() - Duration::from_secs(1));
    let answer = ask("Bearer old").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "TokenExpired"));
    assert_eq!(server.post("/api/query", WHO).await.json()["value"], Json::Null);
}

#[tokio::test]
async fn a_new_token_of_the_same_user_changes_no_result_and_another_user_does() {
    let server = Fixture::listening().await;
    for (token, subject) in [("ada 1", "ada"), ("ada 2", "ada"), ("bob", "bob")] {
        server.tokens.add(token, subject);
    }
    let mut socket = logged_in(&server, "ada 1").await;
    let runs = server.queries_run();
    socket.send(authenticate(1, Some("ada 2"))).await;
    let transition = socket.frame_of("Transition").await;
    assert_eq!(
        (&transition["endVersion"]["identity"], &transition["modifications"]),
        (&json!(2), &json!([]))
    );
    assert_eq!(server.queries_run(), runs);
    socket.send(authenticate(2, Some("bob"))).await;
    let transition = socket.frame_of("Transition").await;
    assert_eq!(transition["endVersion"]["identity"], 3);
    assert_eq!(transition["modifications"][0]["value"]["subject"], "bob");
    socket.send(authenticate(3, None)).await;
    let transition = socket.frame_of("Transition").await;
    assert_eq!(transition["endVersion"]["identity"], 4);
    assert_eq!(transition["modifications"][0]["value"], Json::Null);
}

#[tokio::test]
async fn nothing_is_delivered_under_an_expired_token() {
    let server = Fixture::listening().await;
    server.tokens.add_until("short", "ada", SystemTime::now() + Duration::from_secs(1));
    let mut socket = logged_in(&server, "short").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    socket.mutate(0, "m:send", json!({"body": "x"})).await;
    let error = socket.frame().await;
    assert_eq!(
        (&error["type"], &error["error"], &error["baseVersion"], &error["authUpdateAttempted"]),
        (&json!("AuthError"), &json!("Convex token identity expired"), &json!(1), &json!(false))
    );
    assert_eq!(socket.close_frame().await, None);
    let count = server.post("/api/query", r#"{"path":"m:count","args":{}}"#).await;
    assert_eq!(count.json()["value"].as_f64(), Some(0.0), "the mutation did not run");
}

#[tokio::test]
async fn a_provider_that_is_down_closes_the_socket_for_another_try() {
    let server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    socket.send(authenticate(0, Some("later"))).await;
    let close = socket.close_frame().await.expect("a code");
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1013, "AuthProviderDiscoveryFailed"));
}

#[tokio::test]
async fn another_configuration_takes_effect_on_open_sockets() {
    let server = Fixture::listening().await;
    for subject in ["ada", "bob"] {
        server.tokens.add(subject, subject);
    }
    let mut ada = logged_in(&server, "ada").await;
    let mut bob = logged_in(&server, "bob").await;
    server.tokens.forget("ada");
    let error = ada.frame().await;
    assert_eq!((&error["type"], &error["authUpdateAttempted"]), (&json!("AuthError"), &json!(false)));
    assert_eq!(ada.close_frame().await, None);
    bob.subscribe(2, 1, "m:who", json!({})).await;
    let transition = bob.frame_of("Transition").await;
    assert_eq!(transition["modifications"][0]["value"]["subject"], "bob");
}
