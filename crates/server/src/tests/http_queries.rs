//! Queries over HTTP share executions with each other and with WebSockets.

use base64::Engine;
use serde_json::json;

use super::fixture::Fixture;
use super::socket::TestSocket;

const LIST: &str = r#"{"path": "m:list", "args": {}}"#;

async fn send(server: &Fixture, body: &str) {
    let mutation = json!({"path": "m:send", "args": {"body": body}}).to_string();
    assert_eq!(server.post("/api/mutation", &mutation).await.json()["status"], "success");
}

#[tokio::test]
async fn equal_queries_run_once_until_something_they_read_changes() {
    let server = Fixture::new().await;
    for _ in 0..3 {
        assert_eq!(server.post("/api/query", LIST).await.json()["value"], json!([]));
    }
    let by_get = server.get("/api/query?path=m:list&args=%7B%7D&format=json").await;
    assert_eq!(by_get.json()["value"], json!([]));
    assert_eq!(server.queries_run(), 1);
    send(&server, "hi").await;
    for _ in 0..3 {
        assert_eq!(server.post("/api/query", LIST).await.json()["value"], json!(["hi"]));
    }
    assert_eq!(server.queries_run(), 2);
    let statistics = server.state().query_cache.statistics();
    assert_eq!((statistics.hits, statistics.misses, statistics.entries), (5, 2, 1));
    assert!(statistics.bytes > 0);
}

#[tokio::test]
async fn spellings_of_a_function_are_one_and_arguments_are_not() {
    let server = Fixture::new().await;
    for (path, number) in [("m:echo", 1), ("m.js:echo", 1), ("m:echo", 2)] {
        let body = json!({"path": path, "args": {"n": number}, "format": "convex_encoded_json"}).to_string();
        assert_eq!(server.post("/api/query", &body).await.json()["value"]["n"], json!(f64::from(number)));
    }
    assert_eq!(server.queries_run(), 2);
}

#[tokio::test]
async fn a_query_sees_the_mutation_that_was_answered_before_it() {
    let server = Fixture::new().await;
    for number in 0..20 {
        assert_eq!(server.post("/api/query", LIST).await.json()["value"].as_array().unwrap().len(), number);
        send(&server, "x").await;
    }
}

#[tokio::test]
async fn failures_are_shared_and_say_the_same() {
    let server = Fixture::new().await;
    let body = r#"{"path": "m:coded", "args": {}, "format": "convex_encoded_json"}"#;
    let first = server.post("/api/query", body).await;
    let second = server.post("/api/query", body).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.json(), second.json());
    assert_eq!(first.json()["errorData"], json!({"code": {"$integer": "BwAAAAAAAAA="}}));
    assert_eq!(server.queries_run(), 1);
}

#[tokio::test]
async fn an_answer_for_one_identity_is_not_given_to_another() {
    let server = Fixture::new().await;
    let body = r#"{"path": "m:who", "args": {}}"#;
    assert_eq!(server.post("/api/query", body).await.json()["value"], json!(null));
    let request = server.request(axum::http::Method::POST, "/api/query").json(body);
    let user =
        base64::engine::general_purpose::STANDARD.encode(r#"{"issuer": "https://i", "subject": "ada"}"#);
    let answer = request.admin(&format!("{}:{user}", server.admin_key())).send().await;
    assert_eq!(answer.json()["value"]["subject"], "ada");
    assert_eq!(server.post("/api/query", body).await.json()["value"], json!(null));
    assert_eq!(server.queries_run(), 2);
}

#[tokio::test]
async fn an_earlier_moment_has_its_own_answer() {
    let server = Fixture::new().await;
    let ts = server.post("/api/query_ts", "").await.json()["ts"].as_str().unwrap().to_owned();
    send(&server, "later").await;
    assert_eq!(server.post("/api/query", LIST).await.json()["value"], json!(["later"]));
    let at = json!({"path": "m:list", "args": {}, "ts": ts}).to_string();
    assert_eq!(server.post("/api/query_at_ts", &at).await.json()["value"], json!([]));
    assert_eq!(server.post("/api/query", LIST).await.json()["value"], json!(["later"]));
}

#[tokio::test]
async fn who_wants_no_kept_result_gets_a_run_of_their_own() {
    let server = Fixture::new().await;
    // Not before the database's own first commit is there: a result of later is none for that moment.
    server.post("/api/query", LIST).await;
    let ts = server.post("/api/query_ts", "").await.json()["ts"].as_str().unwrap().to_owned();
    let at = json!({"path": "m:list", "args": {}, "ts": ts}).to_string();
    for (path, body) in [("/api/query", LIST), ("/api/query_at_ts", &at)] {
        for cache_control in ["no-cache", "max-age=0, No-Cache"] {
            let before = server.queries_run();
            let request = server.request(axum::http::Method::POST, path).json(body);
            let answer = request.header("cache-control", cache_control).send().await;
            assert_eq!(answer.json()["value"], json!([]));
            assert_eq!(server.queries_run(), before + 1, "{path}");
        }
        server.post(path, body).await;
        let kept = server.queries_run();
        server.post(path, body).await;
        assert_eq!(server.queries_run(), kept, "{path}");
    }
}

#[tokio::test]
async fn the_cache_stays_within_its_bound() {
    let server = Fixture::with(|config| config.limits.query_cache_bytes_max = 64 << 10).await;
    for number in 0..200 {
        let body = json!({"path": "m:echo", "args": {"n": number, "text": "x".repeat(1000)}}).to_string();
        server.post("/api/query", &body).await;
    }
    let statistics = server.state().query_cache.statistics();
    assert!(statistics.bytes <= 64 << 10 && statistics.entries > 2, "{statistics:?}");
}

#[tokio::test]
async fn what_nobody_asks_for_and_nobody_watches_is_forgotten() {
    let server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    socket.subscribe(1, 0, "m:list", json!({})).await;
    socket.frame_of("Transition").await;
    let echo = |n: usize| json!({"path": "m:echo", "args": {"n": n}}).to_string();
    // More than are looked at in one step.
    for number in 0..600 {
        server.http_query(&echo(number)).await;
    }
    let cache = &server.listening_state().query_cache;
    for _ in 0..20 {
        server.http_query(&echo(7)).await;
        cache.age();
    }
    assert_eq!(cache.statistics().entries, 2);
    let run = server.queries_run();
    assert_eq!(server.http_query(LIST).await["value"], json!([]));
    server.http_query(&echo(7)).await;
    assert_eq!(server.queries_run(), run, "one was watched, the other asked for");
    server.http_query(&echo(8)).await;
    assert_eq!(server.queries_run(), run + 1);
}

#[tokio::test]
async fn a_socket_and_http_share_an_execution() {
    let server = Fixture::listening().await;
    let mut socket = TestSocket::connected(server.addr(), 1).await;
    // A socket's arguments are an array of one object.
    socket.subscribe(1, 0, "m:list", json!({})).await;
    socket.frame_of("Transition").await;
    assert_eq!(server.queries_run(), 1);
    let answer = server.http_query(LIST).await;
    assert_eq!(answer["value"], json!([]));
    assert_eq!(server.queries_run(), 1);
}
