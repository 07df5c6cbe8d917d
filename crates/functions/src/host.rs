//! The seam between Freshet and whatever runs JavaScript.
//!
//! Two kinds of host stand behind it. *Lanes* run queries and mutations: one V8 thread each, in this process,
//! one call at a time, talking to the database without leaving the address space. *Action hosts* run actions,
//! HTTP actions and the evaluation of pushed code: separate processes that may be killed at any moment.
//!
//! Nothing here knows Node, V8 or a wire format between processes: that is the engine crate's business.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::code::ContextMode;
use crate::log::LogLine;

/// Where a module runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// The default runtime.
    Isolate,
    /// `"use node"`: the whole Node API; actions only.
    Node,
}

/// One module as the CLI bundled it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Module {
    /// Canonical path below the functions directory, with `.js`.
    pub path: String,
    /// ECMAScript module source.
    pub source: Arc<str>,
    /// Source map (version 3), when the bundler made one.
    pub source_map: Option<Arc<str>>,
    /// The runtime it was bundled for.
    pub environment: Environment,
}

/// An npm package at an exact version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodePackage {
    /// Package name.
    pub name: String,
    /// Exact version.
    pub version: String,
}

/// An immutable set of modules that belong together: one pushed version of the app's code.
#[derive(Clone, Debug)]
pub struct CodePackage {
    /// Distinguishes packages within one engine process and across restarts; equal versions mean equal code.
    pub version: u64,
    /// Modules by canonical path.
    pub modules: BTreeMap<String, Arc<Module>>,
    /// npm packages that `"use node"` modules import; the host has them installed.
    pub node_packages: Vec<NodePackage>,
    /// Seed of `Math.random` while modules are evaluated.
    pub import_seed: [u8; 32],
    /// `Date.now()` while modules are evaluated, in milliseconds since the Unix epoch.
    pub import_time_ms: f64,
}

/// The two kinds of function that run inside a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionKind {
    /// Read only.
    Query,
    /// Reads and writes.
    Mutation,
}

/// What a lane has to run: one attempt of a top-level or nested function call.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Query or mutation.
    pub kind: TransactionKind,
    /// Canonical module path with `.js`.
    pub module_path: String,
    /// Name of the export.
    pub export_name: String,
    /// JSON text of an array that holds the one encoded arguments object.
    pub args_json: String,
    /// Seed of this attempt's randomness.
    pub seed: [u8; 32],
    /// The frozen clock, in whole milliseconds since the Unix epoch.
    pub now_ms: f64,
    /// The code to run.
    pub code: Arc<CodePackage>,
    /// Which context it gets.
    pub context: ContextMode,
}

/// What user code did, as the host saw it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The returned promise resolved to this text (for actions too).
    Returned(String),
    /// It threw, or the call cannot be carried out (missing export, a value that is no function, ...).
    Threw(JsError),
}

/// A JavaScript error, before source maps are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JsError {
    /// `Uncaught {name}: {message}` with the rules of the runtime contract already applied.
    pub message: String,
    /// V8's stack frames, one `    at ...` line each, with generated positions; empty when there are none.
    #[serde(default)]
    pub frames: Vec<String>,
    /// The JSON text of a `ConvexError`'s data.
    #[serde(default)]
    pub data: Option<String>,
}

/// A host call that failed.
#[derive(Clone, Debug)]
pub struct SyscallError {
    /// Text of the JavaScript exception.
    pub message: String,
    /// JSON text put on the exception as `data` when a nested function failed with a `ConvexError`.
    pub data: Option<String>,
    /// Whether user code may catch it. One that it may not catch ends the whole call at once.
    pub catchable: bool,
}

impl SyscallError {
    /// An exception that user code may catch.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None, catchable: true }
    }
}

/// Why a lane gave up a call without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneFailure {
    /// User code ran longer than the limit.
    UserTimeout,
    /// User code and host calls together ran longer than the limit.
    SystemTimeout,
    /// The JavaScript heap is exhausted.
    OutOfMemory,
    /// The host died for a reason that is not the function's fault.
    Crashed,
}

