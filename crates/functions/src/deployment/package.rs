//! Pushed code as stored: packages, their modules and the modules' sources.
//!
//! ```text
//! _udf_config       one row: the live package and what calls must know to notice a switch
//! _source_packages  one row for each push that is live or may still be finished
//! _modules          one row for each module of each package, with its analysis
//! _module_sources   sources by hash, in parts; packages with equal modules share them
//! ```
//!
//! Everything goes through transactions, so that finishing a push is one commit.

use std::collections::{BTreeMap, BTreeSet};

use freshet_database::{DatabaseError, SystemError, Transaction};
use freshet_values::{DocumentId, Object, Value};

use super::contexts::ModuleContext;
use super::evaluation::ImportPhase;
use super::module_set::{HashedModule, ModuleSet};
use super::response::AnalyzedModule;
use super::source_parts;
use crate::host::{Environment, Module, NodePackage};
use crate::rows::{self, Row};

const CONFIG: &str = "_udf_config";
const PACKAGES: &str = "_source_packages";
const MODULES: &str = "_modules";
const MODULES_BY_PACKAGE: &str = "by_package";
const MODULES_BY_HASH: &str = "by_hash";

/// The row that names the live package. Every call reads it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LiveConfig {
    pub(super) row: DocumentId,
    /// The live package's row.
    pub(super) package: DocumentId,
    /// Version of the live code; see [`crate::host::CodePackage::version`].
    pub(super) version: u64,
    /// npm version of the last push.
    pub(super) server_version: String,
}

/// All of a package but its modules.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PackageInfo {
    /// Version of the code.
    pub(super) version: u64,
    /// Version of the code that was live when this was pushed; 0 for none.
    pub(super) base_version: u64,
    /// The functions directory in the client's project.
    pub(super) functions: String,
    /// npm version of the client package.
    pub(super) server_version: String,
    /// Node version that the client asked for.
    pub(super) node_version: Option<String>,
    pub(super) import_phase: ImportPhase,
    /// JSON text of the app's definition.
    pub(super) definition: String,
    /// JSON text of the list of authentication providers.
    pub(super) app_auth: String,
    /// npm packages that were installed for it.
    pub(super) node_packages: Vec<NodePackage>,
    /// The submitted schema.
    pub(super) schema: Option<DocumentId>,
}

/// A stored package.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StoredPackage {
    pub(super) row: DocumentId,
    /// Milliseconds since the Unix epoch.
    pub(super) creation_time: f64,
    pub(super) info: PackageInfo,
}

/// A module of a stored package, without its source.
#[derive(Clone, Debug)]
pub(super) struct StoredModule {
    pub(super) path: String,
    pub(super) sha256: String,
    pub(super) environment: Environment,
    pub(super) analysis: AnalyzedModule,
    /// `None` when it was stored before that was found out, or is not run by lanes.
    pub(super) context: Option<ModuleContext>,
}

impl StoredModule {
    /// Whether lanes run functions of it.
    pub(super) fn has_transactions(&self) -> bool {
        self.analysis
            .functions
            .iter()
            .any(|function| matches!(function.udf_type.as_str(), "Query" | "Mutation"))
    }
}

/// The live package's row; `None` before the first push.
pub(super) fn live(transaction: &mut Transaction) -> Result<Option<LiveConfig>, DatabaseError> {
    match rows::all(transaction, CONFIG)?.first() {
        None => Ok(None),
        Some(row) => {
            let read = || {
                Some(LiveConfig {
                    row: row.id,
                    package: text(row, "sourcePackageId")?.parse().ok()?,
                    version: version(row, "codeVersion")?,
                    server_version: text(row, "serverVersion")?.to_owned(),
                })
            };
            Ok(Some(read().ok_or_else(|| unreadable(row))?))
        }
    }
}

