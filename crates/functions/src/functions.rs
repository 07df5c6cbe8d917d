//! The service that runs functions. One way in for every door: HTTP, WebSockets, the scheduler, tools.

use std::sync::Arc;

use freshet_database::Database;
use freshet_values::Timestamp;
use tokio::sync::watch;

use crate::authentication::{AuthenticationError, VerifiedUser};
use crate::call::{
    ActionOutcome, AnyOutcome, Caller, FunctionCall, FunctionError, HttpActionAnswer, HttpActionRequest,
    MutationOutcome, QueryOptions, QueryOutcome, SessionRequest,
};
use crate::call_error::{CallError, ErrorClass};
use crate::code::FunctionKind;
use crate::commit_watch::CommitWatch;
use crate::lane_call::{LaneCall, LaneOutcome, MutationGuard};
use crate::lane_queue::LaneQueue;
use crate::metrics::FunctionMetrics;
use crate::own_transaction::durability_failure;
use crate::quarantine::Quarantine;
use crate::resolve::{Access, find, not_found_text};
use crate::services::{FunctionsConfig, FunctionsSettings, Services};
use crate::session_requests::SessionGuard;
use crate::{action, audit, http_action, native_call};

/// A mutation that is over, but whose outcome a power cut could still take back.
#[derive(Debug)]
pub struct SettledMutation {
    outcome: MutationOutcome,
    durable_at: Timestamp,
}

/// Runs functions. Clones share everything.
#[derive(Clone)]
pub struct Functions {
    pub(crate) services: Arc<Services>,
    queue: LaneQueue,
}

impl Functions {
    /// A service without lanes: take them from [`Functions::lane_queue`].
    pub fn new(config: FunctionsConfig) -> Self {
        let services = Arc::new(Services::new(config));
        Self { queue: LaneQueue::new(services.clone()), services }
    }

    /// Where V8 threads get their calls.
    pub fn lane_queue(&self) -> &LaneQueue {
        &self.queue
    }

    /// From now on repeats queries that ran in shared contexts in fresh ones, as far as there is time, and reports in the
    /// log where the two differ. Nothing that clients receive depends on it. For development: it doubles the work.
    pub fn audit_contexts(&self) {
        audit::start(&self.services, self.queue.clone());
    }

    /// What every function has done.
    pub fn metrics(&self) -> &FunctionMetrics {
        &self.services.metrics
    }

    /// The database that functions work on.
    pub fn database(&self) -> &Database {
        &self.services.database
    }

    /// What the operator decided about calls.
    pub fn settings(&self) -> &FunctionsSettings {
        &self.services.settings
    }

    /// The user that a token stands for.
    ///
    /// # Errors
    /// When it is not accepted, or it cannot be decided now.
    pub async fn authenticate(&self, token: &str) -> Result<VerifiedUser, AuthenticationError> {
        self.services.authenticator.verify(token).await
    }

    /// Changes whenever the deployment accepts other tokens than before.
    pub fn auth_changes(&self) -> watch::Receiver<u64> {
        self.services.authenticator.changes()
    }

    /// Functions that are kept from running.
    pub fn quarantine(&self) -> &Quarantine {
        &self.services.quarantine
    }

    /// Refuses further calls and fails those that wait for a lane.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Runs a query. What it returns is durable.
    ///
    /// # Errors
    /// When there is no lane in time, the snapshot is too old, the caller may not call the server's own functions, or
    /// the server fails. A function that throws is no error here.
    pub async fn query(&self, call: FunctionCall, options: QueryOptions) -> Result<QueryOutcome, CallError> {
        check_caller(&call)?;
        if native_call::is_native(&call) {
            let outcome = native_call::query(&self.services, call, options).await?;
            self.wait_durable(outcome.ts).await?;
            return Ok(outcome);
        }
        self.lane_query(LaneCall::query(call, options)).await
    }

    pub(crate) async fn lane_query(&self, call: LaneCall) -> Result<QueryOutcome, CallError> {
        match self.queue.run(call).await? {
            LaneOutcome::Query(outcome) => {
                self.wait_durable(outcome.ts).await?;
                Ok(outcome)
            }
            LaneOutcome::Mutation { .. } => Err(CallError::internal(&"a query ended as a mutation")),
        }
    }

    /// Runs a mutation, exactly once for each `session` request. Resolves when it is durable.
    ///
    /// # Errors
    /// When there is no lane in time, or the server fails. A function that throws is no error here.
    pub async fn mutation(
        &self,
        call: FunctionCall,
        session: Option<SessionRequest>,
    ) -> Result<MutationOutcome, CallError> {
        let settled = self.settle_mutation(call, session, CommitWatch::default()).await?;
        self.durable(settled).await
    }

