//! Sockets before any function runs.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::fixture::Fixture;
use super::socket::TestSocket;

#[tokio::test]
async fn all_addresses_that_clients_use_lead_to_a_socket() {
    let server = Fixture::listening().await;
    for path in ["/api/sync", "/api/1.48.0/sync", "//api/1.48.0/sync", "/api/latest/sync"] {
        let mut socket = TestSocket::open_at(server.addr(), path).await;
        assert!(socket.first_is_ping().await, "{path}");
    }
}

#[tokio::test]
async fn an_empty_query_set_is_confirmed_by_a_transition() {
    let server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    socket
        .send(json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": []}))
        .await;
    let transition = socket.frame().await;
    assert_eq!(transition["type"], "Transition");
    assert_eq!(transition["endVersion"]["querySet"], 1);
    assert_eq!(transition["modifications"], json!([]));
}

#[tokio::test]
async fn a_user_token_is_answered_with_an_auth_error_and_an_empty_close() {
    let server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    socket
        .send(json!({"type": "Authenticate", "baseVersion": 0, "tokenType": "User", "value": "a.b.c"}))
        .await;
    let error = socket.frame().await;
    assert_eq!(error["type"], "AuthError");
    assert_eq!(error["authUpdateAttempted"], true);
    assert!(error["error"].as_str().unwrap().starts_with("No auth provider found"), "{error}");
    assert_eq!(socket.close_frame().await, None);
}

#[tokio::test]
async fn an_admin_key_is_accepted_and_a_forged_one_is_not() {
    let server = Fixture::listening().await;
    let authenticate = |key: String| {
        json!({
            "type": "Authenticate", "baseVersion": 0, "tokenType": "Admin", "value": key,
            "impersonating": {"issuer": "https://i", "subject": "s"}
        })
    };
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    socket.send(authenticate(server.admin_key())).await;
    assert_eq!(socket.frame().await["endVersion"]["identity"], 1);
    let mut socket = TestSocket::connected(server.addr(), 2).await;
    socket.send(authenticate(server.key_of_another_instance())).await;
    let error = socket.frame().await;
    assert_eq!(error["error"], "The provided admin key was invalid for this instance");
}

#[tokio::test]
async fn a_frame_that_is_no_json_is_fatal() {
    let server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    socket.send_raw(Message::Text("{".into())).await;
    let error = socket.frame().await;
    assert_eq!(error["type"], "FatalError");
    assert!(error["error"].as_str().unwrap().starts_with("Received Invalid JSON on websocket"), "{error}");
    assert_eq!(socket.close_frame().await, None);
}

#[tokio::test]
async fn a_query_set_that_does_not_follow_closes_with_1011() {
    let server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    socket
        .send(json!({"type": "ModifyQuerySet", "baseVersion": 3, "newVersion": 4, "modifications": []}))
        .await;
    let close = socket.close_frame().await.expect("a code");
    assert_eq!((close.code, close.reason.as_str()), (CloseCode::Error, "InternalServerError"));
}

#[tokio::test]
async fn a_message_above_64_mib_closes_with_1009() {
    let server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    // The server may close while the message is still being sent.
    let huge = Message::Text("x".repeat((64 << 20) + 1).into());
    socket.try_send_raw(huge).await;
    if let Some(close) = socket.close_frame_if_any().await {
        assert_eq!(close.code, CloseCode::Size);
    }
}

#[tokio::test]
async fn a_large_result_arrives_whole_whoever_asks() {
    let server = Fixture::listening().await;
    let large = "é".repeat(4 << 20);
    // The second address is that of clients which do not understand pieces.
    for (path, chunks) in [("/api/1.48.0/sync", true), ("/api/sync", false)] {
        let mut socket = TestSocket::open_at(server.addr(), path).await;
        socket.subscribe(1, 0, "m:echo", json!({"large": large})).await;
        let mut text = String::new();
        let mut frame = socket.frame().await;
        assert_eq!(frame["type"] == "TransitionChunk", chunks);
        while frame["type"] == "TransitionChunk" {
            text.push_str(frame["chunk"].as_str().unwrap());
            if frame["partNumber"].as_u64().unwrap() + 1 == frame["totalParts"].as_u64().unwrap() {
                frame = serde_json::from_str(&text).unwrap();
                break;
            }
            frame = socket.frame().await;
        }
        assert!(frame["modifications"][0]["value"]["large"] == large.as_str(), "{path}");
    }
}

#[tokio::test]
async fn a_client_that_lets_its_answers_pile_up_is_told_so_and_dropped() {
    let server = Fixture::listening_with(|config| config.limits.socket_bytes_max = 8 << 20).await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    let large = "x".repeat(1 << 20);
    for request_id in 0..40 {
        let action = json!({"type": "Action", "requestId": request_id, "udfPath": "a:echo", "args": [{"large": large}]});
        socket.try_send_raw(Message::Text(action.to_string().into())).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    // What the kernels hold arrives, and then the reason instead of the rest.
    let close = socket.close_frame().await.expect("a code");
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1013, "ClientTooSlow"));
    // The place is free again, and others are served.
    let mut other = TestSocket::connected(server.addr(), 2).await;
    other.mutate(0, "m:send", json!({"body": "x"})).await;
    other.frame_of("MutationResponse").await;
}

