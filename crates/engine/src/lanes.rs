//! The lanes of this process, by number, and the watchdog that ends calls which run too long.
//!
//! A lane's V8 thread comes and goes; the [`Lane`] stays, so that a call which a conflict took back is not lost when
//! its thread is replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use freshet_functions::host::{CodePackage, Invocation, LaneFailure, SyscallError};
use freshet_functions::{CallLimits, Lane, LaneClock, LaneNext, LaneQueue};
use parking_lot::{Mutex, RwLock};

use crate::thread_time::ThreadTime;

/// How often the watchdog looks; calls overrun their limit by at most this.
const WATCHDOG_INTERVAL: Duration = Duration::from_millis(20);
/// By how much the wall clock may exceed the limit of user time where others keep the processors busy. Beyond that the
/// calls that wait for the lane count more.
const BUSY_FACTOR: u32 = 4;

/// One lane and the code that its current call runs.
pub(crate) struct LaneSlot {
    pub(crate) lane: Lane,
    code: RwLock<Option<Arc<CodePackage>>>,
    /// Seeds of the functions on the call stack.
    seeds: Mutex<Vec<[u8; 32]>>,
    /// Why the last host call failed, until its thread asks.
    failure: Mutex<Option<SyscallError>>,
    /// The V8 thread of the moment, where the system tells how much it works.
    thread: Mutex<Option<ThreadTime>>,
    /// Number of the attempt for which the V8 thread is being ended. That takes a moment, in which the attempt may end
    /// by itself and another one begin.
    condemned: Mutex<Option<u64>>,
}

impl LaneSlot {
    pub(crate) fn next(&self, timeout: Duration) -> LaneNext {
        if self.condemned.lock().is_some() {
            // The thread has not long to live: the next call is for the one after it.
            return LaneNext::Closed;
        }
        {
            let mut thread = self.thread.lock();
            if thread.is_none() {
                *thread = ThreadTime::current();
            }
        }
        let next = self.lane.next(timeout);
        if let LaneNext::Run(invocation) = &next {
            self.adopt(invocation);
        }
        next
    }

    /// Makes the modules and the seed of a top-level invocation available.
    fn adopt(&self, invocation: &Invocation) {
        let mut seeds = self.seeds.lock();
        seeds.clear();
        seeds.push(invocation.seed);
        drop(seeds);
        self.adopt_code(&invocation.code);
    }

    /// Makes the modules of `code` available to [`LaneSlot::module`].
    pub(crate) fn adopt_code(&self, code: &Arc<CodePackage>) {
        let known = self.code.read().as_ref().is_some_and(|known| Arc::ptr_eq(known, code));
        if !known {
            *self.code.write() = Some(code.clone());
        }
    }

    /// A nested call begins; it runs the same code.
    pub(crate) fn adopt_nested(&self, invocation: &Invocation) {
        self.seeds.lock().push(invocation.seed);
    }

    /// The innermost nested call ends.
    pub(crate) fn leave_nested(&self) {
        self.seeds.lock().pop();
    }

    /// Seed of the function at a depth of the call stack.
    pub(crate) fn seed(&self, depth: usize) -> Option<[u8; 32]> {
        self.seeds.lock().get(depth).copied()
    }

    /// The current code.
    pub(crate) fn code(&self) -> Option<Arc<CodePackage>> {
        self.code.read().clone()
    }

    /// What a host call gave; a failure is kept for [`LaneSlot::take_failure`].
    pub(crate) fn noting_failure<T>(&self, result: Result<T, SyscallError>) -> Option<T> {
        result.map_err(|error| *self.failure.lock() = Some(error)).ok()
    }

    /// Why the last host call failed.
    pub(crate) fn take_failure(&self) -> Option<SyscallError> {
        self.failure.lock().take()
    }

    /// Source text of a module of the current call's code.
    pub(crate) fn module(&self, path: &str) -> Option<Arc<str>> {
        self.code.read().as_ref()?.modules.get(path).map(|module| module.source.clone())
    }
}

/// All lanes of the process.
pub(crate) struct Lanes {
    slots: Vec<LaneSlot>,
}

impl Lanes {
    pub(crate) fn new(queue: &LaneQueue, count: usize) -> Self {
        let slots = (0..count)
            .map(|_| LaneSlot {
                lane: queue.lane(),
                code: RwLock::default(),
                seeds: Mutex::default(),
                failure: Mutex::default(),
                thread: Mutex::default(),
                condemned: Mutex::default(),
            })
            .collect();
        Self { slots }
    }

