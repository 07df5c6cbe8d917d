//! Host calls of queries and mutations: from an operation's name and JSON text to its reply.
//!
//! What data means is the database's business; here are the shapes of arguments and replies.

mod documents;
pub(crate) mod handles;
pub(crate) mod metadata;
mod queries;
pub(crate) mod schedule;
pub(crate) mod storage;
pub(crate) mod unavailable;

use freshet_database::{DatabaseError, DeveloperError, SystemError};
use freshet_values::excerpt_text;
use serde::Deserialize;

use crate::attempt::Attempt;
use crate::call_error::{CallError, ErrorClass};
use crate::host::TransactionKind;

/// The operation that runs another function within the transaction.
pub(crate) const RUN_UDF: &str = "1.0/runUdf";

/// `1.0/componentArgument` outside of components, where all calls are in this version.
pub(crate) const NO_COMPONENT_ARGUMENTS: &str = "Component arguments are not available within the app";

/// A failed host call.
#[derive(Debug)]
pub(crate) enum Fault {
    /// User code may catch this.
    Developer {
        message: String,
        /// JSON text of a `ConvexError`'s data.
        data: Option<String>,
    },
    /// The whole call ends.
    System(CallError),
}

impl Fault {
    pub(crate) fn developer(message: impl Into<String>) -> Self {
        Fault::Developer { message: message.into(), data: None }
    }

    /// ``Invalid argument `argument` for `method`: cause``.
    pub(crate) fn invalid_argument(argument: &str, method: &str, cause: impl std::fmt::Display) -> Self {
        DeveloperError::invalid_argument(argument, method, cause).into()
    }

    /// ``Invalid arguments for `method`: cause``.
    pub(crate) fn invalid_arguments(method: &str, cause: impl std::fmt::Display) -> Self {
        DeveloperError::invalid_arguments(method, cause).into()
    }
}

impl From<DeveloperError> for Fault {
    fn from(error: DeveloperError) -> Self {
        Fault::Developer { message: error.message, data: error.data }
    }
}

impl From<DatabaseError> for Fault {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Developer(error) => error.into(),
            DatabaseError::System(error) => Fault::System(system_failure(error)),
        }
    }
}

impl From<SystemError> for Fault {
    fn from(error: SystemError) -> Self {
        Fault::System(system_failure(error))
    }
}

/// The caller's view of a failure inside the database.
pub(crate) fn system_failure(error: SystemError) -> CallError {
    match error {
        SystemError::OutOfRetention { .. } => {
            CallError::new(ErrorClass::Overloaded, "OutOfRetention", error.to_string())
        }
        error => CallError::internal(&error),
    }
}

/// The caller's view of a failure where no user code is involved, so that nobody made a mistake.
pub(crate) fn database_failure(error: DatabaseError) -> CallError {
    match error {
        DatabaseError::System(error) => system_failure(error),
        DatabaseError::Developer(error) => CallError::internal(&error),
    }
}

/// Parses the arguments of a host call.
pub(crate) fn parse<'a, T: Deserialize<'a>>(method: &str, args: &'a str) -> Result<T, Fault> {
    serde_json::from_str(args).map_err(|error| {
        if error.is_data() {
            // Serde repeats texts of the wrong type whole.
            Fault::invalid_arguments(method, excerpt_text(&error.to_string()))
        } else {
            Fault::developer(format!("Received invalid json: {error}"))
        }
    })
}

/// Whether an operation is synchronous.
pub(crate) fn is_sync(op: &str) -> bool {
    matches!(
        op,
        "1.0/db/normalizeId"
            | "1.0/queryStream"
            | "1.0/queryCleanup"
            | "1.0/getSnapshotTs"
            | "1.0/componentArgument"
    )
}

/// Carries out one operation of a query or mutation.
pub(crate) fn dispatch(attempt: &mut Attempt, op: &str, args: &str) -> Result<String, Fault> {
    let is_mutation = attempt.kind() == TransactionKind::Mutation;
    match op {
        "1.0/get" => documents::get(attempt, args),
        "1.0/insert" if is_mutation => documents::insert(attempt, args),
        "1.0/shallowMerge" if is_mutation => documents::patch(attempt, args),
        "1.0/replace" if is_mutation => documents::replace(attempt, args),
        "1.0/remove" if is_mutation => documents::delete(attempt, args),
        "1.0/count" => documents::count(attempt, args),
        "1.0/db/normalizeId" => documents::normalize_id(attempt, args),
        "1.0/queryStream" => queries::open(attempt, args),
        "1.0/queryStreamNext" => queries::next(attempt, args),
        "1.0/queryCleanup" => queries::close(attempt, args),
        "1.0/queryPage" => queries::page(attempt, args),
        "1.0/schedule" if is_mutation => attempt.schedule(args),
        "1.0/cancel_job" if is_mutation => attempt.cancel_job(args),
        "1.0/storageGetUrl" => {
            attempt.storage(|services, transaction, _| storage::get_url(services, transaction, args))
        }
        "1.0/storageGetMetadata" => storage::get_metadata(&mut attempt.transaction, args),
        "1.0/storageGenerateUploadUrl" if is_mutation => attempt.storage(storage::generate_upload_url),
        "1.0/storageDelete" if is_mutation => attempt
            .storage(|services, transaction, now_ms| storage::delete(services, transaction, args, now_ms)),
        "1.0/storageStore" if is_mutation => Err(Fault::developer(unavailable::STORE_IN_TRANSACTION)),
        "1.0/storageGet" if is_mutation => Err(Fault::developer(unavailable::GET_IN_TRANSACTION)),
        "1.0/getUserIdentity" => attempt.user_identity(),
        "1.0/getFunctionMetadata" => Ok(metadata::function(attempt.path())),
        "1.0/getTransactionMetrics" => Ok(metadata::transaction(&attempt.transaction)),
        "1.0/getDeploymentMetadata" => Ok(metadata::deployment(attempt.settings())),
        "1.0/getRequestMetadata" if is_mutation => Ok(attempt.request_metadata()),
        "1.0/getRequestMetadata" => Err(Fault::developer("Cannot get request metadata in a Query")),
        "1.0/getSnapshotTs" => Ok(attempt.snapshot_ts_json()),
        "1.0/createFunctionHandle" => handles::create(attempt.code(), args),
        "1.0/componentArgument" => Err(Fault::developer(NO_COMPONENT_ARGUMENTS)),
        _ => match unavailable::in_transactions(op, is_mutation) {
            Some(feature) => Err(unavailable::fault(feature)),
            None => Err(Fault::developer(format!("Unknown async operation {op}"))),
        },
    }
}

/// The failure of an operation that is not synchronous, or does not exist, where a synchronous one is wanted.
pub(crate) fn unknown_sync(op: &str) -> Fault {
    Fault::developer(format!("Unknown operation {op}"))
}
