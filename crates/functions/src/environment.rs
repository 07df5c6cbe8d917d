//! The deployment's environment variables: rules, storage, changes.
//!
//! Each variable is a row of `_environment_variables`, found through the index by name, so that a query depends on
//! exactly the names that it reads. Reading them during calls happens elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use freshet_database::{DatabaseError, Transaction};
use freshet_values::{DocumentId, Object, Value};
use serde::{Deserialize, Serialize};

use crate::deployment::PushError;
use crate::rows::{self, Row};

/// Where the variables are kept.
const TABLE: &str = "_environment_variables";
/// Finds a variable by its name.
const BY_NAME: &str = "by_name";

/// Characters of a name.
const NAME_LENGTH_MAX: usize = 256;
/// Bytes of a value.
const VALUE_BYTES_MAX: usize = 8192;
/// Variables of a deployment.
const COUNT_MAX: usize = 512;
/// Bytes of all names and values together.
const TOTAL_BYTES_MAX: usize = 524_288;

/// Variables that the server sets.
pub(crate) const CLOUD_URL: &str = "CONVEX_CLOUD_URL";
/// Variables that the server sets.
pub(crate) const SITE_URL: &str = "CONVEX_SITE_URL";

/// Body of a request that changes variables.
#[derive(Clone, Debug, Deserialize)]
pub struct UpdateVariablesRequest {
    /// Applied together or not at all.
    pub changes: Vec<VariableChange>,
}

/// One change.
#[derive(Clone, Debug, Deserialize)]
pub struct VariableChange {
    /// The variable.
    pub name: String,
    /// Its new value; null removes it.
    #[serde(default)]
    pub value: Option<String>,
}

/// Answer of a request that lists variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListVariablesResponse {
    /// Values by name; the built-in ones are left out.
    pub environment_variables: BTreeMap<String, String>,
}

/// A stored variable.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredVariable {
    pub(crate) id: DocumentId,
    pub(crate) creation_time: f64,
    pub(crate) name: String,
    pub(crate) value: String,
}

/// All variables in the order of their names.
pub(crate) fn list(transaction: &mut Transaction) -> Result<Vec<StoredVariable>, DatabaseError> {
    let mut variables: Vec<StoredVariable> = rows::all(transaction, TABLE)?.iter().map(stored).collect();
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(variables)
}

/// All variables by name.
pub(crate) fn values(transaction: &mut Transaction) -> Result<BTreeMap<String, String>, DatabaseError> {
    Ok(list(transaction)?.into_iter().map(|variable| (variable.name, variable.value)).collect())
}

/// One variable. Whoever asks depends on this name alone.
pub(crate) fn get(
    transaction: &mut Transaction,
    name: &str,
) -> Result<Option<StoredVariable>, DatabaseError> {
    Ok(rows::find(transaction, TABLE, BY_NAME, &[name.into()])?.as_ref().map(stored))
}

fn stored(row: &Row) -> StoredVariable {
    let text = |name: &str| row.fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    StoredVariable {
        id: row.id,
        creation_time: row.fields.get("_creationTime").and_then(Value::as_f64).unwrap_or_default(),
        name: text("name"),
        value: text("value"),
    }
}

/// Writes changes that [`checked`] let pass. Values that stay the same are not written.
pub(crate) fn write(transaction: &mut Transaction, changes: &[VariableChange]) -> Result<(), DatabaseError> {
    for change in changes {
        let existing = get(transaction, &change.name)?;
        match (existing, &change.value) {
            (None, None) => {}
            (Some(variable), None) => rows::delete(transaction, TABLE, variable.id)?,
            (Some(variable), Some(value)) => {
                if variable.value != *value {
                    rows::replace(transaction, TABLE, variable.id, fields(&change.name, value))?;
                }
            }
            (None, Some(value)) => {
                rows::insert(transaction, TABLE, fields(&change.name, value))?;
            }
        }
    }
    Ok(())
}

fn fields(name: &str, value: &str) -> Object {
    rows::fields([("name", name.into()), ("value", value.into())])
}

