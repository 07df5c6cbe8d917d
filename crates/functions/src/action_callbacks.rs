//! Host calls of running actions. Each one that reaches data is a complete call or transaction of its own.

use std::sync::Arc;

use async_trait::async_trait;
use freshet_database::Transaction;
use freshet_values::{ComponentPath, byte_size_text};
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::action_execution::ActionExecution;
use crate::address::Address;
use crate::call::{Caller, FunctionCall, FunctionError, QueryOptions};
use crate::call_error::CallError;
use crate::code::FunctionKind;
use crate::files::FileHead;
use crate::host::{ActionCallbacks, IncomingBlob, OutgoingBlob, SyscallError};
use crate::log::LogLine;
use crate::own_transaction::{begin_query, write};
use crate::services::Services;
use crate::syscalls::{self, Fault, metadata, schedule, storage, unavailable};
use crate::vector_search;

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
            "1.0/actions/vectorSearch" => {
                vector_search::search(&self.execution.functions.services, args).await
            }
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
            "1.0/storageGetUrl" => self.read(args, storage::get_url).await,
            "1.0/storageGetMetadata" => {
                self.read(args, |_, transaction, args| storage::get_metadata(transaction, args)).await
            }
            "1.0/storageGenerateUploadUrl" => {
                let now_ms = self.execution.functions.services.now_ms() as f64;
                self.read(args, move |services, transaction, _| {
                    storage::generate_upload_url(services, transaction, now_ms)
                })
                .await
            }
            "1.0/storageDelete" => self.delete_file(args).await,
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

    /// A host call that only reads, at the newest state. What it returns is durable.
    async fn read<T: Send + 'static>(
        &self,
        args: &str,
        work: impl FnOnce(&Services, &mut Transaction, &str) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let functions = &self.execution.functions;
        let (services, args) = (functions.services.clone(), args.to_owned());
        let (value, ts) = tokio::task::spawn_blocking(move || {
            let mut transaction = begin_query(&services, None)?;
            let value = work(&services, &mut transaction, &args)?;
            Ok::<_, Fault>((value, transaction.snapshot_ts()))
        })
        .await
        .map_err(|error| CallError::internal(&error))??;
        functions.wait_durable(ts).await?;
        Ok(value)
    }

    async fn delete_file(&self, args: &str) -> Result<String, Fault> {
        let functions = &self.execution.functions;
        let services = functions.services.clone();
        let args = args.to_owned();
        let (reply, ts) = write(&functions.services, move |transaction| {
            storage::delete(&services, transaction, &args, services.now_ms() as f64)
        })
        .await?;
        functions.wait_durable(ts).await?;
        Ok(reply)
    }

    async fn store(&self, mut blob: IncomingBlob) -> Result<String, Fault> {
        if !blob.content_type.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
            return Err(Fault::invalid_argument(
                "contentType",
                "storage.store",
                "It cannot be sent as a header.",
            ));
        }
        let head = FileHead {
            content_type: Some(blob.content_type).filter(|text| !text.is_empty()),
            sha256: blob.sha256.as_deref().map(storage::parse_sha256).transpose()?,
            size: Some(blob.size),
        };
        let mut upload = self.execution.functions.begin_upload(head).await.map_err(catchable)?;
        while let Some(bytes) = blob.body.recv().await {
            upload.write(bytes.map_err(|error| Fault::developer(error.message))?).await.map_err(catchable)?;
        }
        if upload.size() != blob.size {
            return Err(Fault::developer("The action ended before its file was stored."));
        }
        upload.finish().await.map_err(catchable)
    }

    async fn load(&self, storage_id: &str) -> Result<Option<OutgoingBlob>, Fault> {
        let args = json!({ "storageId": storage_id }).to_string();
        let row =
            self.read(&args, |_, transaction, args| storage::find(transaction, args, "storage.get")).await?;
        let Some(row) = row else { return Ok(None) };
        let limits = &self.execution.functions.services.limits;
        if row.received.size > limits.blob_bytes_max {
            return Err(Fault::developer(format!(
                "File {storage_id} is too large for storage.get() (actual: {}, limit: {}). Fetch parts of it from \
                 its storage.getUrl().",
                byte_size_text(usize::try_from(row.received.size).unwrap_or(usize::MAX)),
                byte_size_text(limits.blob_bytes_max as usize),
            )));
        }
        let file = self.execution.functions.open(row);
        let body = file.read(0..file.info().size).await.map_err(catchable)?;
        Ok(Some(OutgoingBlob {
            content_type: file.info().content_type.clone().unwrap_or_default(),
            size: file.info().size,
            body: body.map_err(|error| error.to_string()).boxed(),
        }))
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

/// What an exception in an action is made of.
fn exception(fault: Fault) -> SyscallError {
    match fault {
        Fault::Developer { message, data } => SyscallError { message, data, catchable: true },
        Fault::System(error) => SyscallError::new(error.message),
    }
}

/// Actions may catch failures of the file storage, by their codes.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn catchable(error: CallError) -> Fault {
    Fault::developer(format!("{}: {}", error.code, error.message))
}

#[async_trait]
impl ActionCallbacks for Callbacks {
    async fn syscall(&self, op: &str, args: &str) -> Result<String, SyscallError> {
        // The semaphore is never closed.
        let _permit = self.execution.host_calls.acquire().await.ok();
        self.dispatch(op, args).await.map_err(exception)
    }

    async fn store_blob(&self, blob: IncomingBlob) -> Result<String, SyscallError> {
        let _permit = self.execution.host_calls.acquire().await.ok();
        self.store(blob).await.map_err(exception)
    }

    async fn load_blob(&self, storage_id: &str) -> Result<Option<OutgoingBlob>, SyscallError> {
        let _permit = self.execution.host_calls.acquire().await.ok();
        self.load(storage_id).await.map_err(exception)
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
