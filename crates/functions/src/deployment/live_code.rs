//! Loading the live version of the code, and keeping the last few in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use freshet_database::{Database, DatabaseError, Transaction};
use freshet_values::FunctionPath;
use freshet_values::validator::{Validator, parse_args_validator, parse_returns_validator};
use parking_lot::Mutex;

use super::contexts::{self, ModuleContext};
use super::evaluation::callable;
use super::module_set::{CRONS, HTTP, is_shared_chunk};
use super::package::{self, LiveConfig, StoredModule};
use super::response::{AnalyzedCron, AnalyzedFunction, Visibility as PushedVisibility};
use crate::call_error::CallError;
use crate::code::{
    AnalysedFunction, CodeSource, ContextMode, ContextPolicy, CronDefinition, FunctionKind, HttpRoute,
    LiveCode, ModuleAnalysis, Visibility,
};
use crate::host::{CodePackage, Environment, Module};
use crate::remembered::Remembered;
use crate::stack::StackMapper;
use crate::syscalls::{database_failure, system_failure};

/// Versions that are kept: the live one, and those that calls on slightly older snapshots still run.
const VERSIONS_MAX: usize = 4;

/// Finds the code that is live in a snapshot.
pub struct LiveCodeCache {
    database: Database,
    contexts: ContextPolicy,
    /// Most recently used last. The lock is held while a version is loaded, so that one caller loads for all.
    versions: Mutex<VecDeque<(u64, Arc<LiveCode>)>>,
    live: Remembered<Arc<LiveCode>>,
}

impl LiveCodeCache {
    /// A cache over the code that `database` holds.
    pub fn new(database: Database) -> Self {
        Self {
            database,
            contexts: ContextPolicy::default(),
            versions: Mutex::new(VecDeque::new()),
            live: Remembered::default(),
        }
    }

    /// The same with what the operator decided about contexts.
    #[must_use]
    pub fn with_contexts(self, contexts: ContextPolicy) -> Self {
        Self { contexts, ..self }
    }

    fn load(&self, config: &LiveConfig, transaction: &Transaction) -> Result<Arc<LiveCode>, CallError> {
        let mut versions = self.versions.lock();
        if let Some(index) = versions.iter().position(|(version, _)| *version == config.version) {
            let found = versions.remove(index).expect("the index was just found");
            let code = found.1.clone();
            versions.push_back(found);
            return Ok(code);
        }
        // In a transaction of its own: what is read to load code is no reason to run a call again, and does not count
        // towards its limits. Packages are immutable, so any snapshot that has this one will do.
        let mut loading = self.database.begin_at(transaction.snapshot_ts()).map_err(system_failure)?;
        let mut code = load(&mut loading, config).map_err(database_failure)?;
        for module in code.modules.values_mut() {
            module.context = self.contexts.apply(module.context);
        }
        let code = Arc::new(code);
        versions.push_back((config.version, code.clone()));
        if versions.len() > VERSIONS_MAX {
            versions.pop_front();
        }
        Ok(code)
    }
}

impl CodeSource for LiveCodeCache {
    fn live_code(&self, transaction: &mut Transaction) -> Result<Arc<LiveCode>, CallError> {
        self.live.get(&self.database, transaction, |reading| {
            match package::live(reading).map_err(database_failure)? {
                Some(config) => self.load(&config, reading),
                None => Ok(Arc::new(LiveCode::empty())),
            }
        })
    }
}

fn load(transaction: &mut Transaction, config: &LiveConfig) -> Result<LiveCode, DatabaseError> {
    let stored = package::get(transaction, config.package)?.ok_or_else(|| {
        freshet_database::SystemError::Defect(format!("the live package {} is missing", config.package))
    })?;
    let modules = package::modules(transaction, config.package)?;
    let sources = package::sources(transaction, &modules)?;
    let package = stored.info.import_phase.package_as(
        stored.info.version,
        callable(&sources),
        &stored.info.node_packages,
    );
    let mut code = assemble(package, &modules);
    code.refuses_self_cancel = is_since(&stored.info.server_version, (1, 50));
    let is_known = |module: &StoredModule| {
        !module.has_transactions() || module.context.as_ref().is_some_and(ModuleContext::is_current)
    };
    let known: BTreeMap<String, ModuleContext> = if modules.iter().all(is_known) {
        modules.into_iter().filter_map(|module| Some((module.path, module.context?))).collect()
    } else {
        contexts::judge(&code.package, &StackMapper::default(), &stored.info.functions)
    };
    for (path, context) in known {
        if let Some(module) = code.modules.get_mut(&path) {
            module.context = context.mode;
        }
    }
    code.package = without_redundant_naming(&code.package);
    Ok(code)
}

