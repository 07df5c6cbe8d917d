//! From a question to an answer: the cache, or one execution for all who wait.

use std::sync::Arc;

use freshet_functions::{
    CachedQuery, CallError, FunctionError, QueryOptions, QueryOutcome as Execution, RequestId,
};
use freshet_sync::Answer;
use freshet_values::Timestamp;

use super::cache::{Found, Shared};
use super::question::{Asker, Question};
use super::refresh;
use super::watch::Watch;
use crate::state::State;
use crate::sync::printing;

/// Attempts to find an answer at the newest moment before one is computed alone.
const MOVES_MAX: u32 = 8;

/// Why there is no answer at the moment that was asked for.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The call could not be run; the id is in the server's log.
    Call(CallError, RequestId),
    /// There is an answer, but of a later moment: ask for that.
    Passed,
}

/// An answer.
pub(crate) struct Answered {
    /// What it is.
    pub(crate) shared: Shared,
    /// Whether nothing ran for it.
    pub(crate) reused: bool,
}

/// The answer at `ts`. `may_move`: whether the caller could as well ask at a later moment.
///
/// # Errors
/// [`Refusal`]; `Passed` only if it may move.
pub(crate) async fn answer(
    state: &Arc<State>,
    question: &Question,
    asker: &Asker,
    ts: Timestamp,
    may_move: bool,
) -> Result<Answered, Refusal> {
    let cache = &state.query_cache;
    let identity = &asker.visitor.identity;
    let look = || match cache.find(question, identity, ts) {
        Found::Good(shared) => Some(Ok(Answered { shared, reused: true })),
        Found::Later if may_move => Some(Err(Refusal::Passed)),
        Found::Later | Found::Nothing => None,
    };
    if let Some(found) = look() {
        cache.count(found.is_ok());
        return found;
    }
    let turn = cache.turn(question, identity);
    let _turn = turn.lock().await;
    if let Some(found) = look() {
        cache.count(found.is_ok());
        return found;
    }
    cache.count(false);
    run(state, question, asker, ts).await
}

/// The answer as of now.
///
/// # Errors
/// When the call could not be run.
pub(crate) async fn newest(
    state: &Arc<State>,
    question: &Question,
    asker: &Asker,
) -> Result<Answered, CallError> {
    for left in (0..MOVES_MAX).rev() {
        let ts = state.services.database.visible_ts();
        match answer(state, question, asker, ts, left > 0).await {
            Ok(answered) => return Ok(answered),
            Err(Refusal::Call(error, _)) => return Err(error),
            Err(Refusal::Passed) => {}
        }
    }
    Err(CallError::internal(&"the last attempt to answer a query cannot be passed"))
}

/// An answer of the moment `since` or a later one, for whom it need not be of now. Of many who ask for that under a stream of
/// changes, one runs the query, and the others take what it got.
///
/// # Errors
/// When the call could not be run.
pub(super) async fn since(
    state: &Arc<State>,
    question: &Question,
    asker: &Asker,
    since: Timestamp,
) -> Result<Answered, CallError> {
    let cache = &state.query_cache;
    let identity = &asker.visitor.identity;
    let look = || cache.newest(question, identity).filter(|shared| shared.ts >= since);
    if let Some(shared) = look() {
        return Ok(Answered { shared, reused: true });
    }
    let turn = cache.turn(question, identity);
    let _turn = turn.lock().await;
    if let Some(shared) = look() {
        return Ok(Answered { shared, reused: true });
    }
    cache.count(false);
    let ts = state.services.database.visible_ts();
    match run(state, question, asker, ts).await {
        Ok(answered) => Ok(answered),
        Err(Refusal::Call(error, _)) => Err(error),
        Err(Refusal::Passed) => Err(CallError::internal(&"a query that runs cannot be passed")),
    }
}

/// Tells the log stream that an answer was given again.
pub(crate) fn record(state: &State, question: &Question, asker: &Asker, shared: &Shared, ts: Timestamp) {
    state.services.functions.record_cached_query(CachedQuery {
        path: question.path(),
        component: question.component(),
        caller: &asker.caller,
        identity: &asker.visitor.identity,
        log_lines: &shared.log_lines,
        return_bytes: shared.return_bytes,
        ts,
    });
}

async fn run(
    state: &Arc<State>,
    question: &Question,
    asker: &Asker,
    ts: Timestamp,
) -> Result<Answered, Refusal> {
    let request_id = asker.request_id.unwrap_or_else(RequestId::random);
    let journal = question.journal().map(|journal| journal.as_ref().to_owned());
    let options = QueryOptions { at: Some(ts), journal };
    let execution = state.services.functions.query(question.call(asker, request_id), options).await;
    let execution = execution.map_err(|error| Refusal::Call(error, request_id))?;
    let Execution { result, log_lines, journal, read_set, observed_identity, observed_time, ts } = execution;
    let printed = printing::log_lines(state, &log_lines);
    let journal: Option<Arc<str>> = journal.map(Arc::from);
    let (answer, return_bytes, failure) = match result {
        Ok(value) => (Answer::updated(&value, &printed, journal.clone()), value.len(), None),
        Err(error) => {
            let FunctionError { message, data } = error.clone();
            let failure = printing::failure(state, request_id, message, data);
            (Answer::failed(&failure, &printed, journal.clone()), 0, Some(Arc::new(error)))
        }
    };
    // Whoever goes on from this answer asks with its journal: for the same page, or anew after a failure.
    let continued = question.continued(journal.as_ref());
    let start_refresh = refresh::starter(state, &continued, asker);
    let shared = Shared {
        answer: Arc::new(answer),
        failure,
        log_lines: log_lines.into(),
        return_bytes,
        request_id,
        watch: Watch::new(&state.services.database, Arc::clone(&read_set), ts, start_refresh),
        read_set,
        ts,
        observed_identity,
        observed_time,
    };
    let identity = &asker.visitor.identity;
    if journal.is_some() && continued != *question {
        state.query_cache.keep(&continued, identity, shared.clone());
    }
    state.query_cache.keep(question, identity, shared.clone());
    Ok(Answered { shared, reused: false })
}
