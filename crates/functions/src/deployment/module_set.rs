//! The modules of a push: what was sent in full and what the client only named by hash, put together and bounded.
//!
//! Nothing is evaluated or stored here.

use std::collections::BTreeMap;
use std::sync::Arc;

use freshet_values::function_path::canonical_module_path;
use sha2::{Digest, Sha256};

use super::error::PushError;
use super::request::{AppDefinition, PushedModule, UnchangedModule};
use crate::host::{Environment, Module};

/// Modules of one push.
const MODULES_MAX: usize = 4096;
/// Bytes of all sources and source maps of one push.
const TOTAL_BYTES_MAX: usize = 230_000_000;

/// The module that says whose tokens are accepted.
pub(super) const AUTH_CONFIG: &str = "auth.config.js";
/// The module that routes HTTP requests.
pub(super) const HTTP: &str = "http.js";
/// The module that declares cron jobs.
pub(super) const CRONS: &str = "crons.js";
/// Where modules that others share live; they are loaded, but not looked at.
const SHARED_CHUNKS: &str = "_deps/";

/// A module with the hash by which the client knows it.
#[derive(Clone, Debug)]
pub(super) struct HashedModule {
    pub(super) module: Arc<Module>,
    /// Lower-case hexadecimal SHA-256 of source and source map.
    pub(super) sha256: String,
}

/// Modules by canonical path.
pub(super) type ModuleSet = BTreeMap<String, HashedModule>;

/// The hash by which clients know a module.
pub(super) fn sha256(source: &str, source_map: Option<&str>) -> String {
    let mut hash = Sha256::new();
    hash.update(source.as_bytes());
    hash.update(source_map.unwrap_or_default().as_bytes());
    hex::encode(hash.finalize())
}

/// Whether a module is a chunk that others share.
pub(super) fn is_shared_chunk(path: &str) -> bool {
    path.starts_with(SHARED_CHUNKS)
}

/// Checks a module that the client sent in full.
pub(super) fn pushed(module: &PushedModule) -> Result<HashedModule, PushError> {
    let path = canonical(&module.path)?;
    let environment = module.environment.unwrap_or_else(|| default_environment(&path));
    if environment == Environment::Node && must_be_isolate(&path) {
        return Err(PushError::bad_request(
            "InvalidModules",
            format!("`{path}` must not use the Node.js runtime: remove its \"use node\" directive."),
        ));
    }
    let sha256 = sha256(&module.source, module.source_map.as_deref());
    let module = Arc::new(Module {
        path,
        source: module.source.as_str().into(),
        source_map: module.source_map.as_deref().map(Into::into),
        environment,
    });
    Ok(HashedModule { module, sha256 })
}

/// Puts the app's modules together. `live` is what the deployment runs now.
///
/// # Errors
/// A bad path, too much code, or a client whose idea of the live modules is wrong (409).
pub(super) fn resolve(app: &AppDefinition, live: &ModuleSet) -> Result<ModuleSet, PushError> {
    let count = app.changed_modules.len() + app.unchanged_module_hashes.len();
    if count > MODULES_MAX {
        return Err(PushError::bad_request(
            "InvalidModules",
            format!("Too many modules: {count} (limit: {MODULES_MAX})."),
        ));
    }
    let mut modules = ModuleSet::new();
    let mut bytes = 0;
    let changed = app.changed_modules.iter().map(pushed);
    let unchanged = app.unchanged_module_hashes.iter().map(|named| unchanged(named, live));
    for module in changed.chain(unchanged) {
        let module = module?;
        bytes += module.module.source.len() + module.module.source_map.as_ref().map_or(0, |map| map.len());
        if bytes >= TOTAL_BYTES_MAX {
            return Err(PushError::bad_request(
                "ModulesTooLarge",
                format!(
                    "The total size of the modules is too large (maximum: {TOTAL_BYTES_MAX} bytes). Leave out \
                     what functions do not need, or mark large packages as external."
                ),
            ));
        }
        let path = module.module.path.clone();
        if modules.insert(path.clone(), module).is_some() {
            return Err(PushError::bad_request(
                "CanonicalizationConflict",
                format!("Two modules have the same path {path} once `.js` is added."),
            ));
        }
    }
    Ok(modules)
}

