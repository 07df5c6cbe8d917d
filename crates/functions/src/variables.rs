//! Environment variables as functions read them. Changing them is not this file's business.

use std::collections::BTreeMap;

use freshet_database::Transaction;
use freshet_values::Value;

use crate::call_error::CallError;
use crate::rows;
use crate::services::FunctionsSettings;
use crate::syscalls::{Fault, database_failure};

const TABLE: &str = "_environment_variables";
const BY_NAME: &str = "by_name";
const CLOUD_URL: &str = "CONVEX_CLOUD_URL";
const SITE_URL: &str = "CONVEX_SITE_URL";

/// One variable. The read set then depends on this name alone. The user's value wins over the server's.
pub(crate) fn one(
    transaction: &mut Transaction,
    name: &str,
    settings: &FunctionsSettings,
) -> Result<Option<String>, Fault> {
    let row = rows::find(transaction, TABLE, BY_NAME, &[name.into()])?;
    let value = row.and_then(|row| row.fields.get("value").and_then(Value::as_str).map(str::to_owned));
    Ok(value.or_else(|| built_in(name, settings)))
}

/// All variables, the server's included.
pub(crate) fn all(
    transaction: &mut Transaction,
    settings: &FunctionsSettings,
) -> Result<BTreeMap<String, String>, CallError> {
    let mut env = BTreeMap::from([
        (CLOUD_URL.to_owned(), settings.cloud_url.clone()),
        (SITE_URL.to_owned(), settings.site_url.clone()),
    ]);
    for row in rows::all(transaction, TABLE).map_err(database_failure)? {
        let text = |field: &str| row.fields.get(field).and_then(Value::as_str).map(str::to_owned);
        if let (Some(name), Some(value)) = (text("name"), text("value")) {
            env.insert(name, value);
        }
    }
    Ok(env)
}

fn built_in(name: &str, settings: &FunctionsSettings) -> Option<String> {
    match name {
        CLOUD_URL => Some(settings.cloud_url.clone()),
        SITE_URL => Some(settings.site_url.clone()),
        _ => None,
    }
}
