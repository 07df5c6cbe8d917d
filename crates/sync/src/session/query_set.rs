//! The queries of one connection: what the client has asked for, what it has been shown, and what is owed to it.
//!
//! Changes that arrive while a Transition is being computed wait in `pending`, so that the computed set stands still.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use super::effect::{Computed, JobQuery, QueryCall, QueryOutcome, Subscription};
use crate::answer::{Answer, Digest};
use crate::limits;
use crate::message::client::{Call, ModifyQuerySet, QueryId, QuerySetModification, TargetError};
use crate::message::server::Modification;

pub(super) struct QuerySet<S> {
    /// Highest version received; its changes may still wait in `pending`.
    received_version: u32,
    /// Ids in the set at `received_version`.
    received_ids: BTreeSet<QueryId>,
    /// Changes received and not yet applied to `queries`.
    pending: Vec<QuerySetModification>,
    /// The set as the next or current computation sees it.
    queries: BTreeMap<QueryId, Query<S>>,
    /// Queries that left `queries` since the last Transition sent.
    removed: BTreeSet<QueryId>,
    /// Bytes held by `pending` and `queries`.
    bytes: usize,
}

struct Query<S> {
    source: Source<S>,
    /// Journal for the next run.
    journal: Option<Arc<str>>,
    /// What the client has been shown on this connection; `None` while the query is loading.
    shown: Option<Digest>,
    /// What it counts for in `QuerySet::bytes`, until it is dropped.
    bytes: usize,
}

enum Source<S> {
    /// A function to run, and the last run's result if there is one.
    Function { call: Arc<QueryCall>, held: Option<Held<S>> },
    /// A path that names no function: it has one answer for ever.
    Broken(Arc<Answer>),
}

struct Held<S> {
    subscription: S,
    /// For which caller it was computed.
    caller_epoch: u64,
}

/// Why a `ModifyQuerySet` cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuerySetError {
    /// The client's idea of its query set is not ours.
    Violation,
    /// The set has become too large.
    TooLarge,
}

/// The results of a computation do not fit the computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inconsistent;

impl<S> Default for QuerySet<S> {
    fn default() -> Self {
        Self {
            received_version: 0,
            received_ids: BTreeSet::new(),
            pending: Vec::new(),
            queries: BTreeMap::new(),
            removed: BTreeSet::new(),
            bytes: 0,
        }
    }
}

impl<S: Subscription> QuerySet<S> {
    pub(super) fn received_version(&self) -> u32 {
        self.received_version
    }

    /// Accepts a step, to be applied when the next computation starts.
    pub(super) fn receive(&mut self, step: ModifyQuerySet) -> Result<(), QuerySetError> {
        if step.base_version != self.received_version || step.new_version <= step.base_version {
            return Err(QuerySetError::Violation);
        }
        if self.pending.len() + step.modifications.len() > limits::PENDING_MODIFICATIONS_MAX {
            return Err(QuerySetError::TooLarge);
        }
        for modification in &step.modifications {
            let fits = match modification {
                QuerySetModification::Add { query_id, call, journal } => {
                    self.bytes += query_bytes(call, journal.as_deref());
                    self.received_ids.insert(*query_id)
                }
                QuerySetModification::Remove { query_id } => self.received_ids.remove(query_id),
            };
            if !fits {
                return Err(QuerySetError::Violation);
            }
        }
        if self.received_ids.len() > limits::QUERIES_MAX || self.bytes > limits::QUERY_BYTES_MAX {
            return Err(QuerySetError::TooLarge);
        }
        self.pending.extend(step.modifications);
        self.received_version = step.new_version;
        Ok(())
    }

    /// Applies what is pending. `explain` makes the answer of a query whose path names no function.
    pub(super) fn apply_pending(&mut self, mut explain: impl FnMut(&TargetError) -> Answer) {
        for modification in mem::take(&mut self.pending) {
            match modification {
                QuerySetModification::Add { query_id, call, journal } => {
                    let bytes = query_bytes(&call, journal.as_deref());
                    let source = match call.target {
                        Ok(target) => Source::Function {
                            call: Arc::new(QueryCall { target, args: call.args }),
                            held: None,
                        },
                        Err(error) => Source::Broken(Arc::new(explain(&error))),
                    };
                    self.removed.remove(&query_id);
                    self.queries.insert(query_id, Query { source, journal, shown: None, bytes });
                }
                QuerySetModification::Remove { query_id } => {
                    if let Some(query) = self.queries.remove(&query_id) {
                        self.bytes -= query.bytes;
                    }
                    self.removed.insert(query_id);
                }
            }
        }
    }

