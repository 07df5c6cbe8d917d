//! The first half of a push: everything is evaluated, stored and prepared, and nothing is live yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use freshet_database::schema::{self, IndexDiff, SchemaDefinition};
use freshet_database::{DatabaseError, Namespace, Transaction};
use freshet_values::DocumentId;

use super::Deployment;
use super::analysis::checked_app;
use super::app_definition::unsupported_components;
use super::contexts::{self, ModuleContext};
use super::error::PushError;
use super::evaluation::{EvaluatedPush, Evaluator, Variables};
use super::module_set::{ModuleSet, resolve};
use super::package::{self, PackageInfo};
use super::request::StartPushRequest;
use super::response::{
    AnalyzedModule, EvaluatePushResponse, EvaluatedComponent, SchemaChange, StartPushResponse,
};
use super::{source_parts, transact};
use crate::environment::{self, CLOUD_URL, SITE_URL};

/// The app's own path, as a definition and as a component.
pub(super) const APP: &str = "";
/// Pushes that may wait to be finished; older ones are dropped.
const PENDING_MAX: usize = 8;
/// How long a push may wait to be finished.
const PENDING_TIME_MAX: Duration = Duration::from_secs(3600);
/// Bytes of sources that one transaction stores.
const STORE_BYTES_MAX: usize = 4 << 20;
/// Runs of storing a push while others remove sources that it shares with them.
const STORE_ATTEMPTS_MAX: usize = 5;
/// Node versions that clients may ask for.
const NODE_VERSIONS: [&str; 3] = ["20", "22", "24"];

/// A push after evaluation.
struct Prepared {
    /// Name of the npm packages that were installed.
    external_deps_id: Option<String>,
    modules: ModuleSet,
    variables: BTreeMap<String, String>,
    base_version: u64,
    evaluated: EvaluatedPush,
}

/// What is stored of a push, besides the sources.
struct Push {
    trial: bool,
    info: PackageInfo,
    modules: ModuleSet,
    schema: Option<SchemaDefinition>,
    functions: BTreeMap<String, AnalyzedModule>,
    contexts: BTreeMap<String, ModuleContext>,
}

impl Deployment {
    /// Evaluates and stores a push. Nothing is live afterwards; [`Deployment::finish_push`] switches over.
    ///
    /// # Errors
    /// The developer's mistakes (400), a client that is out of date (409), or a failure of the server.
    pub async fn start_push(&self, request: StartPushRequest) -> Result<StartPushResponse, PushError> {
        self.start(request).await.map_err(PushError::while_pushing)
    }

    /// Evaluates a push without storing anything: what would it change about the indexes?
    ///
    /// # Errors
    /// As [`Deployment::start_push`].
    pub async fn evaluate_push(&self, request: StartPushRequest) -> Result<EvaluatePushResponse, PushError> {
        let evaluate = async {
            let prepared = self.prepare(&request).await?;
            let schema = prepared.evaluated.schema;
            let diff = transact::read(&self.inner.database, move |transaction| {
                Ok(index_diff(transaction, schema.as_ref())?)
            })
            .await?;
            let index_diffs = BTreeMap::from([(APP.to_owned(), diff)]);
            Ok(EvaluatePushResponse {
                schema_change: SchemaChange { index_diffs, ..SchemaChange::default() },
            })
        };
        evaluate.await.map_err(PushError::while_pushing)
    }

    async fn start(&self, request: StartPushRequest) -> Result<StartPushResponse, PushError> {
        let prepared = self.prepare(&request).await?;
        let definition = prepared.evaluated.definition.json.clone();
        let evaluated = &prepared.evaluated;
        let analysis = EvaluatedComponent {
            definition,
            schema: evaluated.schema.as_ref().map(SchemaDefinition::to_json),
            functions: evaluated.functions.clone(),
            udf_config: evaluated.udf_config.clone(),
        };
        let app = checked_app(&evaluated.functions);
        let app_auth = evaluated.app_auth.clone();
        let environment_variables = prepared.variables.clone();
        let external_deps_id = prepared.external_deps_id.clone();
        let (schema_change, push_id) = self.store(&request, prepared).await?;
        Ok(StartPushResponse {
            environment_variables,
            external_deps_id,
            component_definition_packages: BTreeMap::new(),
            app_auth,
            analysis: BTreeMap::from([(APP.to_owned(), analysis)]),
            app,
            schema_change,
            push_id,
        })
    }

