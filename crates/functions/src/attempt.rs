//! One attempt of a query or mutation: its transaction, its stack of nested calls, and what it did so far.
//!
//! An attempt never waits for another call and never repeats itself: a conflict is reported, and the lane starts a new
//! attempt.

use std::sync::Arc;

use freshet_database::Transaction;
use freshet_values::{ComponentPath, FunctionPath, Timestamp};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha12Rng;

use crate::arguments::{Placeholders, check_arguments};
use crate::call::{Caller, FunctionCall, FunctionError, RequestMetadata};
use crate::call_error::CallError;
use crate::code::{AnalysedFunction, ContextMode, FunctionKind, LiveCode};
use crate::frame::Frame;
use crate::functions::access;
use crate::host::{Invocation, LaneFailure, Outcome, SyscallError, TransactionKind};
use crate::identity::Identity;
use crate::lane::LaneClock;
use crate::lane_call::{Before, LaneCall, LaneCallKind, LaneReply, Replay};
use crate::log::{LogBuffer, LogLine};
use crate::own_transaction::{begin, begin_query, table_names};
use crate::request_id::RequestId;
use crate::resolve::{resolve, resolve_job};
use crate::services::{FunctionsSettings, Services};
use crate::syscalls::schedule::{self, Cancellation};
use crate::syscalls::{self, Fault, metadata};
use crate::variables;

/// What came of starting a call.
pub(crate) enum Started {
    Run(Box<Attempt>, Invocation),
    /// There is nothing to run: this is the answer.
    Done(LaneReply),
}

/// What came of ending a call.
pub(crate) enum Verdict {
    Done(LaneReply),
    /// Start over.
    Conflict,
}

/// One attempt of a query or mutation.
pub(crate) struct Attempt {
    pub(crate) services: Arc<Services>,
    pub(crate) transaction: Transaction,
    pub(crate) code: Arc<LiveCode>,
    /// The top-level call and the nested ones inside it.
    pub(crate) frames: Vec<Frame>,
    pub(crate) logs: LogBuffer,
    /// Where `seeds` began.
    pub(crate) seed: [u8; 32],
    seeds: ChaCha12Rng,
    /// Whether every function gets a fresh context, whatever its module may have.
    is_replay: bool,
    /// Whether some function ran in a context that calls share.
    pub(crate) shared_context: bool,
    pub(crate) now_ms: f64,
    identity: Identity,
    caller: Caller,
    request_id: RequestId,
    request: RequestMetadata,
    pub(crate) started_at: Timestamp,
    pub(crate) args_bytes: usize,
    pub(crate) observed_identity: bool,
    pub(crate) observed_time: bool,
    /// A failure that user code must not see; the call ends with it whatever the host reports.
    pub(crate) fatal: Option<CallError>,
}

impl Attempt {
    /// Takes a snapshot, finds the function and checks the arguments.
    pub(crate) fn start(services: &Arc<Services>, call: &LaneCall) -> Started {
        match Self::try_start(services, call) {
            Ok(started) => started,
            Err(error) => Started::Done(Err(error)),
        }
    }

    fn try_start(services: &Arc<Services>, call: &LaneCall) -> Result<Started, CallError> {
        let mut transaction = match &call.kind {
            LaneCallKind::Query(options) => begin_query(services, options.at)?,
            LaneCallKind::Mutation(_) => {
                begin(services, call.conflicts >= services.limits.conflicts_before_exclusive)?
            }
        };
        if let LaneCallKind::Mutation(Some(guard)) = &call.kind
            && let Before::Answer(answer) = guard.before(&mut transaction)?
        {
            return Ok(Started::Done(Ok(answer.into_outcome(transaction.snapshot_ts()))));
        }
        let mut code = services.code.live_code(&mut transaction)?;
        if let Some(module) = &call.one_off {
            code = module.among(&code);
        }
        let mut attempt = Box::new(Self::new(services, transaction, code, call));
        match attempt.check_call(&call.function) {
            Ok((function, args_json)) => {
                attempt.frames[0].returns = function.returns;
                let invocation = attempt.invocation(args_json);
                Ok(Started::Run(attempt, invocation))
            }
            Err(text) => {
                let error = FunctionError { message: text + "\n", data: None };
                Ok(Started::Done(attempt.fail(call, error, LaneClock::ZERO)))
            }
        }
    }

