//! Pushing code: from the bundles of the command line client to a new live version of the app.
//!
//! A push comes in two halves. [`Deployment::start_push`] evaluates the code in a host, stores it, hands in the schema
//! and begins to build indexes; nothing is live yet. The client then generates types and waits
//! ([`Deployment::wait_for_schema`]). [`Deployment::finish_push`] makes all of it live in one commit.
//!
//! | Room | What is in it |
//! |---|---|
//! | `request`, `response`, `error` | the shapes on the wire |
//! | `module_set`, `app_definition`, `auth_config` | what was pushed, read and checked |
//! | `evaluation`, `analysis` | running it once, and what that finds |
//! | `contexts` | which modules may share a context |
//! | `package`, `source_parts`, `auth_providers` | how it is stored |
//! | `start`, `wait`, `finish`, `prediction`, `variables` | the endpoints |
//! | `live_code` | what calls get to see of it |

mod analysis;
mod app_definition;
mod auth_config;
mod auth_providers;
mod contexts;
mod error;
mod evaluation;
mod finish;
mod live_code;
mod module_set;
mod package;
mod prediction;
mod request;
mod response;
mod source_parts;
mod start;
mod transact;
mod variables;
mod wait;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use freshet_database::schema::SchemaWorker;
use freshet_database::{Database, DatabaseError, Transaction};
use serde_json::Value as Json;

pub use error::PushError;
pub use live_code::LiveCodeCache;
pub use request::{
    AppDefinition, FinishPushRequest, PushedModule, SchemaChangeEcho, StartPushEcho, StartPushRequest,
    UnchangedModule, WaitForSchemaRequest,
};
pub use response::*;

use crate::call_error::CallError;
use crate::host::ActionHost;
use crate::stack::StackMapper;
use crate::syscalls::database_failure;

/// What a [`Deployment`] is made of.
pub struct DeploymentConfig {
    /// The data.
    pub database: Database,
    /// Where pushed code is evaluated.
    pub host: Arc<dyn ActionHost>,
    /// `CONVEX_CLOUD_URL`: the origin that clients use.
    pub cloud_url: String,
    /// `CONVEX_SITE_URL`: the origin of HTTP actions.
    pub site_url: String,
}

/// Takes pushes and keeps the environment variables. Clones share everything.
#[derive(Clone)]
pub struct Deployment {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    host: Arc<dyn ActionHost>,
    cloud_url: String,
    site_url: String,
    stacks: StackMapper,
    /// Told when other code is live.
    when_live: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Checks submitted schemas for as long as there is a deployment.
    _schema_worker: Option<SchemaWorker>,
}

impl Deployment {
    /// A deployment, with its background work on the current tokio runtime.
    pub fn new(config: DeploymentConfig) -> Self {
        let worker = SchemaWorker::spawn(config.database.clone());
        Self::with_worker(config, Some(worker))
    }

    fn with_worker(config: DeploymentConfig, schema_worker: Option<SchemaWorker>) -> Self {
        let DeploymentConfig { database, host, cloud_url, site_url } = config;
        let deployment = Self {
            inner: Arc::new(Inner {
                database,
                host,
                cloud_url,
                site_url,
                stacks: StackMapper::default(),
                when_live: OnceLock::new(),
                _schema_worker: schema_worker,
            }),
        };
        tokio::spawn(remove_unused_sources(deployment.inner.database.clone()));
        deployment
    }

    /// Has `hook` be called whenever other code has become live. The first hook stays the only one.
    pub fn when_live(&self, hook: impl Fn() + Send + Sync + 'static) {
        // A second hook has no place; there is one engine to tell.
        let _ = self.inner.when_live.set(Box::new(hook));
    }

    /// The live modules by hash, so that clients send only what has changed.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn get_config_hashes(&self) -> Result<ConfigHashes, PushError> {
        transact::read(&self.inner.database, |transaction| {
            let Some(live) = package::live(transaction)? else {
                return Ok(ConfigHashes {
                    config: ConfigSummary { functions: "convex/".to_owned() },
                    module_hashes: Vec::new(),
                    udf_server_version: None,
                    node_version: None,
                });
            };
            let info = package::get(transaction, live.package)?.map(|package| package.info);
            let module_hashes = package::modules(transaction, live.package)?
                .into_iter()
                .map(|module| ModuleHash {
                    path: module.path,
                    hash: module.sha256,
                    environment: module.environment,
                })
                .collect();
            Ok(ConfigHashes {
                config: ConfigSummary {
                    functions: info
                        .as_ref()
                        .map_or_else(|| "convex/".to_owned(), |info| info.functions.clone()),
                },
                module_hashes,
                udf_server_version: Some(live.server_version),
                node_version: info.and_then(|info| info.node_version),
            })
        })
        .await
    }

    /// Takes note of a client's own timings; nothing depends on them. The answer is null.
    pub async fn report_push_completed(&self, _spans: Json) -> Json {
        Json::Null
    }

    /// The authentication providers in force in a transaction's snapshot, each as `{applicationID, domain}` or
    /// `{type: "customJwt", applicationID, issuer, jwks, algorithm}`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn auth_providers(transaction: &mut Transaction) -> Result<Vec<Json>, CallError> {
        auth_providers::list(transaction).map_err(database_failure)
    }
}

/// The live modules with their analysis, in the order of their paths; without shared chunks.
pub(crate) fn stored_analysis(
    transaction: &mut Transaction,
) -> Result<Vec<(String, AnalyzedModule)>, DatabaseError> {
    let Some(live) = package::live(transaction)? else { return Ok(Vec::new()) };
    let modules = package::modules(transaction, live.package)?;
    Ok(modules
        .into_iter()
        .filter(|module| !module_set::is_shared_chunk(&module.path))
        .map(|module| (module.path, module.analysis))
        .collect())
}

/// Removes what interrupted pushes left behind.
async fn remove_unused_sources(database: Database) {
    let removed = transact::write(&database, |transaction| {
        let used = package::used_hashes(transaction)?;
        Ok(source_parts::delete_unused(transaction, &used)?)
    })
    .await;
    match removed {
        Ok(0) => {}
        Ok(parts) => tracing::info!(parts, "removed sources of pushes that were interrupted"),
        Err(error) => tracing::warn!(%error, "sources of interrupted pushes could not be removed"),
    }
}
