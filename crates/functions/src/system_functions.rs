//! The queries that the command line client asks under `_system/...`: data, variables, function specs.
//!
//! They run inside a transaction like an app's queries, so that subscriptions to them are kept up to date. Reading only:
//! whatever changes something has an endpoint of its own.

use freshet_database::query::Query;
use freshet_database::schema;
use freshet_database::{DatabaseError, Namespace, Order, Page, PageRequest, Transaction};
use freshet_values::{FunctionPath, Object, TableName, Value};
use rand::Rng;
use serde_json::{Value as Json, json};

use crate::deployment::{AnalyzedFunction, AnalyzedModule, stored_analysis};
use crate::environment::{self, CLOUD_URL, SITE_URL};
use crate::native::{NativeError, NativeFunctions};
use crate::rows;
use crate::syscalls::database_failure;

/// Documents that a page of [`table_data`](run) may read.
const PAGE_DOCUMENTS_MAX: u64 = 10_000;
/// Bytes that it may read.
const PAGE_BYTES_MAX: u64 = 5_000_000;
/// Imports that are listed.
const IMPORTS_MAX: usize = 20;
/// The id of the only component there is, the app.
const APP_COMPONENT_ID: &str = "app";

const IMPORTS: &str = "_snapshot_imports";
const EXPORTS: &str = "_exports";

/// Names of modules without `_system/` and `.js`, with their exports.
const FUNCTIONS: [(&str, &str); 13] = [
    ("cli/queryEnvironmentVariables", "default"),
    ("cli/queryEnvironmentVariables", "get"),
    ("cli/tables", "default"),
    ("cli/tableData", "default"),
    ("cli/tableSize", "default"),
    ("cli/queryTable", "default"),
    ("cli/queryImport", "default"),
    ("cli/queryImport", "list"),
    ("cli/exports", "getLatest"),
    ("cli/modules", "apiSpec"),
    ("cli/convexUrl", "cloudUrl"),
    ("frontend/components", "list"),
    ("frontend/getSchemas", "default"),
];

/// The server's own queries.
#[derive(Clone, Debug)]
pub struct SystemFunctions {
    cloud_url: String,
    site_url: String,
}

impl SystemFunctions {
    /// Queries that answer with these origins where they are asked for them.
    pub fn new(cloud_url: String, site_url: String) -> Self {
        Self { cloud_url, site_url }
    }
}

impl NativeFunctions for SystemFunctions {
    fn contains(&self, path: &FunctionPath) -> bool {
        FUNCTIONS.contains(&name_of(path))
    }

    fn query(
        &self,
        path: &FunctionPath,
        args: &Object,
        transaction: &mut Transaction,
    ) -> Result<Value, NativeError> {
        check_component(args)?;
        let args = Args(args);
        match name_of(path) {
            ("cli/queryEnvironmentVariables", "default") => variables(transaction),
            ("cli/queryEnvironmentVariables", "get") => self.variable(transaction, args.text("name")?),
            ("cli/tables", _) => Ok(tables(transaction)?),
            ("cli/tableData", _) => table_data(transaction, &args),
            ("cli/tableSize", _) => match args.table("tableName")? {
                Some(table) => Ok(Value::Float64(count(transaction, &table)? as f64)),
                None => Ok(Value::Float64(0.0)),
            },
            ("cli/queryTable", _) => {
                if let Some(table) = args.table("tableName")? {
                    // Depends on every document, so that each change makes it run again and answer something else.
                    count(transaction, &table)?;
                }
                Ok(Value::Float64(rand::rng().random()))
            }
            ("cli/queryImport", "default") => import(transaction, args.text("importId")?),
            ("cli/queryImport", _) => imports(transaction),
            ("cli/exports", _) => latest_export(transaction),
            ("cli/modules", _) => api_spec(transaction),
            ("cli/convexUrl", _) => Ok(Value::String(self.cloud_url.clone())),
            ("frontend/components", _) => value(&json!([{
                "id": APP_COMPONENT_ID, "name": null, "path": "", "args": {}, "state": "active", "httpPrefix": null
            }])),
            ("frontend/getSchemas", _) => schemas(transaction),
            _ => Err(NativeError::Developer(format!(
                "Could not find public function for '{}'.",
                path.stripped()
            ))),
        }
    }
}

fn name_of(path: &FunctionPath) -> (&str, &str) {
    let module = path.module();
    let module = module.strip_prefix("_system/").unwrap_or(module);
    (module.strip_suffix(".js").unwrap_or(module), path.function())
}

