//! A query or mutation on its way through a lane.

use std::sync::Arc;

use freshet_database::Transaction;
use freshet_values::Timestamp;

use crate::call::{FunctionCall, FunctionError, MutationOutcome, QueryOptions, QueryOutcome};
use crate::call_error::CallError;
use crate::commit_watch::CommitWatch;
use crate::host::TransactionKind;
use crate::log::LogLine;
use crate::one_off::OneOffModule;

/// A call for a lane. Survives conflicts: every attempt starts from it.
pub(crate) struct LaneCall {
    pub(crate) function: FunctionCall,
    pub(crate) kind: LaneCallKind,
    /// Attempts that a conflict took back.
    pub(crate) conflicts: u32,
    /// Who follows the commit of a mutation.
    pub(crate) watch: CommitWatch,
    /// A finished query that this one repeats in a fresh context, to see whether it comes out the same.
    pub(crate) replay: Option<Replay>,
    /// A module that is not deployed, whose query this is.
    pub(crate) one_off: Option<OneOffModule>,
}

/// What a repeated query shares with the first run, besides its snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replay {
    /// From which all randomness of the call comes.
    pub(crate) seed: [u8; 32],
    /// Its clock.
    pub(crate) started_at: Timestamp,
}

impl LaneCall {
    pub(crate) fn query(function: FunctionCall, options: QueryOptions) -> Self {
        Self {
            function,
            kind: LaneCallKind::Query(options),
            conflicts: 0,
            watch: CommitWatch::default(),
            replay: None,
            one_off: None,
        }
    }

    /// A query that repeats another in a fresh context. Nobody hears of it but who asked.
    pub(crate) fn replay(function: FunctionCall, options: QueryOptions, replay: Replay) -> Self {
        Self { replay: Some(replay), ..Self::query(function, options) }
    }

    /// A query of a module that is not deployed.
    pub(crate) fn one_off(function: FunctionCall, options: QueryOptions, module: OneOffModule) -> Self {
        Self { one_off: Some(module), ..Self::query(function, options) }
    }

    pub(crate) fn mutation(
        function: FunctionCall,
        guard: Option<Arc<dyn MutationGuard>>,
        watch: CommitWatch,
    ) -> Self {
        let kind = LaneCallKind::Mutation(guard);
        Self { function, kind, conflicts: 0, watch, replay: None, one_off: None }
    }
}

/// Query or mutation, with what only one of them has.
pub(crate) enum LaneCallKind {
    Query(QueryOptions),
    Mutation(Option<Arc<dyn MutationGuard>>),
}

impl LaneCallKind {
    pub(crate) fn transaction_kind(&self) -> TransactionKind {
        match self {
            LaneCallKind::Query(_) => TransactionKind::Query,
            LaneCallKind::Mutation(_) => TransactionKind::Mutation,
        }
    }
}

/// What a lane answers.
pub(crate) type LaneReply = Result<LaneOutcome, CallError>;

/// A finished call. Not to be shown to anybody before `durable_at` is durable.
pub(crate) enum LaneOutcome {
    Query(QueryOutcome),
    Mutation {
        outcome: MutationOutcome,
        /// The commit, or for a failure the snapshot that it saw.
        durable_at: Timestamp,
    },
}

/// Work around a mutation in the mutation's own transaction. Runs anew with every attempt.
pub(crate) trait MutationGuard: Send + Sync {
    /// Before the function runs.
    fn before(&self, transaction: &mut Transaction) -> Result<Before, CallError>;

    /// After it succeeded, before the commit.
    fn after(
        &self,
        transaction: &mut Transaction,
        result_json: &str,
        log_lines: &[LogLine],
    ) -> Result<(), CallError>;
}

/// What to do after [`MutationGuard::before`].
pub(crate) enum Before {
    Run,
    /// Do not run: this is the answer.
    Answer(MutationAnswer),
}

/// An answer without running the function.
pub(crate) struct MutationAnswer {
    pub(crate) result: Result<String, FunctionError>,
    pub(crate) log_lines: Vec<LogLine>,
    /// The original commit.
    pub(crate) ts: Option<Timestamp>,
}
