//! Calls of the server's own queries: no V8, a transaction on a thread that may block.

use std::sync::Arc;

use freshet_values::{Object, Value};

use crate::arguments::single_object;
use crate::call::{FunctionCall, FunctionError, QueryOptions, QueryOutcome};
use crate::call_error::CallError;
use crate::native::NativeError;
use crate::own_transaction::begin_query;
use crate::resolve::not_found_text;
use crate::services::Services;

/// Whether the call means one of the server's own functions.
pub(crate) fn is_native(call: &FunctionCall) -> bool {
    call.path.is_system()
}

/// Runs one of the server's own queries. That the caller is an admin has been checked.
pub(crate) async fn query(
    services: &Arc<Services>,
    call: FunctionCall,
    options: QueryOptions,
) -> Result<QueryOutcome, CallError> {
    let services = services.clone();
    tokio::task::spawn_blocking(move || run(&services, &call, &options))
        .await
        .map_err(|error| CallError::internal(&error))?
}

fn run(services: &Services, call: &FunctionCall, options: &QueryOptions) -> Result<QueryOutcome, CallError> {
    let mut transaction = begin_query(services, options.at)?;
    let result = if !services.native.contains(&call.path) {
        Err(not_found_text("public function", &call.path, &call.component))
    } else {
        match single_object(&call.path, &call.args, services.limits.args_bytes_max) {
            Ok(args) => evaluate(services, call, &args, &mut transaction)?,
            Err(text) => Err(text),
        }
    };
    Ok(QueryOutcome {
        result: result
            .map(|value| value.to_json_string())
            .map_err(|text| FunctionError { message: text + "\n", data: None }),
        log_lines: Vec::new(),
        journal: None,
        ts: transaction.snapshot_ts(),
        read_set: Arc::new(transaction.read_set().clone()),
        observed_identity: true,
        observed_time: false,
    })
}

fn evaluate(
    services: &Services,
    call: &FunctionCall,
    args: &Object,
    transaction: &mut freshet_database::Transaction,
) -> Result<Result<Value, String>, CallError> {
    match services.native.query(&call.path, args, transaction) {
        Ok(value) => Ok(Ok(value)),
        Err(NativeError::Developer(text)) => Ok(Err(text)),
        Err(NativeError::Call(error)) => Err(error),
    }
}