    fn new(services: &Arc<Services>, transaction: Transaction, code: Arc<LiveCode>, call: &LaneCall) -> Self {
        let function = &call.function;
        let journal = match &call.kind {
            LaneCallKind::Query(options) => options.journal.clone(),
            LaneCallKind::Mutation(_) => None,
        };
        let top = Frame::top(function.path.clone(), call.kind.transaction_kind(), journal);
        let Replay { seed, started_at } = call.replay.unwrap_or_else(|| Replay {
            seed: services.database.randomness().bytes(),
            started_at: services.now(),
        });
        Self {
            services: services.clone(),
            transaction,
            code,
            frames: vec![top],
            logs: LogBuffer::new(services.limits.log_lines_max, services.limits.log_line_bytes_max),
            seed,
            seeds: ChaCha12Rng::from_seed(seed),
            is_replay: call.replay.is_some(),
            shared_context: false,
            now_ms: (started_at.as_nanos() / 1_000_000) as f64,
            identity: function.identity.clone(),
            caller: function.caller.clone(),
            request_id: function.request_id,
            request: function.metadata.clone(),
            started_at,
            args_bytes: 0,
            observed_identity: false,
            observed_time: false,
            fatal: None,
        }
    }

    /// The checks before a top-level call, in their documented order.
    fn check_call(&mut self, call: &FunctionCall) -> Result<(AnalysedFunction, String), String> {
        let kind = function_kind(self.frames[0].kind);
        let function = match call.caller {
            Caller::Scheduler { .. } | Caller::Cron => {
                let function = resolve_job(&self.code, &call.path)?;
                if function.kind != kind {
                    return Err(format!(
                        "Function \"{}\" is registered as a {} but is being run as a {}.",
                        call.path,
                        function.kind.word(),
                        kind.word()
                    ));
                }
                function
            }
            _ => resolve(&self.code, &call.path, &call.component, kind, access(call))?,
        };
        if let Some(refusal) = self.services.quarantine.refusal(&call.path) {
            return Err(refusal);
        }
        let arguments = check_arguments(
            &call.path,
            &call.args,
            &function.args,
            &table_names(&self.transaction),
            self.services.limits.args_bytes_max,
            Placeholders::Refused,
        )?;
        self.args_bytes = arguments.bytes;
        Ok((function.clone(), arguments.json))
    }

    /// What the host has to run for the innermost frame.
    fn invocation(&mut self, args_json: String) -> Invocation {
        let mut seed = [0; 32];
        self.seeds.fill_bytes(&mut seed);
        let frame = self.frame();
        let context = match self.code.modules.get(frame.path.module()) {
            Some(module) if !self.is_replay => module.context,
            _ => ContextMode::Fresh,
        };
        let invocation = Invocation {
            kind: frame.kind,
            module_path: frame.path.module().to_owned(),
            export_name: frame.path.function().to_owned(),
            args_json,
            seed,
            now_ms: self.now_ms,
            code: self.code.package.clone(),
            context,
        };
        self.shared_context |= context != ContextMode::Fresh;
        invocation
    }

    /// The innermost running function.
    pub(crate) fn frame(&self) -> &Frame {
        self.frames.last().expect("the top-level frame stays until the attempt ends")
    }

    /// The transaction and the innermost frame.
    pub(crate) fn parts_mut(&mut self) -> (&mut Transaction, &mut Frame) {
        let frame = self.frames.last_mut().expect("the top-level frame stays until the attempt ends");
        (&mut self.transaction, frame)
    }

    pub(crate) fn kind(&self) -> TransactionKind {
        self.frame().kind
    }

    pub(crate) fn path(&self) -> &FunctionPath {
        &self.frame().path
    }

    pub(crate) fn code(&self) -> &LiveCode {
        &self.code
    }

    pub(crate) fn settings(&self) -> &FunctionsSettings {
        &self.services.settings
    }

    pub(crate) fn request_metadata(&self) -> String {
        metadata::request(self.request_id, &self.request, self.caller.scheduled_job())
    }

    pub(crate) fn user_identity(&mut self) -> Result<String, Fault> {
        self.observed_identity = true;
        metadata::user_identity(&self.identity)
    }

    pub(crate) fn snapshot_ts_json(&mut self) -> String {
        self.observed_time = true;
        freshet_values::Value::Int64(self.transaction.snapshot_ts().as_i64()).to_json_string()
    }

    pub(crate) fn schedule(&mut self, args: &str) -> Result<String, Fault> {
        let parent = self.caller.scheduled_job();
        schedule::schedule(&mut self.transaction, &self.code, args, parent, self.now_ms, &self.services)
    }

    /// A host call on files, which gets the call's frozen clock in milliseconds.
    pub(crate) fn storage(
        &mut self,
        work: impl FnOnce(&Services, &mut Transaction, f64) -> Result<String, Fault>,
    ) -> Result<String, Fault> {
        work(&self.services, &mut self.transaction, self.now_ms)
    }

