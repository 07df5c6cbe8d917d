//! Functions over HTTP.

use axum::http::{Method, StatusCode};
use serde_json::{Value as Json, json};

use super::fixture::Fixture;

fn call(path: &str, args: &Json, format: &str) -> String {
    json!({ "path": path, "args": args, "format": format }).to_string()
}

#[tokio::test]
async fn a_query_returns_its_value_and_console_lines() {
    let server = Fixture::new().await;
    let sent = server.post("/api/mutation", &call("m:send", &json!({"body": "hi"}), "json")).await;
    assert_eq!(sent.json(), json!({"status": "success", "value": null}));
    let listed = server.post("/api/query", &call("m:list", &json!([{}]), "json")).await;
    let expected = json!({"status": "success", "value": ["hi"], "logLines": ["[LOG] 'listing'"]});
    assert_eq!((listed.status, listed.json()), (StatusCode::OK, expected));
}

#[tokio::test]
async fn all_spellings_of_path_and_arguments_mean_the_same() {
    let server = Fixture::new().await;
    for path in ["m:echo", "m.js:echo"] {
        for args in [json!({"x": 1}), json!([{"x": 1}])] {
            let answer = server.post("/api/query", &call(path, &args, "json")).await;
            assert_eq!(answer.json()["value"], json!({"x": 1}), "{path} {args}");
        }
    }
    let get = server.get("/api/query?path=m:echo&args=%7B%22x%22%3A1%7D&format=json").await;
    assert_eq!(get.json()["value"], json!({"x": 1}));
    let run = server.post("/api/run/m/echo", r#"{"args":{"x":1}}"#).await;
    assert_eq!(run.json()["value"], json!({"x": 1}));
    assert_eq!(server.post("/api/run/m/echo", "{}").await.json()["value"], json!({}));
}

#[tokio::test]
async fn each_format_writes_values_in_its_way() {
    let server = Fixture::new().await;
    let args = json!({"n": {"$integer": "BwAAAAAAAAA="}, "b": {"$bytes": "AQI="}});
    let value = async |format| {
        server.post("/api/query", &call("m:echo", &args, format)).await.json()["value"].clone()
    };
    for encoded in ["convex_encoded_json", "convex_json"] {
        assert_eq!(value(encoded).await, args);
    }
    for clean in ["json", "convex_clean_json"] {
        assert_eq!(value(clean).await, json!({"n": "7", "b": "AQI="}));
    }
    assert_eq!(value("export_json").await, json!({"n": 7, "b": {"$bytes": "AQI="}}));
    let unknown = server.post("/api/query", &call("m:echo", &args, "xml")).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (StatusCode::BAD_REQUEST, "BadFormat"));
}

#[tokio::test]
async fn a_function_that_throws_is_a_200() {
    let server = Fixture::new().await;
    let request = server.request(Method::POST, "/api/query").header("convex-request-id", "0123456789abcdef");
    let answer = request.json(&call("m:boom", &json!({}), "json")).send().await;
    assert_eq!(answer.status, StatusCode::OK);
    let body = answer.json();
    assert_eq!(body["status"], "error");
    let message = body["errorMessage"].as_str().unwrap();
    assert!(
        message.starts_with("[Request ID: 0123456789abcdef] Server Error\nUncaught Error: nope"),
        "{message}"
    );
    assert!(body.get("errorData").is_none(), "{body}");
}

#[tokio::test]
async fn error_data_is_written_in_the_requested_format() {
    let server = Fixture::new().await;
    let data = async |format| {
        server.post("/api/query", &call("m:coded", &json!({}), format)).await.json()["errorData"].clone()
    };
    assert_eq!(data("json").await, json!({"code": "7"}));
    assert_eq!(data("convex_encoded_json").await, json!({"code": {"$integer": "BwAAAAAAAAA="}}));
}

#[tokio::test]
async fn redaction_leaves_the_request_id_and_the_error_data() {
    let server = Fixture::with(|config| config.redact = true).await;
    let boom = server.post("/api/query", &call("m:boom", &json!({}), "json")).await.json();
    let message = boom["errorMessage"].as_str().unwrap();
    assert!(message.ends_with("] Server Error") && !message.contains('\n'), "{message}");
    let coded = server.post("/api/query", &call("m:coded", &json!({}), "json")).await.json();
    assert_eq!(coded["errorData"], json!({"code": "7"}));
    let listed = server.post("/api/query", &call("m:list", &json!({}), "json")).await.json();
    assert!(listed.get("logLines").is_none(), "{listed}");
}

#[tokio::test]
async fn internal_functions_run_for_admins_only() {
    let server = Fixture::new().await;
    let body = call("m:hidden", &json!({"x": true}), "json");
    let refused = server.post("/api/query", &body).await.json();
    let message = refused["errorMessage"].as_str().unwrap();
    assert!(message.contains("Could not find public function for 'm:hidden'."), "{message}");
    let key = server.admin_key();
    let ran = server.request(Method::POST, "/api/query").admin(&key).json(&body).send().await;
    assert_eq!(ran.json()["value"], json!({"x": true}));
}

