//! Rules that hold for every endpoint.

use axum::http::{Method, StatusCode, header};

use super::fixture::Fixture;

#[tokio::test]
async fn parameters_in_the_path_that_are_no_text_are_refused_as_json() {
    let server = Fixture::new().await;
    let answer = server.post("/api/run/%ff/list", "{}").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "BadPathArgs"));
}

#[tokio::test]
async fn anybody_may_ask_who_is_there() {
    let server = Fixture::new().await;
    assert_eq!(server.get("/version").await.text(), env!("CARGO_PKG_VERSION"));
    assert_eq!(server.get("/instance_name").await.text(), "test-instance");
    assert_eq!(server.get("/ready").await.status, StatusCode::OK);
    assert_eq!(server.get("/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_path_is_404_without_a_body() {
    let server = Fixture::new().await;
    for path in ["/nope", "/api/nope", "/api/v1/nope"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::NOT_FOUND, ""), "{path}");
    }
}

#[tokio::test]
async fn a_planned_endpoint_is_400_so_that_the_command_line_does_not_retry() {
    let server = Fixture::new().await;
    for path in ["/api/import/start_upload", "/api/list_snapshot?token=x", "/api/v1/pause_deployment"] {
        let answer = server.request(Method::POST, path).send().await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(answer.code(), "NotSupportedByServer", "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_with_a_json_error() {
    let server = Fixture::new().await;
    let answer = server.get("/api/mutation").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"));
}

#[tokio::test]
async fn every_api_answer_lets_the_calling_page_read_it() {
    let server = Fixture::new().await;
    for path in ["/version", "/nope", "/api/check_admin_key"] {
        let answer = server.request(Method::GET, path).header("origin", "http://app.example").send().await;
        assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "http://app.example", "{path}");
        assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true", "{path}");
        assert_eq!(answer.headers[header::VARY], "origin", "{path}");
    }
}

#[tokio::test]
async fn a_preflight_request_is_answered_with_what_it_asked_for() {
    let server = Fixture::new().await;
    let answer = server
        .request(Method::OPTIONS, "/api/mutation")
        .header("origin", "http://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type, convex-client")
        .send()
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "http://app.example");
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_HEADERS], "content-type, convex-client");
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_METHODS], "GET,POST,OPTIONS,PATCH,DELETE,PUT");
    assert_eq!(answer.headers[header::ACCESS_CONTROL_MAX_AGE], "86400");
}

#[tokio::test]
async fn a_body_must_be_json_and_say_so() {
    let server = Fixture::new().await;
    let good = r#"{"path":"m:f","args":{}}"#;
    let cases = [
        ("text/plain", good),
        ("application/json", "{"),
        ("application/json", "[]"),
        ("application/json", r#"{"args":{}}"#),
        ("application/json", r#"{"path":"m:f"}"#),
        ("application/json", ""),
    ];
    for (content_type, body) in cases {
        let answer = server
            .request(Method::POST, "/api/query")
            .header("content-type", content_type)
            .body(body.as_bytes().to_vec())
            .send()
            .await;
        let found = (answer.status, answer.code());
        assert_eq!(found, (StatusCode::BAD_REQUEST, "BadJsonBody".to_owned()), "{content_type} {body}");
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_with_a_json_error() {
    let server = Fixture::new().await;
    let call = |bytes: usize| {
        let body = format!(r#"{{"path":"m:f","args":{{"x":"{}"}},"format":"nope"}}"#, "x".repeat(bytes));
        server.request(Method::POST, "/api/query").json(&body)
    };
    // The format is judged after the body was taken.
    assert_eq!(call(16_000_000).send().await.code(), "BadFormat");
    let answer = call(16_780_000).send().await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge")
    );
}

#[tokio::test]
async fn the_limit_counts_decompressed_bytes() {
    let server = Fixture::new().await;
    let body = format!(r#"{{"path":"m:f","args":{{"x":"{}"}}}}"#, "x".repeat(16_780_000));
    let bomb = Fixture::gzip(body.as_bytes());
    assert!(bomb.len() < 100_000);
    let request = server.request(Method::POST, "/api/query").header("content-encoding", "gzip");
    let answer = request.header("content-type", "application/json").body(bomb).send().await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn compressed_bodies_are_understood_and_unknown_codings_refused() {
    let server = Fixture::new().await;
    let send = |coding: &'static str, body: Vec<u8>| {
        server
            .request(Method::POST, "/api/query")
            .header("content-type", "application/json; charset=utf-8")
            .header("content-encoding", coding)
            .body(body)
            .send()
    };
    let body = br#"{"path":"m:f","args":{},"format":"nope"}"#;
    assert_eq!(send("gzip", Fixture::gzip(body)).await.code(), "BadFormat");
    assert_eq!(send("br", Fixture::brotli(body)).await.code(), "BadFormat");
    assert_eq!(send("identity", body.to_vec()).await.code(), "BadFormat");
    assert_eq!(send("gzip", body.to_vec()).await.code(), "BadRequestBody");
    assert_eq!(send("rot13", body.to_vec()).await.code(), "BadContentEncoding");
}

#[tokio::test]
async fn large_bodies_share_one_budget() {
    let server = Fixture::with(|config| config.limits.body_bytes_max = 1 << 20).await;
    let echo = |bytes: usize| server.request(Method::POST, "/echo").body(vec![0; bytes]).send();
    for _ in 0..3 {
        assert_eq!(echo(1 << 20).await.status, StatusCode::OK);
    }
    let answer = echo((1 << 20) + 1).await;
    let found = (answer.status, answer.code());
    assert_eq!(found, (StatusCode::SERVICE_UNAVAILABLE, "TooManyRequestBytes".to_owned()));
}

#[tokio::test]
async fn an_echo_is_what_was_sent() {
    let server = Fixture::new().await;
    let body = vec![7; 4 << 20];
    let answer = server.request(Method::POST, "/echo").body(body.clone()).send().await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, body));
}

#[tokio::test]
async fn clients_without_a_version_or_too_old_are_refused() {
    let server = Fixture::new().await;
    let code = async |client: &str| {
        let request = server.request(Method::POST, "/api/query").header("convex-client", client);
        request.json(r#"{"path":"m:f","args":{},"format":"nope"}"#).send().await.code()
    };
    assert_eq!(code("npm").await, "InvalidClientVersion");
    assert_eq!(code("npm-0.10.0").await, "ClientVersionUnsupported");
    assert_eq!(code("whatever-client").await, "BadFormat");
}

#[tokio::test]
async fn bad_paths_have_their_own_codes() {
    let server = Fixture::new().await;
    let query = async |path: &str| {
        let body = format!(r#"{{"path":"{path}","args":{{}}}}"#);
        server.request(Method::POST, "/api/query").json(&body).send().await
    };
    let answer = query("a b:c").await;
    assert_eq!(answer.code(), "BadConvexFunctionIdentifier");
    assert!(
        answer.message().starts_with("a b:c is not a valid path to a Convex function. "),
        "{}",
        answer.message()
    );
    let run = server.request(Method::POST, "/api/run/only").json("{}").send().await;
    assert_eq!((run.status, run.code().as_str()), (StatusCode::BAD_REQUEST, "MissingIdentifier"));
    let bad_query = server.get("/api/query?path=m:f").await;
    assert_eq!(bad_query.code(), "BadQueryArgs");
    let bad_args = server.get("/api/query?path=m:f&args=%7B").await;
    assert_eq!(bad_args.code(), "BadQueryArgs");
}
