//! Whole pushes, with a host that reads its answers from the sources of the pushed modules.

#![allow(clippy::result_large_err, reason = "the seam to hosts is not made for speed")]

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

    async fn wait(&self, started: &Json) -> Json {
        let request = json!({"schemaChange": started["schemaChange"], "timeoutMs": 20_000, "dryRun": false});
        let status = self.deployment.wait_for_schema(serde_json::from_value(request).unwrap()).await;
        serde_json::to_value(status.unwrap()).unwrap()
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

#[tokio::test]
async fn the_answer_to_start_push_has_the_shape_that_clients_validate() {
    let fixture = Fixture::new();
    fixture.set(json!([{"name": "FOO", "value": "bar"}])).await.unwrap();
    let http = json!({"functions": [], "httpRoutes": [["/ping", "GET"]], "hasDefault": true});
    let push = Push::new(&[
        messages(),
        crons(60),
        ("http.js", http),
        ("_deps/LEPN4RE7.js", json!("not a report")),
        (
            "auth.config.js",
            json!("{\"providers\":[{\"domain\":\"issuer.example.com\",\"applicationID\":\"{env:FOO}\"}]}"),
        ),
    ])
    .schema(&schema("string", "author"));
    let mut started = fixture.start(&push).await.unwrap();

    let config = &mut started["analysis"][""]["udfConfig"];
    assert!(config["importPhaseRngSeed"].take()["$bytes"].is_string());
    assert!(config["importPhaseUnixTimestamp"].take()["$integer"].is_string());
    assert!(started["pushId"].take().is_string());
    assert!(started["schemaChange"]["schemaIds"][""].take().is_string());
    let analyzed = |name: &str, kind: &str| {
        json!({"name": name, "pos": null, "udfType": kind, "visibility": {"kind": "public"},
               "args": "{\"type\":\"object\",\"value\":{}}", "returns": null})
    };
    let leaf = |name: &str| {
        json!({"type": "leaf", "resource": {"type": "function",
               "path": {"component": "", "udfPath": format!("messages.js:{name}")}}})
    };
    let empty = json!({"functions": [], "httpRoutes": null, "cronSpecs": null, "sourceMapped": null});
    let mut http = empty.clone();
    http["httpRoutes"] = json!([{"route": {"path": "/ping", "method": "GET"}, "pos": null}]);
    let mut crons = empty.clone();
    crons["cronSpecs"] = json!([{"identifier": "tick", "spec": {"udfPath": "messages.js:tick", "udfArgs": [{}],
        "cronSchedule": {"type": "interval", "seconds": {"$integer": "PAAAAAAAAAA="}}}}]);
    let mut functions = empty.clone();
    functions["functions"] = json!([analyzed("list", "Query"), analyzed("tick", "Action")]);
    assert_eq!(
        started,
        json!({
            "environmentVariables": {"FOO": "bar"}, "externalDepsId": null, "componentDefinitionPackages": {},
            "appAuth": [{"applicationID": "bar", "domain": "https://issuer.example.com"}],
            "analysis": {"": {
                "definition": {"path": "", "definitionType": {"type": "app"}, "childComponents": [],
                               "httpMounts": {}, "httpPrefix": null,
                               "exports": {"type": "branch", "branch": []}, "envVars": null},
                "schema": {"tables": [{"tableName": "messages",
                    "indexes": [{"indexDescriptor": "by_author", "fields": ["author", "_creationTime"]}],
                    "stagedDbIndexes": [], "searchIndexes": [], "stagedSearchIndexes": [],
                    "vectorIndexes": [], "stagedVectorIndexes": [],
                    "documentType": {"type": "object", "value": {
                        "author": {"fieldType": {"type": "string"}, "optional": false},
                        "body": {"fieldType": {"type": "string"}, "optional": true}}}}],
                    "schemaValidation": true},
                "functions": {"messages.js": functions, "http.js": http, "crons.js": crons, "auth.config.js": empty},
                "udfConfig": {"serverVersion": "1.48.0", "importPhaseRngSeed": null, "importPhaseUnixTimestamp": null}
            }},
            "app": {"definitionPath": "", "componentPath": "", "httpPrefix": null, "args": {}, "env": {},
                "childComponents": {},
                "httpRoutes": {"httpModuleRoutes": [{"path": "/ping", "method": "GET"}], "mounts": []},
                "exports": {"messages": {"type": "branch", "children": {"list": leaf("list"), "tick": leaf("tick")}}}},
            "schemaChange": {"allocatedComponentIds": {}, "schemaIds": {"": null}, "indexDiffs": {"": {
                "added_indexes": [{"name": "messages.by_author", "type": "database",
                                   "fields": ["author", "_creationTime"], "staged": false}],
                "removed_indexes": [], "enabled_indexes": [], "disabled_indexes": []}}},
            "pushId": null
        })
    );
}

#[tokio::test]
async fn a_push_is_live_when_it_is_finished_and_not_before() {
    let fixture = Fixture::new();
    let push = Push::new(&[messages(), crons(60)]).schema(&schema("string", "author"));
    let started = fixture.start(&push).await.unwrap();
    assert_eq!(fixture.wait(&started).await, json!({"type": "complete"}));
    assert!(fixture.live().functions.is_empty());

    let mut reading = fixture.begin();
    fixture.code.live_code(&mut reading).unwrap();
    let watching: Subscription = fixture.database.subscribe(
        Arc::new(reading.read_set().clone()),
        reading.snapshot_ts(),
        Arc::new(|| {}),
    );
    assert!(watching.is_valid());
    let finished = fixture.finish(&started).await.unwrap();
    assert!(!watching.is_valid(), "queries have to run again");

    let diff = &finished["componentDiffs"][""];
    assert_eq!(diff["diffType"], json!({"type": "create"}));
    assert_eq!(diff["moduleDiff"], json!({"added": ["crons.js", "messages.js"], "removed": []}));
    assert_eq!(diff["cronDiff"], json!({"added": ["tick"], "updated": [], "deleted": []}));
    assert_eq!(diff["indexDiff"]["added_indexes"][0]["name"], "messages.by_author");
    assert_eq!(diff["schemaDiff"]["previous_schema"], Json::Null);
    assert_eq!(finished["authDiff"], json!({"added": [], "removed": []}));
    let live = fixture.live();
    let list = &live.functions[&"messages:list".parse::<FunctionPath>().unwrap()];
    assert_eq!(list.kind, FunctionKind::Query);
    assert_eq!(live.crons["tick"].args_json, "[{}]");
    assert_eq!(live.package.modules.len(), 2);
    assert!(fixture.begin().user(Namespace::ROOT).insert("messages", Value::decode("{}").unwrap()).is_err());
}

#[tokio::test]
async fn unchanged_modules_are_named_by_their_hashes() {
    let fixture = Fixture::new();
    let hashes = serde_json::to_value(fixture.deployment.get_config_hashes().await.unwrap()).unwrap();
    assert_eq!(
        hashes,
        json!({"config": {"functions": "convex/"}, "moduleHashes": [], "udfServerVersion": null, "nodeVersion": null})
    );
    // Larger than one part, with characters of several bytes around the seam.
    let padding = "\u{20ac}".repeat(400_000);
    let large = json!({"functions": [function("f", "Query")], "padding": padding});
    fixture.push(&Push::new(&[messages(), ("large.js", large.clone())])).await;
    let hashes = fixture.deployment.get_config_hashes().await.unwrap();
    assert_eq!(
        (hashes.udf_server_version.as_deref(), hashes.node_version.as_deref()),
        (Some("1.48.0"), Some("22"))
    );
    let unchanged: Vec<Json> = hashes
        .module_hashes
        .iter()
        .map(|module| json!({"path": module.path, "environment": module.environment, "sha256": module.hash}))
        .collect();
    assert_eq!(unchanged.len(), 2);

    let mut push = Push::new(&[]);
    push.0["appDefinition"]["unchangedModuleHashes"] = json!(unchanged);
    let finished = fixture.push(&push).await;
    assert_eq!(finished["componentDiffs"][""]["moduleDiff"], json!({"added": [], "removed": []}));
    assert_eq!(*fixture.live().package.modules["large.js"].source, *large.to_string());

    push.0["appDefinition"]["unchangedModuleHashes"][0]["sha256"] = json!("00");
    let error = fixture.start(&push).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (409, "ExistingModuleHashConflict"));
}

