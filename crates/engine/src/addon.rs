//! What Node sees: the functions of `runtime/src/addon.ts`.
//!
//! The main thread starts and stops the engine and reports the end of lane threads. Lane threads take calls and carry
//! out host calls. Everything is synchronous, because a lane has nothing else to do meanwhile.

#![expect(clippy::needless_pass_by_value, reason = "Node-API hands over owned strings")]

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use freshet_functions::host::{CodePackage, Invocation, JsError, Outcome, TransactionKind};
use freshet_functions::log::{LogLevel, LogLine};
use freshet_functions::{LaneNext, NewestCode};
use napi::Env;
use napi::bindgen_prelude::{Either3, Error, Function, Null, Result, Status, Undefined};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use parking_lot::Mutex;

use crate::crash_signals;
use crate::lanes::LaneSlot;
use crate::launch::EngineConfig;
use crate::wiring::{Engine, EngineEvent};

/// The one engine of this process; every thread of it reaches the same.
static ENGINE: OnceLock<Engine> = OnceLock::new();

/// A host call that failed.
#[napi(object, object_from_js = false)]
pub(crate) struct HostCallFailure {
    /// The error's message.
    pub message: String,
    /// JSON text of a nested `ConvexError`'s data.
    pub data: Option<String>,
    /// Whether user code may see the failure.
    pub catchable: bool,
}

/// Starts the engine: opens the data, listens, and returns JSON text `{lanes, memoryMb, report}`. `on_event` is called on the main
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
    Ok(serde_json::json!({ "lanes": lanes, "memoryMb": config.function_memory_mb, "report": report })
        .to_string())
}

/// Ends the engine: no new calls, open ones are finished, everything is on disk afterwards.
#[napi]
pub(crate) fn stop_engine() {
    if let Some(engine) = ENGINE.get() {
        engine.stop();
    }
}

/// The calling thread serves a lane from now on; `number` is its own among the threads of that lane.
///
/// # Errors
/// When there is no such lane, or Node does not take the hook that tells of the thread's end.
#[napi]
pub(crate) fn lane_enter(env: Env, lane: u32, number: u32) -> Result<()> {
    let slot = slot(lane)?;
    crash_signals::prepare_thread();
    slot.enter(number);
    // Before the isolate goes, which other threads ask and terminate.
    env.add_env_cleanup_hook((), move |()| slot.thread.leave()).map(drop)
}

/// The main thread has given the order to end the thread of a lane.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_ordered_to_end(lane: u32, number: u32) -> Result<()> {
    slot(lane)?.thread.order_was_given(number);
    Ok(())
}

/// Whether the calling thread's array buffers count; to be asked after it has made one.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_counts_array_buffers(lane: u32) -> Result<bool> {
    Ok(slot(lane)?.thread.counts_array_buffers())
}

/// The thread of a lane has ended. Returns whether it did so by itself, for no reason that is known.
#[napi]
pub(crate) fn lane_exited(lane: u32, reason: String, memory_was_full: bool) -> bool {
    ENGINE.get().is_some_and(|engine| engine.lanes().thread_ended(lane, &reason, memory_was_full))
}

/// Waits up to `timeout_ms` for something to run: an invocation as [`describe`] writes it, an empty text when nothing
/// came, and nothing when the engine closes.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_next(lane: u32, timeout_ms: u32) -> Result<Option<String>> {
    Ok(match slot(lane)?.next(Duration::from_millis(u64::from(timeout_ms))) {
        LaneNext::Run(invocation) => Some(describe(&invocation)),
        LaneNext::Idle => Some(String::new()),
        LaneNext::Closed => None,
    })
}

/// Gives back the memory that ended calls have left. Returns whether it was done: no two lanes do it at the same time, so
/// that one is there for calls.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_tidy(lane: u32) -> Result<bool> {
    static TIDYING: Mutex<()> = Mutex::new(());
    let slot = slot(lane)?;
    let Some(_turn) = TIDYING.try_lock() else { return Ok(false) };
    slot.thread.tidy();
    Ok(true)
}

/// What the lane can prepare while it has nothing to run: JSON text of the newest code's version and of its modules that
/// run in shared contexts. Their sources are available until something runs.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_newest_code(lane: u32) -> Result<Option<String>> {
    let slot = slot(lane)?;
    let Some(NewestCode { package: code, shared: modules }) = slot.lane.newest_code() else {
        return Ok(None);
    };
    let text = serde_json::json!({
        "version": code.version.to_string(),
        "modules": modules.iter().map(|(path, context)| (path, context.as_str())).collect::<Vec<_>>(),
        "importPhase": import_phase(&code),
    });
    slot.adopt_code(&code);
    Ok(Some(text.to_string()))
}