    pub(crate) fn cancel_job(&mut self, args: &str) -> Result<String, Fault> {
        let own_job = match &self.caller {
            Caller::Scheduler { job_id } => Some(job_id.as_str()),
            _ => None,
        };
        let cancellation = schedule::cancel(&mut self.transaction, args, own_job, self.now_ms)?;
        if cancellation == Cancellation::IsItself {
            let text = "A mutation cannot cancel itself".to_owned();
            if self.code.refuses_self_cancel {
                return Err(Fault::developer(text));
            }
            let now_ms = self.services.now_ms();
            self.logs.push_warning(LogLine::warning("ScheduledFunctionCancelingItself", text, now_ms));
        }
        Ok("null".into())
    }

    /// Carries out one host call.
    pub(crate) fn syscall(&mut self, op: &str, args: &str) -> Result<String, SyscallError> {
        self.guarded(|attempt| syscalls::dispatch(attempt, op, args))
    }

    /// Carries out one synchronous host call.
    pub(crate) fn sync_syscall(&mut self, op: &str, args: &str) -> Result<String, SyscallError> {
        self.guarded(|attempt| {
            if syscalls::is_sync(op) {
                syscalls::dispatch(attempt, op, args)
            } else {
                Err(syscalls::unknown_sync(op))
            }
        })
    }

    /// Starts a nested call.
    pub(crate) fn begin_nested(&mut self, args: &str) -> Result<Invocation, SyscallError> {
        self.guarded(|attempt| {
            let args_json = crate::nested::begin(attempt, args)?;
            Ok(attempt.invocation(args_json))
        })
    }

    /// Ends the innermost nested call.
    pub(crate) fn end_nested(&mut self, outcome: Outcome) -> Result<String, SyscallError> {
        self.guarded(|attempt| crate::nested::end(attempt, outcome))
    }

    /// Reads one environment variable.
    pub(crate) fn env(&mut self, name: &str) -> Result<Option<String>, SyscallError> {
        self.guarded(|attempt| {
            let services = attempt.services.clone();
            variables::one(&mut attempt.transaction, name, &services.settings)
        })
    }

    pub(crate) fn log(&mut self, mut line: LogLine) {
        if self.frames.len() > 1 {
            line.nested_in = Some(self.path().stripped());
        }
        self.logs.push(line);
    }

    pub(crate) fn observe_time(&mut self) {
        self.observed_time = true;
    }

    /// Ends the attempt with what the host reports.
    pub(crate) fn finish(self: Box<Self>, call: &LaneCall, outcome: Outcome, clock: LaneClock) -> Verdict {
        crate::settle::finish(*self, call, outcome, clock)
    }

    /// Ends the attempt without an outcome.
    pub(crate) fn abandon(
        self: Box<Self>,
        call: &LaneCall,
        failure: LaneFailure,
        clock: LaneClock,
    ) -> Verdict {
        let limits = &self.services.limits;
        let text = match failure {
            LaneFailure::UserTimeout => format!(
                "Function execution timed out (maximum duration: {}s)",
                limits.user_time_max.as_secs_f64()
            ),
            LaneFailure::SystemTimeout => {
                "Your request timed out performing too many system operations.".to_owned()
            }
            LaneFailure::OutOfMemory => format!(
                "JavaScript execution ran out of memory (maximum memory usage: {} MB)",
                limits.function_memory_mib_max
            ),
            LaneFailure::Crashed => {
                return Verdict::Done(Err(CallError::internal(&"a lane died while it ran a function")));
            }
        };
        let error = FunctionError { message: text + "\n", data: None };
        Verdict::Done(self.fail(call, error, clock))
    }

    /// Runs one host call. After a failure that user code must not see, every further one fails as well.
    fn guarded<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, SyscallError> {
        let ended =
            |error: &CallError| SyscallError { message: error.message.clone(), data: None, catchable: false };
        if let Some(error) = &self.fatal {
            return Err(ended(error));
        }
        run(self).map_err(|fault| match fault {
            Fault::Developer { message, data } => SyscallError { message, data, catchable: true },
            Fault::System(error) => {
                let failure = ended(&error);
                self.fatal = Some(error);
                failure
            }
        })
    }

    fn fail(self: Box<Self>, call: &LaneCall, error: FunctionError, clock: LaneClock) -> LaneReply {
        crate::settle::fail(*self, call, error, clock)
    }
}

/// The kind of function that runs in such a transaction.
pub(crate) fn function_kind(kind: TransactionKind) -> FunctionKind {
    match kind {
        TransactionKind::Query => FunctionKind::Query,
        TransactionKind::Mutation => FunctionKind::Mutation,
    }
}

/// Nested calls stay within the app.
pub(crate) fn app() -> ComponentPath {
    ComponentPath::root()
}
