//! Bringing a connection's queries up to date, all at one timestamp.

use std::sync::Arc;

use freshet_database::{ReadSet, Waker};
use freshet_functions::{
    CachedQuery, CallError, Caller, ErrorClass, FunctionCall, FunctionError, QueryOptions,
    QueryOutcome as Execution, RequestId,
};
use freshet_sync::message::client::QueryId;
use freshet_sync::session::{ComputeFailure, Computed, JobQuery, QueryOutcome, TransitionJob};
use freshet_sync::{Answer, CloseReason};
use freshet_values::Timestamp;
use futures::{StreamExt, TryStreamExt};

use super::identity::SocketIdentity;
use super::interest::Interest;
use super::query_cache::{Question, Shared};
use super::requests::{self, SharedMetadata};
use crate::state::State;

/// Queries of one connection that run at the same time.
const PARALLELISM: usize = 20;

/// Everything that the queries of one computation share.
#[derive(Clone)]
pub(super) struct Computation {
    pub(super) state: Arc<State>,
    pub(super) metadata: SharedMetadata,
    pub(super) identity: SocketIdentity,
    pub(super) waker: Waker,
}

/// Computes a job. Nothing of it is shown to anybody before it is durable.
pub(super) async fn transition(
    computation: Computation,
    job: TransitionJob<SocketIdentity, Interest>,
) -> Result<Computed<Interest>, ComputeFailure> {
    let database = &computation.state.services.database;
    let ts = database.visible_ts();
    if ts < job.at_least {
        // The session never asks for more than it was told or saw committed here.
        tracing::error!(%ts, at_least = %job.at_least, "a connection is ahead of the database");
        return Err(ComputeFailure::Close(CloseReason::InternalServerError));
    }
    let computation = &computation;
    let outcomes = futures::stream::iter(job.queries)
        .map(|query| async move {
            let query_id = query.query_id;
            computation.query(query, ts).await.map(|outcome| (query_id, outcome))
        })
        .buffered(PARALLELISM)
        .try_collect::<Vec<(QueryId, QueryOutcome<Interest>)>>()
        .await?;
    if let Err(error) = database.wait_durable(ts).await {
        // What it shows was undone; there are other results now.
        tracing::debug!(%error, "a transition cannot become durable");
        return Err(ComputeFailure::Retry);
    }
    Ok(Computed { ts, outcomes })
}

impl Computation {
    async fn query(
        &self,
        query: JobQuery<Interest>,
        ts: Timestamp,
    ) -> Result<QueryOutcome<Interest>, ComputeFailure> {
        if query.held.as_ref().is_some_and(|held| held.is_valid_through(ts)) {
            return Ok(QueryOutcome::Unchanged);
        }
        let identity = &self.identity.0.identity;
        let cache = &self.state.query_cache;
        let question = Question::new(&query.call, query.journal.as_ref(), identity);
        if let Some(shared) = cache.find(&question, identity, ts) {
            return Ok(self.cached(&query, shared, ts));
        }
        let turn = cache.turn(&question, identity);
        let _turn = turn.lock().await;
        if let Some(shared) = cache.find(&question, identity, ts) {
            return Ok(self.cached(&query, shared, ts));
        }
        self.run(&query, &question, ts).await
    }

    fn cached(&self, query: &JobQuery<Interest>, shared: Shared, ts: Timestamp) -> QueryOutcome<Interest> {
        self.state.services.functions.record_cached_query(CachedQuery {
            path: &query.call.target.path,
            component: &query.call.target.component,
            caller: &Caller::SyncWorker,
            identity: &self.identity.0.identity,
            log_lines: &shared.log_lines,
            return_bytes: shared.return_bytes,
            ts,
        });
        self.subscribed(shared.answer, shared.read_set, ts)
    }

