//! Requests for the app's own router.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fixture::Fixture;

#[tokio::test]
async fn both_ports_lead_to_the_same_action() {
    let server = Fixture::new().await;
    let api = server.request(Method::GET, "/http/a/b?q=1").send().await.json();
    let site = server.site_request(Method::GET, "/a/b?q=1").send().await.json();
    for seen in [api, site] {
        assert_eq!(seen["path"], "/a/b");
        assert_eq!(seen["url"], "http://test.example/a/b?q=1");
    }
    // Nothing on the site port is ours.
    assert_eq!(server.site_request(Method::GET, "/version").send().await.json()["path"], "/version");
}

#[tokio::test]
async fn the_app_alone_decides_about_other_origins() {
    let server = Fixture::new().await;
    let get = server.request(Method::GET, "/http/a").header("origin", "http://x.example").send().await;
    assert!(get.headers.get("access-control-allow-origin").is_none());
    assert_eq!(get.headers["x-app"], "yes");
    let preflight = server
        .site_request(Method::OPTIONS, "/a")
        .header("origin", "http://x.example")
        .header("access-control-request-method", "POST")
        .send()
        .await;
    assert_eq!(preflight.json()["method"], "OPTIONS");
    assert!(preflight.headers.get("access-control-allow-methods").is_none());
}

#[tokio::test]
async fn bodies_go_in_and_out() {
    let server = Fixture::new().await;
    let body = vec![9; 3 << 20];
    let echoed = server.request(Method::POST, "/http/echo").body(body.clone()).send().await;
    assert!(echoed.body == body);
    let seen = server.request(Method::DELETE, "/http/a").send().await.json();
    assert_eq!(seen["hasBody"], true);
    for method in [Method::GET, Method::OPTIONS] {
        let seen = server.request(method, "/http/a").send().await.json();
        assert_eq!(seen["hasBody"], false);
    }
    let head = server.request(Method::HEAD, "/http/a").send().await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn headers_arrive_as_they_were_sent() {
    let server = Fixture::new().await;
    let request = server.request(Method::GET, "/http/a").header("x-forwarded-proto", "https");
    let seen = request
        .header("authorization", "Basic dTpw")
        .header("x-d", "1")
        .header("x-d", "2")
        .send()
        .await
        .json();
    assert_eq!(seen["url"], "https://test.example/a");
    let headers = seen["headers"].as_array().unwrap();
    for expected in [json!(["authorization", "Basic dTpw"]), json!(["x-d", "1"]), json!(["x-d", "2"])] {
        assert!(headers.contains(&expected), "{headers:?}");
    }
}

#[tokio::test]
async fn a_failure_before_the_head_is_a_json_500() {
    let server = Fixture::new().await;
    let answer = server.request(Method::GET, "/http/throw").send().await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let code = answer.code();
    assert!(
        code.starts_with("[Request ID: ") && code.contains("Server Error: Uncaught Error: msg"),
        "{code}"
    );
}

/// Sends a request by hand and reads until `enough`.
async fn read_until(stream: &mut TcpStream, enough: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.contains(enough) {
        let read =
            tokio::time::timeout(Duration::from_secs(5), stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "ended early: {text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

#[tokio::test]
async fn chunks_leave_when_they_are_produced() {
    let server = Fixture::listening().await;
    let mut stream = TcpStream::connect(server.site_addr()).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let began = std::time::Instant::now();
    read_until(&mut stream, "one").await;
    assert!(began.elapsed() < Duration::from_millis(190), "the first chunk was held back");
    read_until(&mut stream, "three").await;
    assert!(began.elapsed() >= Duration::from_millis(390));
}

#[tokio::test]
async fn the_function_hears_when_its_client_leaves() {
    let mut server = Fixture::listening().await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(b"GET /http/endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_until(&mut stream, "more").await;
    drop(stream);
    tokio::time::timeout(Duration::from_secs(5), server.left.recv()).await.expect("it was not told");
}
