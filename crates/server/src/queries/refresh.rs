//! Runs a watched query again after a change, once, before its watchers are told.

use std::sync::{Arc, Weak};

use freshet_values::Timestamp;

use super::answering;
use super::question::{Asker, Question};
use super::watch::{StartRefresh, Watchers};
use crate::state::State;

/// How the result of a question is brought up to date once it has changed.
pub(super) fn starter(state: &Arc<State>, question: &Question, asker: &Asker) -> StartRefresh {
    // Weak: the database's subscriptions, which hold this, are part of the state.
    let state = Arc::downgrade(state);
    let (question, asker) = (question.clone(), Asker { request_id: None, ..asker.clone() });
    let runtime = tokio::runtime::Handle::current();
    Box::new(move |watchers, since| {
        let told = Told(watchers);
        runtime.spawn(refresh(Weak::clone(&state), question.clone(), asker.clone(), since, told));
    })
}

async fn refresh(state: Weak<State>, question: Question, asker: Asker, since: Timestamp, told: Told) {
    let Some(state) = state.upgrade() else { return };
    let Ok(_place) = state.query_cache.refreshes().acquire().await else { return };
    let database = &state.services.database;
    match answering::since(&state, &question, &asker, since).await {
        Ok(answered) => {
            // What was undone is found out by whoever asks.
            drop(database.wait_durable(answered.shared.ts).await);
        }
        Err(error) => tracing::debug!(code = error.code, "a watched query could not be run again"),
    }
    drop(told);
}

/// Tells the watchers whatever happens: one who is not told would wait for ever.
struct Told(Arc<Watchers>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.replaced();
    }
}