    /// Whether a commit has changed what some query read.
    pub(super) fn has_invalid(&self) -> bool {
        self.queries.values().any(|query| match &query.source {
            Source::Function { held: Some(held), .. } => !held.subscription.is_valid(),
            _ => false,
        })
    }

    /// The queries to compute for the caller `caller_epoch`, in ascending order.
    pub(super) fn job(&self, caller_epoch: u64) -> Vec<JobQuery<S>> {
        let jobs = self.queries.iter().filter_map(|(query_id, query)| match &query.source {
            Source::Broken(_) => None,
            Source::Function { call, held } => {
                let held = held
                    .as_ref()
                    .filter(|held| held.caller_epoch == caller_epoch && held.subscription.is_valid());
                Some(JobQuery {
                    query_id: *query_id,
                    call: call.clone(),
                    journal: query.journal.clone(),
                    held: held.map(|held| held.subscription.clone()),
                    is_new: query.shown.is_none(),
                })
            }
        });
        jobs.collect()
    }

    /// Whether some query that the client already sees a result of could not run: then the set has no common state.
    pub(super) fn lacks_shown(&self, computed: &Computed<S>) -> bool {
        computed.outcomes.iter().any(|(query_id, outcome)| {
            matches!(outcome, QueryOutcome::Unavailable)
                && self.queries.get(query_id).is_some_and(|query| query.shown.is_some())
        })
    }

    /// Takes the results of a computation over `offered` and returns what the client has to be told, in ascending order.
    pub(super) fn absorb(
        &mut self,
        offered: &[Offered],
        caller_epoch: u64,
        outcomes: Vec<(QueryId, QueryOutcome<S>)>,
    ) -> Result<Changes, Inconsistent> {
        if outcomes.len() != offered.len() {
            return Err(Inconsistent);
        }
        let mut changes = Changes::default();
        for (offered, (query_id, outcome)) in offered.iter().zip(outcomes) {
            let Some(Query { source: Source::Function { held, .. }, journal, shown, .. }) =
                self.queries.get_mut(&query_id).filter(|_| offered.query_id == query_id)
            else {
                return Err(Inconsistent);
            };
            match outcome {
                QueryOutcome::Unchanged if offered.held => {}
                QueryOutcome::Unchanged => return Err(Inconsistent),
                QueryOutcome::Unavailable => {
                    *held = None;
                    changes.has_unavailable = true;
                }
                QueryOutcome::Answered { answer, subscription } => {
                    // A commit may have come in before this subscription was known here, and with it the wake-up.
                    changes.has_invalid |= !subscription.is_valid();
                    *held = Some(Held { subscription, caller_epoch });
                    *journal = answer.journal().cloned();
                    if *shown != Some(answer.digest()) {
                        *shown = Some(answer.digest());
                        changes.modifications.insert(query_id, Some(answer));
                    }
                }
            }
        }
        for (query_id, query) in &mut self.queries {
            if let Source::Broken(answer) = &query.source
                && query.shown.is_none()
            {
                query.shown = Some(answer.digest());
                changes.modifications.insert(*query_id, Some(answer.clone()));
            }
        }
        for query_id in mem::take(&mut self.removed) {
            changes.modifications.insert(query_id, None);
        }
        Ok(changes)
    }
}

/// What the client has to be told after a computation.
#[derive(Default)]
pub(super) struct Changes {
    /// By query: its new answer, or `None` when it was removed.
    modifications: BTreeMap<QueryId, Option<Arc<Answer>>>,
    /// Whether a result is out of date already.
    pub(super) has_invalid: bool,
    /// Whether some queries could not run and have to be tried again.
    pub(super) has_unavailable: bool,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.modifications.is_empty()
    }

    /// In ascending order of their ids.
    pub(super) fn modifications(&self) -> Vec<Modification<'_>> {
        self.modifications
            .iter()
            .map(|(query_id, answer)| match answer {
                Some(answer) => Modification::Answered(*query_id, answer),
                None => Modification::Removed(*query_id),
            })
            .collect()
    }
}

/// What a job offered for one query; kept to check the results against it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offered {
    pub(super) query_id: QueryId,
    pub(super) held: bool,
}

impl Offered {
    pub(super) fn of<S>(query: &JobQuery<S>) -> Self {
        Self { query_id: query.query_id, held: query.held.is_some() }
    }
}

/// Counts what grows with the client's input, and something for the entry itself.
fn query_bytes(call: &Call, journal: Option<&str>) -> usize {
    let path = call.target.as_ref().map_or(0, |target| target.path.to_string().len());
    256 + path + call.args.len() + journal.map_or(0, str::len)
}