#[tokio::test]
async fn what_nobody_uses_any_more_is_removed() {
    let fixture = Fixture::new();
    fixture.push(&Push::new(&[messages(), ("old.js", json!({"functions": []}))])).await;
    assert_eq!(fixture.stored(), [1, 2, 2]);
    fixture.push(&Push::new(&[messages()])).await;
    assert_eq!(fixture.stored(), [1, 1, 1]);
    for i in 0..12 {
        let module = json!({"functions": [function(&format!("f{i}"), "Query")]});
        fixture.start(&Push::new(&[messages(), ("new.js", module)])).await.unwrap();
    }
    assert_eq!(fixture.stored()[0], 9, "the live one and eight that wait");
    assert_eq!(fixture.stored()[2], 9, "one source for all, and one for each that waits");
}

#[tokio::test]
async fn a_dry_run_leaves_nothing_but_the_schema_to_check() {
    let fixture = Fixture::new();
    fixture.insert("messages", r#"{"author":5}"#);
    let push = Push::new(&[messages()]).schema(&schema("string", "author")).set("dryRun", json!(true));
    let started = fixture.start(&push).await.unwrap();
    assert_eq!(started["pushId"], Json::Null);
    assert_eq!(started["schemaChange"]["indexDiffs"][""]["added_indexes"].as_array().unwrap().len(), 1);
    assert_eq!(fixture.stored(), [0, 0, 0]);
    assert_eq!(fixture.wait(&started).await["type"], "failed");
    let request = json!({"startPush": started, "dryRun": true, "message": null});
    let finished = fixture.deployment.finish_push(serde_json::from_value(request).unwrap()).await.unwrap();
    assert_eq!(
        serde_json::to_value(finished).unwrap(),
        json!({"authDiff": {"added": [], "removed": []}, "definitionDiffs": {}, "componentDiffs": {}})
    );
    assert_eq!(fixture.finish(&started).await.unwrap_err().code, "InvalidPush");
}

#[tokio::test]
async fn a_document_that_does_not_match_stops_the_push_and_nothing_changes() {
    let fixture = Fixture::new();
    fixture.push(&Push::new(&[messages()])).await;
    fixture.insert("messages", r#"{"author":5}"#);
    let push = Push::new(&[]).schema(&schema("string", "author"));
    let started = fixture.start(&push).await.unwrap();
    let status = fixture.wait(&started).await;
    assert_eq!(
        (&status["type"], &status["componentPath"], &status["tableName"]),
        (&json!("failed"), &json!(""), &json!("messages"))
    );
    assert!(status["error"].as_str().unwrap().starts_with("Document with ID \""), "{status}");
    let error = fixture.finish(&started).await.unwrap_err();
    assert_eq!(error.code, "SchemaAlreadyFailed");
    assert!(error.message.starts_with("Hit an error while pushing:\n"), "{error}");
    assert_eq!(fixture.live().functions.len(), 2);
}

#[tokio::test]
async fn a_schema_that_a_newer_push_replaced_is_a_race() {
    let fixture = Fixture::new();
    let first = fixture.start(&Push::new(&[messages()]).schema(&schema("string", "author"))).await.unwrap();
    fixture.start(&Push::new(&[messages()]).schema(&schema("number", "author"))).await.unwrap();
    assert_eq!(fixture.wait(&first).await, json!({"type": "raceDetected"}));
    assert_eq!(fixture.finish(&first).await.unwrap_err().code, "SchemaAlreadyOverwritten");
}

#[tokio::test]
async fn of_two_pushes_at_once_the_one_that_finishes_first_wins() {
    let fixture = Fixture::new();
    let first = fixture.start(&Push::new(&[messages()])).await.unwrap();
    let second = fixture.start(&Push::new(&[messages(), crons(1)])).await.unwrap();
    fixture.finish(&second).await.unwrap();
    let error = fixture.finish(&first).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (400, "ConcurrentPush"));
}

#[tokio::test]
async fn variables_that_changed_during_a_push_are_a_race() {
    let fixture = Fixture::new();
    let started = fixture.start(&Push::new(&[messages()])).await.unwrap();
    fixture.set(json!([{"name": "NEW", "value": "x"}])).await.unwrap();
    let error = fixture.finish(&started).await.unwrap_err();
    assert_eq!(error.code, "RaceDetected");
    assert!(error.message.ends_with("Environment variables have changed during push"), "{error}");
}

#[tokio::test]
async fn an_answer_is_held_back_until_there_is_news_or_the_time_is_up() {
    let fixture = Fixture::without_worker();
    let started = fixture.start(&Push::new(&[]).schema(&schema("string", "author"))).await.unwrap();
    let wait = |timeout_ms: u64| {
        let request = json!({"schemaChange": started["schemaChange"], "timeoutMs": timeout_ms});
        fixture.deployment.wait_for_schema(serde_json::from_value(request).unwrap())
    };
    let begun = Instant::now();
    let status = serde_json::to_value(wait(200).await.unwrap()).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(status["type"], "inProgress");
    assert_eq!(status["components"][""]["schemaValidationComplete"], false);
    assert_eq!(status["components"][""]["indexesTotal"], 1);
    let (status, _worker) = tokio::join!(wait(60_000), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        SchemaWorker::spawn(fixture.database.clone())
    });
    assert_eq!(status.unwrap(), SchemaStatus::Complete);
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn without_a_schema_there_is_nothing_to_wait_for() {
    let fixture = Fixture::without_worker();
    let started = fixture.start(&Push::new(&[messages()])).await.unwrap();
    assert_eq!(fixture.wait(&started).await, json!({"type": "complete"}));
}

#[tokio::test]
async fn errors_of_modules_are_told_with_their_console_lines() {
    let fixture = Fixture::new();
    let error = fixture.start(&Push::new(&[("messages.js", json!("throw broken"))])).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (400, "InvalidModules"));
    assert_eq!(
        error.message,
        "Hit an error while pushing:\nLoading the pushed modules encountered the following error:\n\
         Failed to analyze messages.js: Uncaught Error: broken\n\n[LOG] 'hi'"
    );
    let error = fixture.start(&Push::new(&[]).schema(&json!({"tables": 1}))).await.unwrap_err();
    assert_eq!(error.code, "InvalidSchema");
    assert!(
        error
            .message
            .starts_with("Hit an error while pushing:\nHit an error while evaluating your schema:\n"),
        "{error}"
    );
}

