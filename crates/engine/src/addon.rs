//! What Node sees: the functions of `runtime/src/addon.ts`.
//!
//! The main thread starts and stops the engine and reports the end of lane threads. Lane threads take calls and carry
//! out host calls. Everything is synchronous, because a lane has nothing else to do meanwhile.

#![expect(clippy::needless_pass_by_value, reason = "Node-API hands over owned strings")]

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use freshet_functions::LaneNext;
use freshet_functions::host::{Invocation, JsError, Outcome, SyscallError, TransactionKind};
use freshet_functions::log::{LogLevel, LogLine};
use napi::bindgen_prelude::{Error, Function, Result, Status};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

use crate::lanes::LaneSlot;
use crate::launch::EngineConfig;
use crate::wiring::{Engine, EngineEvent};

/// The one engine of this process; every thread of it reaches the same.
static ENGINE: OnceLock<Engine> = OnceLock::new();

/// One attempt of a query or mutation.
#[napi(object, object_from_js = false)]
pub(crate) struct LaneInvocation {
    /// `query` or `mutation`.
    pub kind: &'static str,
    /// Canonical module path with `.js`.
    pub module_path: String,
    /// Name of the export.
    pub export_name: String,
    /// JSON text of an array with the arguments object.
    pub args_json: String,
    /// 32 bytes in hex.
    pub seed: String,
    /// The frozen clock in milliseconds since the Unix epoch.
    pub now_ms: f64,
    /// Names the code; equal versions are equal code.
    pub code_version: String,
    /// Seed of module evaluation, 32 bytes in hex.
    pub import_seed: String,
    /// Clock of module evaluation in milliseconds since the Unix epoch.
    pub import_time_ms: f64,
    /// `fresh`, `verified` or `reuse`.
    pub context: &'static str,
}

/// What a lane does next.
#[napi(object, object_from_js = false)]
pub(crate) struct LaneEvent {
    /// `run`, `idle` or `closed`.
    pub r#type: &'static str,
    /// What to run.
    pub invocation: Option<LaneInvocation>,
}

/// Answer to a host call.
#[napi(object, object_from_js = false)]
pub(crate) struct HostCallReply {
    /// Whether it succeeded.
    pub ok: bool,
    /// The reply, or the error's message.
    pub text: String,
    /// JSON text of a nested `ConvexError`'s data.
    pub data: Option<String>,
    /// Whether user code may see the failure.
    pub catchable: bool,
}

/// Answer to a nested call: what to run, or why not.
#[napi(object, object_from_js = false)]
pub(crate) struct NestedCall {
    /// What to run.
    pub invocation: Option<LaneInvocation>,
    /// Why not.
    pub error: Option<HostCallReply>,
}

/// Starts the engine: opens the data, listens, and returns JSON text `{lanes, report}`. `on_event` is called on the main
/// thread with JSON text when a lane's thread is to be ended.
///
/// # Errors
/// When it cannot start; the message begins with `configuration: ` when starting again would not help.
#[napi]
pub(crate) fn start_engine(
    config: String,
    runtime_dir: String,
    on_event: Function<'_, String, ()>,
) -> Result<String> {
    let config: EngineConfig = serde_json::from_str(&config).map_err(|error| {
        failure(&format!("configuration: the engine's configuration cannot be read: {error}"))
    })?;
    let events = on_event.build_threadsafe_function::<String>().build()?;
    let notify = move |event: EngineEvent| {
        let text = serde_json::to_string(&event).expect("events have string keys only");
        events.call(text, ThreadsafeFunctionCallMode::NonBlocking);
    };
    let (engine, report) = Engine::start(&config, runtime_dir.as_ref(), Box::new(notify))
        .map_err(|error| failure(&error.to_string()))?;
    let lanes = engine.lanes().len();
    if ENGINE.set(engine).is_err() {
        return Err(failure("the engine is already running in this process"));
    }
    Ok(serde_json::json!({ "lanes": lanes, "report": report }).to_string())
}

/// Ends the engine: no new calls, open ones are finished, everything is on disk afterwards.
#[napi]
pub(crate) fn stop_engine() {
    if let Some(engine) = ENGINE.get() {
        engine.stop();
    }
}

/// The thread of a lane has ended.
#[napi]
pub(crate) fn lane_exited(lane: u32, reason: String) {
    if let Some(engine) = ENGINE.get() {
        engine.lanes().thread_ended(lane, &reason);
    }
}

