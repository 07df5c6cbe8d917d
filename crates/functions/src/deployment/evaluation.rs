//! Running the code of a push once, to learn what it offers. Reads no data and changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use freshet_database::schema::{self, SchemaDefinition};
use freshet_values::Value;
use rand::RngCore;
use serde_json::Value as Json;

use super::analysis::{analyze, check_together, invalid_modules};
use super::app_definition::{self, AppDefinitionAnalysis};
use super::auth_config;
use super::error::PushError;
use super::module_set::{AUTH_CONFIG, ModuleSet, is_shared_chunk, pushed};
use super::request::{PushedModule, StartPushRequest};
use super::response::{AnalyzedModule, UdfConfig};
use crate::host::{
    ActionHost, CodePackage, Evaluated, EvaluationError, EvaluationJob, EvaluationReply, EvaluationTask,
    HostFailure, Module, NodePackage,
};
use crate::services::since_epoch;
use crate::stack::StackMapper;

/// Time for one module's evaluation; the host enforces it.
const MODULE_TIME_MAX: Duration = Duration::from_secs(4);
/// Time for starting a host process and handing it the code, beyond the modules' own time.
const HOST_TIME_MAX: Duration = Duration::from_secs(60);
/// Console lines of a failed module that the developer is shown.
const LOG_LINES_MAX: usize = 100;
/// Introduces what is wrong with a schema.
const SCHEMA_PREFIX: &str = "Hit an error while evaluating your schema:\n";

/// The built-in variables and the user's own.
pub(crate) type Variables = BTreeMap<String, String>;

/// Randomness and clock of module evaluation, kept for later evaluations of the same code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ImportPhase {
    pub(super) seed: [u8; 32],
    pub(super) time_ns: i64,
}

/// What the code of a push turned out to be.
#[derive(Debug)]
pub(super) struct EvaluatedPush {
    pub(super) definition: AppDefinitionAnalysis,
    pub(super) schema: Option<SchemaDefinition>,
    pub(super) app_auth: Vec<Json>,
    pub(super) functions: BTreeMap<String, AnalyzedModule>,
    pub(super) udf_config: UdfConfig,
    /// The modules as calls load them.
    pub(super) package: Arc<CodePackage>,
    pub(super) import_phase: ImportPhase,
}

/// Evaluates pushed code in a host.
pub(super) struct Evaluator<'a> {
    pub(super) host: &'a dyn ActionHost,
    pub(super) stacks: &'a StackMapper,
    /// `process.env` where reading it is allowed.
    pub(super) variables: Variables,
}

impl ImportPhase {
    pub(super) fn now() -> Self {
        let mut seed = [0; 32];
        rand::rng().fill_bytes(&mut seed);
        let time_ns = i64::try_from(since_epoch(SystemTime::now()).as_nanos()).unwrap_or(i64::MAX);
        Self { seed, time_ns }
    }

    /// A package of modules that is evaluated in this phase. Gets a version of its own.
    pub(super) fn package(&self, modules: impl IntoIterator<Item = Arc<Module>>) -> Arc<CodePackage> {
        self.package_as(new_version(), modules, &[])
    }

    pub(super) fn package_as(
        &self,
        version: u64,
        modules: impl IntoIterator<Item = Arc<Module>>,
        node_packages: &[NodePackage],
    ) -> Arc<CodePackage> {
        Arc::new(CodePackage {
            version,
            modules: modules.into_iter().map(|module| (module.path.clone(), module)).collect(),
            node_packages: node_packages.to_vec(),
            import_seed: self.seed,
            import_time_ms: (self.time_ns / 1_000_000) as f64,
        })
    }

    fn udf_config(&self, server_version: &str) -> UdfConfig {
        UdfConfig {
            server_version: server_version.to_owned(),
            import_phase_rng_seed: Value::Bytes(self.seed.to_vec()).to_json(),
            import_phase_unix_timestamp: Value::Int64(self.time_ns).to_json(),
        }
    }
}

/// A version that no other package has: random, so that none is given twice across restarts; positive as an int64.
fn new_version() -> u64 {
    (rand::rng().next_u64() >> 1).max(1)
}

/// Modules that calls load: all but the one that configures authentication.
pub(super) fn callable(modules: &ModuleSet) -> impl Iterator<Item = Arc<Module>> {
    modules.values().filter(|module| module.module.path != AUTH_CONFIG).map(|module| module.module.clone())
}

