//! The lanes of this process, by number, and the watchdog that ends calls which run too long.
//!
//! A lane's V8 thread comes and goes; the [`Lane`] stays, so that a call which a conflict took back is not lost when
//! its thread is replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use freshet_functions::host::{CodePackage, Invocation, LaneFailure};
use freshet_functions::{CallLimits, Lane, LaneNext, LaneQueue};
use parking_lot::RwLock;

/// How often the watchdog looks; calls overrun their limit by at most this.
const WATCHDOG_INTERVAL: Duration = Duration::from_millis(20);

/// One lane and the code that its current call runs.
pub(crate) struct LaneSlot {
    pub(crate) lane: Lane,
    code: RwLock<Option<Arc<CodePackage>>>,
    /// Set when the V8 thread is being ended, so that it is asked only once.
    condemned: AtomicBool,
}

impl LaneSlot {
    pub(crate) fn next(&self, timeout: Duration) -> LaneNext {
        let next = self.lane.next(timeout);
        if let LaneNext::Run(invocation) = &next {
            self.adopt(invocation);
        }
        next
    }

    /// Makes the modules of an invocation available to [`LaneSlot::module`].
    pub(crate) fn adopt(&self, invocation: &Invocation) {
        let known = self.code.read().as_ref().is_some_and(|code| Arc::ptr_eq(code, &invocation.code));
        if !known {
            *self.code.write() = Some(invocation.code.clone());
        }
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
                condemned: AtomicBool::new(false),
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
        slot.lane.abandon(match reason {
            "userTimeout" => LaneFailure::UserTimeout,
            "systemTimeout" => LaneFailure::SystemTimeout,
            "outOfMemory" => LaneFailure::OutOfMemory,
            _ => LaneFailure::Crashed,
        });
        slot.condemned.store(false, Ordering::Release);
    }

    /// Looks at every running call and has `end` end the threads of those that ran too long.
    pub(crate) fn watch(&self, limits: &CallLimits, end: &dyn Fn(u32, &'static str), stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(WATCHDOG_INTERVAL);
            for (number, slot) in self.slots.iter().enumerate() {
                let Some(clock) = slot.lane.clock() else {
                    continue;
                };
                let reason = if clock.user > limits.user_time_max {
                    "userTimeout"
                } else if clock.total > limits.total_time_max {
                    "systemTimeout"
                } else {
                    continue;
                };
                if !slot.condemned.swap(true, Ordering::AcqRel) {
                    end(number as u32, reason);
                }
            }
        }
    }
}