    pub(crate) fn get(&self, lane: u32) -> Option<&LaneSlot> {
        self.slots.get(lane as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The V8 thread of a lane has ended; `reason` is what the main thread knows.
    pub(crate) fn thread_ended(&self, lane: u32, reason: &str) {
        let Some(slot) = self.get(lane) else {
            return;
        };
        *slot.thread.lock() = None;
        slot.lane.forget_preparations(known_reason(reason));
        let condemned = slot.condemned.lock().take();
        let running = slot.lane.clock().map(|clock| clock.attempt);
        match failure(reason, condemned, running) {
            Some(failure) => slot.lane.abandon(failure),
            None => slot.lane.start_over(),
        }
    }

    /// Looks at every running call and has `end` end the threads of those that ran too long.
    pub(crate) fn watch(&self, limits: &CallLimits, end: &dyn Fn(u32, &'static str), stop: &AtomicBool) {
        let mut first_seen = vec![None; self.slots.len()];
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(WATCHDOG_INTERVAL);
            for (number, slot) in self.slots.iter().enumerate() {
                let Some(clock) = slot.lane.clock() else {
                    continue;
                };
                let worked = slot.worked(&clock, &mut first_seen[number]);
                let is_over = clock.user > limits.user_time_max && worked > limits.user_time_max
                    || clock.user > limits.user_time_max * BUSY_FACTOR;
                let reason = if is_over {
                    "userTimeout"
                } else if clock.total > limits.total_time_max {
                    "systemTimeout"
                } else {
                    continue;
                };
                let mut condemned = slot.condemned.lock();
                if condemned.is_none() {
                    *condemned = Some(clock.attempt);
                    end(number as u32, reason);
                }
            }
        }
    }
}

/// What a thread had done when the watchdog first saw an attempt in it.
#[derive(Clone, Copy)]
struct FirstSeen {
    attempt: u64,
    used: Option<Duration>,
}

impl LaneSlot {
    /// Processor time that the running attempt has used since the watchdog first saw it, in user code and host calls;
    /// without limit where the system does not tell, so that the wall clock decides.
    fn worked(&self, clock: &LaneClock, first_seen: &mut Option<FirstSeen>) -> Duration {
        let used = self.thread.lock().as_ref().and_then(ThreadTime::used);
        match first_seen {
            Some(first) if first.attempt == clock.attempt => match (used, first.used) {
                (Some(used), Some(before)) => used.saturating_sub(before),
                _ => Duration::MAX,
            },
            _ => {
                *first_seen = Some(FirstSeen { attempt: clock.attempt, used });
                Duration::ZERO
            }
        }
    }
}

/// The reason as metrics show it.
fn known_reason(reason: &str) -> &'static str {
    const REASONS: [&str; 5] = ["userTimeout", "systemTimeout", "heapWasFull", "outOfMemory", "rotated"];
    REASONS.into_iter().find(|known| *known == reason).unwrap_or("crashed")
}

/// What the end of a thread means for the attempt that was running; `None` when that was not its fault: the end was
/// meant for an earlier one, or earlier ones had filled the heap.
fn failure(reason: &str, condemned: Option<u64>, running: Option<u64>) -> Option<LaneFailure> {
    match reason {
        "userTimeout" | "systemTimeout" if condemned != running => None,
        "userTimeout" => Some(LaneFailure::UserTimeout),
        "systemTimeout" => Some(LaneFailure::SystemTimeout),
        "heapWasFull" => None,
        "outOfMemory" => Some(LaneFailure::OutOfMemory),
        _ => Some(LaneFailure::Crashed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attempt_that_ran_too_long_fails() {
        assert_eq!(failure("userTimeout", Some(7), Some(7)), Some(LaneFailure::UserTimeout));
        assert_eq!(failure("systemTimeout", Some(7), Some(7)), Some(LaneFailure::SystemTimeout));
    }

    #[test]
    fn an_attempt_that_began_when_its_thread_was_already_condemned_does_not_fail() {
        assert_eq!(failure("userTimeout", Some(7), Some(8)), None);
        // The order reached the thread that took the condemned one's place.
        assert_eq!(failure("userTimeout", None, Some(8)), None);
    }

    #[test]
    fn an_attempt_for_which_earlier_ones_left_no_memory_does_not_fail() {
        assert_eq!(failure("heapWasFull", None, Some(7)), None);
        assert_eq!(failure("heapWasFull", Some(6), Some(7)), None);
    }

    #[test]
    fn a_thread_that_dies_by_itself_takes_its_attempt_along() {
        assert_eq!(failure("outOfMemory", None, Some(7)), Some(LaneFailure::OutOfMemory));
        assert_eq!(failure("crashed", None, Some(7)), Some(LaneFailure::Crashed));
    }
}
