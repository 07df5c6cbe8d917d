//! Host calls on files, in a mutation's or query's own transaction or one made for an action.

use base64::Engine as _;
use freshet_database::Transaction;
use serde::Deserialize;
use serde_json::json;

use super::{Fault, parse};
use crate::files::{FileRef, FileRow};
use crate::services::Services;
use crate::variables;

const CLOUD_URL: &str = "CONVEX_CLOUD_URL";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StorageArgs {
    storage_id: String,
}

/// `1.0/storageGetUrl`.
pub(crate) fn get_url(
    services: &Services,
    transaction: &mut Transaction,
    args: &str,
) -> Result<String, Fault> {
    let Some(file) = find(transaction, args, "storage.getUrl")? else { return Ok("null".into()) };
    let origin = origin(services, transaction)?;
    Ok(json!(format!("{origin}/api/storage/{}", file.storage_id)).to_string())
}

/// `1.0/storageGetMetadata`.
pub(crate) fn get_metadata(transaction: &mut Transaction, args: &str) -> Result<String, Fault> {
    let Some(file) = find(transaction, args, "storage.getMetadata")? else { return Ok("null".into()) };
    let metadata = json!({
        "storageId": file.storage_id,
        "sha256": hex::encode(file.received.sha256),
        "size": file.received.size,
        "contentType": file.content_type,
    });
    Ok(metadata.to_string())
}

/// `1.0/storageGenerateUploadUrl`.
pub(crate) fn generate_upload_url(
    services: &Services,
    transaction: &mut Transaction,
    now_ms: f64,
) -> Result<String, Fault> {
    let origin = origin(services, transaction)?;
    let token = services.files.tokens.issue(now_ms as u64);
    Ok(json!(format!("{origin}/api/storage/upload?token={token}")).to_string())
}

/// `1.0/storageDelete`.
pub(crate) fn delete(
    services: &Services,
    transaction: &mut Transaction,
    args: &str,
    now_ms: f64,
) -> Result<String, Fault> {
    let parsed: StorageArgs = parse("storage.delete", args)?;
    let file = FileRef::parse(&parsed.storage_id, "storage.delete")?.find(transaction)?;
    let Some(file) = file else {
        return Err(Fault::developer(format!("storage id {} not found", parsed.storage_id)));
    };
    let kept_ns = i64::try_from(services.files.deleted_kept.as_nanos()).unwrap_or(i64::MAX);
    let due_ns = ((now_ms * 1e6) as i64).saturating_add(kept_ns);
    file.delete(transaction, due_ns)?;
    Ok("null".into())
}

/// The file that the arguments of a host call name.
pub(crate) fn find(
    transaction: &mut Transaction,
    args: &str,
    method: &str,
) -> Result<Option<FileRow>, Fault> {
    let parsed: StorageArgs = parse(method, args)?;
    Ok(FileRef::parse(&parsed.storage_id, method)?.find(transaction)?)
}

/// Reads a digest that user code gave.
pub(crate) fn parse_sha256(text: &str) -> Result<[u8; 32], Fault> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        Fault::invalid_argument("sha256", "storage.store", "It must be the base64 text of a SHA-256 digest.")
    })
}

/// What addresses of files begin with.
fn origin(services: &Services, transaction: &mut Transaction) -> Result<String, Fault> {
    let origin = variables::one(transaction, CLOUD_URL, &services.settings)?;
    Ok(origin.unwrap_or_else(|| services.settings.cloud_url.clone()))
}
