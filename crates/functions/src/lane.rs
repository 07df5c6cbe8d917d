//! One V8 thread's side of running queries and mutations.
//!
//! A host takes a call with [`Lane::next`], runs it, turns its host calls into [`Lane::syscall`], and reports what came
//! of it with [`Lane::finish`]. Host calls execute inside `syscall`, on the V8 thread. Nested calls are a stack. The host
//! makes one call at a time, except for [`Lane::clock`], [`Lane::abandon`] and [`Lane::hand_over`], which a watchdog may
//! use at any moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::attempt::{Attempt, Started, Verdict};
use crate::call_error::CallError;
use crate::code::{ContextMode, FunctionKind};
use crate::host::{CodePackage, Invocation, LaneFailure, Outcome, SyscallError};
use crate::lane_queue::{LaneQueue, Popped, QueuedCall};
use crate::log::LogLine;

/// What a lane does next.
#[derive(Clone, Debug)]
pub enum LaneNext {
    /// Run this call.
    Run(Invocation),
    /// Nothing came in time: look after other things and ask again.
    Idle,
    /// The server is closing.
    Closed,
}

/// Code that a lane can prepare.
#[derive(Clone, Debug)]
pub struct NewestCode {
    /// The modules.
    pub package: Arc<CodePackage>,
    /// Paths of those that run in shared contexts.
    pub shared: Vec<(String, ContextMode)>,
}

/// How long the current call has been running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneClock {
    /// Number of the attempt; none has the number of an earlier one of the same lane.
    pub attempt: u64,
    /// Time in user code.
    pub user: Duration,
    /// All time, host calls included.
    pub total: Duration,
}

impl LaneClock {
    /// Nothing has run.
    pub const ZERO: LaneClock = LaneClock { attempt: 0, user: Duration::ZERO, total: Duration::ZERO };
}

/// One V8 thread's side of the queue.
pub struct Lane {
    queue: LaneQueue,
    state: Mutex<State>,
    /// Preparations that the lane knows of.
    preparations: AtomicU64,
    /// Those for which the host has asked for the newest code.
    prepared: AtomicU64,
    /// Whether its V8 thread is gone and no other has asked for a call yet.
    is_absent: AtomicBool,
    /// Apart from `state`, which is held during host calls: a watchdog must not wait for them.
    timer: Mutex<Option<Timer>>,
}

#[derive(Default)]
struct State {
    /// Attempts that were begun.
    attempts: u64,
    /// The call that is running.
    running: Option<(Box<QueuedCall>, Box<Attempt>)>,
    /// A call that a conflict took back; runs before anything else.
    again: Option<Box<QueuedCall>>,
}

#[derive(Clone, Copy)]
struct Timer {
    attempt: u64,
    started: Instant,
    in_host: Duration,
    host_since: Option<Instant>,
}

impl Lane {
    pub(crate) fn new(queue: LaneQueue) -> Self {
        Self {
            queue,
            state: Mutex::default(),
            preparations: AtomicU64::new(0),
            prepared: AtomicU64::new(u64::MAX),
            is_absent: AtomicBool::new(false),
            timer: Mutex::new(None),
        }
    }

    /// The next call to run; blocks up to `timeout`. A mutation that met a conflict comes back at once.
    pub fn next(&self, timeout: Duration) -> LaneNext {
        let deadline = Instant::now() + timeout;
        if self.is_absent.load(Ordering::Relaxed) && self.is_absent.swap(false, Ordering::Relaxed) {
            self.queue.lane_returned();
        }
        loop {
            let again = self.state.lock().again.take();
            let queued = match again {
                Some(queued) => queued,
                None => match self
                    .queue
                    .pop(deadline.saturating_duration_since(Instant::now()), &self.preparations)
                {
                    Popped::Call(queued) => queued,
                    Popped::Idle => return LaneNext::Idle,
                    Popped::Closed => return LaneNext::Closed,
                },
            };
            if queued.reply.is_closed() {
                // The caller left before anything happened.
                continue;
            }
            match Attempt::start(self.queue.services(), &queued.call) {
                Started::Run(attempt, invocation) => {
                    let mut state = self.state.lock();
                    state.attempts += 1;
                    *self.timer.lock() = Some(Timer {
                        attempt: state.attempts,
                        started: Instant::now(),
                        in_host: Duration::ZERO,
                        host_since: None,
                    });
                    state.running = Some((queued, attempt));
                    self.queue.meters().began();
                    return LaneNext::Run(invocation);
                }
                Started::Done(reply) => {
                    // A caller that is gone needs no answer.
                    let _ = queued.reply.send(reply);
                }
            }
        }
    }