/// Seed and clock of module evaluation for the current code, as JSON text.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_import_phase(lane: u32) -> Result<Option<String>> {
    Ok(slot(lane)?.code().map(|code| import_phase(&code).to_string()))
}

/// Seed of the function at `depth`, 0 for the one that was called first; 32 bytes in hex.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_seed(lane: u32, depth: u32) -> Result<Option<String>> {
    Ok(slot(lane)?.seed(depth as usize).map(hex::encode))
}

/// Source text of a module of the running call.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_module(lane: u32, path: String) -> Result<Option<String>> {
    Ok(slot(lane)?.module(&path).map(|source| source.to_string()))
}

/// Translates the lines of a stack into the author's sources.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_map_stack(lane: u32, lines: Vec<String>) -> Result<Vec<String>> {
    Ok(slot(lane)?.lane.map_stack(&lines))
}

/// Carries out an asynchronous host call. Nothing comes back when it fails: see [`lane_failure`].
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_syscall(lane: u32, op: String, args: String) -> Result<Option<String>> {
    let slot = slot(lane)?;
    Ok(slot.noting_failure(slot.lane.syscall(&op, &args)))
}

/// Carries out a synchronous host call. Nothing comes back when it fails: see [`lane_failure`].
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_sync_syscall(lane: u32, op: String, args: String) -> Result<Option<String>> {
    let slot = slot(lane)?;
    Ok(slot.noting_failure(slot.lane.sync_syscall(&op, &args)))
}

/// Starts a nested query or mutation: what to run, as [`lane_next`] has it. Nothing comes back when it fails: see
/// [`lane_failure`].
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_begin_nested(lane: u32, args: String) -> Result<Option<String>> {
    let slot = slot(lane)?;
    let begun = slot.lane.begin_nested(&args).map(|invocation| {
        slot.adopt_nested(&invocation);
        describe(&invocation)
    });
    Ok(slot.noting_failure(begun))
}

/// Ends the innermost nested call: `payload` is its result, or the JSON text of its error. Nothing comes back when that
/// fails: see [`lane_failure`].
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_end_nested(lane: u32, ok: bool, payload: String) -> Result<Option<String>> {
    let slot = slot(lane)?;
    slot.leave_nested();
    Ok(slot.noting_failure(slot.lane.end_nested(outcome(ok, payload))))
}

/// Why the last host call failed.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_failure(lane: u32) -> Result<Option<HostCallFailure>> {
    Ok(slot(lane)?.take_failure().map(|error| HostCallFailure {
        message: error.message,
        data: error.data,
        catchable: error.catchable,
    }))
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
        nested_in: None,
    });
    Ok(())
}

/// Reads an environment variable; `null` when it is not set, nothing when that fails: see [`lane_failure`].
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_env(lane: u32, name: String) -> Result<Either3<String, Null, Undefined>> {
    let slot = slot(lane)?;
    Ok(match slot.noting_failure(slot.lane.env(&name)) {
        Some(Some(value)) => Either3::A(value),
        Some(None) => Either3::B(Null),
        None => Either3::C(()),
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
    slot(lane)?.start_over();
    Ok(())
}

/// Ends the running call: `payload` is its result, or the JSON text of its error.
///
/// # Errors
/// When there is no such lane.
#[napi]
pub(crate) fn lane_finish(lane: u32, ok: bool, payload: String) -> Result<()> {
    slot(lane)?.finish(outcome(ok, payload));
    Ok(())
}

fn slot(lane: u32) -> Result<&'static LaneSlot> {
    ENGINE
        .get()
        .and_then(|engine| engine.lanes().get(lane))
        .ok_or_else(|| failure("there is no such lane in this process"))
}

/// An invocation as one text, because each value that crosses costs more than a few hundred characters: the clock in
/// milliseconds, the rest of the first line (which is the same for each call of a function), and the arguments.
///
/// ```text
/// 1700000000000 mutation verified 12 messages.js:send
/// [{...}]
/// ```
fn describe(invocation: &Invocation) -> String {
    let kind = match invocation.kind {
        TransactionKind::Query => "query",
        TransactionKind::Mutation => "mutation",
    };
    format!(
        "{} {kind} {} {} {}:{}\n{}",
        invocation.now_ms,
        invocation.context.as_str(),
        invocation.code.version,
        invocation.module_path,
        invocation.export_name,
        invocation.args_json
    )
}

fn import_phase(code: &CodePackage) -> serde_json::Value {
    serde_json::json!({ "seed": hex::encode(code.import_seed), "timeMs": code.import_time_ms })
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
