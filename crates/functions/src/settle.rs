//! The end of a query or mutation: checking its result, committing, warning, and telling the log stream.

use std::sync::Arc;

use freshet_database::{CommitError, DatabaseError, READ_HELP, Transaction};
use freshet_values::{Timestamp, Value};

use crate::arguments::{Placeholders, check_result};
use crate::attempt::{Attempt, Verdict, function_kind};
use crate::call::{Caller, FunctionError, MutationOutcome, QueryOutcome};
use crate::call_error::CallError;
use crate::commit_watch::CommitWatch;
use crate::execution::ExecutionRecord;
use crate::host::{Environment, Outcome, TransactionKind};
use crate::lane::LaneClock;
use crate::lane_call::{LaneCall, LaneCallKind, LaneOutcome, LaneReply, MutationAnswer, Replay};
use crate::log::LogLine;
use crate::own_transaction::{commit_failure, table_names};
use crate::services::{Services, seconds};

/// Conflicts after which a mutation is given up. Not reached in practice: long before, it runs without competition.
const CONFLICTS_MAX: u32 = 64;

/// Ends an attempt with what the host reports.
pub(crate) fn finish(mut attempt: Attempt, call: &LaneCall, outcome: Outcome, clock: LaneClock) -> Verdict {
    if let Some(error) = attempt.fatal.take() {
        return Verdict::Done(Err(error));
    }
    let text = match outcome {
        Outcome::Threw(error) => {
            let error = attempt.services.stacks.function_error(&error, &attempt.code.package);
            return Verdict::Done(fail(attempt, call, error, clock));
        }
        Outcome::Returned(_) if attempt.frames.len() > 1 => {
            return Verdict::Done(Err(CallError::internal(
                &"a call returned while a nested one was running",
            )));
        }
        Outcome::Returned(text) => text,
    };
    let frame = &attempt.frames[0];
    let checked = check_result(
        &frame.path,
        &text,
        frame.returns.as_deref(),
        &table_names(&attempt.transaction),
        attempt.services.limits.result_bytes_max,
        match frame.kind {
            TransactionKind::Query => Placeholders::Refused,
            TransactionKind::Mutation => Placeholders::Allowed,
        },
    );
    match checked {
        Ok(value) => succeed(attempt, call, value, clock),
        Err(text) => {
            let error = FunctionError { message: text + "\n", data: None };
            Verdict::Done(fail(attempt, call, error, clock))
        }
    }
}

fn succeed(mut attempt: Attempt, call: &LaneCall, value: Value, clock: LaneClock) -> Verdict {
    warn_of_limits(&mut attempt, Some(value.size()));
    match &call.kind {
        LaneCallKind::Query(_) => {
            Verdict::Done(Ok(end_query(attempt, call, Ok(value.to_json_string()), clock)))
        }
        LaneCallKind::Mutation(_) => commit(attempt, call, value, clock),
    }
}

/// Ends an attempt with the function's failure: nothing is written.
pub(crate) fn fail(
    mut attempt: Attempt,
    call: &LaneCall,
    error: FunctionError,
    clock: LaneClock,
) -> LaneReply {
    warn_of_limits(&mut attempt, None);
    match &call.kind {
        LaneCallKind::Query(_) => Ok(end_query(attempt, call, Err(error), clock)),
        LaneCallKind::Mutation(_) => {
            let durable_at = attempt.transaction.snapshot_ts();
            let result = Err(error);
            let log_lines = conclude(attempt, call, clock).publish(&result, None);
            let outcome = MutationOutcome { result, log_lines, ts: None };
            Ok(LaneOutcome::Mutation { outcome, durable_at })
        }
    }
}

fn end_query(
    mut attempt: Attempt,
    call: &LaneCall,
    result: Result<String, FunctionError>,
    clock: LaneClock,
) -> LaneOutcome {
    // A page whose query failed keeps no boundaries.
    let journal = attempt.frames[0].journal.take().filter(|_| result.is_ok());
    let (observed_identity, observed_time) = (attempt.observed_identity, attempt.observed_time);
    let ts = attempt.transaction.snapshot_ts();
    let read_set = Arc::new(attempt.transaction.read_set().clone());
    let replay = Replay { seed: attempt.seed, started_at: attempt.started_at };
    let services = attempt.services.clone();
    let (is_audited, is_replay) = (attempt.shared_context, call.replay.is_some());
    let concluded = conclude(attempt, call, clock);
    let log_lines = if is_replay { Vec::new() } else { concluded.publish(&result, Some(ts)) };
    let outcome = QueryOutcome { result, log_lines, journal, ts, read_set, observed_identity, observed_time };
    if is_audited && let Some(audit) = services.audit.get() {
        audit.offer(call, &outcome, replay);
    }
    LaneOutcome::Query(outcome)
}

fn commit(mut attempt: Attempt, call: &LaneCall, mut value: Value, clock: LaneClock) -> Verdict {
    if let LaneCallKind::Mutation(Some(guard)) = &call.kind {
        let result_json = value.to_json_string();
        if let Err(error) = guard.after(&mut attempt.transaction, &result_json, attempt.logs.lines()) {
            return Verdict::Done(Err(error));
        }
    }
    let snapshot_ts = attempt.transaction.snapshot_ts();
    let mut concluded = conclude(attempt, call, clock);
    let outcome = match concluded.commit(&call.watch) {
        Ok(ts) => {
            value.resolve_commit_ts(ts);
            let result = Ok(value.to_json_string());
            MutationOutcome { log_lines: concluded.publish(&result, Some(ts)), result, ts: Some(ts) }
        }
        Err(CommitError::Conflict { .. }) if call.conflicts < CONFLICTS_MAX => return Verdict::Conflict,
        Err(CommitError::Database(DatabaseError::Developer(error))) => {
            let result = Err(FunctionError { message: format!("{error}\n"), data: error.data });
            MutationOutcome { log_lines: concluded.publish(&result, None), result, ts: None }
        }
        Err(error) => return Verdict::Done(Err(commit_failure(error))),
    };
    let durable_at = outcome.ts.unwrap_or(snapshot_ts);
    Verdict::Done(Ok(LaneOutcome::Mutation { outcome, durable_at }))
}

