//! A deployment without V8: Rust closures stand in for functions, threads of this process for lanes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use freshet_database::{Clock, Database, DatabaseOptions, Namespace, Randomness, SystemClock, Transaction};
use freshet_functions::code::{
    AnalysedFunction, CodeSource, FunctionKind, HttpRoute, LiveCode, ModuleAnalysis, Visibility,
};
use freshet_functions::host::{
    ActionCallbacks, ActionHost, ActionJob, CodePackage, Environment, EvaluationJob, EvaluationReply,
    HostFailure, HttpActionFailure, HttpActionJob, HttpActionResponse, Invocation, JsError, Outcome,
    SyscallError,
};
use freshet_functions::{
    AuthenticationError, Authenticator, CallError, CallLimits, Caller, ExecutionRecord, FilesConfig,
    FunctionCall, Functions, FunctionsConfig, FunctionsSettings, Identity, Lane, LaneNext, LogSink,
    NoNativeFunctions, ProgressRecord, RequestId, UserIdentity, VerifiedUser,
};
use freshet_store::MemoryStore;
use freshet_values::validator::Validator;
use freshet_values::{ComponentPath, FunctionPath, TableName, Timestamp};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use crate::memory_files::{MemoryFiles, SharedFiles};

/// What a query or mutation does.
pub(crate) type Script = Arc<dyn Fn(&Ctx<'_>, Json) -> Result<Json, JsError> + Send + Sync>;
/// What an action does.
pub(crate) type ActionScript =
    Arc<dyn Fn(Arc<dyn ActionCallbacks>, Json) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// An app made of closures.
#[derive(Clone, Default)]
pub(crate) struct App {
    scripts: HashMap<String, Script>,
    actions: HashMap<String, ActionScript>,
    functions: BTreeMap<FunctionPath, AnalysedFunction>,
    http_routes: Option<Vec<HttpRoute>>,
    refuses_self_cancel: bool,
}

impl App {
    pub(crate) fn query(
        self,
        path: &str,
        run: impl Fn(&Ctx<'_>, Json) -> Result<Json, JsError> + Send + Sync + 'static,
    ) -> Self {
        self.function(path, FunctionKind::Query, run)
    }

    pub(crate) fn mutation(
        self,
        path: &str,
        run: impl Fn(&Ctx<'_>, Json) -> Result<Json, JsError> + Send + Sync + 'static,
    ) -> Self {
        self.function(path, FunctionKind::Mutation, run)
    }

    fn function(
        mut self,
        path: &str,
        kind: FunctionKind,
        run: impl Fn(&Ctx<'_>, Json) -> Result<Json, JsError> + Send + Sync + 'static,
    ) -> Self {
        self.declare(path, kind);
        self.scripts.insert(canonical(path), Arc::new(run));
        self
    }

    pub(crate) fn action(
        mut self,
        path: &str,
        run: impl Fn(Arc<dyn ActionCallbacks>, Json) -> BoxFuture<'static, Outcome> + Send + Sync + 'static,
    ) -> Self {
        self.declare(path, FunctionKind::Action);
        self.actions.insert(canonical(path), Arc::new(run));
        self
    }

    fn declare(&mut self, path: &str, kind: FunctionKind) {
        let function = AnalysedFunction {
            kind,
            visibility: Some(Visibility::Public),
            args: Arc::new(Validator::Any),
            returns: None,
            position: None,
        };
        self.functions.insert(path.parse().unwrap(), function);
    }

    fn last_declared(&mut self, path: &str) -> &mut AnalysedFunction {
        self.functions.get_mut(&path.parse::<FunctionPath>().unwrap()).unwrap()
    }

    pub(crate) fn args(mut self, path: &str, validator: Json) -> Self {
        self.last_declared(path).args = Arc::new(Validator::from_json(&validator).unwrap());
        self
    }

    pub(crate) fn returns(mut self, path: &str, validator: Json) -> Self {
        self.last_declared(path).returns = Some(Arc::new(Validator::from_json(&validator).unwrap()));
        self
    }

    pub(crate) fn internal(mut self, path: &str) -> Self {
        self.last_declared(path).visibility = Some(Visibility::Internal);
        self
    }

    /// As apps are that were made with a later client package.
    pub(crate) fn refusing_self_cancel(mut self) -> Self {
        self.refuses_self_cancel = true;
        self
    }

    pub(crate) fn http(mut self) -> Self {
        self.http_routes = Some(vec![HttpRoute { path: "/a".into(), method: "GET".into() }]);
        self
    }

    fn live_code(&self) -> LiveCode {
        let modules = self.functions.keys().map(|path| {
            (
                path.module().to_owned(),
                ModuleAnalysis { environment: Environment::Isolate, context: Default::default() },
            )
        });
        LiveCode {
            package: Arc::new(CodePackage {
                version: 1,
                modules: BTreeMap::new(),
                node_packages: Vec::new(),
                import_seed: [0; 32],
                import_time_ms: 0.0,
            }),
            modules: modules.collect(),
            functions: self.functions.clone(),
            http_routes: self.http_routes.clone(),
            crons: BTreeMap::new(),
            refuses_self_cancel: self.refuses_self_cancel,
        }
    }
}

fn canonical(path: &str) -> String {
    path.parse::<FunctionPath>().unwrap().to_string()
}

/// What a script has in place of `ctx`.
pub(crate) struct Ctx<'a> {
    pub(crate) lane: &'a Lane,
    app: &'a App,
    pub(crate) invocation: Invocation,
}

impl Ctx<'_> {
    /// One host call; the reply as JSON.
    pub(crate) fn call(&self, op: &str, args: Json) -> Result<Json, SyscallError> {
        self.lane.syscall(op, &args.to_string()).map(|text| serde_json::from_str(&text).unwrap())
    }

    pub(crate) fn insert(&self, table: &str, value: Json) -> Result<String, SyscallError> {
        let reply = self.call("1.0/insert", json!({ "table": table, "value": value }))?;
        Ok(reply["_id"].as_str().unwrap().to_owned())
    }

    /// All documents of a table.
    pub(crate) fn collect(&self, table: &str) -> Result<Vec<Json>, SyscallError> {
        let source = json!({ "type": "FullTableScan", "tableName": table, "order": null });
        let query = json!({ "source": source, "operators": [] });
        let opened = self.call("1.0/queryStream", json!({ "query": query }))?;
        let mut rows = Vec::new();
        loop {
            let next = self.call("1.0/queryStreamNext", opened.clone())?;
            if next["done"].as_bool().unwrap() {
                return Ok(rows);
            }
            rows.push(next["value"].clone());
        }
    }

    /// A nested call.
    pub(crate) fn run(&self, kind: &str, name: &str, args: Json) -> Result<Json, SyscallError> {
        self.run_with(json!({ "udfType": kind, "name": name, "args": args }))
    }

    pub(crate) fn run_with(&self, args: Json) -> Result<Json, SyscallError> {
        let invocation = self.lane.begin_nested(&args.to_string())?;
        let outcome = run_script(self.lane, self.app, invocation);
        self.lane.end_nested(outcome).map(|text| serde_json::from_str(&text).unwrap())
    }

    pub(crate) fn log(&self, text: &str) {
        self.lane.log(freshet_functions::log::LogLine {
            level: freshet_functions::log::LogLevel::Log,
            messages: vec![text.to_owned()],
            is_truncated: false,
            timestamp: 1,
            system_metadata: None,
            nested_in: None,
        });
    }

    pub(crate) fn env(&self, name: &str) -> Option<String> {
        self.lane.env(name).unwrap()
    }
}

/// An exception, as `throw new Error(text)` makes one.
pub(crate) fn thrown(text: impl std::fmt::Display) -> JsError {
    JsError { message: format!("Uncaught Error: {text}"), frames: Vec::new(), data: None }
}

/// A failed host call that nobody caught.
pub(crate) fn uncaught(error: SyscallError) -> JsError {
    JsError { message: format!("Uncaught Error: {}", error.message), frames: Vec::new(), data: error.data }
}

fn run_script(lane: &Lane, app: &App, invocation: Invocation) -> Outcome {
    let path = format!("{}:{}", invocation.module_path, invocation.export_name);
    let args: Json = serde_json::from_str(&invocation.args_json).unwrap();
    let Some(script) = app.scripts.get(&path) else {
        return Outcome::Threw(thrown(format!("no script for {path}")));
    };
    match script(&Ctx { lane, app, invocation }, args[0].clone()) {
        Ok(value) => Outcome::Returned(value.to_string()),
        Err(error) => Outcome::Threw(error),
    }
}

/// Code that never changes. Depends on the deployed version all the same, like code that does.
struct FixedCode(Arc<LiveCode>);

/// Where deployments keep their version.
pub(crate) fn version_table() -> TableName {
    "_udf_config".parse().unwrap()
}

impl CodeSource for FixedCode {
    fn live_code(&self, transaction: &mut Transaction) -> Result<Arc<LiveCode>, CallError> {
        transaction.system(Namespace::ROOT).all(&version_table()).unwrap();
        Ok(self.0.clone())
    }
}

/// Runs actions as tasks of this process.
/// Accepts the token `ada` and no other.
struct OneUser;

#[async_trait]
impl Authenticator for OneUser {
    async fn verify(&self, token: &str) -> Result<VerifiedUser, AuthenticationError> {
        if token != "ada" {
            let message = "No auth provider found matching the given token".into();
            return Err(AuthenticationError::Rejected { code: "NoAuthProvider", message });
        }
        let attributes = json!({ "issuer": "https://i", "subject": "ada" }).as_object().unwrap().clone();
        let identity = UserIdentity::from_attributes(attributes).unwrap();
        Ok(VerifiedUser { identity, expires_at: SystemTime::now() + Duration::from_secs(60) })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::Sender::new(0).subscribe()
    }
}

struct ScriptHost(App);

#[async_trait]
impl ActionHost for ScriptHost {
    async fn run_action(
        &self,
        job: ActionJob,
        callbacks: Arc<dyn ActionCallbacks>,
    ) -> Result<Outcome, HostFailure> {
        let path = format!("{}:{}", job.module_path, job.export_name);
        let script =
            self.0.actions.get(&path).ok_or_else(|| HostFailure::Crashed("no script".into()))?.clone();
        let args: Json = serde_json::from_str(&job.args_json).unwrap();
        Ok(script(callbacks, args[0].clone()).await)
    }

    async fn run_http_action(
        &self,
        job: HttpActionJob,
        callbacks: Arc<dyn ActionCallbacks>,
    ) -> Result<HttpActionResponse, HttpActionFailure> {
        if job.routed_path == "/throw" {
            return Err(HttpActionFailure::Threw(thrown("msg")));
        }
        let identity = match callbacks.syscall("1.0/getUserIdentity", "{}").await {
            Ok(text) => text,
            Err(error) => error.message,
        };
        let (sender, body) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move { sender.send(Ok(identity.into())).await });
        Ok(HttpActionResponse { status: 200, headers: Vec::new(), body })
    }

    async fn evaluate(&self, _job: EvaluationJob) -> Result<Vec<EvaluationReply>, HostFailure> {
        Err(HostFailure::Crashed("not part of these tests".into()))
    }
}

/// Keeps what was published.
#[derive(Default)]
pub(crate) struct Records(pub(crate) Mutex<Vec<ExecutionRecord>>);

impl LogSink for Records {
    fn completed(&self, record: ExecutionRecord) {
        self.0.lock().push(record);
    }
    fn progress(&self, _record: ProgressRecord) {}
}

/// A running deployment.
pub(crate) struct Deployment {
    pub(crate) functions: Functions,
    pub(crate) records: Arc<Records>,
    lanes: Vec<JoinHandle<()>>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) files: Arc<MemoryFiles>,
}