    /// Checks and evaluates a push.
    async fn prepare(&self, request: &StartPushRequest) -> Result<Prepared, PushError> {
        check_supported(request)?;
        let app = request.app_definition.clone();
        let (live_version, variables, modules) = transact::read(&self.inner.database, move |transaction| {
            let live = package::live(transaction)?;
            let live_modules = match &live {
                Some(live) if !app.unchanged_module_hashes.is_empty() => {
                    let stored = package::modules(transaction, live.package)?;
                    package::sources(transaction, &stored)?
                }
                _ => ModuleSet::new(),
            };
            let modules = resolve(&app, &live_modules)?;
            let variables = environment::values(transaction)?;
            Ok((live.map_or(0, |live| live.version), variables, modules))
        })
        .await?;
        let external_deps_id = match request.node_dependencies.as_slice() {
            [] => None,
            packages => Some(
                self.inner
                    .host
                    .install(packages)
                    .await
                    .map_err(|text| PushError::bad_request("InvalidExternalModules", text))?,
            ),
        };
        let evaluated = self.evaluator(&variables).push(request, &modules).await?;
        Ok(Prepared { external_deps_id, modules, variables, base_version: live_version, evaluated })
    }

    pub(super) fn evaluator(&self, variables: &BTreeMap<String, String>) -> Evaluator<'_> {
        let mut visible = Variables::from([
            (CLOUD_URL.to_owned(), self.inner.cloud_url.clone()),
            (SITE_URL.to_owned(), self.inner.site_url.clone()),
        ]);
        visible.extend(variables.clone());
        Evaluator { host: &*self.inner.host, stacks: &self.inner.stacks, variables: visible }
    }

    async fn store(
        &self,
        request: &StartPushRequest,
        prepared: Prepared,
    ) -> Result<(SchemaChange, Option<String>), PushError> {
        let Prepared { modules, base_version, evaluated, .. } = prepared;
        // A trial run leaves no trace but the schema, which is to be checked against the real data.
        let trial = request.dry_run || request.for_codegen;
        let contexts = if trial { BTreeMap::new() } else { self.contexts(request, &evaluated).await? };
        let info = PackageInfo {
            version: evaluated.package.version,
            base_version,
            functions: request.functions.clone(),
            server_version: request.app_definition.udf_server_version.clone(),
            node_version: request.node_version.clone(),
            import_phase: evaluated.import_phase,
            definition: evaluated.definition.json.to_string(),
            app_auth: serde_json::Value::Array(evaluated.app_auth).to_string(),
            node_packages: request.node_dependencies.clone(),
            schema: None,
        };
        let push = Arc::new(Push {
            trial,
            info,
            modules,
            schema: evaluated.schema,
            functions: evaluated.functions,
            contexts,
        });
        for _ in 0..STORE_ATTEMPTS_MAX {
            if !trial {
                self.store_sources(&push.modules).await?;
            }
            let storing = push.clone();
            let stored =
                transact::write(&self.inner.database, move |transaction| storing.store(transaction)).await?;
            if let Some(stored) = stored {
                return Ok(stored);
            }
        }
        Err(PushError::overloaded("Other pushes keep getting in the way. Try again."))
    }

    /// Finds out which modules may share a context.
    async fn contexts(
        &self,
        request: &StartPushRequest,
        evaluated: &EvaluatedPush,
    ) -> Result<BTreeMap<String, ModuleContext>, PushError> {
        let inner = self.inner.clone();
        let (code, functions) = (evaluated.package.clone(), request.functions.clone());
        tokio::task::spawn_blocking(move || contexts::judge(&code, &inner.stacks, &functions))
            .await
            .map_err(|error| PushError::internal(&error))
    }

    /// Stores the sources that are not stored yet, a few megabytes at a time.
    async fn store_sources(&self, modules: &ModuleSet) -> Result<(), PushError> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut batches = Vec::new();
        for module in modules.values() {
            bytes +=
                module.module.source.len() + module.module.source_map.as_ref().map_or(0, |map| map.len());
            batch.push(module.clone());
            if bytes >= STORE_BYTES_MAX {
                batches.push(std::mem::take(&mut batch));
                bytes = 0;
            }
        }
        batches.push(batch);
        for batch in batches.into_iter().filter(|batch| !batch.is_empty()) {
            transact::write(&self.inner.database, move |transaction| {
                for module in &batch {
                    if !source_parts::exists(transaction, &module.sha256)? {
                        source_parts::insert(transaction, &module.sha256, &module.module)?;
                    }
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}

/// Refuses what this version cannot do, before any work is done.
fn check_supported(request: &StartPushRequest) -> Result<(), PushError> {
    if !request.component_definitions.is_empty() || !request.app_definition.dependencies.is_empty() {
        return Err(unsupported_components());
    }
    match &request.node_version {
        Some(version) if !NODE_VERSIONS.contains(&version.as_str()) => Err(PushError::bad_request(
            "NodeVersionNotSupported",
            format!(
                "Node.js {version} is not supported. Set `node.nodeVersion` in convex.json to one of {}.",
                NODE_VERSIONS.join(", ")
            ),
        )),
        _ => Ok(()),
    }
}

/// What `next` changes about the indexes in use.
pub(super) fn index_diff(
    transaction: &mut Transaction,
    next: Option<&SchemaDefinition>,
) -> Result<IndexDiff, DatabaseError> {
    let active = schema::active(transaction, Namespace::ROOT)?;
    let active = active.as_ref().map(schema::definition).transpose()?;
    Ok(IndexDiff::between(active.as_ref(), next))
}

impl Push {
    /// Stores all but the sources. `None` when a source is missing: another push may have finished since they were stored,
    /// and have removed what nobody used.
    fn store(
        &self,
        transaction: &mut Transaction,
    ) -> Result<Option<(SchemaChange, Option<String>)>, PushError> {
        let next = self.schema.as_ref();
        let diff = index_diff(transaction, next)?;
        let schema_id = match next {
            Some(next) => Some(schema::submit(transaction, Namespace::ROOT, next)?),
            None => None,
        };
        let mut push_id = None;
        if !self.trial {
            for module in self.modules.values() {
                if !source_parts::exists(transaction, &module.sha256)? {
                    return Ok(None);
                }
            }
            schema::prepare_indexes(transaction, Namespace::ROOT, next)?;
            drop_old_packages(transaction)?;
            let info = PackageInfo { schema: schema_id, ..self.info.clone() };
            push_id = Some(
                package::insert(transaction, &info, &self.modules, &self.functions, &self.contexts)?
                    .to_string(),
            );
        }
        let schema_change = SchemaChange {
            allocated_component_ids: BTreeMap::new(),
            schema_ids: BTreeMap::from([(APP.to_owned(), schema_id.map(|id| id.to_string()))]),
            index_diffs: BTreeMap::from([(APP.to_owned(), diff)]),
        };
        Ok(Some((schema_change, push_id)))
    }
}

/// Drops pushes that were never finished.
fn drop_old_packages(transaction: &mut Transaction) -> Result<(), DatabaseError> {
    let live = package::live(transaction)?.map(|live| live.package);
    let waiting: Vec<_> =
        package::all(transaction)?.into_iter().filter(|package| Some(package.row) != live).collect();
    let newest = waiting.last().map_or(0.0, |package| package.creation_time);
    let oldest_kept = newest - PENDING_TIME_MAX.as_millis() as f64;
    let surplus = (waiting.len() + 1).saturating_sub(PENDING_MAX);
    let old: Vec<DocumentId> = waiting
        .iter()
        .enumerate()
        .filter(|(index, package)| *index < surplus || package.creation_time < oldest_kept)
        .map(|(_, package)| package.row)
        .collect();
    for package in old {
        package::delete(transaction, package)?;
    }
    Ok(())
}
