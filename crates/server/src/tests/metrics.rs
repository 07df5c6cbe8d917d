//! What the server tells those who watch over it, and whom it tells.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::fixture::Fixture;
use super::request::Answer;

const DOCUMENTED: &str = include_str!("../../../../docs/metrics.md");

const SEND: &str = r#"{"path":"m:send","args":{"body":"hi"}}"#;

async fn admin_get(server: &Fixture, path: &str) -> Answer {
    server.request(Method::GET, path).admin(&server.admin_key()).send().await
}

/// Names of families in a page.
fn families(page: &str) -> BTreeSet<String> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

fn documented() -> BTreeSet<String> {
    let rows = DOCUMENTED.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
}

/// The value of the sample that begins like this.
fn sample(page: &str, beginning: &str) -> f64 {
    let line = page.lines().find(|line| line.starts_with(beginning));
    let line = line.unwrap_or_else(|| panic!("there is no {beginning} in:\n{page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn only_admins_see_metrics_on_the_api_port() {
    let server = Fixture::new().await;
    let refused = server.get("/metrics").await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "BadDeployKey"));
    let page = admin_get(&server, "/metrics").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    assert!(page.text().ends_with("# EOF\n"));
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_one_is_there() {
    let server = Fixture::new().await;
    let page = admin_get(&server, "/metrics").await.text();
    let (there, documented) = (families(&page), documented());
    let undocumented: Vec<_> = there.difference(&documented).collect();
    assert!(undocumented.is_empty(), "not in docs/metrics.md: {undocumented:?}");
    let optional = |name: &&String| name.starts_with("process_") && !cfg!(target_os = "linux");
    let missing: Vec<_> = documented.difference(&there).filter(|name| !optional(name)).collect();
    assert!(missing.is_empty(), "not in the page: {missing:?}");
}

#[tokio::test]
async fn calls_show_up_under_the_names_of_their_functions() {
    let server = Fixture::new().await;
    for _ in 0..3 {
        server.post("/api/mutation", SEND).await;
    }
    server.post("/api/query", r#"{"path":"attack:nothing","args":{}}"#).await;
    let page = admin_get(&server, "/metrics").await.text();
    let labels = r#"{function="m:send",kind="Mutation",component=""}"#;
    assert_eq!(sample(&page, &format!("freshet_function_calls_total{labels}")), 3.0, "{page}");
    assert_eq!(sample(&page, &format!("freshet_function_duration_seconds_count{labels}")), 3.0);
    assert!(!page.contains("attack:nothing"), "{page}");
    assert_eq!(sample(&page, r#"freshet_function_calls_total{function="(unknown)",kind="Query""#), 1.0);
    assert_eq!(sample(&page, r#"freshet_http_requests_total{door="api",status="2xx"}"#), 4.0);
}

#[tokio::test]
async fn requests_keep_their_ids_and_get_one_otherwise() {
    let server = Fixture::new().await;
    let answer =
        server.request(Method::GET, "/version").header("convex-request-id", "0123456789abcdef").send().await;
    assert_eq!(answer.headers["convex-request-id"], "0123456789abcdef");
    let answer =
        server.request(Method::GET, "/version").header("convex-request-id", "not an id").send().await;
    assert_eq!(answer.headers["convex-request-id"].len(), 16);
}

#[tokio::test]
async fn the_last_hour_of_functions_can_be_asked_for() {
    let server = Fixture::new().await;
    server.post("/api/mutation", SEND).await;
    let refused = server.get("/api/app_metrics/functions").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let functions = admin_get(&server, "/api/app_metrics/functions").await.json();
    let of = functions.as_array().unwrap().iter().find(|one| one["identifier"] == "m:send").unwrap();
    assert_eq!((&of["lastHour"]["calls"], &of["sinceStart"]["errors"]), (&json!(1), &json!(0)));
    assert!(of["lastHour"]["p99Seconds"].as_f64().unwrap() > 0.0);
    let rate = admin_get(&server, "/api/app_metrics/udf_rate?path=m.js:send&metric=invocations").await.json();
    let points = rate.as_array().unwrap();
    assert_eq!(points.len(), 60);
    assert_eq!(points.iter().filter_map(|point| point[1].as_f64()).sum::<f64>(), 1.0);
    let bad = admin_get(&server, "/api/app_metrics/function_call_count_top_k?k=99").await;
    assert_eq!(bad.code(), "InvalidTopKParameter");
}

#[tokio::test]
async fn the_port_for_watchers_shows_metrics_and_health_and_nothing_else() {
    let server = Fixture::new().await;
    for (path, status) in
        [("/metrics", 200), ("/live", 200), ("/ready", 200), ("/api/query", 404), ("/http", 404)]
    {
        assert_eq!(server.watch_request(path).send().await.status.as_u16(), status, "{path}");
    }
}