/// Makes a package the live one.
pub(super) fn set_live(
    transaction: &mut Transaction,
    previous: Option<&LiveConfig>,
    package: &StoredPackage,
) -> Result<(), DatabaseError> {
    let fields = rows::fields([
        ("serverVersion", package.info.server_version.as_str().into()),
        ("sourcePackageId", package.row.to_string().as_str().into()),
        ("codeVersion", int(package.info.version)),
        ("importPhaseRngSeed", Value::Bytes(package.info.import_phase.seed.to_vec())),
        ("importPhaseUnixTimestamp", Value::Int64(package.info.import_phase.time_ns)),
    ]);
    match previous {
        Some(previous) => rows::replace(transaction, CONFIG, previous.row, fields),
        None => rows::insert(transaction, CONFIG, fields).map(drop),
    }
}

/// Stores a package with its modules. Their sources must be stored already.
pub(super) fn insert(
    transaction: &mut Transaction,
    info: &PackageInfo,
    modules: &ModuleSet,
    analysis: &BTreeMap<String, AnalyzedModule>,
    contexts: &BTreeMap<String, ModuleContext>,
) -> Result<DocumentId, DatabaseError> {
    let package = rows::insert(transaction, PACKAGES, info.to_fields())?;
    let empty = AnalyzedModule::default();
    for (path, HashedModule { module, sha256 }) in modules {
        let analysis = serde_json::to_string(analysis.get(path).unwrap_or(&empty))
            .map_err(|error| SystemError::Defect(error.to_string()))?;
        let context = contexts
            .get(path)
            .map(serde_json::to_string)
            .transpose()
            .map_err(|error| SystemError::Defect(error.to_string()))?;
        let environment = match module.environment {
            Environment::Isolate => "isolate",
            Environment::Node => "node",
        };
        let fields = rows::fields([
            ("path", path.as_str().into()),
            ("sourcePackageId", package.to_string().as_str().into()),
            ("environment", environment.into()),
            ("sha256", sha256.as_str().into()),
            ("analyzeResult", analysis.as_str().into()),
            ("context", context.map_or(Value::Null, Value::String)),
        ]);
        rows::insert(transaction, MODULES, fields)?;
    }
    Ok(package)
}

/// A package by its row.
pub(super) fn get(
    transaction: &mut Transaction,
    id: DocumentId,
) -> Result<Option<StoredPackage>, DatabaseError> {
    match all(transaction)?.into_iter().find(|package| package.row == id) {
        None => Ok(None),
        found => Ok(found),
    }
}

/// All packages, oldest first. There are only a few: pushes that are never finished are dropped soon.
pub(super) fn all(transaction: &mut Transaction) -> Result<Vec<StoredPackage>, DatabaseError> {
    rows::all(transaction, PACKAGES)?
        .iter()
        .map(|row| {
            let info = PackageInfo::from_row(row).ok_or_else(|| unreadable(row))?;
            let creation_time = row.fields.get("_creationTime").and_then(Value::as_f64).unwrap_or_default();
            Ok(StoredPackage { row: row.id, creation_time, info })
        })
        .collect()
}

/// The modules of a package in the order of their paths.
pub(super) fn modules(
    transaction: &mut Transaction,
    package: DocumentId,
) -> Result<Vec<StoredModule>, DatabaseError> {
    let mut modules = Vec::new();
    for row in module_rows(transaction, package)? {
        let read = || {
            Some(StoredModule {
                path: text(&row, "path")?.to_owned(),
                sha256: text(&row, "sha256")?.to_owned(),
                environment: match text(&row, "environment")? {
                    "isolate" => Environment::Isolate,
                    "node" => Environment::Node,
                    _ => return None,
                },
                analysis: serde_json::from_str(text(&row, "analyzeResult")?).ok()?,
                context: text(&row, "context").and_then(|json| serde_json::from_str(json).ok()),
            })
        };
        modules.push(read().ok_or_else(|| unreadable(&row))?);
    }
    Ok(modules)
}

fn module_rows(transaction: &mut Transaction, package: DocumentId) -> Result<Vec<Row>, DatabaseError> {
    let key = [package.to_string().as_str().into()];
    rows::select(transaction, MODULES, MODULES_BY_PACKAGE, &key)
}

