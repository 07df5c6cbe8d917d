//! Host calls on single documents.

use std::collections::BTreeMap;

use freshet_database::{Namespace, UserAccess};
use freshet_values::{DecodeError, Decoder, Value};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Fault, parse};
use crate::attempt::Attempt;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdArgs {
    id: String,
    table: Option<String>,
    #[serde(default)]
    is_system: bool,
}

#[derive(Deserialize)]
struct InsertArgs<'a> {
    table: String,
    #[serde(borrow)]
    value: &'a RawValue,
}

#[derive(Deserialize)]
struct WriteArgs<'a> {
    id: String,
    table: Option<String>,
    #[serde(borrow)]
    value: &'a RawValue,
}

#[derive(Deserialize)]
struct TableArgs {
    table: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NormalizeArgs {
    table: String,
    id_string: String,
}

/// `1.0/get`.
pub(super) fn get(attempt: &mut Attempt, args: &str) -> Result<String, Fault> {
    let args: IdArgs = parse("db.get", args)?;
    let document = user(attempt).get(&args.id, args.table.as_deref(), args.is_system)?;
    Ok(document.map_or_else(|| "null".to_owned(), |document| document.json().as_ref().to_owned()))
}

/// `1.0/insert`.
pub(super) fn insert(attempt: &mut Attempt, args: &str) -> Result<String, Fault> {
    let args: InsertArgs<'_> = parse("db.insert", args)?;
    let value = decode(args.value, "db.insert")?;
    let id = user(attempt).insert(&args.table, value)?;
    Ok(format!("{{\"_id\":\"{id}\"}}"))
}

/// `1.0/shallowMerge`.
pub(super) fn patch(attempt: &mut Attempt, args: &str) -> Result<String, Fault> {
    let args: WriteArgs<'_> = parse("db.patch", args)?;
    let fields: BTreeMap<String, Option<Value>> =
        Decoder::WITH_COMMIT_TS.patch(args.value.get()).map_err(|error| undecodable(&error, "db.patch"))?;
    let document = user(attempt).patch(&args.id, args.table.as_deref(), fields)?;
    Ok(document.json().as_ref().to_owned())
}

/// `1.0/replace`.
pub(super) fn replace(attempt: &mut Attempt, args: &str) -> Result<String, Fault> {
    let args: WriteArgs<'_> = parse("db.replace", args)?;
    let value = decode(args.value, "db.replace")?;
    let document = user(attempt).replace(&args.id, args.table.as_deref(), value)?;
    Ok(document.json().as_ref().to_owned())
}

/// `1.0/remove`.
pub(super) fn delete(attempt: &mut Attempt, args: &str) -> Result<String, Fault> {
    let args: IdArgs = parse("db.delete", args)?;
    let document = user(attempt).delete(&args.id, args.table.as_deref())?;
    Ok(document.json().as_ref().to_owned())
}

/// `1.0/count`.
pub(super) fn count(attempt: &mut Attempt, args: &str) -> Result<String, Fault> {
    let args: TableArgs = parse("db.count", args)?;
    Ok(user(attempt).count(&args.table)?.to_string())
}

/// `1.0/db/normalizeId`.
pub(super) fn normalize_id(attempt: &mut Attempt, args: &str) -> Result<String, Fault> {
    let args: NormalizeArgs = parse("db.normalizeId", args)?;
    let id = user(attempt).normalize_id(&args.table, &args.id_string)?;
    Ok(id.map_or_else(|| "{\"id\":null}".to_owned(), |id| format!("{{\"id\":\"{id}\"}}")))
}

pub(super) fn user(attempt: &mut Attempt) -> UserAccess<'_> {
    attempt.transaction.user(Namespace::ROOT)
}

fn decode(value: &RawValue, method: &str) -> Result<Value, Fault> {
    Decoder::WITH_COMMIT_TS.value(value.get()).map_err(|error| undecodable(&error, method))
}

fn undecodable(error: &DecodeError, method: &str) -> Fault {
    if error.is_syntax() {
        Fault::developer(format!("Received invalid json: {error}"))
    } else {
        Fault::invalid_argument("value", method, error)
    }
}