/// Waits up to `timeout_ms` for something to run.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_next(lane: u32, timeout_ms: u32) -> Result<LaneEvent> {
    Ok(match slot(lane)?.next(Duration::from_millis(u64::from(timeout_ms))) {
        LaneNext::Run(invocation) => LaneEvent { r#type: "run", invocation: Some(describe(invocation)) },
        LaneNext::Idle => LaneEvent { r#type: "idle", invocation: None },
        LaneNext::Closed => LaneEvent { r#type: "closed", invocation: None },
    })
}

/// Source text of a module of the running call.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_module(lane: u32, path: String) -> Result<Option<String>> {
    Ok(slot(lane)?.module(&path).map(|source| source.to_string()))
}

/// Carries out an asynchronous host call.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_syscall(lane: u32, op: String, args: String) -> Result<HostCallReply> {
    Ok(reply(slot(lane)?.lane.syscall(&op, &args)))
}

/// Carries out a synchronous host call.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_sync_syscall(lane: u32, op: String, args: String) -> Result<HostCallReply> {
    Ok(reply(slot(lane)?.lane.sync_syscall(&op, &args)))
}

/// Starts a nested query or mutation.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_begin_nested(lane: u32, args: String) -> Result<NestedCall> {
    let slot = slot(lane)?;
    Ok(match slot.lane.begin_nested(&args) {
        Ok(invocation) => {
            slot.adopt(&invocation);
            NestedCall { invocation: Some(describe(invocation)), error: None }
        }
        Err(error) => NestedCall { invocation: None, error: Some(reply(Err(error))) },
    })
}

/// Ends the innermost nested call: `payload` is its result, or the JSON text of its error.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_end_nested(lane: u32, ok: bool, payload: String) -> Result<HostCallReply> {
    Ok(reply(slot(lane)?.lane.end_nested(outcome(ok, payload))))
}

/// Records a console line.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_log(lane: u32, level: String, messages: Vec<String>, truncated: bool) -> Result<()> {
    let level = match level.as_str() {
        "DEBUG" => LogLevel::Debug,
        "ERROR" => LogLevel::Error,
        "WARN" => LogLevel::Warn,
        "INFO" => LogLevel::Info,
        _ => LogLevel::Log,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    slot(lane)?.lane.log(LogLine {
        level,
        messages,
        is_truncated: truncated,
        timestamp: now.as_millis() as u64,
        system_metadata: None,
    });
    Ok(())
}

/// Reads an environment variable; `null` when it is not set.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_env(lane: u32, name: String) -> Result<Option<HostCallReply>> {
    Ok(match slot(lane)?.lane.env(&name) {
        Ok(value) => value.map(|text| reply(Ok(text))),
        Err(error) => Some(reply(Err(error))),
    })
}

/// Notes that the function looked at the clock.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_observed_time(lane: u32) -> Result<()> {
    slot(lane)?.lane.observe_time();
    Ok(())
}

/// Takes the running call back, to be begun again by the next [`lane_next`].
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_start_over(lane: u32) -> Result<()> {
    slot(lane)?.lane.start_over();
    Ok(())
}

/// Ends the running call: `payload` is its result, or the JSON text of its error.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_finish(lane: u32, ok: bool, payload: String) -> Result<()> {
    slot(lane)?.lane.finish(outcome(ok, payload));
    Ok(())
}

fn slot(lane: u32) -> Result<&'static LaneSlot> {
    ENGINE
        .get()
        .and_then(|engine| engine.lanes().get(lane))
        .ok_or_else(|| failure("there is no such lane in this process"))
}

fn describe(invocation: Invocation) -> LaneInvocation {
    LaneInvocation {
        kind: match invocation.kind {
            TransactionKind::Query => "query",
            TransactionKind::Mutation => "mutation",
        },
        module_path: invocation.module_path,
        export_name: invocation.export_name,
        args_json: invocation.args_json,
        seed: hex::encode(invocation.seed),
        now_ms: invocation.now_ms,
        code_version: invocation.code.version.to_string(),
        import_seed: hex::encode(invocation.code.import_seed),
        import_time_ms: invocation.code.import_time_ms,
        context: invocation.context.as_str(),
    }
}

fn reply(result: std::result::Result<String, SyscallError>) -> HostCallReply {
    match result {
        Ok(text) => HostCallReply { ok: true, text, data: None, catchable: true },
        Err(error) => {
            HostCallReply { ok: false, text: error.message, data: error.data, catchable: error.catchable }
        }
    }
}

fn outcome(ok: bool, payload: String) -> Outcome {
    if ok {
        return Outcome::Returned(payload);
    }
    Outcome::Threw(
        serde_json::from_str(&payload).unwrap_or_else(|_| JsError { message: payload, ..JsError::default() }),
    )
}

fn failure(message: &str) -> Error {
    Error::new(Status::GenericFailure, message)
}