/// The variables after `changes`, if every rule allows them.
///
/// # Errors
/// The first rule that is broken, with its code.
pub(crate) fn checked(
    current: &BTreeMap<String, String>,
    changes: &[VariableChange],
) -> Result<BTreeMap<String, String>, PushError> {
    let mut next = current.clone();
    let mut seen = BTreeSet::new();
    for VariableChange { name, value } in changes {
        check_name(name)?;
        if !seen.insert(name) {
            return Err(PushError::bad_request(
                "EnvVarNameNotUnique",
                format!("The environment variable \"{name}\" is changed twice in one request."),
            ));
        }
        match value {
            None => {
                next.remove(name);
            }
            Some(value) => {
                if value.len() > VALUE_BYTES_MAX {
                    return Err(PushError::bad_request(
                        "EnvironmentVariableValueTooLarge",
                        format!(
                            "The value of the environment variable \"{name}\" is too large ({} bytes, limit: \
                             {VALUE_BYTES_MAX}).",
                            value.len()
                        ),
                    ));
                }
                next.insert(name.clone(), value.clone());
            }
        }
    }
    // A deployment that is over a limit for whatever reason must still be able to get rid of variables.
    if next.len() > COUNT_MAX && next.len() > current.len() {
        return Err(PushError::bad_request(
            "EnvVarLimitMet",
            format!(
                "There can be at most {COUNT_MAX} environment variables; this change would make {}.",
                next.len()
            ),
        ));
    }
    let bytes = |variables: &BTreeMap<String, String>| -> usize {
        variables.iter().map(|(name, value)| name.len() + value.len()).sum()
    };
    if bytes(&next) > TOTAL_BYTES_MAX && bytes(&next) > bytes(current) {
        return Err(PushError::bad_request(
            "EnvVarTotalSizeLimitMet",
            format!(
                "All environment variables together can have at most {TOTAL_BYTES_MAX} bytes; this change would \
                 make {}.",
                bytes(&next)
            ),
        ));
    }
    Ok(next)
}

fn check_name(name: &str) -> Result<(), PushError> {
    if name.chars().count() > NAME_LENGTH_MAX {
        return Err(PushError::bad_request(
            "EnvironmentVariableNameTooLong",
            format!("The name of an environment variable can have at most {NAME_LENGTH_MAX} characters."),
        ));
    }
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(PushError::bad_request(
            "EnvironmentVariableNameInvalid",
            format!(
                "\"{name}\" is not a valid name of an environment variable: names are made of letters, digits \
                 and underscores, and do not start with a digit."
            ),
        ));
    }
    if name == CLOUD_URL || name == SITE_URL {
        return Err(PushError::bad_request(
            "EnvVarNameForbidden",
            format!("The environment variable \"{name}\" is built in and cannot be changed."),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, value: Option<&str>) -> VariableChange {
        VariableChange { name: name.into(), value: value.map(str::to_owned) }
    }

    fn code(current: &BTreeMap<String, String>, changes: &[VariableChange]) -> String {
        checked(current, changes).unwrap_err().code
    }

    #[test]
    fn changes_set_replace_and_remove() {
        let current = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())]);
        let next =
            checked(&current, &[change("A", None), change("B", Some("3")), change("C", Some("4"))]).unwrap();
        assert_eq!(
            next,
            BTreeMap::from([("B".to_owned(), "3".to_owned()), ("C".to_owned(), "4".to_owned())])
        );
    }

    #[test]
    fn every_rule_has_its_code() {
        let none = BTreeMap::new();
        assert_eq!(code(&none, &[change("1A", Some(""))]), "EnvironmentVariableNameInvalid");
        assert_eq!(code(&none, &[change("", Some(""))]), "EnvironmentVariableNameInvalid");
        assert_eq!(code(&none, &[change("A-B", Some(""))]), "EnvironmentVariableNameInvalid");
        assert_eq!(code(&none, &[change(&"A".repeat(257), Some(""))]), "EnvironmentVariableNameTooLong");
        assert_eq!(code(&none, &[change("A", Some(&"x".repeat(8193)))]), "EnvironmentVariableValueTooLarge");
        assert_eq!(code(&none, &[change("A", None), change("A", Some(""))]), "EnvVarNameNotUnique");
        assert_eq!(code(&none, &[change("CONVEX_SITE_URL", Some(""))]), "EnvVarNameForbidden");
        let many: Vec<VariableChange> = (0..513).map(|i| change(&format!("A{i}"), Some(""))).collect();
        assert_eq!(code(&none, &many), "EnvVarLimitMet");
        let large: Vec<VariableChange> =
            (0..70).map(|i| change(&format!("A{i}"), Some(&"x".repeat(8000)))).collect();
        assert_eq!(code(&none, &large), "EnvVarTotalSizeLimitMet");
    }

    #[test]
    fn a_deployment_over_a_limit_can_still_remove() {
        let over: BTreeMap<String, String> = (0..600).map(|i| (format!("A{i}"), String::new())).collect();
        assert_eq!(checked(&over, &[change("A0", None)]).unwrap().len(), 599);
    }
}