    async fn run(
        &self,
        query: &JobQuery<Interest>,
        question: &Question,
        ts: Timestamp,
    ) -> Result<QueryOutcome<Interest>, ComputeFailure> {
        let request_id = RequestId::random();
        let call = FunctionCall {
            path: query.call.target.path.clone(),
            component: query.call.target.component.clone(),
            args: query.call.args.as_ref().to_owned(),
            identity: self.identity.0.identity.clone(),
            caller: Caller::SyncWorker,
            request_id,
            metadata: requests::with_token(&self.metadata, &self.identity),
        };
        let options = QueryOptions { at: Some(ts), journal: query.journal.as_deref().map(str::to_owned) };
        let execution = match self.state.services.functions.query(call, options).await {
            Ok(execution) => execution,
            Err(error) => return self.refused(error, request_id, query.journal.clone(), ts),
        };
        let Execution { result, log_lines, journal, read_set, observed_identity, observed_time, .. } =
            execution;
        let printed = requests::log_lines(&self.state, &log_lines);
        let journal = journal.map(Arc::from);
        match result {
            Ok(value) => {
                let answer = Arc::new(Answer::updated(&value, &printed, journal));
                let shared = Shared {
                    answer: Arc::clone(&answer),
                    log_lines: log_lines.into(),
                    return_bytes: value.len(),
                    read_set: Arc::clone(&read_set),
                    ts,
                    // Nobody has to be woken: the entry is looked at when it is asked for.
                    interest: self.interest(Arc::clone(&read_set), ts, &(Arc::new(|| {}) as Waker)),
                    observed_identity,
                    observed_time,
                };
                self.share(query, question, shared);
                Ok(self.subscribed(answer, read_set, ts))
            }
            Err(FunctionError { message, data }) => {
                let failure = requests::failure(&self.state, request_id, message, data);
                Ok(self.subscribed(Arc::new(Answer::failed(&failure, &printed, journal)), read_set, ts))
            }
        }
    }

    /// Offers a result to everybody who asks the same.
    fn share(&self, query: &JobQuery<Interest>, question: &Question, shared: Shared) {
        let identity = &self.identity.0.identity;
        let cache = &self.state.query_cache;
        let journal = shared.answer.journal();
        if journal.is_some() && journal != query.journal.as_ref() {
            // Whoever goes on from this result's journal asks for the same page.
            let continued = Question::new(&query.call, journal, identity);
            cache.keep(&continued, identity, shared.clone());
        }
        cache.keep(question, identity, shared);
    }

    /// A query that did not run: its own fault, or a reason to try everything again.
    fn refused(
        &self,
        error: CallError,
        request_id: RequestId,
        journal: Option<Arc<str>>,
        ts: Timestamp,
    ) -> Result<QueryOutcome<Interest>, ComputeFailure> {
        if matches!(error.class, ErrorClass::RateLimited | ErrorClass::Overloaded) {
            tracing::debug!(code = error.code, "queries of a connection are tried again later");
            return Err(ComputeFailure::Retry);
        }
        if let Some(reason) = requests::close_reason(&error) {
            return Err(ComputeFailure::Close(reason));
        }
        let failure = requests::failure(&self.state, request_id, error.message, None);
        let answer = Arc::new(Answer::failed(&failure, &[], journal));
        // It read nothing, so nothing but the client can change the answer.
        Ok(self.subscribed(answer, Arc::new(ReadSet::default()), ts))
    }

    fn subscribed(
        &self,
        answer: Arc<Answer>,
        read_set: Arc<ReadSet>,
        ts: Timestamp,
    ) -> QueryOutcome<Interest> {
        let subscription = self.interest(read_set, ts, &self.waker);
        QueryOutcome::Answered { answer, subscription }
    }

    fn interest(&self, read_set: Arc<ReadSet>, ts: Timestamp, waker: &Waker) -> Interest {
        let subscription = self.state.services.database.subscribe(read_set, ts, Arc::clone(waker));
        if !subscription.is_valid() {
            // Something was written since `ts`. Of that the database wakes nobody.
            waker();
        }
        Interest::new(subscription)
    }
}