#[tokio::test]
async fn when_too_much_waits_for_all_clients_together_the_slowest_has_to_go() {
    let server = Fixture::listening_with(|config| config.limits.backlog_bytes_max = 8 << 20).await;
    let mut patient = TestSocket::connected(server.addr(), 1).await;
    patient.subscribe(1, 0, "m:list", json!({})).await;
    patient.frame_of("Transition").await;
    let mut slow = TestSocket::connected(server.addr(), 2).await;
    let large = "x".repeat(1 << 20);
    for request_id in 0..40 {
        let action = json!({"type": "Action", "requestId": request_id, "udfPath": "a:echo", "args": [{"large": large}]});
        slow.try_send_raw(Message::Text(action.to_string().into())).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(server.state().backlog.bytes() <= 9 << 20, "{}", server.state().backlog.bytes());
    let close = slow.close_frame().await.expect("a code");
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1013, "ClientTooSlow"));
    // Who takes what comes stays.
    patient.mutate(0, "m:send", json!({"body": "x"})).await;
    assert_eq!(patient.frame_of("Transition").await["modifications"][0]["value"], json!(["x"]));
    drop(slow);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while server.state().backlog.bytes() > 0 {
        assert!(
            std::time::Instant::now() < deadline,
            "{} bytes are still counted",
            server.state().backlog.bytes()
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_holds_only_so_many_sockets() {
    let server = Fixture::listening_with(|config| config.limits.sockets_max = 1).await;
    let socket = TestSocket::open(server.addr()).await;
    assert_eq!(TestSocket::refused(server.addr()).await, 503);
    drop(socket);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while TestSocket::try_open(server.addr()).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "the place was not given back");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_ordinary_request_to_the_socket_address_gets_an_answer() {
    let server = Fixture::new().await;
    let answer = server.get("/api/1.48.0/sync").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "InvalidWebSocketUpgrade"));
}

#[tokio::test]
async fn shutdown_closes_sockets_with_1001_and_returns() {
    let mut server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    assert!(socket.first_is_ping().await);
    let began = std::time::Instant::now();
    let (close, ()) = tokio::join!(socket.close_frame(), server.shutdown());
    assert_eq!(close.expect("a code").code, CloseCode::Away);
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_port_in_use_is_a_clear_error() {
    let server = Fixture::listening().await;
    let error = server.start_another_on_the_same_port().await;
    let text = error.to_string();
    assert!(text.contains(&format!("port {} is already in use", server.addr().port())), "{text}");
}
