//! Whole pushes, with a host that reads its answers from the sources of the pushed modules. One endpoint per file.

#![allow(clippy::result_large_err, reason = "the seam to hosts is not made for speed")]

mod authentication;
mod evaluate;
mod finish;
mod start;
mod system_queries;
mod variables;
mod wait;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use freshet_database::{
    Database, DatabaseOptions, Namespace, Randomness, Subscription, SystemClock, Transaction,
};
use freshet_store::MemoryStore;
use freshet_values::{FunctionPath, Value};
use serde_json::{Value as Json, json};

use super::*;
use crate::code::{CodeSource, FunctionKind, LiveCode};
use crate::environment::UpdateVariablesRequest;
use crate::host::{
    ActionCallbacks, ActionJob, Evaluated, EvaluationError, EvaluationJob, EvaluationReply, EvaluationTask,
    HostFailure, HttpActionFailure, HttpActionJob, HttpActionResponse, JsError, Outcome,
};
use crate::native::NativeFunctions;
use crate::system_functions::SystemFunctions;

/// Function modules are JSON reports, others the text that they export. `throw X` throws, `{env:X}` reads a variable.
struct ScriptedHost;

#[async_trait]
impl ActionHost for ScriptedHost {
    async fn run_action(&self, _: ActionJob, _: Arc<dyn ActionCallbacks>) -> Result<Outcome, HostFailure> {
        unreachable!("no actions run here")
    }

    async fn run_http_action(
        &self,
        _: HttpActionJob,
        _: Arc<dyn ActionCallbacks>,
    ) -> Result<HttpActionResponse, HttpActionFailure> {
        unreachable!("no HTTP actions run here")
    }

    async fn evaluate(&self, job: EvaluationJob) -> Result<Vec<EvaluationReply>, HostFailure> {
        Ok(job.tasks.iter().map(|task| reply(&job, task)).collect())
    }
}

fn reply(job: &EvaluationJob, task: &EvaluationTask) -> EvaluationReply {
    let (EvaluationTask::Functions { path }
    | EvaluationTask::Schema { path }
    | EvaluationTask::AuthConfig { path }
    | EvaluationTask::Definition { path }) = task;
    let mut text = job.code.modules[path].source.to_string();
    while let Some((before, rest)) = text.clone().split_once("{env:") {
        let (name, after) = rest.split_once('}').unwrap();
        let Some(value) = job.env.get(name) else {
            return Err(Box::new(EvaluationError {
                missing_env: Some(name.into()),
                ..EvaluationError::default()
            }));
        };
        text = format!("{before}{value}{after}");
    }
    if let Some(message) = text.strip_prefix("throw ") {
        let error = JsError { message: format!("Uncaught Error: {message}"), ..JsError::default() };
        return Err(Box::new(EvaluationError {
            error,
            log_lines: vec!["[LOG] 'hi'".into()],
            ..EvaluationError::default()
        }));
    }
    Ok(match task {
        EvaluationTask::Functions { .. } => Evaluated::Functions(serde_json::from_str(&text).unwrap()),
        _ => Evaluated::Text { text },
    })
}

struct Fixture {
    database: Database,
    deployment: Deployment,
    code: LiveCodeCache,
}

impl Fixture {
    fn new() -> Self {
        Self::build(Deployment::new)
    }

    /// Submitted schemas stay pending.
    fn without_worker() -> Self {
        Self::build(|config| Deployment::with_worker(config, None))
    }

    fn build(deployment: impl FnOnce(DeploymentConfig) -> Deployment) -> Self {
        let database = Database::open(
            Arc::new(MemoryStore::new()),
            DatabaseOptions::default(),
            Arc::new(SystemClock),
            Randomness::from_os(),
        )
        .unwrap();
        let deployment = deployment(DeploymentConfig {
            database: database.clone(),
            host: Arc::new(ScriptedHost),
            cloud_url: "http://127.0.0.1:3210".into(),
            site_url: "http://127.0.0.1:3211".into(),
        });
        Self { code: LiveCodeCache::new(database.clone()), database, deployment }
    }

    async fn start(&self, push: &Push) -> Result<Json, PushError> {
        let response = self.deployment.start_push(push.request()).await?;
        Ok(serde_json::to_value(response).unwrap())
    }

    /// Asks until the schema is settled, as clients do.
    async fn wait(&self, started: &Json) -> Json {
        loop {
            let request =
                json!({"schemaChange": started["schemaChange"], "timeoutMs": 20_000, "dryRun": false});
            let status = self.deployment.wait_for_schema(serde_json::from_value(request).unwrap()).await;
            let status = serde_json::to_value(status.unwrap()).unwrap();
            if status["type"] != "inProgress" {
                return status;
            }
        }
    }