/// What is left of an attempt when its function is over.
struct Concluded {
    services: Arc<Services>,
    transaction: Option<Transaction>,
    record: ExecutionRecord,
}

impl Concluded {
    fn commit(&mut self, watch: &CommitWatch) -> Result<Timestamp, CommitError> {
        let transaction = self.transaction.take().expect("an attempt commits at most once");
        watch.around(|| self.services.database.commit(transaction).map(|commit| commit.ts))
    }

    /// Tells the log stream, and hands over the console lines.
    fn publish(mut self, result: &Result<String, FunctionError>, ts: Option<Timestamp>) -> Vec<LogLine> {
        let log_lines = self.record.log_lines.clone();
        match result {
            Ok(text) => self.record.return_bytes = Some(text.len()),
            Err(error) => self.record.error = Some(error.message.clone()),
        }
        self.record.ts = ts;
        self.services.completed(self.record);
        log_lines
    }
}

fn conclude(attempt: Attempt, call: &LaneCall, clock: LaneClock) -> Concluded {
    let function = &call.function;
    let parent_execution_id = match &function.caller {
        Caller::Action { parent_execution_id, .. } => Some(parent_execution_id.clone()),
        _ => None,
    };
    let record = ExecutionRecord {
        kind: function_kind(call.kind.transaction_kind()),
        component: function.component.clone(),
        identifier: function.path.stripped(),
        log_lines: attempt.logs.into_lines(),
        finished_at_s: seconds(attempt.services.now()),
        started_at_s: seconds(attempt.started_at),
        execution_time_s: clock.total.as_secs_f64(),
        user_execution_time_s: clock.user.as_secs_f64(),
        cached_result: false,
        caller: function.caller.log_name(),
        parent_execution_id,
        http_status: None,
        error: None,
        request_id: function.request_id,
        execution_id: uuid::Uuid::new_v4().to_string(),
        return_bytes: None,
        conflicts: call.conflicts,
        identity_type: function.identity.log_name(),
        environment: Environment::Isolate,
        ts: None,
        usage: attempt.transaction.usage(),
        is_declared: attempt.code.functions.contains_key(&function.path),
    };
    Concluded { services: attempt.services, transaction: Some(attempt.transaction), record }
}

/// Adds a warning for every limit of which more than 80 % was used.
fn warn_of_limits(attempt: &mut Attempt, result_bytes: Option<usize>) {
    let transaction = &attempt.transaction;
    let (usage, limits) = (transaction.usage(), *transaction.limits());
    let call_limits = &attempt.services.limits;
    let within = " in a single function execution";
    let counts = [
        ("TooManyDocumentsRead", "Many documents read", within, usage.documents_read, limits.documents_read),
        ("TooManyReads", "Many reads", within, usage.intervals_read, limits.intervals_read),
        ("TooManyWrites", "Many writes", within, usage.documents_written, limits.documents_written),
        (
            "TooManyFunctionsScheduled",
            "Many functions scheduled",
            " by this mutation",
            usage.functions_scheduled,
            limits.functions_scheduled,
        ),
    ];
    let bytes = [
        ("TooManyBytesRead", "Many bytes read", within, usage.bytes_read, limits.bytes_read),
        ("TooManyBytesWritten", "Many bytes written", within, usage.bytes_written, limits.bytes_written),
        (
            "ScheduledFunctionsArgumentsTooLarge",
            "Large total size of the arguments of scheduled functions",
            " from this mutation",
            usage.scheduled_args_bytes,
            limits.scheduled_args_bytes,
        ),
        (
            "TooLargeFunctionArguments",
            "Large size of the function arguments",
            "",
            attempt.args_bytes as u64,
            call_limits.args_bytes_max as u64,
        ),
        (
            "TooLargeFunctionResult",
            "Large size of the function return value",
            "",
            result_bytes.unwrap_or(0) as u64,
            call_limits.result_bytes_max as u64,
        ),
    ];
    let near = |used: u64, limit: u64| used as f64 > 0.8 * limit as f64;
    let is_read = |code: &str| matches!(code, "TooManyDocumentsRead" | "TooManyReads" | "TooManyBytesRead");
    let now_ms = attempt.services.now_ms();
    let counts = counts.map(|warning| (warning, ""));
    let bytes = bytes.map(|warning| (warning, " bytes"));
    for ((code, what, place, used, limit), unit) in counts.into_iter().chain(bytes) {
        if near(used, limit) {
            let mut text = format!("{what}{place} (actual: {used}{unit}, limit: {limit}{unit}).");
            if is_read(code) {
                text = format!("{text} {READ_HELP}");
            }
            attempt.logs.push_warning(LogLine::warning(code, text, now_ms));
        }
    }
}

impl MutationAnswer {
    /// The answer as an outcome; a failure to be shown when what it was read from is durable.
    pub(crate) fn into_outcome(self, read_at: Timestamp) -> LaneOutcome {
        let durable_at = self.ts.unwrap_or(read_at);
        let outcome = MutationOutcome { result: self.result, log_lines: self.log_lines, ts: self.ts };
        LaneOutcome::Mutation { outcome, durable_at }
    }
}
