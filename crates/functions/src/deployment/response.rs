//! Answers of the push endpoints.
//!
//! The client validates these shapes strictly and for several keys tells null from absent; a mistake here ends its
//! push. Field attributes therefore say which of the two is meant, and tests compare whole answers.

use std::collections::BTreeMap;

use freshet_database::schema::IndexDiff;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::host::Environment;

/// Answer of `get_config_hashes`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigHashes {
    /// Settings of the last push.
    pub config: ConfigSummary,
    /// The live modules.
    pub module_hashes: Vec<ModuleHash>,
    /// npm version of the last push; null before the first.
    pub udf_server_version: Option<String>,
    /// Node version that the last push asked for.
    pub node_version: Option<String>,
}

/// Settings of the last push.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigSummary {
    /// The functions directory.
    pub functions: String,
}

/// One live module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleHash {
    /// Path below the functions directory.
    pub path: String,
    /// Lower-case hexadecimal SHA-256 of source and source map.
    pub hash: String,
    /// The runtime it was bundled for.
    pub environment: Environment,
}

/// Answer of `start_push`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StartPushResponse {
    /// The user's variables when the code was evaluated.
    pub environment_variables: BTreeMap<String, String>,
    /// Names the npm packages that were installed; null for none. The client passes it through.
    pub external_deps_id: Option<String>,
    /// Source packages by definition path.
    pub component_definition_packages: BTreeMap<String, Json>,
    /// Authentication providers.
    pub app_auth: Vec<Json>,
    /// What evaluation found, by definition path.
    pub analysis: BTreeMap<String, EvaluatedComponent>,
    /// The checked component tree.
    pub app: CheckedComponent,
    /// Schemas and indexes that the push waits for.
    pub schema_change: SchemaChange,
    /// Names the stored package for `finish_push`; null when nothing was stored. The client passes it through.
    pub push_id: Option<String>,
}

/// Schemas and indexes that a push changes, by component path.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SchemaChange {
    /// Ids of components that the push adds.
    pub allocated_component_ids: BTreeMap<String, String>,
    /// Submitted schemas; null for a component without one.
    pub schema_ids: BTreeMap<String, Option<String>>,
    /// Index changes.
    pub index_diffs: BTreeMap<String, IndexDiff>,
}

/// One evaluated definition.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvaluatedComponent {
    /// What the definition module exports, and its path.
    pub definition: Json,
    /// The schema's JSON, or null.
    pub schema: Option<Json>,
    /// Every module but shared chunks.
    pub functions: BTreeMap<String, AnalyzedModule>,
    /// Version and import-phase state.
    pub udf_config: UdfConfig,
}

/// Version of the client package, and the randomness and clock that modules are evaluated with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UdfConfig {
    /// npm version of the client package.
    pub server_version: String,
    /// Encoded bytes.
    pub import_phase_rng_seed: Json,
    /// Encoded int64, nanoseconds since the Unix epoch.
    pub import_phase_unix_timestamp: Json,
}

/// What one module offers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalyzedModule {
    /// Registered functions in the order of their positions.
    pub functions: Vec<AnalyzedFunction>,
    /// Routes of `http.js`.
    pub http_routes: Option<Vec<AnalyzedRoute>>,
    /// Jobs of `crons.js`.
    pub cron_specs: Option<Vec<AnalyzedCron>>,
    /// Always null: sources are found through the modules' maps.
    pub source_mapped: Option<Json>,
}

/// One registered function.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalyzedFunction {
    /// Export name.
    pub name: String,
    /// Where the handler is in the original source.
    pub pos: Option<Position>,
    /// `Query`, `Mutation` or `Action`.
    pub udf_type: String,
    /// Null when the export says neither public nor internal.
    pub visibility: Option<Visibility>,
    /// JSON text of the arguments' validator.
    pub args: Option<String>,
    /// JSON text of the return value's validator.
    pub returns: Option<String>,
}

/// Who may call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Other functions and administrators.
    Internal,
}

/// A place in the original source of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Path of the module.
    pub path: String,
    /// Zero-based line.
    pub start_lineno: u32,
    /// Zero-based column.
    pub start_col: u32,
}

/// One route of the HTTP router.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnalyzedRoute {
    /// Path and method.
    pub route: HttpRoute,
    /// Where the handler is; null when unknown.
    pub pos: Option<Position>,
}

/// Path and method of an HTTP route. A path that ends in `*` stands for a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRoute {
    /// The path.
    pub path: String,
    /// The method in upper case.
    pub method: String,
}

/// One cron job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalyzedCron {
    /// Its name.
    pub identifier: String,
    /// What it runs and when.
    pub spec: CronSpec,
}

/// What a cron job runs and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronSpec {
    /// Canonical function path.
    pub udf_path: String,
    /// Encoded arguments: an array of one object.
    pub udf_args: Json,
    /// The schedule; integers are encoded int64.
    pub cron_schedule: Json,
}

