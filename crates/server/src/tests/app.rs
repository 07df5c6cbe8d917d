//! A small app without JavaScript: functions are match arms, lanes are threads, the action host is a task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use freshet_database::Transaction;
use freshet_functions::code::{
    AnalysedFunction, CodeSource, FunctionKind, HttpRoute, LiveCode, ModuleAnalysis, Visibility,
};
use freshet_functions::host::{
    ActionCallbacks, ActionHost, ActionJob, Environment, EvaluationJob, EvaluationReply, HostFailure,
    HttpActionFailure, HttpActionJob, HttpActionResponse, Invocation, JsError, Outcome,
};
use freshet_functions::log::{LogLevel, LogLine};
use freshet_functions::{CallError, Lane, LaneNext};
use freshet_values::validator::Validator;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

const FUNCTIONS: [(&str, FunctionKind, Visibility); 11] = [
    ("m:list", FunctionKind::Query, Visibility::Public),
    ("m:count", FunctionKind::Query, Visibility::Public),
    ("m:who", FunctionKind::Query, Visibility::Public),
    ("m:echo", FunctionKind::Query, Visibility::Public),
    ("m:boom", FunctionKind::Query, Visibility::Public),
    ("m:coded", FunctionKind::Query, Visibility::Public),
    ("m:hidden", FunctionKind::Query, Visibility::Internal),
    ("m:send", FunctionKind::Mutation, Visibility::Public),
    ("m:fail", FunctionKind::Mutation, Visibility::Public),
    ("a:echo", FunctionKind::Action, Visibility::Public),
    ("a:slow", FunctionKind::Action, Visibility::Public),
];

/// Shared by the lanes of one server.
#[derive(Default)]
pub(super) struct App {
    /// Executions of queries so far.
    pub(super) queries: AtomicUsize,
}

impl App {
    /// Runs calls until the queue is closed.
    pub(super) fn run_lane(&self, lane: &Lane) {
        loop {
            match lane.next(Duration::from_millis(50)) {
                LaneNext::Run(invocation) => lane.finish(self.run(lane, &invocation)),
                LaneNext::Idle => {}
                LaneNext::Closed => return,
            }
        }
    }

