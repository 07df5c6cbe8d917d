//! Host calls of running actions. Each one that reaches data is a complete call or transaction of its own.

use std::sync::Arc;

use async_trait::async_trait;
use freshet_values::ComponentPath;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::action_execution::ActionExecution;
use crate::address::Address;
use crate::call::{Caller, FunctionCall, FunctionError, QueryOptions};
use crate::call_error::CallError;
use crate::code::FunctionKind;
use crate::host::{ActionCallbacks, SyscallError};
use crate::log::LogLine;
use crate::own_transaction::write;
use crate::syscalls::{self, Fault, metadata, schedule, unavailable};

/// The host calls of one running action.
pub(crate) struct Callbacks {
    execution: Arc<ActionExecution>,
}

/// Arguments of `runQuery`, `runMutation` and `runAction`.
#[derive(Deserialize)]
struct RunArgs<'a> {
    #[serde(flatten)]
    address: Address,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

impl Callbacks {
    pub(crate) fn new(execution: Arc<ActionExecution>) -> Self {
        Self { execution }
    }

    async fn dispatch(&self, op: &str, args: &str) -> Result<String, Fault> {
        match op {
            "1.0/actions/query" => self.run(FunctionKind::Query, args).await,
            "1.0/actions/mutation" => self.run(FunctionKind::Mutation, args).await,
            "1.0/actions/action" => self.run(FunctionKind::Action, args).await,
            "1.0/actions/schedule" => self.schedule(args).await,
            "1.0/actions/cancel_job" => self.cancel(args).await,
            "1.0/getUserIdentity" => metadata::user_identity(self.execution.identity().await),
            "1.0/getFunctionMetadata" => Ok(metadata::function(&self.execution.path)),
            "1.0/getDeploymentMetadata" => {
                Ok(metadata::deployment(&self.execution.functions.services.settings))
            }
            "1.0/getRequestMetadata" => Ok(metadata::request(
                self.execution.request_id,
                &self.execution.metadata,
                self.execution.caller.scheduled_job(),
            )),
            "1.0/createFunctionHandle" => syscalls::handles::create(&self.execution.code, args),
            "1.0/componentArgument" => Err(Fault::developer(syscalls::NO_COMPONENT_ARGUMENTS)),
            "1.0/auditLog" => Err(Fault::developer("Audit logging is not yet supported in actions")),
            _ => match unavailable::in_actions(op) {
                Some(feature) => Err(unavailable::fault(feature)),
                None => Err(Fault::developer(format!("Unknown async operation {op}"))),
            },
        }
    }

    async fn run(&self, kind: FunctionKind, args: &str) -> Result<String, Fault> {
        let method = match kind {
            FunctionKind::Query => "runQuery",
            FunctionKind::Mutation => "runMutation",
            FunctionKind::Action | FunctionKind::HttpAction => "runAction",
        };
        let parsed: RunArgs<'_> = syscalls::parse(method, args)?;
        let path = parsed.address.path().map_err(Fault::developer)?;
        if parsed.address.is_handle() && !self.execution.code.functions.contains_key(&path) {
            return Err(Fault::developer("Function handle not found"));
        }
        let call = FunctionCall {
            path,
            component: ComponentPath::root(),
            args: parsed.args.map_or_else(|| "{}".to_owned(), |raw| raw.get().to_owned()),
            identity: self.execution.identity().await.clone(),
            caller: Caller::Action {
                parent_execution_id: self.execution.execution_id.clone(),
                scheduled_job: self.execution.caller.scheduled_job().map(str::to_owned),
            },
            request_id: self.execution.request_id,
            metadata: self.execution.metadata.clone(),
        };
        let functions = &self.execution.functions;
        // Boxed: an action may call an action, so that this future would contain itself.
        let result = match kind {
            FunctionKind::Query => Box::pin(functions.query(call, QueryOptions::default())).await?.result,
            FunctionKind::Mutation => Box::pin(functions.mutation(call, None)).await?.result,
            FunctionKind::Action | FunctionKind::HttpAction => Box::pin(functions.action(call)).await?.result,
        };
        result.map_err(|error| self.nested_failure(error))
    }

    /// What user code sees of a failed callee.
    fn nested_failure(&self, error: FunctionError) -> Fault {
        let redact = self.execution.functions.services.settings.redact_errors;
        let message = if redact { "Server Error".to_owned() } else { error.message };
        Fault::Developer { message, data: error.data }
    }

    async fn schedule(&self, args: &str) -> Result<String, Fault> {
        let functions = &self.execution.functions;
        let services = functions.services.clone();
        let (args, parent) = (args.to_owned(), self.execution.caller.scheduled_job().map(str::to_owned));
        let (id, ts) = write(&functions.services, move |transaction| {
            let code = services.code.live_code(transaction)?;
            let now_ms = services.now_ms() as f64;
            schedule::schedule(transaction, &code, &args, parent.as_deref(), now_ms, &services)
        })
        .await?;
        functions.wait_durable(ts).await?;
        Ok(id)
    }

    async fn cancel(&self, args: &str) -> Result<String, Fault> {
        let functions = &self.execution.functions;
        let services = functions.services.clone();
        let args = args.to_owned();
        let ((), ts) = write(&functions.services, move |transaction| {
            schedule::cancel(transaction, &args, None, services.now_ms() as f64).map(drop)
        })
        .await?;
        functions.wait_durable(ts).await?;
        Ok("null".into())
    }
}

#[async_trait]
impl ActionCallbacks for Callbacks {
    async fn syscall(&self, op: &str, args: &str) -> Result<String, SyscallError> {
        // The semaphore is never closed.
        let _permit = self.execution.host_calls.acquire().await.ok();
        self.dispatch(op, args).await.map_err(|fault| match fault {
            Fault::Developer { message, data } => SyscallError { message, data, catchable: true },
            Fault::System(error) => SyscallError::new(error.message),
        })
    }

    fn log(&self, line: LogLine) {
        self.execution.log(line);
    }
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        Fault::System(error)
    }
}