/// A node of the checked component tree.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedComponent {
    /// Path of the definition.
    pub definition_path: String,
    /// Path of this instance.
    pub component_path: String,
    /// Where its HTTP routes are mounted.
    pub http_prefix: Option<String>,
    /// Arguments.
    pub args: BTreeMap<String, Json>,
    /// Environment bindings.
    pub env: BTreeMap<String, Json>,
    /// Instances below this one.
    pub child_components: BTreeMap<String, CheckedComponent>,
    /// Routes.
    pub http_routes: CheckedRoutes,
    /// Exported functions as a tree.
    pub exports: BTreeMap<String, Json>,
}

/// HTTP routes of a component.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedRoutes {
    /// Routes of its own `http.js`; null without one.
    pub http_module_routes: Option<Vec<HttpRoute>>,
    /// Prefixes under which children are mounted.
    pub mounts: Vec<String>,
}

/// Answer of `evaluate_push`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvaluatePushResponse {
    /// Index changes that the push would make.
    pub schema_change: SchemaChange,
}

/// Answer of `evaluate_schema`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvaluateSchemaResponse {
    /// Predictions by component path.
    pub component_schema_evaluations: BTreeMap<String, SchemaEvaluation>,
    /// Definitions that are not live yet.
    pub new_component_definitions: Vec<String>,
}

/// What pushing a schema would cost.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SchemaEvaluation {
    /// Path of the definition.
    pub definition_path: String,
    /// Whether documents are checked at all.
    pub schema_validation: bool,
    /// One entry for each table of the schema.
    pub tables: Vec<TablePrediction>,
    /// One entry for each index that exists or would.
    pub indexes: Vec<Json>,
    /// Always empty: background validators are not kept.
    pub discarded_staged_validators: Vec<Json>,
}

/// How much work validating one table would be.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TablePrediction {
    /// Table name.
    pub name: String,
    /// `notValidated`, `supersetOfEnforced` or `mustWalk`.
    pub outcome: &'static str,
    /// Documents in the table.
    pub num_docs: u64,
    /// Bytes of documents to walk.
    pub size_bytes: u64,
}

/// Answer of `wait_for_schema`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SchemaStatus {
    /// Documents or indexes are still being worked on.
    InProgress {
        /// Progress by component path.
        components: BTreeMap<String, SchemaProgress>,
    },
    /// A document does not match.
    Failed {
        /// What is wrong.
        error: String,
        /// Where.
        component_path: String,
        /// The table of the offending document.
        table_name: Option<String>,
    },
    /// A newer push replaced the schema.
    RaceDetected,
    /// The push may be finished.
    Complete,
}

/// How far one component's schema is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SchemaProgress {
    /// All documents were checked.
    pub schema_validation_complete: bool,
    /// Indexes that are built.
    pub indexes_complete: usize,
    /// Indexes that are needed, staged ones left out.
    pub indexes_total: usize,
}

/// Answer of `finish_push`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FinishPushResponse {
    /// Changes to authentication providers.
    pub auth_diff: AuthDiff,
    /// Changes to definitions, by definition path.
    pub definition_diffs: BTreeMap<String, Json>,
    /// Changes to component instances, by component path.
    pub component_diffs: BTreeMap<String, ComponentDiff>,
}

/// Changes to authentication providers; each entry is the JSON text of one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuthDiff {
    /// New ones.
    pub added: Vec<String>,
    /// Ones that are gone.
    pub removed: Vec<String>,
}

/// Changes to one component instance.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentDiff {
    /// `{"type": "modify"}` and the like.
    pub diff_type: Json,
    /// Modules by path.
    pub module_diff: NameDiff,
    /// Change of the client package's version.
    pub udf_config_diff: Option<UdfConfigDiff>,
    /// Cron jobs by name.
    pub cron_diff: CronDiff,
    /// Indexes.
    pub index_diff: IndexDiff,
    /// The schema's JSON texts.
    pub schema_diff: Option<SchemaDiff>,
}

/// Names that came and went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NameDiff {
    /// New ones.
    pub added: Vec<String>,
    /// Ones that are gone.
    pub removed: Vec<String>,
}

/// Change of the client package's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UdfConfigDiff {
    /// Before.
    pub previous_version: String,
    /// After.
    pub next_version: String,
}

/// Cron jobs that a push changes, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CronDiff {
    /// New ones.
    pub added: Vec<String>,
    /// Ones with another function, other arguments or another schedule.
    pub updated: Vec<String>,
    /// Ones that are gone, with their history.
    pub deleted: Vec<String>,
}

/// A schema's JSON text before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SchemaDiff {
    /// Before.
    pub previous_schema: Option<String>,
    /// After.
    pub next_schema: Option<String>,
}
