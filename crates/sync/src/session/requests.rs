//! Mutations and actions of one connection: mutations wait in line and run one at a time, actions run at once.
//!
//! A mutation makes room for the next one when its outcome is settled. Its answer comes later, when what it shows is
//! durable: so a client that does not wait for answers pays for the disk once, not once for each mutation.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::effect::RequestJob;
use crate::close::CloseReason;
use crate::limits;
use crate::message::client::{Call, Request, RequestNumber, SessionId, TargetError};

/// A request with everything that was in force when it arrived.
pub(super) struct Received<I> {
    pub(super) request: Request,
    pub(super) session_id: Option<SessionId>,
    pub(super) identity: I,
}

impl<I> Received<I> {
    /// The job to run, or why there is none.
    pub(super) fn into_job(self) -> Result<RequestJob<I>, Misaddressed> {
        let Request { request_id, call: Call { target, args } } = self.request;
        let Self { session_id, identity, .. } = self;
        match target {
            Ok(target) => Ok(RequestJob { request_id, session_id, target, args, identity }),
            Err(error) => Err(Misaddressed { request_id, session_id, error }),
        }
    }
}

/// A request whose path names no function.
pub(super) struct Misaddressed {
    pub(super) request_id: RequestNumber,
    pub(super) session_id: Option<SessionId>,
    pub(super) error: TargetError,
}

struct Running {
    request_id: RequestNumber,
    since: Duration,
}

pub(super) struct Requests<I> {
    /// Mutations whose turn has not come, in order of arrival.
    waiting: VecDeque<Received<I>>,
    /// Bytes of arguments in `waiting`.
    waiting_bytes: usize,
    /// The mutation that runs now.
    running: Option<Running>,
    /// Mutations that are over but not answered yet, in order.
    settled: VecDeque<Running>,
    /// Actions that run now.
    actions: BTreeSet<RequestNumber>,
    /// Ids of all mutations in `waiting`, `running` and `settled`, to refuse a second request under the same id.
    mutations: BTreeSet<RequestNumber>,
}

impl<I> Default for Requests<I> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            running: None,
            settled: VecDeque::new(),
            actions: BTreeSet::new(),
            mutations: BTreeSet::new(),
        }
    }
}

impl<I> Requests<I> {
    /// Puts a mutation in line.
    pub(super) fn enqueue_mutation(&mut self, mutation: Received<I>) -> Result<(), CloseReason> {
        self.check_unused(mutation.request.request_id)?;
        self.waiting_bytes += mutation.request.call.args.len();
        if self.mutations.len() == limits::MUTATIONS_OUTSTANDING_MAX
            || self.waiting_bytes > limits::MUTATION_BYTES_MAX
        {
            return Err(CloseReason::TooManyConcurrentMutations);
        }
        self.mutations.insert(mutation.request.request_id);
        self.waiting.push_back(mutation);
        Ok(())
    }

    /// The next mutation in line, if none is running. It counts as running from now on.
    pub(super) fn start_mutation(&mut self, elapsed: Duration) -> Option<Received<I>> {
        if self.running.is_some() {
            return None;
        }
        // One that cannot run is answered at once, so all before it must have been.
        let mutation = self
            .waiting
            .pop_front_if(|mutation| mutation.request.call.target.is_ok() || self.settled.is_empty())?;
        self.waiting_bytes -= mutation.request.call.args.len();
        self.running = Some(Running { request_id: mutation.request.request_id, since: elapsed });
        Some(mutation)
    }

    /// The outcome of this mutation is settled, so the next one may start.
    pub(super) fn settle_mutation(&mut self, request_id: RequestNumber) {
        // Otherwise the answer was faster than this news.
        if let Some(running) = self.running.take_if(|running| running.request_id == request_id) {
            self.settled.push_back(running);
        }
    }

    /// Whether the answer to `request_id` was the next to come; it is over now.
    pub(super) fn finish_mutation(&mut self, request_id: RequestNumber) -> bool {
        let is_next = |next: &mut Running| next.request_id == request_id;
        let finished = if self.settled.is_empty() {
            self.running.take_if(is_next)
        } else {
            self.settled.pop_front_if(is_next)
        };
        if finished.is_some() {
            self.mutations.remove(&request_id);
        }
        finished.is_some()
    }

    /// When the oldest mutation without an answer has used up its time.
    pub(super) fn mutation_deadline(&self) -> Option<Duration> {
        self.settled.front().or(self.running.as_ref()).map(|oldest| oldest.since + limits::MUTATION_TIME_MAX)
    }

    pub(super) fn start_action(&mut self, request_id: RequestNumber) -> Result<(), CloseReason> {
        self.check_unused(request_id)?;
        if self.actions.len() == limits::ACTIONS_RUNNING_MAX {
            return Err(CloseReason::TooManyInflightActionsForSingleClient);
        }
        self.actions.insert(request_id);
        Ok(())
    }

    /// Whether `request_id` was a running action; it is over now.
    pub(super) fn finish_action(&mut self, request_id: RequestNumber) -> bool {
        self.actions.remove(&request_id)
    }

    /// Two open requests under one id would get two answers that the client cannot tell apart.
    fn check_unused(&self, request_id: RequestNumber) -> Result<(), CloseReason> {
        let used = self.actions.contains(&request_id) || self.mutations.contains(&request_id);
        if used { Err(CloseReason::InternalServerError) } else { Ok(()) }
    }
}