#[tokio::test]
async fn what_this_version_cannot_do_is_refused_clearly() {
    let fixture = Fixture::new();
    let component = json!([{"definitionPath": "rate"}]);
    let error = fixture.start(&Push::new(&[]).set("componentDefinitions", component)).await.unwrap_err();
    assert!(error.status == 400 && error.message.contains("does not support yet"), "{error}");
    let packages = json!([{"name": "sharp", "version": "0.33.5"}]);
    let error = fixture.start(&Push::new(&[]).set("nodeDependencies", packages)).await.unwrap_err();
    assert!(error.status == 400 && error.message.contains("sharp@0.33.5"), "{error}");
    let error = fixture.start(&Push::new(&[]).set("nodeVersion", json!("18"))).await.unwrap_err();
    assert_eq!(error.code, "NodeVersionNotSupported");
}

#[tokio::test]
async fn declared_variables_are_required_from_the_push_on() {
    let fixture = Fixture::new();
    let declared = json!({"definitionType": {"type": "app"},
        "envVars": [["KEY", {"type": "value", "value": "{\"type\":\"string\"}"}]]});
    let push = Push::new(&[messages()]).definition(&declared);
    let started = fixture.start(&push).await.unwrap();
    let error = fixture.finish(&started).await.unwrap_err();
    assert_eq!(error.code, "MissingEnvironmentVariables");
    assert!(error.message.contains("are not set: KEY."), "{error}");
    fixture.set(json!([{"name": "KEY", "value": "x"}])).await.unwrap();
    fixture.push(&push).await;
    let error = fixture.set(json!([{"name": "KEY", "value": null}])).await.unwrap_err();
    assert_eq!(error.code, "RequiredEnvironmentVariable");
}

