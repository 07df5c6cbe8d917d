//! What functions may ask about themselves, the request and the deployment.

use freshet_database::Transaction;
use freshet_values::FunctionPath;
use serde_json::json;

use super::Fault;
use crate::call::RequestMetadata;
use crate::identity::Identity;
use crate::request_id::RequestId;
use crate::services::FunctionsSettings;

/// `1.0/getUserIdentity`.
pub(crate) fn user_identity(identity: &Identity) -> Result<String, Fault> {
    match identity {
        Identity::Unverified(reason) => Err(Fault::developer(reason.as_ref())),
        identity => {
            Ok(identity.user().map_or_else(|| "null".to_owned(), |user| user.attributes_json().to_owned()))
        }
    }
}

/// `1.0/getFunctionMetadata`.
pub(crate) fn function(path: &FunctionPath) -> String {
    json!({ "name": path.stripped(), "componentPath": "" }).to_string()
}

/// `1.0/getDeploymentMetadata`.
pub(crate) fn deployment(settings: &FunctionsSettings) -> String {
    json!({ "name": settings.deployment_name, "region": null, "class": "s16" }).to_string()
}

/// `1.0/getRequestMetadata`.
pub(crate) fn request(
    request_id: RequestId,
    metadata: &RequestMetadata,
    scheduled_job: Option<&str>,
) -> String {
    json!({
        "ip": metadata.ip,
        "userAgent": metadata.user_agent,
        "requestId": request_id.to_string(),
        "scheduledFunctionId": scheduled_job,
        "authToken": metadata.auth_token,
    })
    .to_string()
}

/// `1.0/getTransactionMetrics`.
pub(crate) fn transaction(transaction: &Transaction) -> String {
    let usage = transaction.usage();
    let limits = transaction.limits();
    let metric = |used: u64, limit: u64| json!({ "used": used, "remaining": limit.saturating_sub(used) });
    json!({
        "bytesRead": metric(usage.bytes_read, limits.bytes_read),
        "bytesWritten": metric(usage.bytes_written, limits.bytes_written),
        "databaseQueries": metric(usage.intervals_read, limits.intervals_read),
        "documentsRead": metric(usage.documents_read, limits.documents_read),
        "documentsWritten": metric(usage.documents_written, limits.documents_written),
        "functionsScheduled": metric(usage.functions_scheduled, limits.functions_scheduled),
        "scheduledFunctionArgsBytes": metric(usage.scheduled_args_bytes, limits.scheduled_args_bytes),
    })
    .to_string()
}
