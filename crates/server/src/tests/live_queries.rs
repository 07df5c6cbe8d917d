//! Sockets with functions behind them.

use serde_json::json;

use super::fixture::Fixture;
use super::socket::TestSocket;

#[tokio::test]
async fn a_write_reaches_whoever_read_what_it_changed() {
    let server = Fixture::listening().await;
    let mut reader = TestSocket::connected(server.addr(), 1).await;
    reader.subscribe(1, 0, "m:list", json!({})).await;
    let first = reader.frame().await;
    assert_eq!(first["modifications"][0]["type"], "QueryUpdated");
    assert_eq!(first["modifications"][0]["value"], json!([]));
    assert_eq!(first["modifications"][0]["logLines"], json!(["[LOG] 'listing'"]));
    let mut writer = TestSocket::connected(server.addr(), 2).await;
    writer.mutate(0, "m:send", json!({"body": "hi"})).await;
    let second = reader.frame().await;
    assert_eq!(second["startVersion"], first["endVersion"]);
    assert_eq!(second["modifications"][0]["value"], json!(["hi"]));
}

#[tokio::test]
async fn the_writer_sees_its_answer_and_then_a_transition_that_includes_it() {
    let server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    socket.subscribe(1, 0, "m:count", json!({})).await;
    socket.frame_of("Transition").await;
    for number in 0..20 {
        socket.mutate(number, "m:send", json!({"body": "x"})).await;
        let answer = socket.frame_of("MutationResponse").await;
        assert_eq!((&answer["requestId"], &answer["success"]), (&json!(number), &json!(true)));
        let transition = socket.frame_of("Transition").await;
        assert_eq!(transition["modifications"][0]["value"], json!(number + 1));
    }
}

#[tokio::test]
async fn a_mutation_without_subscriptions_is_still_followed_by_a_transition() {
    let server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    socket.mutate(0, "m:send", json!({"body": "x"})).await;
    let answer = socket.frame().await;
    assert_eq!(answer["type"], "MutationResponse");
    let transition = socket.frame().await;
    assert_eq!(transition["type"], "Transition");
    let ts = |text: &serde_json::Value| freshet_values::Timestamp::from_wire(text.as_str().unwrap()).unwrap();
    assert!(ts(&transition["endVersion"]["ts"]) >= ts(&answer["ts"]));
}

#[tokio::test]
async fn a_repeated_request_of_a_session_runs_once() {
    let server = Fixture::listening().await;
    let mut first = TestSocket::connected(server.addr(), 7).await;
    first.mutate(3, "m:send", json!({"body": "once"})).await;
    let original = first.frame_of("MutationResponse").await;
    let mut second = TestSocket::connected(server.addr(), 7).await;
    second.mutate(3, "m:send", json!({"body": "once"})).await;
    let replayed = second.frame_of("MutationResponse").await;
    assert_eq!(original["ts"], replayed["ts"]);
    second.subscribe(1, 0, "m:list", json!({})).await;
    loop {
        let transition = second.frame_of("Transition").await;
        if let Some(updated) = transition["modifications"].get(0) {
            assert_eq!(updated["value"], json!(["once"]));
            return;
        }
    }
}

#[tokio::test]
async fn failures_are_answers() {
    let server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    socket.mutate(0, "m:fail", json!({})).await;
    let failed = socket.frame_of("MutationResponse").await;
    assert_eq!(failed["success"], false);
    let message = failed["result"].as_str().unwrap();
    assert!(message.contains("] Server Error\nUncaught Error: nope"), "{message}");
    socket.subscribe(1, 0, "m:coded", json!({})).await;
    socket.subscribe(2, 1, "m:hidden", json!({})).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let transition = socket.frame_of("Transition").await;
        seen.extend(transition["modifications"].as_array().unwrap().clone());
    }
    assert_eq!(seen[0]["type"], "QueryFailed");
    assert_eq!(seen[0]["errorData"], json!({"code": {"$integer": "BwAAAAAAAAA="}}));
    let message = seen[1]["errorMessage"].as_str().unwrap();
    assert!(message.contains("Could not find public function for 'm:hidden'."), "{message}");
    assert!(seen[1].get("errorData").is_none());
}

