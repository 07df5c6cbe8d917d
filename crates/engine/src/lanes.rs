//! The lanes of this process, by number, and the watchdog that ends calls which run too long or hold too much memory.
//!
//! A lane's V8 thread comes and goes; the [`Lane`] stays, so that a call which a conflict took back is not lost when
//! its thread is replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use freshet_functions::host::{CodePackage, Invocation, LaneFailure, Outcome, SyscallError};
use freshet_functions::{CallLimits, Lane, LaneClock, LaneNext, LaneQueue};
use parking_lot::{Mutex, RwLock};

use crate::flight_record::{FlightRecord, LaneRecord};
use crate::lane_thread::{Condemned, LaneThread, Verdict};
use crate::urgency::Urgency;

/// How often the watchdog looks; calls overrun their limit by at most this.
const WATCHDOG_INTERVAL: Duration = Duration::from_millis(20);
/// By how much the wall clock may exceed the limit of user time where others keep the processors busy. Beyond that the
/// calls that wait for the lane count more.
const BUSY_FACTOR: u32 = 4;

/// A call that has computed for this long makes way for shorter ones.
const LONG_CALL: Duration = Duration::from_millis(50);

/// One lane and the code that its current call runs.
pub(crate) struct LaneSlot {
    pub(crate) lane: Lane,
    pub(crate) thread: LaneThread,
    /// What it runs, for the engine that comes after this one.
    record: LaneRecord,
    code: RwLock<Option<Arc<CodePackage>>>,
    /// Seeds of the functions on the call stack.
    seeds: Mutex<Vec<[u8; 32]>>,
    /// Why the last host call failed, until its thread asks.
    failure: Mutex<Option<SyscallError>>,
}

impl LaneSlot {
    pub(crate) fn next(&self, timeout: Duration) -> LaneNext {
        if self.thread.is_condemned() {
            // The thread has not long to live: the next call is for the one after it.
            return LaneNext::Closed;
        }
        let next = self.lane.next(timeout);
        if let LaneNext::Run(invocation) = &next {
            self.adopt(invocation);
        }
        next
    }

    /// The calling thread is the lane's from now on.
    pub(crate) fn enter(&'static self, number: u32) {
        self.record.enter();
        self.thread.enter(number);
    }

    /// Makes the modules and the seed of a top-level invocation available.
    fn adopt(&self, invocation: &Invocation) {
        self.record.begin(&invocation.module_path, &invocation.export_name);
        self.thread.began(self.lane.clock().map(|clock| clock.attempt));
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
        self.record.push(&invocation.module_path, &invocation.export_name);
        self.seeds.lock().push(invocation.seed);
    }

    /// The innermost nested call ends.
    pub(crate) fn leave_nested(&self) {
        self.record.pop();
        self.seeds.lock().pop();
    }

    /// Ends the running call, unless its thread is being ended on its account: then the end of the thread is its outcome.
    pub(crate) fn finish(&self, outcome: Outcome) {
        if !self.thread.is_condemned() {
            self.record.end();
            self.thread.began(None);
            self.lane.finish(outcome);
        }
    }