    /// The newest code with its modules that run in shared contexts, for a host that evaluates them ahead of time.
    /// `None` when there is none, it cannot be read now, or nothing has changed since the last time.
    pub fn newest_code(&self) -> Option<NewestCode> {
        let current = self.queue.preparations();
        if self.prepared.swap(current, Ordering::Relaxed) == current {
            return None;
        }
        let code = self.queue.services().newest_code().ok()?;
        let mut shared = Vec::new();
        for (path, function) in &code.functions {
            let is_transaction = matches!(function.kind, FunctionKind::Query | FunctionKind::Mutation);
            let Some(module) = code.modules.get(path.module()).filter(|_| is_transaction) else { continue };
            let is_listed = shared.last().is_some_and(|(last, _)| last == path.module());
            if module.context != ContextMode::Fresh && !is_listed {
                shared.push((path.module().to_owned(), module.context));
            }
        }
        Some(NewestCode { package: code.package.clone(), shared })
    }

    /// Whether `op` runs another function in this lane: the host then uses [`Lane::begin_nested`] in place of
    /// [`Lane::syscall`].
    pub fn is_nested_call(&self, op: &str) -> bool {
        op == crate::syscalls::RUN_UDF
    }

    /// Carries out one host call, synchronous or asynchronous.
    ///
    /// # Errors
    /// An exception for user code, or the end of the call when it is not catchable.
    pub fn syscall(&self, op: &str, args: &str) -> Result<String, SyscallError> {
        self.with_attempt(|attempt| attempt.syscall(op, args))
    }

    /// Carries out one synchronous host call; anything else is an unknown operation.
    ///
    /// # Errors
    /// As [`Lane::syscall`].
    pub fn sync_syscall(&self, op: &str, args: &str) -> Result<String, SyscallError> {
        self.with_attempt(|attempt| attempt.sync_syscall(op, args))
    }

    /// Starts a nested call with the arguments of its host call.
    ///
    /// # Errors
    /// As [`Lane::syscall`]; there is then nothing to end.
    pub fn begin_nested(&self, args: &str) -> Result<Invocation, SyscallError> {
        self.with_attempt(|attempt| attempt.begin_nested(args))
    }

    /// Ends the innermost nested call. Returns the host call's result.
    ///
    /// # Errors
    /// The nested function's failure, as an exception for the function that called it.
    pub fn end_nested(&self, outcome: Outcome) -> Result<String, SyscallError> {
        self.with_attempt(|attempt| attempt.end_nested(outcome))
    }

    /// Translates the lines of a stack into the author's sources; those of no interest are left out.
    pub fn map_stack(&self, lines: &[String]) -> Vec<String> {
        self.with_attempt(|attempt| Ok(attempt.services.stacks.lines(lines, &attempt.code.package)))
            .unwrap_or_default()
    }

    /// Records one console line.
    pub fn log(&self, line: LogLine) {
        // Lines of a call that is gone have no reader.
        let _ = self.with_attempt(|attempt| {
            attempt.log(line);
            Ok(())
        });
    }

    /// Reads one environment variable.
    ///
    /// # Errors
    /// As [`Lane::syscall`].
    pub fn env(&self, name: &str) -> Result<Option<String>, SyscallError> {
        self.with_attempt(|attempt| attempt.env(name))
    }

    /// Notes that the function looked at the clock.
    pub fn observe_time(&self) {
        let _ = self.with_attempt(|attempt| {
            attempt.observe_time();
            Ok(())
        });
    }