    fn run(&self, lane: &Lane, invocation: &Invocation) -> Outcome {
        let name = format!("{}:{}", invocation.module_path.trim_end_matches(".js"), invocation.export_name);
        let args: Json = serde_json::from_str(&invocation.args_json).unwrap();
        if invocation.kind == freshet_functions::host::TransactionKind::Query {
            self.queries.fetch_add(1, Ordering::Relaxed);
        }
        let reply = match name.as_str() {
            "m:list" => {
                lane.log(line("listing"));
                json!(bodies(lane))
            }
            "m:count" => json!(bodies(lane).len()),
            "m:who" => serde_json::from_str(&syscall(lane, "1.0/getUserIdentity", &json!({}))).unwrap(),
            "m:echo" | "m:hidden" => args[0].clone(),
            "m:send" => {
                let document = json!({ "body": args[0]["body"] });
                syscall(lane, "1.0/insert", &json!({ "table": "messages", "value": document }));
                json!(null)
            }
            "m:coded" => {
                return Outcome::Threw(JsError {
                    message: "Uncaught ConvexError: no".into(),
                    frames: Vec::new(),
                    data: Some(r#"{"code":{"$integer":"BwAAAAAAAAA="}}"#.into()),
                });
            }
            _ => return Outcome::Threw(thrown("nope")),
        };
        Outcome::Returned(reply.to_string())
    }
}

fn syscall(lane: &Lane, op: &str, args: &Json) -> String {
    lane.syscall(op, &args.to_string()).unwrap_or_else(|error| panic!("{op}: {}", error.message))
}

/// The bodies of all messages.
fn bodies(lane: &Lane) -> Vec<Json> {
    let source = json!({ "type": "FullTableScan", "tableName": "messages", "order": null });
    let opened = syscall(lane, "1.0/queryStream", &json!({ "query": { "source": source, "operators": [] } }));
    let opened: Json = serde_json::from_str(&opened).unwrap();
    let mut bodies = Vec::new();
    loop {
        let next: Json = serde_json::from_str(&syscall(lane, "1.0/queryStreamNext", &opened)).unwrap();
        if next["done"].as_bool().unwrap() {
            return bodies;
        }
        bodies.push(next["value"]["body"].clone());
    }
}

fn line(text: &str) -> LogLine {
    LogLine {
        level: LogLevel::Log,
        messages: vec![format!("'{text}'")],
        is_truncated: false,
        timestamp: 1,
        system_metadata: None,
        nested_in: None,
    }
}

fn thrown(text: &str) -> JsError {
    JsError { message: format!("Uncaught Error: {text}"), frames: Vec::new(), data: None }
}

/// The app's code, always the same.
pub(super) struct AppCode;

impl CodeSource for AppCode {
    fn live_code(&self, _transaction: &mut Transaction) -> Result<Arc<LiveCode>, CallError> {
        let function = |kind, visibility| AnalysedFunction {
            kind,
            visibility: Some(visibility),
            args: Arc::new(Validator::Any),
            returns: None,
            position: None,
        };
        let functions = FUNCTIONS
            .iter()
            .map(|(path, kind, visibility)| (path.parse().unwrap(), function(*kind, *visibility)))
            .collect();
        let module = |path: &str| {
            (
                path.to_owned(),
                ModuleAnalysis { environment: Environment::Isolate, context: Default::default() },
            )
        };
        let routes = vec![HttpRoute { path: "/*".into(), method: "GET".into() }];
        Ok(Arc::new(LiveCode {
            functions,
            modules: BTreeMap::from([module("m.js"), module("a.js"), module("http.js")]),
            http_routes: Some(routes),
            ..LiveCode::empty()
        }))
    }
}

/// Runs the app's actions.
pub(super) struct AppHost {
    /// Told when the client of `/endless` has left.
    pub(super) left: mpsc::UnboundedSender<()>,
}

#[async_trait]
impl ActionHost for AppHost {
    async fn run_action(
        &self,
        job: ActionJob,
        _callbacks: Arc<dyn ActionCallbacks>,
    ) -> Result<Outcome, HostFailure> {
        if job.export_name == "slow" {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let args: Json = serde_json::from_str(&job.args_json).unwrap();
        Ok(Outcome::Returned(args[0].to_string()))
    }

    /// `/echo` sends the request back, `/slow` sends three chunks with pauses, `/endless` sends chunks until the client
    /// leaves, `/head` describes what was received.
    async fn run_http_action(
        &self,
        job: HttpActionJob,
        _callbacks: Arc<dyn ActionCallbacks>,
    ) -> Result<HttpActionResponse, HttpActionFailure> {
        if job.routed_path == "/throw" {
            return Err(HttpActionFailure::Threw(thrown("msg")));
        }
        let (sender, body) = mpsc::channel(1);
        let mut headers = vec![("x-app".to_owned(), "yes".to_owned())];
        match job.routed_path.as_str() {
            "/echo" => {
                let mut chunks = job.body.expect("a POST has a body");
                tokio::spawn(async move {
                    while let Some(Ok(chunk)) = chunks.recv().await {
                        if sender.send(Ok(chunk)).await.is_err() {
                            return;
                        }
                    }
                });
            }
            "/slow" => {
                tokio::spawn(async move {
                    for chunk in ["one", "two", "three"] {
                        sender.send(Ok(Bytes::from(chunk))).await.unwrap();
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                });
            }
            "/endless" => {
                let left = self.left.clone();
                tokio::spawn(async move {
                    while sender.send(Ok(Bytes::from("more"))).await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    left.send(()).unwrap();
                });
            }
            _ => {
                headers.push(("content-type".to_owned(), "application/json".to_owned()));
                let seen = json!({
                    "method": job.method, "url": job.url, "path": job.routed_path, "hasBody": job.body.is_some(),
                    "headers": job.headers,
                });
                tokio::spawn(async move { sender.send(Ok(seen.to_string().into())).await });
            }
        }
        Ok(HttpActionResponse { status: 200, headers, body })
    }

    async fn evaluate(&self, _job: EvaluationJob) -> Result<Vec<EvaluationReply>, HostFailure> {
        Err(HostFailure::Crashed("this app has no code to evaluate".into()))
    }
}