#[tokio::test]
async fn changing_a_variable_configures_authentication_anew() {
    let fixture = Fixture::new();
    let auth =
        ("auth.config.js", json!("{\"providers\":[{\"domain\":\"{env:ISSUER}\",\"applicationID\":\"a\"}]}"));
    let push = Push::new(&[auth]);
    let error = fixture.start(&push).await.unwrap_err();
    assert_eq!(error.code, "AuthConfigMissingEnvironmentVariable");
    assert!(
        error
            .message
            .ends_with("Environment variable ISSUER is used in auth config file but its value was not set"),
        "{error}"
    );
    fixture.set(json!([{"name": "ISSUER", "value": "https://one.example.com"}])).await.unwrap();
    let finished = fixture.push(&push).await;
    assert_eq!(
        finished["authDiff"]["added"],
        json!([r#"{"applicationID":"a","domain":"https://one.example.com"}"#])
    );
    fixture.set(json!([{"name": "ISSUER", "value": "https://two.example.com"}])).await.unwrap();
    let providers = Deployment::auth_providers(&mut fixture.begin()).unwrap();
    assert_eq!(providers, [json!({"applicationID": "a", "domain": "https://two.example.com"})]);
    let error = fixture.set(json!([{"name": "ISSUER", "value": null}])).await.unwrap_err();
    assert!(error.message.starts_with("This change would make the auth config invalid"), "{error}");
    assert_eq!(
        fixture.system("_system/cli/queryEnvironmentVariables:get", &json!({"name": "ISSUER"}))["value"],
        "https://two.example.com"
    );
}

#[tokio::test]
async fn cron_jobs_keep_their_time_unless_their_schedule_changes() {
    let fixture = Fixture::new();
    let next = |fixture: &Fixture| {
        let mut transaction = fixture.begin();
        let job = crate::crons::rows::jobs(&mut transaction).unwrap()["tick"].id;
        crate::crons::rows::next_run(&mut transaction, job).unwrap().unwrap().next_ns
    };
    fixture.push(&Push::new(&[messages(), crons(60)])).await;
    let first = next(&fixture);
    let same = fixture.push(&Push::new(&[messages(), crons(60)])).await;
    assert_eq!(same["componentDiffs"][""]["cronDiff"], json!({"added": [], "updated": [], "deleted": []}));
    assert_eq!(next(&fixture), first);
    let changed = fixture.push(&Push::new(&[messages(), crons(30)])).await;
    assert_eq!(changed["componentDiffs"][""]["cronDiff"]["updated"], json!(["tick"]));
    assert!(next(&fixture) > first);
    let removed = fixture.push(&Push::new(&[messages()])).await;
    assert_eq!(removed["componentDiffs"][""]["cronDiff"]["deleted"], json!(["tick"]));
    assert!(
        fixture.begin().system(Namespace::ROOT).all(&"_cron_next_run".parse().unwrap()).unwrap().is_empty()
    );
}

#[tokio::test]
async fn evaluations_change_nothing() {
    let fixture = Fixture::new();
    fixture.insert("messages", r#"{"author":"a"}"#);
    let push = Push::new(&[messages()]).schema(&schema("string", "author"));
    let evaluated = fixture.deployment.evaluate_push(push.request()).await.unwrap();
    let evaluated = serde_json::to_value(evaluated).unwrap();
    assert_eq!(evaluated["schemaChange"]["schemaIds"], json!({}));
    assert_eq!(evaluated["schemaChange"]["indexDiffs"][""]["added_indexes"].as_array().unwrap().len(), 1);
    let predicted = fixture.deployment.evaluate_schema(push.request()).await.unwrap();
    assert_eq!(
        serde_json::to_value(predicted).unwrap(),
        json!({"componentSchemaEvaluations": {"": {
            "definitionPath": "", "schemaValidation": true,
            "tables": [{"name": "messages", "outcome": "mustWalk", "numDocs": 1, "sizeBytes": 0}],
            "indexes": [{"name": "messages.by_author", "type": "database", "fields": ["author", "_creationTime"],
                         "staged": false, "change": "added", "needsBackfill": true, "numDocs": 1}],
            "discardedStagedValidators": []
        }}, "newComponentDefinitions": []})
    );
    assert_eq!(fixture.stored(), [0, 0, 0]);
    assert_eq!(fixture.system("_system/frontend/getSchemas", &json!({})), json!({}));
}

#[tokio::test]
async fn tools_get_answers_to_their_own_queries() {
    let fixture = Fixture::new();
    let http = json!({"functions": [], "httpRoutes": [["/ping", "GET"]], "hasDefault": true});
    fixture.push(&Push::new(&[messages(), ("http.js", http)]).schema(&schema("string", "author"))).await;
    for i in 0..3 {
        fixture.insert("messages", &format!(r#"{{"author":"{i}"}}"#));
    }
    fixture.set(json!([{"name": "B", "value": "2"}, {"name": "A", "value": "1"}])).await.unwrap();

    let list = fixture.system("_system/cli/queryEnvironmentVariables:default", &json!({}));
    assert_eq!((&list[0]["name"], &list[1]["value"]), (&json!("A"), &json!("2")));
    assert!(list[0]["_id"].is_string() && list[0]["_creationTime"].is_number());
    let get =
        |name: &str| fixture.system("_system/cli/queryEnvironmentVariables:get", &json!({ "name": name }));
    assert_eq!(get("A"), json!({"name": "A", "value": "1"}));
    assert_eq!(get("CONVEX_SITE_URL")["value"], "http://127.0.0.1:3211");
    assert_eq!(get("C"), Json::Null);

    let options = json!({"paginationOpts": {"cursor": null, "numItems": 10000.0}});
    assert_eq!(
        fixture.system("_system/cli/tables", &options),
        json!({"page": [{"name": "messages"}], "isDone": true, "continueCursor": "end"})
    );
    let page = |cursor: Json, table: &str| {
        fixture.system(
            "_system/cli/tableData:default",
            &json!({"table": table, "order": "desc", "paginationOpts": {"cursor": cursor, "numItems": 2.0}}),
        )
    };
    let first = page(Json::Null, "messages");
    assert_eq!((first["page"].as_array().unwrap().len(), &first["page"][0]["author"]), (2, &json!("2")));
    let second = page(first["continueCursor"].clone(), "messages");
    assert_eq!((second["page"].as_array().unwrap().len(), &second["isDone"]), (1, &json!(true)));
    for empty in ["nowhere", "_scheduled_functions", "_modules", "not a name"] {
        assert_eq!(page(Json::Null, empty)["page"], json!([]), "{empty}");
    }

    assert_eq!(
        fixture.system("_system/cli/tableSize:default", &json!({"tableName": "messages"})),
        json!(3.0)
    );
    let random = || fixture.system("_system/cli/queryTable", &json!({"tableName": "messages"}));
    assert_ne!(random(), random());
    assert_eq!(fixture.system("_system/cli/queryImport", &json!({"importId": "x"})), Json::Null);
    assert_eq!(fixture.system("_system/cli/queryImport:list", &json!({})), json!([]));
    assert_eq!(fixture.system("_system/cli/exports:getLatest", &json!({})), Json::Null);
    assert_eq!(fixture.system("_system/cli/convexUrl:cloudUrl", &json!({})), "http://127.0.0.1:3210");
    let spec = fixture.system("_system/cli/modules:apiSpec", &json!({}));
    assert_eq!(spec[0], json!({"functionType": "HttpAction", "method": "GET", "path": "/ping"}));
    assert_eq!(
        spec[1],
        json!({"identifier": "messages.js:list", "functionType": "Query", "visibility": {"kind": "public"},
               "args": {"type": "object", "value": {}}, "returns": {"type": "any"}})
    );
    let components = fixture.system("_system/frontend/components:list", &json!({}));
    assert_eq!((&components[0]["path"], &components[0]["state"]), (&json!(""), &json!("active")));
    let schemas = fixture.system("_system/frontend/getSchemas", &json!({"componentId": null}));
    let active: Json = serde_json::from_str(schemas["active"].as_str().unwrap()).unwrap();
    assert_eq!(active["tables"][0]["searchIndexes"], json!([]));
    assert_eq!(schemas.get("inProgress"), None);
}

#[tokio::test]
async fn a_query_of_a_table_runs_again_when_the_table_changes() {
    let fixture = Fixture::new();
    fixture.insert("messages", r#"{"author":"a"}"#);
    let functions = SystemFunctions::new(String::new(), String::new());
    let mut transaction = fixture.begin();
    let args = Value::object([("tableName", Value::from("messages"))]);
    let path = "_system/cli/queryTable".parse().unwrap();
    functions.query(&path, args.as_object().unwrap(), &mut transaction).unwrap();
    let reads = Arc::new(transaction.read_set().clone());
    let subscription = fixture.database.subscribe(reads, transaction.snapshot_ts(), Arc::new(|| {}));
    fixture.insert("others", "{}");
    assert!(subscription.is_valid());
    fixture.insert("messages", "{}");
    assert!(!subscription.is_valid());
}

#[tokio::test]
async fn a_removed_variable_is_gone() {
    let fixture = Fixture::new();
    fixture.set(json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])).await.unwrap();
    fixture.set(json!([{"name": "A", "value": null}])).await.unwrap();
    let list = fixture.deployment.list_environment_variables().await.unwrap();
    assert_eq!(list.environment_variables.into_keys().collect::<Vec<_>>(), ["B"]);
    fixture.set(json!([{"name": "B"}])).await.unwrap();
    assert_eq!(fixture.system("_system/cli/queryEnvironmentVariables", &json!({})), json!([]));
}

#[tokio::test]
async fn whoever_listed_variables_hears_of_a_removal() {
    let fixture = Fixture::new();
    fixture.set(json!([{"name": "A", "value": "1"}])).await.unwrap();
    let mut transaction = fixture.begin();
    crate::environment::list(&mut transaction).unwrap();
    let reads = Arc::new(transaction.read_set().clone());
    let subscription = fixture.database.subscribe(reads, transaction.snapshot_ts(), Arc::new(|| {}));
    assert!(subscription.is_valid());
    fixture.set(json!([{"name": "A", "value": null}])).await.unwrap();
    assert!(!subscription.is_valid());
}