/// A call that an action host runs.
#[derive(Clone, Debug)]
pub struct ActionJob {
    /// Unique for each invocation; user code sees it as the first argument of `invokeAction`.
    pub invocation_id: String,
    /// Canonical module path with `.js`.
    pub module_path: String,
    /// Name of the export.
    pub export_name: String,
    /// JSON text of an array that holds the one encoded arguments object.
    pub args_json: String,
    /// The code to run.
    pub code: Arc<CodePackage>,
    /// Which context the module's functions may have.
    pub context: ContextMode,
    /// `process.env` of the call: the deployment's variables and the two built-in ones.
    pub env: BTreeMap<String, String>,
}

/// An HTTP action to run through the app's router (`http.js`).
#[derive(Debug)]
pub struct HttpActionJob {
    /// Unique for each invocation.
    pub invocation_id: String,
    /// HTTP method.
    pub method: String,
    /// Absolute URL as the handler is to see it.
    pub url: String,
    /// Path that is matched against the router: the URL's path without mount prefixes.
    pub routed_path: String,
    /// Headers as received; names in lower case, duplicates kept.
    pub headers: Vec<(String, String)>,
    /// The request body; `None` for methods without one. Dropping the sender early without an error means the
    /// client left.
    pub body: Option<mpsc::Receiver<Result<Bytes, String>>>,
    /// Ends when nobody waits for the answer's head any more: the client left, which aborts `request.signal`.
    pub client_left: oneshot::Receiver<Infallible>,
    /// The code to run.
    pub code: Arc<CodePackage>,
    /// Which context the router's functions may have.
    pub context: ContextMode,
    /// `process.env` of the call.
    pub env: BTreeMap<String, String>,
}

/// An HTTP action's answer once its head is known; the body may still be streaming.
#[derive(Debug)]
pub struct HttpActionResponse {
    /// HTTP status.
    pub status: u16,
    /// Response headers in order, duplicates kept.
    pub headers: Vec<(String, String)>,
    /// Body chunks. An `Err` cuts the body short: user code threw while streaming. Dropping the receiver tells the
    /// host that the client left, which aborts `request.signal`.
    pub body: mpsc::Receiver<Result<Bytes, JsError>>,
}

/// Code to evaluate at push time, without a database.
#[derive(Clone, Debug)]
pub struct EvaluationJob {
    /// The modules that may be imported.
    pub code: Arc<CodePackage>,
    /// Variables visible as `process.env`. Empty where reading the environment is not allowed.
    pub env: BTreeMap<String, String>,
    /// What to evaluate, in order.
    pub tasks: Vec<EvaluationTask>,
}

/// One module to evaluate, and what to take from it.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum EvaluationTask {
    /// Registered functions, routes of `http.js`, crons of `crons.js`. Replies [`ModuleReport`].
    Functions {
        /// Canonical module path.
        path: String,
    },
    /// `default.export()` of a schema: replies its JSON text.
    Schema {
        /// Canonical module path.
        path: String,
    },
    /// `JSON.stringify(default)` of an auth configuration: replies that text. Reading an unset variable fails with
    /// [`EvaluationError::missing_env`].
    AuthConfig {
        /// Canonical module path.
        path: String,
    },
    /// `default.export()` of an app or component definition: replies its JSON text.
    Definition {
        /// Canonical module path.
        path: String,
    },
}

/// What the evaluation of one module found.
pub type EvaluationReply = Result<Evaluated, Box<EvaluationError>>;

/// A successful evaluation.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Evaluated {
    /// Answer to [`EvaluationTask::Functions`].
    Functions(ModuleReport),
    /// Answer to the tasks that ask for JSON text.
    Text {
        /// The JSON text.
        text: String,
    },
}

/// A failed evaluation of one module.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EvaluationError {
    /// What was thrown.
    pub error: JsError,
    /// The last console lines that the module printed (at most 100), formatted.
    pub log_lines: Vec<String>,
    /// `missingDefaultExport`, `wrongShape`, `timeout`, `outOfMemory`, ... ; empty for a plain exception.
    pub code: String,
    /// Name of the environment variable whose absence caused the error.
    pub missing_env: Option<String>,
}

/// Exports of one function module.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModuleReport {
    /// Exports that look like registered functions.
    pub functions: Vec<FunctionReport>,
    /// `http.js` only: `[path, method]` pairs; `None` when the default export is not a router.
    pub http_routes: Option<Vec<(String, String)>>,
    /// `crons.js` only: JSON text of `export()`; `None` when the default export is not a `Crons`.
    pub crons: Option<String>,
    /// Whether there is a default export at all (for messages about `http.js` and `crons.js`).
    pub has_default: bool,
}