impl Deployment {
    pub(crate) fn start(app: App) -> Self {
        Self::start_with(app, 2, CallLimits::default())
    }

    pub(crate) fn start_with(app: App, lanes: usize, limits: CallLimits) -> Self {
        let (store, files) = (Arc::new(MemoryStore::new()), Arc::default());
        Self::open(store, files, app, lanes, limits, Duration::ZERO)
    }

    fn open(
        store: Arc<MemoryStore>,
        files: Arc<MemoryFiles>,
        app: App,
        lanes: usize,
        limits: CallLimits,
        later: Duration,
    ) -> Self {
        let records = Arc::new(Records::default());
        let functions = Functions::new(FunctionsConfig {
            database: open_database(store.clone(), later),
            code: Arc::new(FixedCode(Arc::new(app.live_code()))),
            native: Arc::new(NoNativeFunctions),
            host: Arc::new(ScriptHost(app.clone())),
            authenticator: Arc::new(OneUser),
            log_sink: records.clone(),
            files: FilesConfig {
                store: Arc::new(SharedFiles(files.clone())),
                upload_key: [7; 32],
                deleted_kept: Duration::ZERO,
            },
            settings: FunctionsSettings {
                limits,
                cloud_url: "http://127.0.0.1:3210".into(),
                site_url: "http://127.0.0.1:3211".into(),
                deployment_name: "test".into(),
                redact_errors: false,
            },
        });
        let lanes = (0..lanes)
            .map(|_| {
                let lane = functions.lane_queue().lane();
                let app = app.clone();
                std::thread::spawn(move || run_lane(&lane, &app))
            })
            .collect();
        Self { functions, records, lanes, store, files }
    }

