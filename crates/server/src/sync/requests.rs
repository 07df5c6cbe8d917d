//! Mutations and actions of a WebSocket.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, header};
use freshet_functions::{
    CallError, Caller, CommitWatch, ErrorClass, FunctionCall, FunctionError, RequestId, RequestMetadata,
    SessionRequest,
};
use freshet_sync::CloseReason;
use freshet_sync::session::{ActionOutcome, MutationOutcome, RequestJob};

use super::identity::SocketIdentity;
use super::printing::{failure, log_lines};
use crate::access::Operation;
use crate::state::State;

/// What the upgrade request tells about the client.
pub(super) fn metadata(request: &Request<Body>, ip: Option<Arc<str>>) -> RequestMetadata {
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    RequestMetadata { ip, user_agent: user_agent.map(Arc::from), auth_token: None }
}

/// Runs a mutation to its durable end, and calls `settled` as soon as the next one may start.
pub(super) async fn mutation(
    state: &State,
    metadata: &RequestMetadata,
    job: RequestJob<SocketIdentity>,
    commit: CommitWatch,
    settled: impl FnOnce() + Send,
) -> MutationOutcome {
    let request_id = request_id(&job);
    if let Some(message) = refusal(&job, Operation::RUN_MUTATIONS) {
        let failure = failure(state, request_id, message, None);
        return MutationOutcome::Failed { failure, log_lines: Vec::new() };
    }
    let session = job.session_id.map(|session_id| SessionRequest {
        session_id: session_id.to_string(),
        request_id: u64::from(job.request_id),
    });
    let call = call(metadata, request_id, job);
    let functions = &state.services.functions;
    let outcome = match functions.settle_mutation(call, session, commit).await {
        Ok(mutation) => {
            settled();
            functions.durable(mutation).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(outcome) => {
            let log_lines = log_lines(state, &outcome.log_lines);
            match (outcome.result, outcome.ts) {
                (Ok(value), Some(ts)) => MutationOutcome::Committed { value, ts, log_lines },
                (Ok(_), None) => {
                    tracing::error!("a successful mutation has no commit timestamp");
                    MutationOutcome::Abandoned(CloseReason::InternalServerError)
                }
                (Err(FunctionError { message, data }), _) => {
                    let failure = failure(state, request_id, message, data);
                    MutationOutcome::Failed { failure, log_lines }
                }
            }
        }
        Err(error) => {
            note(request_id, &error);
            match close_reason(&error).filter(|_| !is_final(state, &error)) {
                Some(reason) => MutationOutcome::Abandoned(reason),
                None => MutationOutcome::Failed {
                    failure: failure(state, request_id, error.message, None),
                    log_lines: Vec::new(),
                },
            }
        }
    }
}

/// Connects the request's id with the cause, which is logged where it is known.
fn note(request_id: RequestId, error: &CallError) {
    if error.class == ErrorClass::Internal {
        tracing::error!(%request_id, code = error.code, "a call of a WebSocket failed inside the server");
    }
}

/// Runs an action to its end.
pub(super) async fn action(
    state: &State,
    metadata: &RequestMetadata,
    job: RequestJob<SocketIdentity>,
) -> ActionOutcome {
    let request_id = request_id(&job);
    if let Some(message) = refusal(&job, Operation::RUN_ACTIONS) {
        let failure = failure(state, request_id, message, None);
        return ActionOutcome::Failed { failure, log_lines: Vec::new() };
    }
    match state.services.functions.action(call(metadata, request_id, job)).await {
        Ok(outcome) => {
            let log_lines = log_lines(state, &outcome.log_lines);
            match outcome.result {
                Ok(value) => ActionOutcome::Returned { value, log_lines },
                Err(FunctionError { message, data }) => {
                    ActionOutcome::Failed { failure: failure(state, request_id, message, data), log_lines }
                }
            }
        }
        // Other requests of this socket go on: an action that could not run is that action's failure alone.
        Err(error) => {
            note(request_id, &error);
            ActionOutcome::Failed {
                failure: failure(state, request_id, error.message, None),
                log_lines: Vec::new(),
            }
        }
    }
}

fn request_id(job: &RequestJob<SocketIdentity>) -> RequestId {
    match job.session_id {
        Some(session) => RequestId::of_session_request(&session.to_string(), u64::from(job.request_id)),
        None => RequestId::random(),
    }
}

/// Keys that may only look do not change anything.
fn refusal(job: &RequestJob<SocketIdentity>, operation: Operation) -> Option<String> {
    let refused = job.identity.0.admin?.require(operation).err()?;
    Some(refused.message.into_owned())
}

fn call(metadata: &RequestMetadata, request_id: RequestId, job: RequestJob<SocketIdentity>) -> FunctionCall {
    FunctionCall {
        path: job.target.path,
        component: job.target.component,
        args: job.args.as_ref().to_owned(),
        identity: job.identity.0.identity.clone(),
        caller: Caller::SyncWorker,
        request_id,
        metadata: with_token(metadata, &job.identity),
    }
}

/// What functions see of the request, with the token of the identity that is in force.
fn with_token(metadata: &RequestMetadata, identity: &SocketIdentity) -> RequestMetadata {
    RequestMetadata { auth_token: identity.0.token.clone(), ..metadata.clone() }
}

/// Why the socket has to close because of this error; `None` when the call itself is at fault.
pub(super) fn close_reason(error: &CallError) -> Option<CloseReason> {
    match error.class {
        ErrorClass::Internal => Some(CloseReason::InternalServerError),
        ErrorClass::RateLimited => Some(CloseReason::TooManyConcurrentRequests),
        ErrorClass::Overloaded => Some(match error.code {
            "OptimisticConcurrencyControlFailure" => CloseReason::OptimisticConcurrencyControlFailure,
            "CommitterOverloaded" => CloseReason::CommitterFullError,
            "ShuttingDown" => CloseReason::GoingAway,
            _ => CloseReason::ExecuteFullError,
        }),
        ErrorClass::BadRequest
        | ErrorClass::Unauthenticated
        | ErrorClass::Forbidden
        | ErrorClass::NotFound
        | ErrorClass::Conflict => None,
    }
}

/// Whether a mutation that the server could not carry out did not happen for certain, for a reason that its author should read
/// rather than wait for: the disk is full. Other queries and mutations of the socket go on.
fn is_final(state: &State, error: &CallError) -> bool {
    // A mutation that was sent again may have happened the first time, if the store cannot tell.
    error.code == "DatabaseReadOnly" && !state.services.database.is_undecided()
}

/// Arguments shared by the calls of one socket.
pub(super) type SharedMetadata = Arc<RequestMetadata>;
