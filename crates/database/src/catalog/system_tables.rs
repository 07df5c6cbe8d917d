//! The tables that the engine itself keeps, with their numbers and indexes.

use freshet_store::{IndexId, TableId};
use freshet_values::{FieldPath, IndexName, TableName, TableNumber};

use super::{IndexMeta, IndexSpec, IndexState, TableMeta, TableState, index};
use crate::namespace::Namespace;

/// The table of tables.
pub(crate) const TABLES: TableId = TableId(1);
/// The table of indexes.
pub(crate) const INDEX: TableId = TableId(2);

/// `_tables` by namespace and name.
pub(crate) const TABLES_BY_NAME: IndexId = IndexId(3);
/// `_tables` by namespace and number.
pub(crate) const TABLES_BY_NUMBER: IndexId = IndexId(4);
/// `_tables` by id.
pub(crate) const TABLES_BY_ID: IndexId = IndexId(1);
/// `_index` by table and name.
pub(crate) const INDEX_BY_TABLE: IndexId = IndexId(7);

/// Internal numbers of tables and indexes that are not built in begin here.
pub(crate) const FIRST_FREE_INTERNAL: u32 = 64;

/// System tables are numbered from here.
const FIRST_NUMBER: u32 = 512;
/// Numbers of system tables without a number of their own begin here, past all that have one.
pub(crate) const FIRST_FREE_NUMBER: u32 = 1024;

/// A system table: its number beyond 512, whether every component has one of its own, and its indexes.
pub(crate) struct SystemTable {
    pub(crate) name: &'static str,
    number: u32,
    pub(crate) indexes: &'static [(&'static str, &'static [&'static str])],
}

const fn plain(name: &'static str, number: u32) -> SystemTable {
    SystemTable { name, number, indexes: &[] }
}

const fn indexed(
    name: &'static str,
    number: u32,
    indexes: &'static [(&'static str, &'static [&'static str])],
) -> SystemTable {
    SystemTable { name, number, indexes }
}

/// All system tables except the two that describe tables and indexes.
pub(crate) const SYSTEM_TABLES: &[SystemTable] = &[
    plain("_exports", 4),
    plain("_backend_info", 5),
    plain("_udf_config", 6),
    plain("_auth", 7),
    plain("_db", 8),
    indexed(
        "_modules",
        9,
        &[("by_path", &["path"]), ("by_package", &["sourcePackageId", "path"]), ("by_hash", &["sha256"])],
    ),
    plain("_source_packages", 12),
    indexed("_environment_variables", 13, &[("by_name", &["name"])]),
    plain("_deployment_audit_log", 15),
    indexed("_session_requests", 17, &[("by_session_and_request", &["sessionId", "requestId"])]),
    indexed("_cron_jobs", 19, &[("by_name", &["name"])]),
    indexed("_schemas", 20, &[("by_state", &["state.state"])]),
    indexed("_cron_job_logs", 21, &[("by_name_and_ts", &["name", "ts"])]),
    plain("_log_sinks", 23),
    plain("_backend_state", 24),
    plain("_external_deps_packages", 25),
    indexed(
        "_scheduled_jobs",
        27,
        &[
            ("by_next_ts", &["nextTs"]),
            ("by_udf_path_and_next_event_ts", &["udfPath", "nextTs"]),
            ("by_completed_ts", &["completedTs"]),
        ],
    ),
    indexed("_file_storage", 28, &[("by_storage_id", &["storageId"]), ("by_storage_key", &["storageKey"])]),
    plain("_snapshot_imports", 29),
    plain("_component_definitions", 31),
    indexed("_components", 32, &[("by_parent_and_name", &["parent", "name"])]),
    indexed("_function_handles", 33, &[("by_component_path", &["component", "path"])]),
    plain("_canonical_urls", 34),
    indexed("_cron_next_run", 35, &[("by_cron_job_id", &["cronJobId"]), ("by_next_ts", &["nextTs"])]),
    indexed("_index_backfills", 36, &[("by_index_id", &["indexId"])]),
    indexed("_schema_validation_progress", 37, &[("by_schema_id", &["schemaId"])]),
    plain("_scheduled_job_args", 38),
    plain("_usage_limits", 40),
    indexed("_module_sources", 60, &[("by_hash", &["sha256"])]),
    indexed("_file_claims", 61, &[("by_due_ts", &["dueTs"])]),
];

/// The preferred number of a system table.
pub(crate) fn number(name: &TableName) -> Option<TableNumber> {
    definition(name).map(|table| TableNumber(FIRST_NUMBER + table.number))
}

/// What is known of a system table.
pub(crate) fn definition(name: &TableName) -> Option<&'static SystemTable> {
    SYSTEM_TABLES.iter().find(|table| *name == table.name)
}

impl SystemTable {
    /// The parsed names and fields of the indexes.
    pub(crate) fn index_specs(&self) -> impl Iterator<Item = (IndexName, IndexSpec)> {
        self.indexes.iter().map(|(name, fields)| {
            (name.parse().expect("names of system indexes are identifiers"), spec(fields))
        })
    }
}

/// The tables that describe all others; they have no rows themselves.
pub(crate) fn bootstrap() -> [(TableMeta, Vec<IndexMeta>); 2] {
    let table = |id, name: &str, number, by_id, by_creation_time| TableMeta {
        id,
        number: TableNumber(FIRST_NUMBER + number),
        namespace: Namespace::ROOT,
        name: name.parse().expect("names of system tables are identifiers"),
        state: TableState::Active,
        by_id,
        by_creation_time,
        row: None,
    };
    let index = |id, name: &str, fields: &[&str]| {
        let spec = spec(fields);
        let IndexSpec::Database { fields } = &spec else { unreachable!("made as a database index") };
        IndexMeta {
            id,
            name: name.parse().expect("names of system indexes are identifiers"),
            fields: index::key_fields(fields),
            spec,
            state: IndexState::Enabled,
            staged: false,
            row: None,
        }
    };
    [
        (
            table(TABLES, "_tables", 1, TABLES_BY_ID, IndexId(2)),
            vec![
                index(TABLES_BY_NAME, "by_name", &["namespace", "name"]),
                index(TABLES_BY_NUMBER, "by_number", &["namespace", "number"]),
            ],
        ),
        (
            table(INDEX, "_index", 2, IndexId(5), IndexId(6)),
            vec![index(INDEX_BY_TABLE, "by_table", &["tableId", "name"])],
        ),
    ]
}

fn spec(fields: &[&str]) -> IndexSpec {
    let parse = |field: &&str| field.parse::<FieldPath>().expect("fields of system indexes are identifiers");
    IndexSpec::Database { fields: fields.iter().map(parse).collect() }
}