    async fn finish(&self, started: &Json) -> Result<Json, PushError> {
        let request = json!({"startPush": started, "dryRun": false, "message": null});
        let response = self.deployment.finish_push(serde_json::from_value(request).unwrap()).await?;
        Ok(serde_json::to_value(response).unwrap())
    }

    /// All steps of a push.
    async fn push(&self, push: &Push) -> Json {
        let started = self.start(push).await.unwrap();
        assert_eq!(self.wait(&started).await, json!({"type": "complete"}));
        self.finish(&started).await.unwrap()
    }

    fn live(&self) -> Arc<LiveCode> {
        self.code.live_code(&mut self.begin()).unwrap()
    }

    fn begin(&self) -> Transaction {
        self.database.begin().unwrap()
    }

    fn insert(&self, table: &str, json: &str) {
        let mut transaction = self.begin();
        transaction.user(Namespace::ROOT).insert(table, Value::decode(json).unwrap()).unwrap();
        self.database.commit(transaction).unwrap();
    }

    async fn set(&self, changes: Json) -> Result<(), PushError> {
        let request: UpdateVariablesRequest = serde_json::from_value(json!({ "changes": changes })).unwrap();
        self.deployment.update_environment_variables(request).await
    }

    fn system(&self, path: &str, args: &Json) -> Json {
        let functions = SystemFunctions::new("http://127.0.0.1:3210".into(), "http://127.0.0.1:3211".into());
        let path: FunctionPath = path.parse().unwrap();
        assert!(functions.contains(&path), "{path}");
        let Value::Object(args) = Value::from_json(args).unwrap() else { panic!() };
        functions.query(&path, &args, &mut self.begin()).unwrap().to_json()
    }

    /// Rows of the tables that hold code.
    fn stored(&self) -> Vec<usize> {
        let count = |table: &str| {
            self.begin().system(Namespace::ROOT).count(&table.parse().unwrap()).unwrap() as usize
        };
        ["_source_packages", "_modules", "_module_sources"].map(count).to_vec()
    }
}

/// What a client sends.
#[derive(Clone)]
struct Push(Json);

impl Push {
    fn new(modules: &[(&str, Json)]) -> Self {
        let modules: Vec<Json> = modules
            .iter()
            .map(|(path, source)| {
                let source = source.as_str().map_or_else(|| source.to_string(), str::to_owned);
                json!({"path": path, "source": source, "environment": "isolate"})
            })
            .collect();
        Self(json!({
            "adminKey": "k", "dryRun": false, "forCodegen": false, "functions": "convex/",
            "appDefinition": {
                "definition": {"path": "convex.config.js", "environment": "isolate",
                    "source": r#"{"definitionType":{"type":"app"},"childComponents":[],"httpMounts":{},"exports":{"type":"branch","branch":[]}}"#},
                "dependencies": [], "schema": null, "changedModules": modules,
                "unchangedModuleHashes": [], "udfServerVersion": "1.48.0"
            },
            "componentDefinitions": [], "nodeDependencies": [], "nodeVersion": "22"
        }))
    }

    fn schema(mut self, schema: &Json) -> Self {
        self.0["appDefinition"]["schema"] =
            json!({"path": "schema.js", "source": schema.to_string(), "environment": "isolate"});
        self
    }

    fn definition(mut self, export: &Json) -> Self {
        self.0["appDefinition"]["definition"]["source"] = json!(export.to_string());
        self
    }

    fn set(mut self, key: &str, value: Json) -> Self {
        self.0[key] = value;
        self
    }

    fn request(&self) -> StartPushRequest {
        serde_json::from_value(self.0.clone()).unwrap()
    }
}

fn function(name: &str, kind: &str) -> Json {
    json!({"name": name, "udfType": kind, "visibility": "public",
           "args": "{\"type\":\"object\",\"value\":{}}", "returns": null, "position": null})
}

fn messages() -> (&'static str, Json) {
    ("messages.js", json!({"functions": [function("list", "Query"), function("tick", "Action")]}))
}

fn schema(field: &str, indexed: &str) -> Json {
    json!({"schemaValidation": true, "tables": [{
        "tableName": "messages", "indexes": [{"indexDescriptor": "by_author", "fields": [indexed]}],
        "documentType": {"type": "object", "value": {
            "author": {"fieldType": {"type": field}, "optional": false},
            "body": {"fieldType": {"type": "string"}, "optional": true}
        }}
    }]})
}

fn crons(seconds: u64) -> (&'static str, Json) {
    let export = json!({"tick": {"name": "messages:tick", "args": [{}],
                                 "schedule": {"type": "interval", "seconds": seconds}}});
    ("crons.js", json!({"functions": [], "crons": export.to_string(), "hasDefault": true}))
}
