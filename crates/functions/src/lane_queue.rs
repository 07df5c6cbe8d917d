//! The bounded queue in front of the lanes.
//!
//! Calls are put in from async tasks and taken out by V8 threads, which block. A call that found no lane in time leaves
//! the queue with an error; nobody waits longer than the limit, and nobody waits for an unbounded number of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::call_error::CallError;
use crate::host::TransactionKind;
use crate::lane::Lane;
use crate::lane_call::{LaneCall, LaneReply};
use crate::lane_order::{LaneCount, LaneOrder, LineId, Turn};
use crate::limits::CallLimits;
use crate::services::Services;
use crate::statistics::{LaneMeters, LaneStatistics};

/// A lane whose thread was lost is expected back for so long. Then those that are there are all there are.
const ABSENCE_MAX: Duration = Duration::from_secs(2);

/// Hands calls to lanes. Clones share one queue.
#[derive(Clone)]
pub struct LaneQueue {
    shared: Arc<Shared>,
}

struct Shared {
    services: Arc<Services>,
    state: Mutex<State>,
    /// Signalled when a call arrives and when the queue closes.
    arrived: Condvar,
    meters: LaneMeters,
}

#[derive(Default)]
struct State {
    /// Waiting calls; the ticket lets a caller that gave up take its own call out again.
    waiting: LaneOrder<Box<QueuedCall>>,
    next_ticket: i64,
    /// Tickets of calls that were put back are negative: before all others, and never a ticket that somebody has.
    last_returned: i64,
    lanes: usize,
    /// Lanes that have no thread at the moment, and when the last of them lost it.
    absent: usize,
    absent_since: Option<Instant>,
    /// Goes up when lanes have something to prepare.
    preparations: u64,
    closed: bool,
}

/// A call and where its answer goes.
pub(crate) struct QueuedCall {
    pub(crate) call: LaneCall,
    pub(crate) reply: oneshot::Sender<LaneReply>,
    since: Instant,
    /// Whether a lane has had it.
    was_taken: bool,
    /// Set while a lane has the call.
    turn: Option<RunningTurn>,
}

impl State {
    fn lane_count(&self, now: Instant) -> LaneCount {
        let is_expected = self.absent_until().is_some_and(|until| now < until);
        LaneCount { all: self.lanes, present: self.lanes - if is_expected { self.absent } else { 0 } }
    }

    /// Until when a lane is expected back, if one is.
    fn absent_until(&self) -> Option<Instant> {
        self.absent_since.filter(|_| self.absent > 0).map(|since| since + ABSENCE_MAX)
    }
}

/// Tells the queue when a call gives its lane back, however that comes about.
struct RunningTurn {
    shared: Arc<Shared>,
    turn: Turn,
}

impl Drop for RunningTurn {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.waiting.ended(&self.turn, Instant::now());
        let is_somebody_waiting = state.waiting.len() > 0;
        drop(state);
        if is_somebody_waiting {
            // One that was free may have been kept for others until now.
            self.shared.arrived.notify_one();
        }
    }
}

/// What [`LaneQueue::pop`] found.
pub(crate) enum Popped {
    Call(Box<QueuedCall>),
    Idle,
    Closed,
}

impl LaneQueue {
    pub(crate) fn new(services: Arc<Services>) -> Self {
        Self {
            shared: Arc::new(Shared {
                services,
                state: Mutex::default(),
                arrived: Condvar::new(),
                meters: LaneMeters::default(),
            }),
        }
    }

    /// A new lane, for one V8 thread. Dropping it takes it out of service.
    pub fn lane(&self) -> Lane {
        self.shared.state.lock().lanes += 1;
        Lane::new(self.clone())
    }

    /// Bounds of calls, among them the times that a watchdog enforces.
    pub fn limits(&self) -> &CallLimits {
        &self.shared.services.limits
    }

    /// Number of calls that wait for a lane.
    pub fn waiting(&self) -> usize {
        self.shared.state.lock().waiting.len()
    }

    /// Refuses further calls, fails those that wait, and lets every lane's `next` return `Closed`.
    pub fn close(&self) {
        let waiting = {
            let mut state = self.shared.state.lock();
            state.closed = true;
            state.waiting.take_all()
        };
        self.shared.arrived.notify_all();
        for queued in waiting {
            // A caller that is gone needs no answer.
            let _ = queued.reply.send(Err(CallError::shutting_down()));
        }
    }

    /// Has idle lanes look after preparations: there is new code.
    pub fn wake(&self) {
        self.shared.state.lock().preparations += 1;
        self.shared.arrived.notify_all();
    }

