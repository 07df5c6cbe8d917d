//! The audit of shared contexts: queries that ran in one are run again in a fresh one, and have to come out the same.
//!
//! It checks the analysis that decides which modules may share a context, and the protection of shared contexts, against
//! reality. A query and its repetition have the same snapshot, clock and randomness, so that nothing but what earlier
//! calls left behind can make a difference. Clients notice nothing.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::call::{FunctionCall, QueryOptions, QueryOutcome};
use crate::lane_call::{LaneCall, LaneCallKind, LaneOutcome, Replay};
use crate::lane_queue::LaneQueue;
use crate::services::Services;

/// Finished queries that wait for their repetition; while there are so many, others are not repeated.
const WAITING_MAX: usize = 16;
/// Characters of a result in the log.
const SHOWN_MAX: usize = 200;

/// Where lanes offer what they have run.
pub(crate) struct Audit {
    finished: mpsc::Sender<Finished>,
}

/// A query that ran in a shared context.
struct Finished {
    function: FunctionCall,
    options: QueryOptions,
    outcome: QueryOutcome,
    replay: Replay,
}

impl Audit {
    /// Has a query repeated, if there is time for it.
    pub(crate) fn offer(&self, call: &LaneCall, outcome: &QueryOutcome, replay: Replay) {
        let LaneCallKind::Query(options) = &call.kind else { return };
        let Ok(place) = self.finished.try_reserve() else { return };
        let options = QueryOptions { at: Some(outcome.ts), ..options.clone() };
        place.send(Finished { function: call.function.clone(), options, outcome: outcome.clone(), replay });
    }
}

/// Starts to audit. Does nothing when that has begun before.
pub(crate) fn start(services: &Arc<Services>, queue: LaneQueue) {
    let (finished, mut waiting) = mpsc::channel::<Finished>(WAITING_MAX);
    if services.audit.set(Audit { finished }).is_err() {
        return;
    }
    tokio::spawn(async move {
        let (mut repeated, mut differing) = (0_u64, 0_u64);
        while let Some(Finished { function, options, outcome, replay }) = waiting.recv().await {
            let name = function.path.stripped();
            match queue.run(LaneCall::replay(function, options, replay)).await {
                Ok(LaneOutcome::Query(fresh)) => {
                    repeated += 1;
                    if let Some(difference) = difference(&outcome, &fresh) {
                        tracing::warn!(
                            "audit: the query {name} depends on what earlier calls left behind: {difference}"
                        );
                        differing += 1;
                    }
                    // Ever more rarely: the log shows that it works, and stays short.
                    if repeated == 10_u64.pow(repeated.ilog10()) {
                        tracing::info!(
                            "audit: {repeated} queries were run again, {differing} came out differently"
                        );
                    }
                }
                Ok(LaneOutcome::Mutation { .. }) => {}
                // The server is closing or too busy: no time for audits.
                Err(error) => tracing::debug!(%error, "a query was not repeated"),
            }
        }
    });
}

/// How the two runs differ.
fn difference(shared: &QueryOutcome, fresh: &QueryOutcome) -> Option<String> {
    if shared.result != fresh.result {
        return Some(format!(
            "it gave {} in a shared context and {} in a fresh one",
            shown(shared),
            shown(fresh)
        ));
    }
    if shared.read_set != fresh.read_set {
        return Some(
            "it gave the same result but read other data in a shared context than in a fresh one".into(),
        );
    }
    None
}

fn shown(outcome: &QueryOutcome) -> String {
    let text = match &outcome.result {
        Ok(json) => json,
        Err(error) => &error.message,
    };
    let mut shown: String = text.trim_end().chars().take(SHOWN_MAX).collect();
    if shown.len() < text.trim_end().len() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use freshet_database::ReadSet;
    use freshet_values::Timestamp;

    use super::*;

    fn outcome(result: &str) -> QueryOutcome {
        QueryOutcome {
            result: Ok(result.to_owned()),
            log_lines: Vec::new(),
            journal: None,
            ts: Timestamp::ZERO,
            read_set: Arc::new(ReadSet::new()),
            observed_identity: false,
            observed_time: false,
        }
    }

    #[test]
    fn equal_runs_are_not_reported() {
        assert_eq!(difference(&outcome("1"), &outcome("1")), None);
    }

    #[test]
    fn long_results_are_cut() {
        let long = "x".repeat(1000);
        let text = difference(&outcome(&long), &outcome("2")).unwrap();
        assert!(
            text.starts_with("it gave xxx") && text.contains("x... in a shared context and 2 in a fresh one")
        );
        assert!(text.len() < 400);
    }
}