#[tokio::test]
async fn actions_run_side_by_side() {
    let server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    for (number, path) in [(0, "a:slow"), (1, "a:echo")] {
        socket
            .send(json!({"type": "Action", "requestId": number, "udfPath": path, "args": [{"n": number}]}))
            .await;
    }
    let first = socket.frame_of("ActionResponse").await;
    let second = socket.frame_of("ActionResponse").await;
    assert_eq!((&first["requestId"], &second["requestId"]), (&json!(1), &json!(0)));
    assert_eq!(second["success"], true);
}

#[tokio::test]
async fn an_impersonated_user_is_who_functions_see() {
    let server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    socket
        .send(json!({
            "type": "Authenticate", "baseVersion": 0, "tokenType": "Admin", "value": server.admin_key(),
            "impersonating": {"issuer": "https://i", "subject": "s"}
        }))
        .await;
    socket.subscribe(1, 0, "m:who", json!({})).await;
    loop {
        let transition = socket.frame_of("Transition").await;
        if let Some(updated) = transition["modifications"].get(0) {
            assert_eq!(updated["value"]["subject"], "s");
            assert_eq!(transition["endVersion"]["identity"], 1);
            return;
        }
    }
}

#[tokio::test]
async fn equal_queries_of_many_sockets_run_about_once() {
    let server = Fixture::listening().await;
    let mut sockets = Vec::new();
    for session in 0..50 {
        let mut socket = TestSocket::connected(server.addr(), session).await;
        socket.subscribe(1, 0, "m:list", json!({})).await;
        socket.frame_of("Transition").await;
        sockets.push(socket);
    }
    assert!(server.queries_run() <= 2, "{} executions", server.queries_run());
    let before = server.queries_run();
    sockets[0].mutate(0, "m:send", json!({"body": "hi"})).await;
    for socket in &mut sockets {
        loop {
            let transition = socket.frame_of("Transition").await;
            if let Some(updated) = transition["modifications"].get(0) {
                assert_eq!(updated["value"], json!(["hi"]));
                break;
            }
        }
    }
    let executions = server.queries_run() - before;
    assert!(executions <= 5, "{executions} executions for one write");
}

#[tokio::test]
async fn an_answer_from_the_cache_shows_in_the_log_stream_as_such() {
    let server = Fixture::listening().await;
    for session in 0..2 {
        let mut socket = TestSocket::connected(server.addr(), session).await;
        socket.subscribe(1, 0, "m:list", json!({})).await;
        socket.frame_of("Transition").await;
    }
    assert_eq!(server.queries_run(), 1);
    let request = server.request(axum::http::Method::GET, "/api/stream_function_logs?cursor=0");
    let page = request.admin(&server.admin_key()).send().await.json();
    let seen: Vec<_> = page["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                entry["cachedResult"].clone(),
                entry["identifier"].clone(),
                entry["logLines"].clone(),
                entry["returnBytes"].clone(),
            )
        })
        .collect();
    let entry = |cached: bool| (json!(cached), json!("m:list"), json!(["[LOG] 'listing'"]), json!(2));
    assert_eq!(seen, [entry(false), entry(true)]);
}

#[tokio::test]
async fn answers_that_depend_on_the_identity_are_not_shared() {
    let server = Fixture::listening().await;
    for subject in ["ada", "bob"] {
        let mut socket = TestSocket::connected(server.addr(), 1).await;
        socket
            .send(json!({
                "type": "Authenticate", "baseVersion": 0, "tokenType": "Admin", "value": server.admin_key(),
                "acting_as": {"issuer": "https://i", "subject": subject}
            }))
            .await;
        socket.subscribe(1, 0, "m:who", json!({})).await;
        loop {
            let transition = socket.frame_of("Transition").await;
            if let Some(updated) = transition["modifications"].get(0) {
                assert_eq!(updated["value"]["subject"], subject);
                break;
            }
        }
    }
    assert_eq!(server.queries_run(), 2);
}

#[tokio::test]
async fn what_a_vanished_socket_asked_for_is_still_done() {
    let server = Fixture::listening().await;
    for session in 0..10 {
        let mut socket = TestSocket::connected(server.addr(), session).await;
        socket.mutate(0, "m:send", json!({"body": "x"})).await;
        drop(socket);
    }
    let mut socket = TestSocket::connected(server.addr(), 99).await;
    socket.subscribe(1, 0, "m:count", json!({})).await;
    let mut count = 0.0;
    while count < 10.0 {
        let transition = socket.frame_of("Transition").await;
        count = transition["modifications"][0]["value"].as_f64().unwrap_or(count);
    }
    assert_eq!(count, 10.0);
}
