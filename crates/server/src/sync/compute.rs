//! Bringing a connection's queries up to date, all at one timestamp.

use std::sync::Arc;

use freshet_database::{ReadSet, Waker};
use freshet_functions::{CallError, ErrorClass, RequestId};
use freshet_sync::message::client::QueryId;
use freshet_sync::session::{ComputeFailure, Computed, JobQuery, QueryOutcome, TransitionJob};
use freshet_sync::{Answer, CloseReason};
use freshet_values::Timestamp;
use futures::{StreamExt, TryStreamExt};

use super::identity::SocketIdentity;
use super::{printing, requests};
use crate::queries::{self, Answered, Asker, Interest, Question, Refusal, Shared, Watch};
use crate::state::State;

/// Queries of one connection that run at the same time.
const PARALLELISM: usize = 20;
/// How often a computation begins again because an answer was of a later moment than it.
const MOVES_MAX: u32 = 8;

/// Everything that the queries of one computation share.
#[derive(Clone)]
pub(super) struct Computation {
    pub(super) state: Arc<State>,
    pub(super) asker: Asker,
    pub(super) waker: Waker,
}

/// Why a computation stops before its end.
enum Stop {
    Failed(ComputeFailure),
    /// Begin again at a later moment.
    Move,
}

impl Computation {
    /// The results of a job if all of them are known already, without waiting for anything. This is how a change reaches
    /// many: its result is there before they are told, and each of them only has to pick it up.
    pub(super) fn at_once(
        &self,
        job: &TransitionJob<SocketIdentity, Interest>,
    ) -> Option<Computed<Interest>> {
        let cache = &self.state.query_cache;
        let identity = &self.asker.visitor.identity;
        // Any moment will do at which everything is good and which is durable. The latest, to be as new as can be. A result
        // that has changed again meanwhile is still worth showing: its successor is on the way.
        let mut from = job.at_least;
        let mut until = self.state.services.database.durable_ts();
        let mut found: Vec<Option<Shared>> = Vec::with_capacity(job.queries.len());
        for query in &job.queries {
            let shared = match &query.held {
                Some(held) => {
                    (from, until) = (from.max(held.computed_at()), until.min(held.valid_until()));
                    None
                }
                None => {
                    let shared = cache.newest(&self.question(query), identity)?;
                    // One that has changed again is news only for who has an older one, and only while its successor
                    // is on the way.
                    let is_news = !query.is_new && shared.ts >= job.at_least && !shared.watch.is_replaced();
                    if !shared.watch.is_valid() && !is_news {
                        return None;
                    }
                    (from, until) = (from.max(shared.ts), until.min(shared.watch.valid_until()));
                    Some(shared)
                }
            };
            if from > until {
                return None;
            }
            found.push(shared);
        }
        let ts = until;
        let outcomes = job.queries.iter().zip(found).map(|(query, shared)| match shared {
            None => (query.query_id, QueryOutcome::Unchanged),
            Some(shared) => {
                cache.count(true);
                (query.query_id, self.subscribed(query, Answered { shared, reused: true }, ts))
            }
        });
        Some(Computed { ts, outcomes: outcomes.collect() })
    }

    /// Computes a job. Nothing of it is shown to anybody before it is durable.
    pub(super) async fn transition(
        &self,
        job: &TransitionJob<SocketIdentity, Interest>,
    ) -> Result<Computed<Interest>, ComputeFailure> {
        let database = &self.state.services.database;
        for left in (0..=MOVES_MAX).rev() {
            let ts = database.visible_ts();
            if ts < job.at_least {
                // The session never asks for more than it was told or saw committed here.
                tracing::error!(%ts, at_least = %job.at_least, "a connection is ahead of the database");
                return Err(ComputeFailure::Close(CloseReason::InternalServerError));
            }
            let queries: Vec<_> = job.queries.iter().map(|query| self.query(query, ts, left > 0)).collect();
            let outcomes = futures::stream::iter(queries)
                .buffered(PARALLELISM)
                .try_collect::<Vec<(QueryId, QueryOutcome<Interest>)>>()
                .await;
            let outcomes = match outcomes {
                Ok(outcomes) => outcomes,
                Err(Stop::Move) => continue,
                Err(Stop::Failed(failure)) => return Err(failure),
            };
            if let Err(error) = database.wait_durable(ts).await {
                // What it shows was undone; there are other results now.
                tracing::debug!(%error, "a transition cannot become durable");
                return Err(ComputeFailure::Retry);
            }
            return Ok(Computed { ts, outcomes });
        }
        Err(ComputeFailure::Retry)
    }

    async fn query(
        &self,
        query: &JobQuery<Interest>,
        ts: Timestamp,
        may_move: bool,
    ) -> Result<(QueryId, QueryOutcome<Interest>), Stop> {
        if query.held.as_ref().is_some_and(|held| held.is_valid_through(ts)) {
            return Ok((query.query_id, QueryOutcome::Unchanged));
        }
        let question = self.question(query);
        let outcome = match queries::answer(&self.state, &question, &self.asker, ts, may_move).await {
            Ok(answered) => self.subscribed(query, answered, ts),
            Err(Refusal::Passed) => return Err(Stop::Move),
            Err(Refusal::Call(error, request_id)) => {
                self.refused(error, request_id, query.journal.clone(), ts).map_err(Stop::Failed)?
            }
        };
        Ok((query.query_id, outcome))
    }

    fn question(&self, query: &JobQuery<Interest>) -> Question {
        let target = &query.call.target;
        let identity = &self.asker.visitor.identity;
        Question::new(&target.path, &target.component, &query.call.args, query.journal.as_ref(), identity)
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
        let failure = printing::failure(&self.state, request_id, error.message, None);
        let answer = Arc::new(Answer::failed(&failure, &[], journal));
        // It read nothing, so nothing but the client can change the answer.
        let database = &self.state.services.database;
        let watch = Watch::new(database, Arc::new(ReadSet::default()), ts, Box::new(|_, _| {}));
        let subscription = Interest::join(&watch, &self.waker);
        Ok(QueryOutcome::Answered { answer, subscription })
    }

    fn subscribed(
        &self,
        query: &JobQuery<Interest>,
        answered: Answered,
        ts: Timestamp,
    ) -> QueryOutcome<Interest> {
        let Answered { shared, reused } = answered;
        // A change that reaches many is in the log as the one execution that it was.
        if query.is_new && reused {
            queries::record(&self.state, &self.question(query), &self.asker, &shared, ts);
        }
        let subscription = Interest::join(&shared.watch, &self.waker);
        QueryOutcome::Answered { answer: shared.answer, subscription }
    }
}
