//! The app's deployed code, as calls look it up.
//!
//! This module describes code; it neither evaluates nor stores it. Whoever deploys implements [`CodeSource`].

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use freshet_database::Transaction;
use freshet_values::FunctionPath;
use freshet_values::validator::Validator;
use serde::{Deserialize, Serialize};

use crate::call_error::CallError;
use crate::host::{CodePackage, Environment};

/// One deployed version of the app: its modules and what their evaluation found.
#[derive(Clone, Debug)]
pub struct LiveCode {
    /// The modules, as hosts load them.
    pub package: Arc<CodePackage>,
    /// What is known of each module, by canonical path with `.js`.
    pub modules: BTreeMap<String, ModuleAnalysis>,
    /// Registered functions by path. HTTP actions are reached through [`LiveCode::http_routes`] only.
    pub functions: BTreeMap<FunctionPath, AnalysedFunction>,
    /// Routes of `http.js`; `None` when the app has no `http.js`.
    pub http_routes: Option<Vec<HttpRoute>>,
    /// Definitions of `crons.js` by name.
    pub crons: BTreeMap<String, CronDefinition>,
    /// Whether a scheduled mutation that cancels itself fails: apps made with version 1.50 of the client package or a later
    /// one hear of it as an error, those before as a warning.
    pub refuses_self_cancel: bool,
}

impl LiveCode {
    /// A deployment without any code: what a new database has before its first push.
    pub fn empty() -> Self {
        Self {
            package: Arc::new(CodePackage {
                version: 0,
                modules: BTreeMap::new(),
                node_packages: Vec::new(),
                import_seed: [0; 32],
                import_time_ms: 0.0,
            }),
            modules: BTreeMap::new(),
            functions: BTreeMap::new(),
            http_routes: None,
            crons: BTreeMap::new(),
            refuses_self_cancel: false,
        }
    }

    /// Which context the functions of a module get; one of its own if there is no such module.
    pub fn context_of(&self, module: &str) -> ContextMode {
        self.modules.get(module).map_or(ContextMode::Fresh, |module| module.context)
    }
}

/// One module's analysis.
#[derive(Clone, Debug)]
pub struct ModuleAnalysis {
    /// Where it runs.
    pub environment: Environment,
    /// Which context its functions get.
    pub context: ContextMode,
}

/// Which context the queries and mutations of a module get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContextMode {
    /// A context of their own for each call, with modules evaluated anew.
    #[default]
    Fresh,
    /// One that the calls of a lane share: nothing in the module's code can keep state from one call to the next.
    Verified,
    /// One that the calls of a lane share although the code may keep state, because its author or the operator says so.
    Reuse,
}

impl ContextMode {
    /// `fresh`, `verified` or `reuse`.
    pub fn as_str(self) -> &'static str {
        match self {
            ContextMode::Fresh => "fresh",
            ContextMode::Verified => "verified",
            ContextMode::Reuse => "reuse",
        }
    }
}

/// What the operator decided about contexts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContextPolicy {
    /// Calls share contexts where that cannot be told from fresh ones, or where a module asks for it.
    #[default]
    Verified,
    /// Every call gets a fresh context.
    Fresh,
    /// All calls of a lane share a context.
    Reuse,
}

impl FromStr for ContextPolicy {
    type Err = UnknownContextPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownContextPolicy> {
        match text {
            "verified" => Ok(ContextPolicy::Verified),
            "fresh" => Ok(ContextPolicy::Fresh),
            "reuse" => Ok(ContextPolicy::Reuse),
            _ => Err(UnknownContextPolicy(text.to_owned())),
        }
    }
}

/// A word that names no [`ContextPolicy`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of `verified`, `fresh` and `reuse`")]
pub struct UnknownContextPolicy(String);

impl ContextPolicy {
    /// The mode of a module whose own is `mode`.
    pub fn apply(self, mode: ContextMode) -> ContextMode {
        match self {
            ContextPolicy::Verified => mode,
            ContextPolicy::Fresh => ContextMode::Fresh,
            ContextPolicy::Reuse => ContextMode::Reuse,
        }
    }
}

/// One registered function.
#[derive(Clone, Debug)]
pub struct AnalysedFunction {
    /// What it is.
    pub kind: FunctionKind,
    /// Who may call it; `None` when its export states neither: callable by nobody outside.
    pub visibility: Option<Visibility>,
    /// Validator of the one arguments object; [`Validator::Any`] when the function declares none.
    pub args: Arc<Validator>,
    /// Validator of the result.
    pub returns: Option<Arc<Validator>>,
    /// Zero-based line and column of the handler in the author's source, when known.
    pub position: Option<(u32, u32)>,
}

/// Kinds of function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FunctionKind {
    /// Read only, on one snapshot.
    Query,
    /// Reads and writes in one transaction.
    Mutation,
    /// Outside of transactions.
    Action,
    /// Answers HTTP requests.
    HttpAction,
}

impl FunctionKind {
    /// `Query`, `Mutation`, `Action` or `HttpAction`.
    pub fn as_str(self) -> &'static str {
        match self {
            FunctionKind::Query => "Query",
            FunctionKind::Mutation => "Mutation",
            FunctionKind::Action => "Action",
            FunctionKind::HttpAction => "HttpAction",
        }
    }

    /// The lower-case word used in running text and in host calls.
    pub fn word(self) -> &'static str {
        match self {
            FunctionKind::Query => "query",
            FunctionKind::Mutation => "mutation",
            FunctionKind::Action => "action",
            FunctionKind::HttpAction => "httpAction",
        }
    }
}

impl fmt::Display for FunctionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who may call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Every client.
    Public,
    /// Other functions and admins.
    Internal,
}

/// A route that `http.js` declared when it was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRoute {
    /// Path; a prefix route's ends in `*`.
    pub path: String,
    /// HTTP method in upper case.
    pub method: String,
}

/// One entry of `crons.js`.
#[derive(Clone, Debug, PartialEq)]
pub struct CronDefinition {
    /// The function to run.
    pub path: FunctionPath,
    /// JSON text of an array that holds the one encoded arguments object.
    pub args_json: String,
    /// The schedule as stored: `{type: "interval", seconds}`, `{type: "cron", cronExpr}`, ...
    pub schedule: serde_json::Value,
}

/// Where calls get the code from.
pub trait CodeSource: Send + Sync + 'static {
    /// The code that is live in the transaction's snapshot. Reads the row that names the deployed version through
    /// `transaction`, so that whatever the call finds (or misses) is looked at again after the next push.
    fn live_code(&self, transaction: &mut Transaction) -> Result<Arc<LiveCode>, CallError>;
}