/// Arguments of a query.
struct Args<'a>(&'a Object);

impl Args<'_> {
    fn text(&self, name: &str) -> Result<&str, NativeError> {
        self.0.get(name).and_then(Value::as_str).ok_or_else(|| missing(name, "a string"))
    }

    /// A table's name; `None` when no table can have it.
    fn table(&self, name: &str) -> Result<Option<TableName>, NativeError> {
        Ok(self.text(name)?.parse().ok())
    }
}

fn missing(name: &str, kind: &str) -> NativeError {
    NativeError::Developer(format!("ArgumentValidationError: the argument `{name}` must be {kind}."))
}

fn check_component(args: &Object) -> Result<(), NativeError> {
    match args.get("componentId") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(id)) if id == APP_COMPONENT_ID => Ok(()),
        Some(id) => Err(NativeError::Developer(format!("Component {id} not found"))),
    }
}

/// Failures of the database are the server's; what a developer may cause (a bad cursor) is shown.
fn failure(error: DatabaseError) -> NativeError {
    match error {
        DatabaseError::Developer(error) => NativeError::Developer(error.message),
        error @ DatabaseError::System(_) => NativeError::Call(database_failure(error)),
    }
}

impl From<DatabaseError> for NativeError {
    fn from(error: DatabaseError) -> Self {
        failure(error)
    }
}

fn value(json: &Json) -> Result<Value, NativeError> {
    Value::from_json(json).map_err(|error| NativeError::Call(crate::call_error::CallError::internal(&error)))
}

fn variables(transaction: &mut Transaction) -> Result<Value, NativeError> {
    let row = |variable: environment::StoredVariable| {
        Value::object([
            ("_id", Value::String(variable.id.to_string())),
            ("_creationTime", Value::Float64(variable.creation_time)),
            ("name", Value::String(variable.name)),
            ("value", Value::String(variable.value)),
        ])
    };
    Ok(Value::Array(environment::list(transaction)?.into_iter().map(row).collect()))
}

impl SystemFunctions {
    fn variable(&self, transaction: &mut Transaction, name: &str) -> Result<Value, NativeError> {
        let stored = environment::get(transaction, name)?.map(|variable| variable.value);
        let found = stored.or_else(|| match name {
            CLOUD_URL => Some(self.cloud_url.clone()),
            SITE_URL => Some(self.site_url.clone()),
            _ => None,
        });
        Ok(found.map_or(Value::Null, |value| {
            Value::object([("name", Value::String(name.to_owned())), ("value", Value::String(value))])
        }))
    }
}

fn tables(transaction: &mut Transaction) -> Result<Value, DatabaseError> {
    // The rows, so that the query runs again when a table comes or goes; the catalog knows how to read them.
    rows::all(transaction, "_tables")?;
    let mut names: Vec<String> = transaction
        .catalog()
        .tables()
        .filter(|table| table.namespace == Namespace::ROOT && !table.name.is_system())
        .filter(|table| table.state == freshet_database::TableState::Active)
        .map(|table| table.name.to_string())
        .collect();
    names.sort();
    let page = names.into_iter().map(|name| Value::object([("name", Value::String(name))])).collect();
    Ok(Value::object([
        ("page", Value::Array(page)),
        ("isDone", Value::Boolean(true)),
        ("continueCursor", Value::String("end".to_owned())),
    ]))
}

fn table_data(transaction: &mut Transaction, args: &Args<'_>) -> Result<Value, NativeError> {
    let options = args.0.get("paginationOpts").and_then(Value::as_object);
    let options = options.ok_or_else(|| missing("paginationOpts", "an object"))?;
    let order = match args.0.get("order").and_then(Value::as_str) {
        Some("desc") => Order::Desc,
        Some("asc") | None => Order::Asc,
        Some(_) => return Err(missing("order", "\"asc\" or \"desc\"")),
    };
    let page_size = options
        .get("numItems")
        .and_then(Value::as_f64)
        .filter(|items| *items >= 1.0)
        .ok_or_else(|| missing("paginationOpts.numItems", "a positive number"))?;
    let cursor = |name: &str| options.get(name).and_then(Value::as_str).map(str::to_owned);
    let Some(table) = args.table("table")? else {
        // No table can have this name, so it is an empty one.
        return Ok(page_value(Vec::new(), true, "end".to_owned(), None, None));
    };
    let request = PageRequest {
        query: Query::full_table_scan(table, order),
        cursor: cursor("cursor"),
        end_cursor: cursor("endCursor"),
        journal: None,
        page_size: (page_size as u64).min(PAGE_DOCUMENTS_MAX),
        rows_read_max: Some(PAGE_DOCUMENTS_MAX),
        bytes_read_max: Some(PAGE_BYTES_MAX),
    };
    let page: Page = transaction.user(Namespace::ROOT).paginate(&request)?;
    let mut documents = Vec::with_capacity(page.rows.len());
    for row in &page.rows {
        let object = row.object().map_err(|error| failure(error.into()))?;
        documents.push(Value::Object(object.clone()));
    }
    let status = page.status.map(|status| status.as_str());
    Ok(page_value(documents, page.is_done, page.continue_cursor, page.split_cursor, status))
}

