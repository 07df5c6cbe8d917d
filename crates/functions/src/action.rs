//! Running actions: at most once, outside of transactions, in a host that may be killed.

use std::sync::Arc;

use freshet_values::{FunctionPath, byte_size_text};

use crate::action_callbacks::Callbacks;
use crate::action_execution::{ActionExecution, ActionStart};
use crate::arguments::{Placeholders, check_arguments, check_result};
use crate::call::{ActionOutcome, FunctionCall, FunctionError};
use crate::call_error::CallError;
use crate::code::{AnalysedFunction, FunctionKind, LiveCode};
use crate::functions::{Functions, access};
use crate::host::{ActionJob, Environment, Outcome};
use crate::own_transaction::{begin_query, table_names};
use crate::resolve::resolve;
use crate::variables;

/// Runs one action to its end, whatever becomes of the caller.
pub(crate) async fn run(functions: &Functions, call: FunctionCall) -> Result<ActionOutcome, CallError> {
    let functions = functions.clone();
    tokio::spawn(run_to_end(functions, call)).await.map_err(|error| CallError::internal(&error))?
}

async fn run_to_end(functions: Functions, call: FunctionCall) -> Result<ActionOutcome, CallError> {
    let prepared = {
        let functions = functions.clone();
        tokio::task::spawn_blocking(move || prepare(&functions, call))
            .await
            .map_err(|error| CallError::internal(&error))??
    };
    let Prepared { call, code, environment, checked, env } = prepared;
    let function_failure = |message: String| FunctionError { message: message + "\n", data: None };
    let (function, args_json) = match checked {
        Ok(checked) => checked,
        Err(text) => {
            let execution = execution(&functions, code, call, environment);
            let error = function_failure(text);
            execution.completed(Some(error.message.clone()), None, None);
            return Ok(ActionOutcome { result: Err(error), log_lines: Vec::new() });
        }
    };
    let _slot = functions.services.action_slot(environment).await?;
    let execution = Arc::new(execution(&functions, code, call, environment));
    let job = ActionJob {
        invocation_id: execution.execution_id.clone(),
        module_path: execution.path.module().to_owned(),
        export_name: execution.path.function().to_owned(),
        args_json,
        code: execution.code.package.clone(),
        context: execution.code.context_of(execution.path.module()),
        env,
    };
    let callbacks = Arc::new(Callbacks::new(execution.clone()));
    let ended = functions.services.host.run_action(job, callbacks).await;
    let result = match ended {
        Ok(Outcome::Returned(text)) => check_action_result(&functions, &execution.path, &text, &function)
            .await?
            .map_err(function_failure),
        Ok(Outcome::Threw(error)) => {
            Err(functions.services.stacks.function_error(&error, &execution.code.package))
        }
        Err(failure) => Err(FunctionError { message: execution.host_failure_text(&failure), data: None }),
    };
    execution.completed(
        result.as_ref().err().map(|error| error.message.clone()),
        result.as_ref().ok().map(String::len),
        None,
    );
    Ok(ActionOutcome { result, log_lines: execution.take_log_lines() })
}

/// What has to be known before an action starts.
struct Prepared {
    call: FunctionCall,
    code: Arc<LiveCode>,
    environment: Environment,
    /// The function and its arguments, or the text of the failure.
    checked: Result<(AnalysedFunction, String), String>,
    env: std::collections::BTreeMap<String, String>,
}

/// Looks everything up in one snapshot. Blocks.
fn prepare(functions: &Functions, call: FunctionCall) -> Result<Prepared, CallError> {
    let services = &functions.services;
    let mut transaction = begin_query(services, None)?;
    let code = services.code.live_code(&mut transaction)?;
    let environment =
        code.modules.get(call.path.module()).map_or(Environment::Isolate, |module| module.environment);
    let checked = resolve(&code, &call.path, &call.component, FunctionKind::Action, access(&call)).and_then(
        |function| {
            let arguments = check_arguments(
                &call.path,
                &call.args,
                &function.args,
                &table_names(&transaction),
                services.limits.args_bytes_max,
                Placeholders::Refused,
            )?;
            if environment == Environment::Node && arguments.bytes > services.limits.node_args_bytes_max {
                return Err(format!(
                    "Node actions arguments size is too large. The maximum size is {}.",
                    byte_size_text(services.limits.node_args_bytes_max)
                ));
            }
            Ok((function.clone(), arguments.json))
        },
    );
    let env = variables::all(&mut transaction, &services.settings)?;
    Ok(Prepared { call, code, environment, checked, env })
}

fn execution(
    functions: &Functions,
    code: Arc<LiveCode>,
    call: FunctionCall,
    environment: Environment,
) -> ActionExecution {
    ActionExecution::new(ActionStart {
        functions: functions.clone(),
        is_declared: code.functions.contains_key(&call.path),
        code,
        kind: FunctionKind::Action,
        identifier: call.path.stripped(),
        path: call.path,
        environment,
        caller: call.caller,
        request_id: call.request_id,
        metadata: call.metadata,
        identity: Some(call.identity),
    })
}

async fn check_action_result(
    functions: &Functions,
    path: &FunctionPath,
    text: &str,
    function: &AnalysedFunction,
) -> Result<Result<String, String>, CallError> {
    let services = functions.services.clone();
    let (path, text, returns) = (path.clone(), text.to_owned(), function.returns.clone());
    // Looking up table names may read from disk.
    tokio::task::spawn_blocking(move || {
        let transaction = begin_query(&services, None)?;
        Ok(check_result(
            &path,
            &text,
            returns.as_deref(),
            &table_names(&transaction),
            services.limits.result_bytes_max,
            Placeholders::Refused,
        )
        .map(|value| value.to_json_string()))
    })
    .await
    .map_err(|error| CallError::internal(&error))?
}