    /// Takes the running call back.
    pub(crate) fn start_over(&self) {
        self.record.end();
        self.thread.began(None);
        self.lane.start_over();
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
    /// `memory_bytes_max` bounds the heap of each, and as much again its array buffers.
    pub(crate) fn new(queue: &LaneQueue, record: &Arc<FlightRecord>, memory_bytes_max: usize) -> Self {
        let slots = (0..record.lanes())
            .map(|number| LaneSlot {
                lane: queue.lane(),
                thread: LaneThread::new(number as u32, memory_bytes_max),
                record: record.lane(number),
                code: RwLock::default(),
                seeds: Mutex::default(),
                failure: Mutex::default(),
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

    /// Says how the threads of lanes are ended: `end` asks the main thread.
    pub(crate) fn set_end(&self, end: &Arc<dyn Fn(u32, u32) + Send + Sync>) {
        for slot in &self.slots {
            let end = end.clone();
            slot.thread.set_end(Box::new(move |lane, number| end(lane, number)));
        }
    }

    /// The V8 thread of a lane has ended; `reason` is what the main thread knows, and `memory_was_full` whether much of its
    /// heap was in use before the attempt began. Returns whether it ended by itself, for no reason that is known.
    pub(crate) fn thread_ended(&self, lane: u32, reason: &str, memory_was_full: bool) -> bool {
        let Some(slot) = self.get(lane) else {
            return false;
        };
        let condemned = slot.thread.ended();
        slot.record.end();
        slot.lane.thread_lost(known_reason(reason, condemned));
        let running = slot.lane.clock().map(|clock| clock.attempt);
        match failure(reason, memory_was_full, condemned, running) {
            Some(failure) => slot.lane.abandon(failure),
            None => slot.lane.hand_over(),
        }
        condemned.is_none() && reason == "crashed"
    }

    /// Looks at every running call and ends the threads of those that ran too long or hold too much.
    pub(crate) fn watch(&self, limits: &CallLimits, stop: &AtomicBool) {
        let mut first_seen = vec![None; self.slots.len()];
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(WATCHDOG_INTERVAL);
            for (slot, first_seen) in self.slots.iter().zip(&mut first_seen) {
                let clock = slot.lane.clock();
                let is_long = clock.as_ref().is_some_and(|clock| clock.user > LONG_CALL);
                slot.thread.set_urgency(if is_long { Urgency::Patient } else { Urgency::Usual });
                if let Some(clock) = clock
                    && let Some(verdict) = slot.judge(&clock, limits, first_seen)
                {
                    slot.thread.condemn(verdict, Some(clock.attempt));
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
    external_bytes: usize,
}

impl LaneSlot {
    /// Why the running attempt has to end, if it has to.
    fn judge(
        &self,
        clock: &LaneClock,
        limits: &CallLimits,
        first_seen: &mut Option<FirstSeen>,
    ) -> Option<Verdict> {
        // Without limit where the system does not tell, so that the wall clock decides.
        let used = self.thread.used();
        let external_bytes = self.thread.external_bytes().unwrap_or(0);
        let first = match first_seen {
            Some(first) if first.attempt == clock.attempt => *first,
            _ => *first_seen.insert(FirstSeen { attempt: clock.attempt, used, external_bytes }),
        };
        let worked = match (used, first.used) {
            (Some(used), Some(before)) => used.saturating_sub(before),
            _ => Duration::MAX,
        };
        if clock.user > limits.user_time_max && worked > limits.user_time_max
            || clock.user > limits.user_time_max * BUSY_FACTOR
        {
            Some(Verdict::UserTimeout)
        } else if clock.total > limits.total_time_max {
            Some(Verdict::SystemTimeout)
        } else if external_bytes.saturating_sub(first.external_bytes) > self.thread.memory_bytes_max() {
            Some(Verdict::OutOfMemory)
        } else {
            None
        }
    }
}

/// The reason as metrics show it.
fn known_reason(reason: &str, condemned: Option<Condemned>) -> &'static str {
    match condemned.map(|condemned| condemned.verdict) {
        Some(Verdict::UserTimeout) => "userTimeout",
        Some(Verdict::SystemTimeout) => "systemTimeout",
        Some(Verdict::OutOfMemory) => "outOfMemory",
        Some(Verdict::MemoryWasFull) => "heapWasFull",
        None if reason == "outOfMemory" => "outOfMemory",
        None if reason == "rotated" => "rotated",
        None => "crashed",
    }
}

/// What the end of a thread means for the attempt that was running; `None` when that was not its fault: the end was
/// meant for an earlier one, or earlier ones had filled the memory.
fn failure(
    reason: &str,
    memory_was_full: bool,
    condemned: Option<Condemned>,
    running: Option<u64>,
) -> Option<LaneFailure> {
    let out_of_memory = || (!memory_was_full).then_some(LaneFailure::OutOfMemory);
    let Some(condemned) = condemned else {
        return if reason == "outOfMemory" { out_of_memory() } else { Some(LaneFailure::Crashed) };
    };
    if condemned.attempt != running {
        return None;
    }
    match condemned.verdict {
        Verdict::UserTimeout => Some(LaneFailure::UserTimeout),
        Verdict::SystemTimeout => Some(LaneFailure::SystemTimeout),
        Verdict::OutOfMemory => out_of_memory(),
        Verdict::MemoryWasFull => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condemned(verdict: Verdict, attempt: u64) -> Option<Condemned> {
        Some(Condemned { verdict, attempt: Some(attempt) })
    }

    #[test]
    fn the_attempt_that_ran_too_long_fails() {
        let user = condemned(Verdict::UserTimeout, 7);
        // The thread may have ended by itself before the main thread came to end it.
        assert_eq!(failure("crashed", false, user, Some(7)), Some(LaneFailure::UserTimeout));
        assert_eq!(failure("crashed", true, user, Some(7)), Some(LaneFailure::UserTimeout));
        let system = condemned(Verdict::SystemTimeout, 7);
        assert_eq!(failure("crashed", false, system, Some(7)), Some(LaneFailure::SystemTimeout));
    }

    #[test]
    fn an_attempt_that_began_when_its_thread_was_already_condemned_does_not_fail() {
        assert_eq!(failure("crashed", false, condemned(Verdict::UserTimeout, 7), Some(8)), None);
        assert_eq!(failure("crashed", false, condemned(Verdict::OutOfMemory, 7), Some(8)), None);
        let idle = Some(Condemned { verdict: Verdict::OutOfMemory, attempt: None });
        assert_eq!(failure("crashed", false, idle, Some(8)), None);
    }

    #[test]
    fn an_attempt_for_which_earlier_ones_left_no_memory_does_not_fail() {
        assert_eq!(failure("outOfMemory", true, None, Some(7)), None);
        assert_eq!(failure("crashed", true, condemned(Verdict::OutOfMemory, 7), Some(7)), None);
        assert_eq!(failure("crashed", false, condemned(Verdict::MemoryWasFull, 7), Some(7)), None);
    }

    #[test]
    fn a_thread_that_dies_by_itself_takes_its_attempt_along() {
        assert_eq!(failure("outOfMemory", false, None, Some(7)), Some(LaneFailure::OutOfMemory));
        assert_eq!(failure("crashed", true, None, Some(7)), Some(LaneFailure::Crashed));
    }
}