/// The package as calls run it: what only gives functions the names that they have anyway is left out, for every call of a
/// query or mutation makes dozens of functions.
fn without_redundant_naming(package: &Arc<CodePackage>) -> Arc<CodePackage> {
    let modules: Vec<_> = package
        .modules
        .values()
        .filter(|module| module.environment == Environment::Isolate)
        .map(|module| freshet_analysis::Module { path: &module.path, source: &module.source })
        .collect();
    let mut shorter = CodePackage::clone(package);
    for (path, text) in freshet_analysis::without_redundant_naming(&modules) {
        if let Some(module) = shorter.modules.get_mut(&path) {
            *module = Arc::new(Module { source: Arc::from(text), ..Module::clone(module) });
        }
    }
    Arc::new(shorter)
}

/// Whether a version of the client package is `first` or a later one. What cannot be read is an early one.
fn is_since(version: &str, first: (u32, u32)) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    numbers.next().zip(numbers.next()).is_some_and(|version| version >= first)
}

/// Code as calls look it up.
pub(super) fn assemble(package: Arc<CodePackage>, modules: &[StoredModule]) -> LiveCode {
    let mut code = LiveCode { package, ..LiveCode::empty() };
    for module in modules.iter().filter(|module| !is_shared_chunk(&module.path)) {
        code.modules.insert(
            module.path.clone(),
            ModuleAnalysis { environment: module.environment, context: ContextMode::Fresh },
        );
        for function in &module.analysis.functions {
            match FunctionPath::new(&module.path, &function.name) {
                Ok(path) => {
                    code.functions.insert(path, analysed(function));
                }
                Err(error) => tracing::error!(%error, "a deployed function has an impossible name"),
            }
        }
        if module.path == HTTP
            && let Some(routes) = &module.analysis.http_routes
        {
            let route = |route: &super::response::HttpRoute| HttpRoute {
                path: route.path.clone(),
                method: route.method.clone(),
            };
            code.http_routes = Some(routes.iter().map(|analyzed| route(&analyzed.route)).collect());
        }
        if module.path == CRONS
            && let Some(specs) = &module.analysis.cron_specs
        {
            code.crons = crons(specs);
        }
    }
    code
}

fn analysed(function: &AnalyzedFunction) -> AnalysedFunction {
    let kind = match function.udf_type.as_str() {
        "Query" => FunctionKind::Query,
        "Mutation" => FunctionKind::Mutation,
        _ => FunctionKind::Action,
    };
    // Both were checked before they were stored. What cannot be read accepts nothing: letting everything through would
    // be worse than refusing.
    let never = || Validator::Union(Vec::new());
    let args = match &function.args {
        None => Validator::Any,
        Some(json) => parse_args_validator(json).unwrap_or_else(|_| never()),
    };
    let returns = match &function.returns {
        None => None,
        Some(json) => parse_returns_validator(json).unwrap_or_else(|_| Some(never())),
    };
    AnalysedFunction {
        kind,
        visibility: function.visibility.map(|visibility| match visibility {
            PushedVisibility::Public => Visibility::Public,
            PushedVisibility::Internal => Visibility::Internal,
        }),
        args: Arc::new(args),
        returns: returns.map(Arc::new),
        position: function.pos.as_ref().map(|pos| (pos.start_lineno, pos.start_col)),
    }
}

fn crons(specs: &[AnalyzedCron]) -> BTreeMap<String, CronDefinition> {
    specs
        .iter()
        .filter_map(|cron| {
            let definition = CronDefinition {
                path: cron.spec.udf_path.parse().ok()?,
                args_json: cron.spec.udf_args.to_string(),
                schedule: cron.spec.cron_schedule.clone(),
            };
            Some((cron.identifier.clone(), definition))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, is_later) in [
            ("1.50.0", true),
            ("1.50.0-alpha.1", true),
            ("1.100.2", true),
            ("2.0.0", true),
            ("1.49.9", false),
            ("1.5.0", false),
            ("0.99.0", false),
            ("", false),
            ("next", false),
        ] {
            assert_eq!(is_since(version, (1, 50)), is_later, "{version}");
        }
    }
}