    /// Ends the call: checks its result, commits, and answers the caller. After a conflict there is no answer yet;
    /// [`Lane::next`] then returns the call again.
    pub fn finish(&self, outcome: Outcome) {
        let Some((queued, attempt)) = self.state.lock().running.take() else {
            return;
        };
        self.queue.meters().ended();
        let clock = self.stop_timer();
        self.settle(queued, |queued| attempt.finish(&queued.call, outcome, clock));
    }

    /// Ends the call without an outcome: the V8 thread is lost or about to be. May be called from any thread; waits for
    /// a host call that is under way.
    pub fn abandon(&self, failure: LaneFailure) {
        let Some((queued, attempt)) = self.state.lock().running.take() else {
            return;
        };
        self.queue.meters().ended();
        let clock = self.stop_timer();
        self.settle(queued, |queued| attempt.abandon(&queued.call, failure, clock));
    }

    /// Takes the call back, to be begun again by whoever asks for the next one. It has had no effect yet.
    pub fn start_over(&self) {
        let mut state = self.state.lock();
        if let Some((queued, _)) = state.running.take() {
            self.queue.meters().ended();
            state.again = Some(queued);
            *self.timer.lock() = None;
        }
    }

    /// Hands the call to whichever lane is free next: its V8 thread was lost for a reason that is not the call's. It has
    /// had no effect yet. May be called from any thread, like [`Lane::abandon`].
    pub fn hand_over(&self) {
        self.start_over();
        let again = self.state.lock().again.take();
        if let Some(queued) = again {
            self.queue.give_back(queued);
        }
    }

    /// The V8 thread is gone, for a reason that is known by this word, and what was prepared with it. Until another one asks
    /// for a call, the others know that there is a lane less.
    pub fn thread_lost(&self, reason: &'static str) {
        self.queue.meters().replaced(reason);
        self.prepared.store(u64::MAX, Ordering::Relaxed);
        if !self.is_absent.swap(true, Ordering::Relaxed) {
            self.queue.lane_lost();
        }
    }

    /// How long the current call has been running; `None` between calls.
    pub fn clock(&self) -> Option<LaneClock> {
        self.timer.lock().map(|timer| timer.read())
    }

    fn settle(&self, mut queued: Box<QueuedCall>, end: impl FnOnce(&QueuedCall) -> Verdict) {
        match end(&queued) {
            Verdict::Done(reply) => {
                let _ = queued.reply.send(reply);
            }
            Verdict::Conflict => {
                queued.call.conflicts += 1;
                self.state.lock().again = Some(queued);
            }
        }
    }

    fn with_attempt<T>(
        &self,
        run: impl FnOnce(&mut Attempt) -> Result<T, SyscallError>,
    ) -> Result<T, SyscallError> {
        if let Some(timer) = self.timer.lock().as_mut() {
            timer.host_since = Some(Instant::now());
        }
        let result = match self.state.lock().running.as_mut() {
            Some((_, attempt)) => run(attempt),
            None => Err(SyscallError {
                message: "The call has already ended.".into(),
                data: None,
                catchable: false,
            }),
        };
        if let Some(timer) = self.timer.lock().as_mut()
            && let Some(since) = timer.host_since.take()
        {
            timer.in_host += since.elapsed();
        }
        result
    }

    fn stop_timer(&self) -> LaneClock {
        let timer = self.timer.lock().take();
        timer.map_or(LaneClock::ZERO, |timer| timer.read())
    }
}

impl Timer {
    fn read(&self) -> LaneClock {
        let total = self.started.elapsed();
        let in_host = self.in_host + self.host_since.map_or(Duration::ZERO, |since| since.elapsed());
        LaneClock { attempt: self.attempt, user: total.saturating_sub(in_host), total }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if let Some((queued, _)) = state.running.take() {
            let _ = queued.reply.send(Err(CallError::internal(&"a lane went away with its call")));
        }
        if let Some(queued) = state.again.take() {
            self.queue.give_back(queued);
        }
        self.queue.lane_gone(!*self.is_absent.get_mut());
    }
}
