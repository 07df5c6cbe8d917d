//! Bodies of the push endpoints, as the command line client sends them.
//!
//! Only shapes: nothing here looks at the database or judges what was sent. Unknown keys are ignored, because newer
//! clients add some.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::host::{Environment, NodePackage};

/// Body of `start_push`, `evaluate_push` and `evaluate_schema`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartPushRequest {
    /// Nothing may change but what a later check of real data needs.
    #[serde(default)]
    pub dry_run: bool,
    /// The client only wants to generate types.
    #[serde(default)]
    pub for_codegen: bool,
    /// The functions directory in the client's project, for example `convex/`.
    pub functions: String,
    /// The app itself.
    pub app_definition: AppDefinition,
    /// Components that the app uses, directly or not.
    #[serde(default)]
    pub component_definitions: Vec<Json>,
    /// npm packages that the server is asked to install.
    #[serde(default)]
    pub node_dependencies: Vec<NodePackage>,
    /// Major version of Node for `"use node"` modules.
    #[serde(default)]
    pub node_version: Option<String>,
}

/// The app's part of a push.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppDefinition {
    /// `convex.config.js`.
    #[serde(default)]
    pub definition: Option<PushedModule>,
    /// Definition paths of the components that the definition imports.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// `schema.js`.
    #[serde(default)]
    pub schema: Option<PushedModule>,
    /// Modules that are new or differ from the live ones. `functions` is what old clients call it.
    #[serde(default, alias = "functions")]
    pub changed_modules: Vec<PushedModule>,
    /// Modules that the client believes to be live already.
    #[serde(default)]
    pub unchanged_module_hashes: Vec<UnchangedModule>,
    /// npm version of the client package.
    pub udf_server_version: String,
}

/// One bundled module.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushedModule {
    /// Path below the functions directory.
    pub path: String,
    /// ECMAScript source.
    pub source: String,
    /// Source map (version 3).
    #[serde(default)]
    pub source_map: Option<String>,
    /// The runtime; absent from old clients.
    #[serde(default)]
    pub environment: Option<Environment>,
}

/// A module named by its hash.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnchangedModule {
    /// Path below the functions directory.
    pub path: String,
    /// The runtime it was bundled for.
    #[serde(default)]
    pub environment: Option<Environment>,
    /// Lower-case hexadecimal SHA-256 of source and source map.
    pub sha256: String,
}

/// Body of `wait_for_schema`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitForSchemaRequest {
    /// What `start_push` returned under this name.
    pub schema_change: SchemaChangeEcho,
    /// How long the answer may be held back, in milliseconds.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// The part of `schemaChange` that comes back from the client.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SchemaChangeEcho {
    /// Schema row by component path; null for a component without a schema.
    pub schema_ids: BTreeMap<String, Option<String>>,
}

/// Body of `finish_push`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinishPushRequest {
    /// What `start_push` returned.
    pub start_push: StartPushEcho,
    /// Report the outcome without changing anything.
    #[serde(default)]
    pub dry_run: bool,
    /// Free text for the audit log.
    #[serde(default)]
    pub message: Option<String>,
}

/// The part of `start_push`'s answer that `finish_push` uses.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartPushEcho {
    /// The variables that the code was evaluated with.
    #[serde(default)]
    pub environment_variables: BTreeMap<String, String>,
    /// Our own key: the stored package that is to become live.
    #[serde(default)]
    pub push_id: Option<String>,
    /// Schemas that the push waits for.
    #[serde(default)]
    pub schema_change: SchemaChangeEcho,
}