impl Evaluator<'_> {
    /// Evaluates everything that a push consists of, in the documented order.
    ///
    /// # Errors
    /// The developer's first mistake, or a host that fails.
    pub(super) async fn push(
        &self,
        request: &StartPushRequest,
        modules: &ModuleSet,
    ) -> Result<EvaluatedPush, PushError> {
        let import_phase = ImportPhase::now();
        let app_auth = match modules.get(AUTH_CONFIG) {
            Some(module) => self.auth_config(&module.module).await?,
            None => Vec::new(),
        };
        let definition = match &request.app_definition.definition {
            Some(module) => self.definition(module, &import_phase).await?,
            None => app_definition::empty(),
        };
        let schema = match &request.app_definition.schema {
            Some(module) => Some(self.schema(module).await?),
            None => None,
        };
        let package = import_phase.package_as(new_version(), callable(modules), &request.node_dependencies);
        let mut functions = self.functions(&package).await?;
        if modules.contains_key(AUTH_CONFIG) {
            functions.insert(AUTH_CONFIG.to_owned(), AnalyzedModule::default());
        }
        check_together(&functions)?;
        let udf_config = import_phase.udf_config(&request.app_definition.udf_server_version);
        Ok(EvaluatedPush { definition, schema, app_auth, functions, udf_config, package, import_phase })
    }

    /// Evaluates the schema alone.
    pub(super) async fn schema(&self, module: &PushedModule) -> Result<SchemaDefinition, PushError> {
        let prefixed =
            |error: PushError| PushError { message: format!("{SCHEMA_PREFIX}{}", error.message), ..error };
        let module = pushed(module)?.module;
        let package = ImportPhase::now().package([module.clone()]);
        let task = EvaluationTask::Schema { path: module.path.clone() };
        let export = match self.one(&package, Variables::new(), task).await? {
            Ok(evaluated) => text_of(evaluated)?,
            Err(error) => return Err(prefixed(self.schema_error(&error, &package))),
        };
        schema::parse(&export).map_err(|error| prefixed(error.into()))
    }

    fn schema_error(&self, error: &EvaluationError, package: &CodePackage) -> PushError {
        if let Some(name) = &error.missing_env {
            return PushError::bad_request(
                "NoEnvironmentVariablesInSchema",
                format!(
                    "The schema reads the environment variable {name}. Environment variables cannot be used in \
                     schema.ts, because they may differ between deployments that share it."
                ),
            );
        }
        match error.code.as_str() {
            "missingDefaultExport" => PushError::bad_request(
                "MissingSchemaExportError",
                "Schema file missing default export. Export the result of `defineSchema(...)` as default.",
            ),
            "wrongShape" => PushError::bad_request(
                "InvalidSchemaExport",
                "The default export of the schema file is not a schema. Export the result of \
                 `defineSchema(...)` as default.",
            ),
            _ => PushError::bad_request("InvalidSchema", self.text(error, package)),
        }
    }

    /// Evaluates the configuration of authentication with the current variables.
    pub(super) async fn auth_config(&self, module: &Arc<Module>) -> Result<Vec<Json>, PushError> {
        let package = ImportPhase::now().package([module.clone()]);
        let task = EvaluationTask::AuthConfig { path: module.path.clone() };
        let error = match self.one(&package, self.variables.clone(), task).await? {
            Ok(evaluated) => return auth_config::parse(&text_of(evaluated)?),
            Err(error) => error,
        };
        if let Some(name) = &error.missing_env {
            return Err(PushError::bad_request(
                "AuthConfigMissingEnvironmentVariable",
                // Clients recognise this text.
                format!("Environment variable {name} is used in auth config file but its value was not set"),
            ));
        }
        Err(match error.code.as_str() {
            "missingDefaultExport" => PushError::bad_request(
                "AuthConfigMissingExportError",
                "auth config file is missing a default export. Export an object with a list of providers.",
            ),
            "wrongShape" => PushError::bad_request(
                "AuthConfigNotMatchingSchemaError",
                "auth config file must export an object that can be written as JSON.",
            ),
            _ => PushError::bad_request("InvalidAuthConfig", self.text(&error, &package)),
        })
    }

    async fn definition(
        &self,
        module: &PushedModule,
        import_phase: &ImportPhase,
    ) -> Result<AppDefinitionAnalysis, PushError> {
        let module = pushed(module)?.module;
        let package = import_phase.package([module.clone()]);
        let task = EvaluationTask::Definition { path: module.path.clone() };
        match self.one(&package, self.variables.clone(), task).await? {
            Ok(evaluated) => app_definition::parse(&text_of(evaluated)?),
            Err(error) => Err(PushError::bad_request("InvalidConvexConfig", self.text(&error, &package))),
        }
    }

    async fn functions(
        &self,
        package: &Arc<CodePackage>,
    ) -> Result<BTreeMap<String, AnalyzedModule>, PushError> {
        let modules: Vec<&Arc<Module>> =
            package.modules.values().filter(|module| !is_shared_chunk(&module.path)).collect();
        if modules.is_empty() {
            return Ok(BTreeMap::new());
        }
        let tasks =
            modules.iter().map(|module| EvaluationTask::Functions { path: module.path.clone() }).collect();
        let replies = self.run(package, self.variables.clone(), tasks).await?;
        let mut analyzed = BTreeMap::new();
        for (module, reply) in modules.into_iter().zip(replies) {
            let report = match reply {
                Ok(Evaluated::Functions(report)) => report,
                Ok(Evaluated::Text { .. }) => return Err(wrong_reply()),
                Err(error) => return Err(self.module_error(module, &error, package)),
            };
            analyzed.insert(module.path.clone(), analyze(module, report)?);
        }
        Ok(analyzed)
    }

    fn module_error(&self, module: &Module, error: &EvaluationError, package: &CodePackage) -> PushError {
        let path = &module.path;
        match error.code.as_str() {
            "timeout" => invalid_modules(format_args!(
                "Failed to analyze {path}: it took longer than {} s to load.{}",
                MODULE_TIME_MAX.as_secs(),
                log_text(error)
            )),
            "outOfMemory" => invalid_modules(format_args!(
                "Failed to analyze {path}: it ran out of memory while loading.{}",
                log_text(error)
            )),
            _ => invalid_modules(format_args!("Failed to analyze {path}: {}", self.text(error, package))),
        }
    }

    /// The error with its stack and the last console lines.
    fn text(&self, error: &EvaluationError, package: &CodePackage) -> String {
        let stack = self.stacks.error_text(&error.error, package);
        format!("{}{}", stack.trim_end_matches('\n'), log_text(error))
    }

    async fn one(
        &self,
        package: &Arc<CodePackage>,
        env: Variables,
        task: EvaluationTask,
    ) -> Result<EvaluationReply, PushError> {
        let mut replies = self.run(package, env, vec![task]).await?;
        replies.pop().ok_or_else(wrong_reply)
    }

    async fn run(
        &self,
        package: &Arc<CodePackage>,
        env: Variables,
        tasks: Vec<EvaluationTask>,
    ) -> Result<Vec<EvaluationReply>, PushError> {
        let count = tasks.len();
        let modules = u32::try_from(count).unwrap_or(u32::MAX);
        let time_max = HOST_TIME_MAX + MODULE_TIME_MAX.saturating_mul(modules);
        let job = EvaluationJob { code: package.clone(), env, tasks };
        let replies = match tokio::time::timeout(time_max, self.host.evaluate(job)).await {
            Ok(Ok(replies)) => replies,
            Err(_) | Ok(Err(HostFailure::Timeout)) => {
                return Err(invalid_modules("Evaluating the modules took too long."));
            }
            Ok(Err(HostFailure::OutOfMemory)) => {
                return Err(invalid_modules("Evaluating the modules ran out of memory."));
            }
            Ok(Err(HostFailure::Crashed(detail))) => {
                return Err(invalid_modules(format_args!(
                    "The process that evaluates the modules ended unexpectedly: {detail}"
                )));
            }
        };
        if replies.len() == count { Ok(replies) } else { Err(wrong_reply()) }
    }
}

fn text_of(evaluated: Evaluated) -> Result<String, PushError> {
    match evaluated {
        Evaluated::Text { text } => Ok(text),
        Evaluated::Functions(_) => Err(wrong_reply()),
    }
}

fn wrong_reply() -> PushError {
    PushError::internal(&"the host answered an evaluation with something else")
}

/// The last console lines, after an empty line.
fn log_text(error: &EvaluationError) -> String {
    if error.log_lines.is_empty() {
        return String::new();
    }
    let first = error.log_lines.len().saturating_sub(LOG_LINES_MAX);
    format!("\n\n{}", error.log_lines[first..].join("\n"))
}