    /// The first half of [`Functions::mutation`], for a caller that has to know of the commit before the answer: runs
    /// until the outcome is settled and visible to whatever begins from now on. [`Functions::durable`] is the other half.
    ///
    /// # Errors
    /// As [`Functions::mutation`].
    pub async fn settle_mutation(
        &self,
        call: FunctionCall,
        session: Option<SessionRequest>,
        watch: CommitWatch,
    ) -> Result<SettledMutation, CallError> {
        check_caller(&call)?;
        let guard = session.map(|session| {
            Arc::new(SessionGuard::new(session, self.services.clone())) as Arc<dyn MutationGuard>
        });
        self.run_mutation(LaneCall::mutation(call, guard, watch)).await
    }

    /// Waits until an outcome may be told.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn durable(&self, settled: SettledMutation) -> Result<MutationOutcome, CallError> {
        self.wait_durable(settled.durable_at).await?;
        Ok(settled.outcome)
    }

    pub(crate) async fn guarded_mutation(
        &self,
        call: FunctionCall,
        guard: Option<Arc<dyn MutationGuard>>,
    ) -> Result<MutationOutcome, CallError> {
        let settled = self.run_mutation(LaneCall::mutation(call, guard, CommitWatch::default())).await?;
        self.durable(settled).await
    }

    async fn run_mutation(&self, call: LaneCall) -> Result<SettledMutation, CallError> {
        match self.queue.run(call).await? {
            LaneOutcome::Mutation { outcome, durable_at } => Ok(SettledMutation { outcome, durable_at }),
            LaneOutcome::Query(_) => Err(CallError::internal(&"a mutation ended as a query")),
        }
    }

    /// Runs an action, at most once. It goes on to its end when this future is dropped.
    ///
    /// # Errors
    /// When there is no slot in time, or the server fails. A function that throws is no error here.
    pub async fn action(&self, call: FunctionCall) -> Result<ActionOutcome, CallError> {
        check_caller(&call)?;
        action::run(self, call).await
    }

    /// Runs a function of whatever kind and visibility, for tools of admins.
    ///
    /// # Errors
    /// As the method for its kind.
    pub async fn any(&self, call: FunctionCall) -> Result<AnyOutcome, CallError> {
        check_caller(&call)?;
        if native_call::is_native(&call) {
            return Ok(AnyOutcome::Query(self.query(call, QueryOptions::default()).await?));
        }
        let services = self.services.clone();
        let code = tokio::task::spawn_blocking(move || services.newest_code())
            .await
            .map_err(|error| CallError::internal(&error))??;
        let kind = find(&code, &call.path, &call.component, access(&call)).map(|function| function.kind);
        match kind {
            Some(FunctionKind::Query) => {
                Ok(AnyOutcome::Query(self.query(call, QueryOptions::default()).await?))
            }
            Some(FunctionKind::Mutation) => Ok(AnyOutcome::Mutation(self.mutation(call, None).await?)),
            Some(FunctionKind::Action) => Ok(AnyOutcome::Action(self.action(call).await?)),
            Some(FunctionKind::HttpAction) | None => Ok(AnyOutcome::Action(ActionOutcome {
                result: Err(FunctionError {
                    message: format!(
                        "{} Did you forget to run `npx convex dev`?\n",
                        not_found_text("function", &call.path, &call.component)
                    ),
                    data: None,
                }),
                log_lines: Vec::new(),
            })),
        }
    }

    /// Answers an HTTP request with the app's router. Failures of the function are answers too.
    ///
    /// # Errors
    /// When there is no slot in time, or the server fails before there is an answer.
    pub async fn http_action(&self, request: HttpActionRequest) -> Result<HttpActionAnswer, CallError> {
        http_action::run(self, request).await
    }

    /// Waits until what was read at `ts` may be shown: nobody may see what a power cut could take back.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn wait_durable(&self, ts: Timestamp) -> Result<(), CallError> {
        let database = &self.services.database;
        database.wait_durable(ts).await.map_err(|error| durability_failure(&error))
    }
}

/// The checks that come before a transaction. The server's own functions are for admins only. And only admins get to
/// hear that a component does not exist; to others its functions are merely missing.
fn check_caller(call: &FunctionCall) -> Result<(), CallError> {
    let is_admin = call.identity.is_admin();
    if call.path.is_system() && !is_admin {
        return Err(CallError::new(
            ErrorClass::Forbidden,
            "SystemIdentityRequired",
            format!("Operation {} not permitted", call.path.stripped()),
        ));
    }
    if !call.component.is_root() && is_admin {
        return Err(CallError::bad_request(
            "ComponentPathNotFound",
            format!("Component path '{}' not found", call.component),
        ));
    }
    Ok(())
}

/// What the caller of `call` may reach.
pub(crate) fn access(call: &FunctionCall) -> Access {
    if call.identity.may_call_internal() || matches!(call.caller, Caller::Action { .. }) {
        Access::Internal
    } else {
        Access::Public
    }
}