fn page_value(
    page: Vec<Value>,
    is_done: bool,
    continue_cursor: String,
    split_cursor: Option<String>,
    status: Option<&str>,
) -> Value {
    Value::object([
        ("page", Value::Array(page)),
        ("isDone", Value::Boolean(is_done)),
        ("continueCursor", Value::String(continue_cursor)),
        ("splitCursor", split_cursor.map_or(Value::Null, Value::String)),
        ("pageStatus", status.map_or(Value::Null, |status| Value::String(status.to_owned()))),
    ])
}

/// The number of documents, of those tables that apps can read; depends on all of them.
fn count(transaction: &mut Transaction, table: &TableName) -> Result<u64, DatabaseError> {
    transaction.user(Namespace::ROOT).count(table.as_str())
}

fn import(transaction: &mut Transaction, id: &str) -> Result<Value, NativeError> {
    let Ok(id) = id.parse() else { return Ok(Value::Null) };
    Ok(rows::get(transaction, IMPORTS, id)?.map_or(Value::Null, |row| Value::Object(row.fields)))
}

fn imports(transaction: &mut Transaction) -> Result<Value, NativeError> {
    let rows = rows::all(transaction, IMPORTS)?;
    Ok(Value::Array(rows.into_iter().rev().take(IMPORTS_MAX).map(|row| Value::Object(row.fields)).collect()))
}

fn latest_export(transaction: &mut Transaction) -> Result<Value, NativeError> {
    let rows = rows::all(transaction, EXPORTS)?;
    let asked_for =
        |row: &rows::Row| row.fields.get("requestor").and_then(Value::as_str) == Some("snapshotExport");
    Ok(rows.into_iter().rfind(asked_for).map_or(Value::Null, |row| Value::Object(row.fields)))
}

fn api_spec(transaction: &mut Transaction) -> Result<Value, NativeError> {
    let mut spec = Vec::new();
    for (path, module) in stored_analysis(transaction)? {
        spec.extend(module_spec(&path, &module));
    }
    value(&Json::Array(spec))
}

fn module_spec(path: &str, module: &AnalyzedModule) -> Vec<Json> {
    let function = |function: &AnalyzedFunction| {
        json!({
            "identifier": format!("{path}:{}", function.name),
            "functionType": function.udf_type,
            "visibility": function.visibility.map_or_else(|| json!({"kind": "public"}), |kind| json!(kind)),
            "args": validator(function.args.as_deref()),
            "returns": validator(function.returns.as_deref()),
        })
    };
    let routes = module.http_routes.iter().flatten().map(|analyzed| {
        json!({"functionType": "HttpAction", "method": analyzed.route.method, "path": analyzed.route.path})
    });
    module.functions.iter().map(function).chain(routes).collect()
}

/// A validator as an object; where there is none, anything goes.
fn validator(text: Option<&str>) -> Json {
    let parsed = text.and_then(|text| serde_json::from_str::<Json>(text).ok());
    parsed.filter(|json| !json.is_null()).unwrap_or_else(|| json!({"type": "any"}))
}

fn schemas(transaction: &mut Transaction) -> Result<Value, NativeError> {
    let active = schema::active(transaction, Namespace::ROOT)?;
    let in_progress = schema::in_progress(transaction, Namespace::ROOT)?;
    // Absent, not null, where there is none.
    let fields = [("active", active), ("inProgress", in_progress)];
    Ok(Value::object(fields.into_iter().filter_map(|(name, row)| Some((name, Value::String(row?.json))))))
}