#[tokio::test]
async fn the_admin_endpoint_runs_any_kind() {
    let server = Fixture::new().await;
    let key = server.admin_key();
    for (path, args, value) in [
        ("m:hidden", json!({"x": true}), json!({"x": true})),
        ("m:send", json!({"body": "b"}), json!(null)),
        ("a:echo", json!({"y": "z"}), json!({"y": "z"})),
    ] {
        let body = call(path, &args, "json");
        let answer = server.request(Method::POST, "/api/function").admin(&key).json(&body).send().await;
        assert_eq!(answer.json()["value"], value, "{path}: {}", answer.text());
    }
    let body = call("m:missing", &json!({}), "json");
    let missing = server.request(Method::POST, "/api/function").admin(&key).json(&body).send().await.json();
    let message = missing["errorMessage"].as_str().unwrap();
    assert!(message.contains("Could not find function for 'm:missing'"), "{message}");
}

#[tokio::test]
async fn an_admin_can_be_seen_as_a_user() {
    let server = Fixture::new().await;
    let blob = "eyJzdWJqZWN0IjoidTEiLCJpc3N1ZXIiOiJodHRwczovL2NvbnZleC50ZXN0In0=";
    let key = format!("{}:{blob}", server.admin_key());
    let body = call("m:who", &json!({}), "json");
    let answer = server.request(Method::POST, "/api/query").admin(&key).json(&body).send().await;
    assert_eq!(answer.json()["value"]["tokenIdentifier"], "https://convex.test|u1", "{}", answer.text());
    assert_eq!(server.post("/api/query", &body).await.json()["value"], json!(null));
}

#[tokio::test]
async fn a_timestamp_pins_what_later_queries_see() {
    let server = Fixture::new().await;
    let ts = server.request(Method::POST, "/api/query_ts").send().await.json()["ts"].clone();
    server.post("/api/mutation", &call("m:send", &json!({"body": "late"}), "json")).await;
    let at = json!({"path": "m:count", "args": {}, "ts": ts}).to_string();
    assert_eq!(server.post("/api/query_at_ts", &at).await.json()["value"], json!(0));
    assert_eq!(
        server.post("/api/query", &call("m:count", &json!({}), "json")).await.json()["value"],
        json!(1)
    );
    let bad = server.post("/api/query_at_ts", r#"{"path":"m:count","args":{},"ts":"x"}"#).await;
    assert_eq!(bad.code(), "BadJsonBody");
}

#[tokio::test]
async fn a_batch_answers_in_order() {
    let server = Fixture::new().await;
    let queries = json!({"queries": [
        {"path": "m:echo", "args": {"i": 0}}, {"path": "m:boom", "args": {}}, {"path": "m:echo", "args": {"i": 2}}
    ]});
    let answer = server.post("/api/query_batch", &queries.to_string()).await.json();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results[0]["value"]["i"], json!(0));
    assert_eq!(results[1]["status"], "error");
    assert_eq!(results[2]["value"]["i"], json!(2));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_408() {
    let server =
        Fixture::with(|config| config.limits.request_time_max = std::time::Duration::from_millis(100)).await;
    let answer = server.post("/api/action", &call("a:slow", &json!({}), "json")).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"));
}

#[tokio::test]
async fn a_full_server_says_so_and_stays_visible_to_its_watchers() {
    let server = Fixture::with(|config| {
        config.limits.requests_max = 1;
        config.limits.request_queue_time_max = std::time::Duration::from_millis(50);
    })
    .await;
    let slow = server.request(Method::POST, "/api/action").json(&call("a:slow", &json!({}), "json"));
    let slow = tokio::spawn(slow.send());
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let refused = server.post("/api/query", &call("m:echo", &json!({}), "json")).await;
    let found = (refused.status, refused.code());
    assert_eq!(found, (StatusCode::TOO_MANY_REQUESTS, "TooManyConcurrentRequests".to_owned()));
    assert_eq!(server.get("/version").await.status, StatusCode::OK);
    assert_eq!(slow.await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn the_log_stream_answers_a_newcomer_at_once_and_then_follows() {
    let server = Fixture::new().await;
    let key = server.admin_key();
    let poll = async |cursor: &Json, client: &str| {
        let path = format!("/api/stream_function_logs?cursor={cursor}");
        server.request(Method::GET, &path).admin(&key).header("convex-client", client).send().await.json()
    };
    let first = poll(&json!(0), "npm-cli-1.48.0").await;
    assert_eq!(first["entries"], json!([]));
    assert!(first["newCursor"].as_f64().unwrap() > 0.0);
    server.post("/api/query", &call("m:list", &json!({}), "json")).await;
    let structured = poll(&first["newCursor"], "npm-cli-1.48.0").await;
    assert_eq!(structured["entries"][0]["identifier"], "m:list");
    assert_eq!(structured["entries"][0]["logLines"][0]["messages"], json!(["'listing'"]));
    let text = poll(&first["newCursor"], "npm-1.48.0").await;
    assert_eq!(text["entries"][0]["logLines"], json!(["[LOG] 'listing'"]));
}
