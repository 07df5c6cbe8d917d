//! The authentication providers that are in force, as rows of `_auth`.

use freshet_database::{DatabaseError, SystemError, Transaction};
use freshet_values::Value;
use serde_json::Value as Json;

use super::response::AuthDiff;
use crate::rows;

const TABLE: &str = "_auth";

/// The providers in force.
pub(super) fn list(transaction: &mut Transaction) -> Result<Vec<Json>, DatabaseError> {
    Ok(rows::all(transaction, TABLE)?
        .into_iter()
        .map(|row| {
            let mut fields = row.fields;
            fields.retain(|name, _| !name.starts_with('_'));
            Value::Object(fields).to_json()
        })
        .collect())
}

/// Puts other providers in force; says what changed.
pub(super) fn replace(transaction: &mut Transaction, providers: &[Json]) -> Result<AuthDiff, DatabaseError> {
    let old = list(transaction)?;
    let only_in = |a: &[Json], b: &[Json]| -> Vec<String> {
        a.iter().filter(|provider| !b.contains(provider)).map(Json::to_string).collect()
    };
    let diff = AuthDiff { added: only_in(providers, &old), removed: only_in(&old, providers) };
    if old == providers {
        return Ok(diff);
    }
    for row in rows::all(transaction, TABLE)? {
        rows::delete(transaction, TABLE, row.id)?;
    }
    for provider in providers {
        let value = Value::from_json(provider).map_err(|error| SystemError::Defect(error.to_string()))?;
        if let Value::Object(fields) = value {
            rows::insert(transaction, TABLE, fields)?;
        }
    }
    Ok(diff)
}