    /// What starts after a power cut at this moment. The old deployment goes on in a world of its own.
    pub(crate) fn after_crash(&self, app: App) -> Self {
        self.after_crash_and(Duration::ZERO, app)
    }

    /// What starts that much later.
    pub(crate) fn after_crash_and(&self, later: Duration, app: App) -> Self {
        let store = Arc::new(self.store.after_crash());
        Self::open(store, self.files.clone(), app, 2, CallLimits::default(), later)
    }

    pub(crate) async fn mutation(&self, path: &str, args: Json) -> Result<Json, String> {
        let outcome = self.functions.mutation(call(path, args), None).await.unwrap();
        reply(outcome.result)
    }

    pub(crate) async fn query(&self, path: &str, args: Json) -> Result<Json, String> {
        let outcome = self.functions.query(call(path, args), Default::default()).await.unwrap();
        reply(outcome.result)
    }

    pub(crate) async fn action(&self, path: &str, args: Json) -> Result<Json, String> {
        let outcome = self.functions.action(call(path, args)).await.unwrap();
        reply(outcome.result)
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        self.functions.close();
        for lane in self.lanes.drain(..) {
            lane.join().unwrap();
        }
    }
}

fn run_lane(lane: &Lane, app: &App) {
    loop {
        // As long as real lanes wait, so that nothing is found only because they look again all the time.
        match lane.next(Duration::from_secs(60)) {
            LaneNext::Run(invocation) => {
                let outcome = run_script(lane, app, invocation);
                lane.finish(outcome);
            }
            LaneNext::Idle => {}
            LaneNext::Closed => return,
        }
    }
}

/// A clock that is ahead of the machine's.
struct Ahead(Duration);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().as_nanos() + self.0.as_nanos() as u64)
    }
}

fn open_database(store: Arc<MemoryStore>, later: Duration) -> Database {
    let options = DatabaseOptions::default();
    Database::open(store, options, Arc::new(Ahead(later)), Randomness::from_os()).unwrap()
}

fn reply(result: Result<String, freshet_functions::FunctionError>) -> Result<Json, String> {
    result.map(|text| serde_json::from_str(&text).unwrap()).map_err(|error| error.message)
}

/// A call by an anonymous client.
pub(crate) fn call(path: &str, args: Json) -> FunctionCall {
    FunctionCall {
        path: path.parse().unwrap(),
        component: ComponentPath::root(),
        args: args.to_string(),
        identity: Identity::Anonymous,
        caller: Caller::HttpApi,
        request_id: RequestId::random(),
        metadata: Default::default(),
    }
}

/// Waits until `done` holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(mut done: impl FnMut() -> F) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !done().await {
        assert!(std::time::Instant::now() < deadline, "waited too long");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