    /// How often there was something to prepare.
    pub(crate) fn preparations(&self) -> u64 {
        self.shared.state.lock().preparations
    }

    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.shared.services
    }

    pub(crate) fn meters(&self) -> &LaneMeters {
        &self.shared.meters
    }

    /// How things stand, for whoever watches over the server.
    pub fn statistics(&self) -> LaneStatistics {
        let (lanes, waiting) = {
            let state = self.shared.state.lock();
            (state.lanes, state.waiting.len())
        };
        self.shared.meters.statistics(lanes, waiting, self.limits().queue_length_max)
    }

    pub(crate) fn lane_gone(&self, is_present: bool) {
        let mut state = self.shared.state.lock();
        state.lanes -= 1;
        state.absent -= usize::from(!is_present);
    }

    /// A lane has no thread until [`LaneQueue::lane_returned`].
    pub(crate) fn lane_lost(&self) {
        let mut state = self.shared.state.lock();
        state.absent += 1;
        state.absent_since = Some(Instant::now());
    }

    pub(crate) fn lane_returned(&self) {
        self.shared.state.lock().absent -= 1;
        // Calls may have waited for that.
        self.shared.arrived.notify_one();
    }

    /// Puts back a call that its lane could not run again, ahead of all others.
    pub(crate) fn give_back(&self, mut queued: Box<QueuedCall>) {
        queued.turn = None;
        let mut state = self.shared.state.lock();
        if state.closed {
            drop(state);
            let _ = queued.reply.send(Err(CallError::shutting_down()));
            return;
        }
        state.last_returned -= 1;
        let ticket = state.last_returned;
        let function = queued.call.function.path.clone();
        state.waiting.push(&function, ticket, queued);
        drop(state);
        self.shared.arrived.notify_one();
    }

    /// Has a lane run the call, and waits for its answer. Dropping the future takes a call that has not started yet out
    /// of the queue.
    pub(crate) async fn run(&self, call: LaneCall) -> LaneReply {
        let kind = call.kind.transaction_kind();
        let (reply, mut answer) = oneshot::channel();
        let queued = QueuedCall { call, reply, since: Instant::now(), was_taken: false, turn: None };
        let (line, ticket) = self.push(Box::new(queued), kind)?;
        let place = Place { queue: self, line, ticket };
        let answered = match tokio::time::timeout(self.limits().queue_wait_max, &mut answer).await {
            Ok(answered) => answered,
            Err(_) if place.leave() => {
                self.meters().refused(kind);
                return Err(self.too_many(kind));
            }
            // A lane has it. That is not told when it happens: hardly any call waits so long.
            Err(_) => answer.await,
        };
        // A lane always answers; it drops the sender only when its thread panics.
        answered.unwrap_or_else(|_| Err(CallError::internal(&"a lane dropped its call")))
    }

    fn push(&self, queued: Box<QueuedCall>, kind: TransactionKind) -> Result<(LineId, i64), CallError> {
        let mut state = self.shared.state.lock();
        if state.closed {
            return Err(CallError::shutting_down());
        }
        if state.waiting.len() >= self.limits().queue_length_max {
            drop(state);
            self.meters().refused(kind);
            return Err(self.too_many(kind));
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let function = queued.call.function.path.clone();
        let line = state.waiting.push(&function, ticket, queued);
        drop(state);
        self.shared.arrived.notify_one();
        Ok((line, ticket))
    }

    fn too_many(&self, kind: TransactionKind) -> CallError {
        let kind = match kind {
            TransactionKind::Query => "queries",
            TransactionKind::Mutation => "mutations",
        };
        CallError::too_many_concurrent(kind, self.shared.state.lock().lanes)
    }

    /// Takes the oldest call, waiting for one up to `timeout`, and no longer than until there is something to prepare
    /// that the lane does not know of.
    pub(crate) fn pop(&self, timeout: Duration, preparations: &AtomicU64) -> Popped {
        let deadline = Instant::now() + timeout;
        let mut is_over = false;
        let mut state = self.shared.state.lock();
        loop {
            if state.closed {
                return Popped::Closed;
            }
            let now = Instant::now();
            let lanes = state.lane_count(now);
            if let Some((mut queued, turn)) = state.waiting.pop(lanes, now) {
                drop(state);
                queued.turn = Some(RunningTurn { shared: self.shared.clone(), turn });
                if !std::mem::replace(&mut queued.was_taken, true) {
                    self.meters().taken(queued.since.elapsed());
                }
                return Popped::Call(queued);
            }
            if preparations.swap(state.preparations, Ordering::Relaxed) != state.preparations {
                return Popped::Idle;
            }
            if is_over {
                return Popped::Idle;
            }
            // Whatever woke us, there may be a call now, that is perhaps not for us yet.
            let patience = state.absent_until().filter(|until| *until > now && state.waiting.len() > 0);
            let until = patience.map_or(deadline, |until| until.min(deadline));
            is_over = self.shared.arrived.wait_until(&mut state, until).timed_out() && until == deadline;
        }
    }
}

/// A caller's place in the queue.
struct Place<'a> {
    queue: &'a LaneQueue,
    line: LineId,
    ticket: i64,
}

impl Place<'_> {
    /// Leaves the queue; `false` when a lane already has the call.
    fn leave(&self) -> bool {
        self.queue.shared.state.lock().waiting.remove(self.line, self.ticket).is_some()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