fn unchanged(named: &UnchangedModule, live: &ModuleSet) -> Result<HashedModule, PushError> {
    let path = canonical(&named.path)?;
    let Some(module) = live.get(&path) else {
        return Err(PushError::conflict(
            "MissingExistingModule",
            format!(
                "The module {path} is not deployed any more. Another push may have removed it; push again."
            ),
        ));
    };
    if module.sha256 != named.sha256 {
        return Err(PushError::conflict(
            "ExistingModuleHashConflict",
            format!("The deployed module {path} has changed. Another push may have replaced it; push again."),
        ));
    }
    if module.module.environment != named.environment.unwrap_or_else(|| default_environment(&path)) {
        return Err(PushError::conflict(
            "ExistingModuleEnvConflict",
            format!("The deployed module {path} runs in another environment. Push again."),
        ));
    }
    Ok(module.clone())
}

fn canonical(path: &str) -> Result<String, PushError> {
    canonical_module_path(path).map_err(|reason| {
        PushError::bad_request(
            "BadConvexModuleIdentifier",
            format!("{path} is not a valid path to a Convex module. {reason}"),
        )
    })
}

/// What old clients mean when they do not say.
fn default_environment(path: &str) -> Environment {
    if path.starts_with("actions/") { Environment::Node } else { Environment::Isolate }
}

fn must_be_isolate(path: &str) -> bool {
    matches!(path, HTTP | CRONS | AUTH_CONFIG | "schema.js" | "convex.config.js")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app(changed: &serde_json::Value, unchanged: &serde_json::Value) -> AppDefinition {
        serde_json::from_value(json!({
            "definition": null, "dependencies": [], "schema": null, "changedModules": changed,
            "unchangedModuleHashes": unchanged, "udfServerVersion": "1.48.0"
        }))
        .unwrap()
    }

    fn live() -> ModuleSet {
        let app = app(
            &json!([{"path": "a.js", "source": "1", "sourceMap": "2", "environment": "isolate"}]),
            &json!([]),
        );
        resolve(&app, &ModuleSet::new()).unwrap()
    }

    fn code(app: &AppDefinition) -> (u16, String) {
        let error = resolve(app, &live()).unwrap_err();
        (error.status, error.code)
    }

    /// SHA-256 of "12".
    const HASH: &str = "6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918";

    #[test]
    fn the_hash_covers_the_source_and_its_map() {
        assert_eq!(live()["a.js"].sha256, HASH);
        assert_ne!(sha256("12", None), sha256("1", None));
    }

    #[test]
    fn a_module_named_by_hash_is_taken_from_the_live_version() {
        let app = app(&json!([]), &json!([{"path": "a.js", "environment": "isolate", "sha256": HASH}]));
        assert_eq!(&*resolve(&app, &live()).unwrap()["a.js"].module.source, "1");
    }

    #[test]
    fn a_wrong_idea_of_the_live_version_is_a_conflict() {
        let named = |path: &str, environment: &str, hash: &str| {
            app(&json!([]), &json!([{"path": path, "environment": environment, "sha256": hash}]))
        };
        assert_eq!(code(&named("b.js", "isolate", HASH)), (409, "MissingExistingModule".into()));
        assert_eq!(code(&named("a.js", "isolate", "00")), (409, "ExistingModuleHashConflict".into()));
        assert_eq!(code(&named("a.js", "node", HASH)), (409, "ExistingModuleEnvConflict".into()));
    }

    #[test]
    fn bad_and_clashing_paths_are_refused() {
        assert_eq!(
            code(&app(&json!([{"path": "../a.js", "source": ""}]), &json!([]))),
            (400, "BadConvexModuleIdentifier".into())
        );
        assert_eq!(
            code(&app(&json!([{"path": "a", "source": ""}, {"path": "a.js", "source": ""}]), &json!([]))),
            (400, "CanonicalizationConflict".into())
        );
    }

    #[test]
    fn the_router_may_not_run_on_node() {
        let app = app(&json!([{"path": "http.js", "source": "", "environment": "node"}]), &json!([]));
        assert_eq!(code(&app), (400, "InvalidModules".into()));
    }

    #[test]
    fn old_clients_leave_the_environment_to_the_path() {
        let app = app(
            &json!([{"path": "actions/mail.js", "source": ""}, {"path": "m.js", "source": ""}]),
            &json!([]),
        );
        let modules = resolve(&app, &ModuleSet::new()).unwrap();
        assert_eq!(modules["actions/mail.js"].module.environment, Environment::Node);
        assert_eq!(modules["m.js"].module.environment, Environment::Isolate);
    }
}