/// One registered function.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionReport {
    /// Export name.
    pub name: String,
    /// `Query`, `Mutation` or `Action`.
    pub udf_type: String,
    /// `public`, `internal` or absent.
    pub visibility: Option<String>,
    /// What `exportArgs()` returned.
    pub args: Option<String>,
    /// What `exportReturns()` returned.
    pub returns: Option<String>,
    /// Zero-based line and column of the handler in the bundled module, when known.
    pub position: Option<(u32, u32)>,
}

/// A `Blob` that an action stores.
#[derive(Debug)]
pub struct IncomingBlob {
    /// Its type; empty if it has none.
    pub content_type: String,
    /// The digest that user code gave, as base64 text.
    pub sha256: Option<String>,
    /// Number of bytes. Fewer arrive when the action ends before they are sent.
    pub size: u64,
    /// The bytes. An `Err` says why no more come.
    pub body: mpsc::Receiver<Result<Bytes, JsError>>,
}

/// A stored file that an action reads.
pub struct OutgoingBlob {
    /// Its media type; empty if it has none.
    pub content_type: String,
    /// Number of bytes.
    pub size: u64,
    /// The bytes. An `Err` says why no more come.
    pub body: BoxStream<'static, Result<Bytes, String>>,
}

/// Services that a running action reaches.
#[async_trait]
pub trait ActionCallbacks: Send + Sync + 'static {
    /// Carries out one asynchronous host call.
    async fn syscall(&self, op: &str, args: &str) -> Result<String, SyscallError>;
    /// Stores a file and returns its id.
    async fn store_blob(&self, blob: IncomingBlob) -> Result<String, SyscallError>;
    /// Opens a stored file; `None` if there is none of this name.
    async fn load_blob(&self, storage_id: &str) -> Result<Option<OutgoingBlob>, SyscallError>;
    /// Records one console line as it happens.
    fn log(&self, line: LogLine);
}

/// Why an action host could not bring a call to an outcome.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HostFailure {
    /// The call ran longer than the limit.
    #[error("timed out")]
    Timeout,
    /// The host ran out of memory.
    #[error("ran out of memory")]
    OutOfMemory,
    /// The host process died or could not be started; the text says how.
    #[error("{0}")]
    Crashed(String),
}

/// An HTTP action that produced no response head.
#[derive(Clone, Debug)]
pub enum HttpActionFailure {
    /// User code failed.
    Threw(JsError),
    /// The host failed.
    Host(HostFailure),
}

/// A pool of processes that run actions and evaluate pushed code.
#[async_trait]
pub trait ActionHost: Send + Sync + 'static {
    /// Runs one action to its end.
    async fn run_action(
        &self,
        job: ActionJob,
        callbacks: Arc<dyn ActionCallbacks>,
    ) -> Result<Outcome, HostFailure>;

    /// Runs one HTTP action until its response head is known; the body streams on by itself.
    async fn run_http_action(
        &self,
        job: HttpActionJob,
        callbacks: Arc<dyn ActionCallbacks>,
    ) -> Result<HttpActionResponse, HttpActionFailure>;

    /// Installs npm packages for `"use node"` modules, unless that was done before, and gives the name under which they are
    /// kept.
    ///
    /// # Errors
    /// For the developer: what could not be installed, and why.
    async fn install(&self, packages: &[NodePackage]) -> Result<String, String> {
        Err(format!(
            "This server cannot install npm packages, but the push asks for {}. Remove `node.externalPackages` from \
             convex.json, so that the packages are bundled.",
            packages.iter().map(|it| format!("{}@{}", it.name, it.version)).collect::<Vec<_>>().join(", ")
        ))
    }

    /// Evaluates modules at push time; one reply for each task, in order.
    async fn evaluate(&self, job: EvaluationJob) -> Result<Vec<EvaluationReply>, HostFailure>;

    /// The processes that it runs actions in, for whoever watches over the server.
    fn processes(&self) -> Vec<HostProcessStatistics> {
        Vec::new()
    }
}

/// A process that actions run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostProcessStatistics {
    /// Which runtime it offers.
    pub environment: Environment,
    /// Its number in the operating system; `None` once it has ended.
    pub pid: Option<u32>,
    /// Invocations that it runs.
    pub running: u64,
}