/// The modules of a package with their sources.
pub(super) fn sources(
    transaction: &mut Transaction,
    modules: &[StoredModule],
) -> Result<ModuleSet, DatabaseError> {
    let mut set = ModuleSet::new();
    for stored in modules {
        let (source, source_map) = source_parts::read(transaction, &stored.sha256)?;
        let module = Module {
            path: stored.path.clone(),
            source: source.into(),
            source_map: source_map.map(Into::into),
            environment: stored.environment,
        };
        set.insert(
            stored.path.clone(),
            HashedModule { module: module.into(), sha256: stored.sha256.clone() },
        );
    }
    Ok(set)
}

/// Removes a package, and the sources that no other package uses.
pub(super) fn delete(transaction: &mut Transaction, package: DocumentId) -> Result<(), DatabaseError> {
    let mut hashes = BTreeSet::new();
    for row in module_rows(transaction, package)? {
        hashes.extend(text(&row, "sha256").map(str::to_owned));
        rows::delete(transaction, MODULES, row.id)?;
    }
    for hash in hashes {
        let key = [hash.as_str().into()];
        if rows::find(transaction, MODULES, MODULES_BY_HASH, &key)?.is_none() {
            source_parts::delete(transaction, &hash)?;
        }
    }
    rows::delete(transaction, PACKAGES, package)
}

/// Hashes that some package uses.
pub(super) fn used_hashes(transaction: &mut Transaction) -> Result<BTreeSet<String>, DatabaseError> {
    Ok(rows::all(transaction, MODULES)?
        .iter()
        .filter_map(|row| text(row, "sha256").map(str::to_owned))
        .collect())
}

impl PackageInfo {
    fn to_fields(&self) -> Object {
        let optional = |text: Option<String>| text.map_or(Value::Null, Value::String);
        rows::fields([
            ("codeVersion", int(self.version)),
            ("baseVersion", int(self.base_version)),
            ("functions", self.functions.as_str().into()),
            ("serverVersion", self.server_version.as_str().into()),
            ("nodeVersion", optional(self.node_version.clone())),
            ("importPhaseRngSeed", Value::Bytes(self.import_phase.seed.to_vec())),
            ("importPhaseUnixTimestamp", Value::Int64(self.import_phase.time_ns)),
            ("definition", self.definition.as_str().into()),
            ("appAuth", self.app_auth.as_str().into()),
            ("nodePackages", Value::String(serde_json::to_string(&self.node_packages).unwrap_or_default())),
            ("schemaId", optional(self.schema.map(|id| id.to_string()))),
        ])
    }

    fn from_row(row: &Row) -> Option<Self> {
        let Value::Bytes(seed) = row.fields.get("importPhaseRngSeed")? else { return None };
        Some(Self {
            version: version(row, "codeVersion")?,
            base_version: version(row, "baseVersion")?,
            functions: text(row, "functions")?.to_owned(),
            server_version: text(row, "serverVersion")?.to_owned(),
            node_version: text(row, "nodeVersion").map(str::to_owned),
            import_phase: ImportPhase {
                seed: seed.as_slice().try_into().ok()?,
                time_ns: row.fields.get("importPhaseUnixTimestamp")?.as_i64()?,
            },
            definition: text(row, "definition")?.to_owned(),
            app_auth: text(row, "appAuth")?.to_owned(),
            // Packages of earlier versions of the server have none.
            node_packages: match text(row, "nodePackages") {
                None => Vec::new(),
                Some(json) => serde_json::from_str(json).ok()?,
            },
            schema: match text(row, "schemaId") {
                None => None,
                Some(id) => Some(id.parse().ok()?),
            },
        })
    }
}

fn text<'a>(row: &'a Row, field: &str) -> Option<&'a str> {
    row.fields.get(field).and_then(Value::as_str)
}

fn version(row: &Row, field: &str) -> Option<u64> {
    row.fields.get(field).and_then(Value::as_i64).and_then(|version| u64::try_from(version).ok())
}

fn int(version: u64) -> Value {
    Value::Int64(i64::try_from(version).unwrap_or(i64::MAX))
}

fn unreadable(row: &Row) -> SystemError {
    SystemError::Unreadable {
        id: row.id.to_string(),
        detail: "it does not describe deployed code".to_owned(),
    }
}
