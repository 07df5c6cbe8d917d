//! Actions and HTTP actions.

use freshet_functions::host::{JsError, Outcome};
use freshet_functions::{HttpActionAnswer, HttpActionRequest, RequestId};
use futures::FutureExt;
use serde_json::json;

use crate::support::{App, Deployment, thrown, uncaught};

fn app() -> App {
    App::default()
        .mutation("a:insert", |ctx, args| Ok(json!(ctx.insert("notes", args).map_err(uncaught)?)))
        .internal("a:insert")
        .query("a:count", |ctx, _| Ok(json!(ctx.collect("notes").map_err(uncaught)?.len())))
        .mutation("a:throw", |_, _| {
            Err(JsError { data: Some("{\"kind\":\"x\"}".into()), ..thrown("inner") })
        })
        .action("a:act", |callbacks, _| {
            async move {
                let run = |op: &'static str, name: &'static str| {
                    let callbacks = callbacks.clone();
                    async move { callbacks.syscall(op, &json!({ "name": name, "args": {} }).to_string()).await }
                };
                run("1.0/actions/mutation", "a:insert").await.unwrap();
                let count = run("1.0/actions/query", "a:count").await.unwrap();
                let error = run("1.0/actions/mutation", "a:throw").await.unwrap_err();
                let missing = run("1.0/actions/query", "a:nope").await.unwrap_err();
                let metrics = run("1.0/getTransactionMetrics", "").await.unwrap_err();
                let reply = json!({
                    "count": count, "message": error.message, "data": error.data,
                    "missing": missing.message, "metrics": metrics.message,
                });
                Outcome::Returned(reply.to_string())
            }
            .boxed()
        })
        .action("a:nested", |callbacks, _| {
            async move {
                let args = json!({ "name": "a:act", "args": {} }).to_string();
                Outcome::Returned(callbacks.syscall("1.0/actions/action", &args).await.unwrap())
            }
            .boxed()
        })
}

#[tokio::test]
async fn an_action_calls_functions_as_complete_calls_of_their_own() {
    let deployment = Deployment::start(app());
    let reply = deployment.action("a:act", json!({})).await.unwrap();
    assert_eq!(reply["count"], "1");
    assert_eq!(reply["message"], "Uncaught Error: inner\n");
    assert_eq!(reply["data"], "{\"kind\":\"x\"}");
    assert_eq!(reply["missing"], "Could not find public function for 'a:nope'.\n");
    assert!(reply["metrics"].as_str().unwrap().contains("Unknown async operation"));
}

#[tokio::test]
async fn an_action_may_call_an_action() {
    let deployment = Deployment::start(app());
    assert_eq!(deployment.action("a:nested", json!({})).await.unwrap()["count"], "1");
}

async fn get(deployment: &Deployment, path: &str, headers: Vec<(String, String)>) -> (u16, String) {
    let request = HttpActionRequest {
        method: "GET".into(),
        url: format!("http://localhost{path}"),
        routed_path: path.into(),
        headers,
        body: None,
        request_id: RequestId::of_session_request("2f1c9a54-6f0e-4b7d-9a3e-5d1c0b8e7f21", 0),
        ip: None,
    };
    let HttpActionAnswer { status, mut body, .. } = deployment.functions.http_action(request).await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = body.recv().await {
        text.extend_from_slice(&chunk);
    }
    (status, String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn without_a_router_there_are_no_http_actions() {
    let deployment = Deployment::start(app());
    assert_eq!(
        get(&deployment, "/a", Vec::new()).await,
        (404, "This Convex deployment does not have HTTP actions enabled.".into())
    );
}

#[tokio::test]
async fn an_http_action_that_throws_answers_with_its_error() {
    let deployment = Deployment::start(app().http());
    let (status, body) = get(&deployment, "/throw", Vec::new()).await;
    assert_eq!(status, 500);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["code"], "[Request ID: 3f5173bf47e24113] Server Error: Uncaught Error: msg");
}

#[tokio::test]
async fn a_bearer_token_that_cannot_be_verified_fails_those_who_ask_for_the_identity() {
    let deployment = Deployment::start(app().http());
    assert_eq!(get(&deployment, "/a", Vec::new()).await, (200, "null".into()));
    let with = |value: &str| vec![("authorization".to_owned(), value.to_owned())];
    let (status, body) = get(&deployment, "/a", with("Bearer x.y.z")).await;
    assert_eq!(status, 200);
    assert!(body.contains("No auth provider found matching the given token"), "{body}");
    let (_, body) = get(&deployment, "/a", with("bearer ada")).await;
    assert!(body.contains("https://i|ada"), "{body}");
    assert_eq!(get(&deployment, "/a", with("Basic dTpw")).await, (200, "null".into()));
    let records = deployment.records.0.lock();
    assert_eq!(records.last().unwrap().identifier, "GET /a");
}
