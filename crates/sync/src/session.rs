//! The state machine of one connection.
//!
//! A [`Session`] decides; a *driver* acts. Every input (a frame, a finished mutation, a tick of the clock) is a method that
//! returns [`Effect`]s, and the driver reports what came of them through further inputs. The session does no I/O, reads no
//! clock and draws no random numbers, so a whole connection can be tested as a sequence of calls.
//!
//! # What the driver does
//!
//! One task owns the session. It calls an input, then starts the returned effects **in order** without waiting for any
//! of them to finish, and waits for the next thing to happen:
//!
//! | What happened | Input |
//! |---|---|
//! | a text frame, a binary frame, a Ping or Pong frame | [`receive`](Session::receive), [`binary_frame`](Session::binary_frame), [`peer_alive`](Session::peer_alive) |
//! | a subscription woke up | [`invalidated`](Session::invalidated) |
//! | [`next_tick`](Session::next_tick) was reached | [`tick`](Session::tick) |
//! | the server stops | [`shut_down`](Session::shut_down) |
//! | the token of the identity in force would not be accepted any more | [`identity_revoked`](Session::identity_revoked) |
//!
//! | Effect | What to do | What to report |
//! |---|---|---|
//! | [`Send`](Effect::Send) | queue the frame for writing | [`transition_written`](Session::transition_written) when one with `ends_transition` has been written |
//! | [`Authenticate`](Effect::Authenticate) | verify the token | [`authenticated`](Session::authenticated) |
//! | [`RunMutation`](Effect::RunMutation) | run it until its commit is durable | [`mutation_settled`](Session::mutation_settled) when its commit is visible, [`mutation_finished`](Session::mutation_finished) when it is durable, in the order of starting |
//! | [`RunAction`](Effect::RunAction) | run it | [`action_finished`](Session::action_finished) |
//! | [`ComputeTransition`](Effect::ComputeTransition) | see below | [`transition_computed`](Session::transition_computed) |
//! | [`Close`](Effect::Close) | write what is queued, close | nothing |
//!
//! Also the driver's: WebSocket Ping frames every 5 s (the first at once), a bound on bytes queued for writing (stop reading
//! the socket while it is exceeded, so that cheap requests cannot pile up answers), and not reading while
//! [`accepts_input`](Session::accepts_input) is false. A running mutation or action is not cancelled when the socket
//! closes; its outcome is dropped. After a close every input returns no effects.
//!
//! # Computing a Transition
//!
//! A [`TransitionJob`] lists the whole query set. The driver
//!
//! 1. picks one timestamp `T`: the newest *visible* one, not below `at_least`;
//! 2. for each query with `held` that is valid through `T` answers `Unchanged`, and runs the others at `T` (or takes an
//!    equal execution from a cache), each with its journal, up to 20 at a time;
//! 3. subscribes to what each run read, from `T` on, with a waker that makes the driver call `invalidated`. The waker may
//!    fire at any moment, even before the results are delivered; wake-ups may be merged;
//! 4. waits until `T` is *durable* and reports all outcomes with `T`.
//!
//! Picking the newest durable timestamp instead would spin: a visible commit invalidates a subscription, the re-run at an
//! older timestamp sees nothing new, and its new subscription is invalid from the start.
//!
//! A Transition whose `T` includes the commit of a mutation without an answer is reported **after** that mutation: a client that
//! sees its own write arrive before the answer to its mutation shows it twice for a moment, as data and as optimistic
//! update.
//!
//! # Example
//!
//! ```text
//! receive({"type":"Connect",...})                          -> []
//! receive({"type":"Authenticate","value":"jwt",...})       -> [Authenticate(User{jwt})]
//! receive({"type":"ModifyQuerySet","modifications":[Add 0]}) -> []          held until the token is verified
//! authenticated(Accepted(ada))                             -> [ComputeTransition{id 1, at_least 0, ada, [0: run]}]
//! receive({"type":"Mutation","requestId":0,...})           -> [RunMutation{0, ada}]
//! transition_computed(1, ts 10, [0: Answered [] ])         -> [Send Transition (0,0,0)->(1,1,10) QueryUpdated 0]
//!   the mutation commits at 11; that wakes query 0's subscription
//! invalidated()                                            -> [ComputeTransition{id 2, at_least 10, [0: run]}]
//! mutation_finished(0, Committed ts 11)                    -> [Send MutationResponse ts 11]
//! transition_computed(2, ts 11, [0: Answered ["x"] ])      -> [Send Transition (1,1,10)->(1,1,11) QueryUpdated 0]
//!   had job 2 run at 10, job 3 would follow at once: after each answer to a mutation comes a Transition that includes it
//! tick()  15 s later                                       -> [Send Ping]
//! ```

mod effect;
mod incoming;
mod query_set;
mod requests;
mod responses;
mod timing;
mod transition;

use std::collections::VecDeque;
use std::time::Duration;

use freshet_values::Timestamp;

pub use self::effect::{
    ActionOutcome, AuthOutcome, CloseFrame, ComputeFailure, Computed, Credentials, Effect, Identity, JobId,
    JobQuery, MutationOutcome, Now, QueryCall, QueryOutcome, RequestJob, Subscription, TransitionJob,
};
use self::query_set::{Offered, QuerySet};
use self::requests::Requests;
use self::responses::FailureIds;
use self::timing::{Liveness, Retry};
use crate::client_version::ClientVersion;
use crate::close::CloseReason;
use crate::message::client::{ParseError, RequestNumber, SessionId};
use crate::message::server::{ServerMessage, StateVersion};

const IDENTITY_EXPIRED: &str = "Convex token identity expired";

/// One connection. `I` is the driver's identity, `S` its subscription handle.
pub struct Session<I, S> {
    /// Set by the last effect ever returned.
    closed: bool,
    /// Whether large Transitions may be sent in pieces.
    sends_chunks: bool,
    failure_ids: FailureIds,
    /// What `Authenticate` with no token returns to.
    anonymous: I,
    /// Identity for new requests and for the next computation.
    identity: I,
    /// Number of `Authenticate` messages accepted.
    identity_version: u32,
    /// Steps whenever the identity becomes a different caller; results of an earlier epoch are good for nothing.
    caller_epoch: u64,
    /// Whether a token is with the driver.
    authenticating: bool,
    /// Frames that arrived since, in order, each with its moment.
    held: VecDeque<(String, Now)>,
    /// Bytes in `held`.
    held_bytes: usize,
    /// Set by `Connect`.
    client: Option<Client>,
    /// No computation may choose an older timestamp: the client, or a result kept here, has seen this one.
    floor: Timestamp,
    queries: QuerySet<S>,
    requests: Requests<I>,
    /// End version of the last Transition sent.
    sent: StateVersion,
    /// A Transition at this timestamp or later must be sent, even an empty one: a response promised it.
    owed: Option<Timestamp>,
    /// Something that a query read may have changed.
    invalidated: bool,
    /// The computation in flight.
    job: Option<ActiveJob<I>>,
    last_job: u64,
    /// Transitions handed out and not yet written.
    unsent: usize,
    transitions_sent: u64,
    liveness: Liveness,
    retry: Retry,
}

struct Client {
    session_id: SessionId,
    /// The client's clock minus ours, in milliseconds; `None` when the client did not tell its clock.
    clock_skew_ms: Option<i64>,
}

struct ActiveJob<I> {
    id: JobId,
    start: StateVersion,
    query_set: u32,
    identity_version: u32,
    identity: I,
    caller_epoch: u64,
    at_least: Timestamp,
    offered: Vec<Offered>,
}

type Effects<I, S> = Vec<Effect<I, S>>;

impl<I: Identity, S: Subscription> Session<I, S> {
    /// A connection whose upgrade has just completed. `seed` should be random; it only makes request ids unique.
    pub fn new(client: &ClientVersion, anonymous: I, seed: [u8; 16], now: Now) -> Self {
        Self {
            closed: false,
            sends_chunks: client.understands_transition_chunks(),
            failure_ids: FailureIds::new(seed),
            identity: anonymous.clone(),
            anonymous,
            identity_version: 0,
            caller_epoch: 0,
            authenticating: false,
            held: VecDeque::new(),
            held_bytes: 0,
            client: None,
            floor: Timestamp::ZERO,
            queries: QuerySet::default(),
            requests: Requests::default(),
            sent: StateVersion::INITIAL,
            owed: None,
            invalidated: false,
            job: None,
            last_job: 0,
            unsent: 0,
            transitions_sent: 0,
            liveness: Liveness { last_sent: now.elapsed, last_heard: now.elapsed },
            retry: Retry::default(),
        }
    }

    /// Whether a `Close` effect has been returned.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether further frames would be processed at once. While a token is being verified they are held, within bounds;
    /// a driver that stops reading meanwhile never meets the bounds.
    pub fn accepts_input(&self) -> bool {
        !self.closed && !self.authenticating
    }

    /// The client's session, once it has introduced itself.
    pub fn session_id(&self) -> Option<SessionId> {
        self.client.as_ref().map(|client| client.session_id)
    }

    /// Identity in force for requests that arrive now.
    pub fn identity(&self) -> &I {
        &self.identity
    }

    /// End version of the last Transition sent.
    pub fn sent_version(&self) -> StateVersion {
        self.sent
    }

    /// When to call [`tick`](Self::tick) at the latest, on the clock of [`Now::elapsed`]. Changes with every input.
    pub fn next_tick(&self, now: Now) -> Duration {
        let retry = if self.job.is_none() { self.retry.next(now.elapsed) } else { None };
        [
            Some(self.liveness.ping_at()),
            Some(self.liveness.gone_at()),
            self.requests.mutation_deadline(),
            retry,
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(now.elapsed)
    }

    /// A text frame arrived.
    pub fn receive(&mut self, text: &str, now: Now) -> Effects<I, S> {
        self.input(now, |session, out| {
            session.liveness.last_heard = now.elapsed;
            if session.authenticating {
                session.hold(text, now, out);
            } else {
                session.handle(text, now, out);
            }
        })
    }

    /// A binary frame arrived; no client sends one.
    pub fn binary_frame(&mut self, now: Now) -> Effects<I, S> {
        self.input(now, |session, out| {
            session.fatal(&ParseError::new(&"binary frames are not supported"), now, out);
        })
    }

    /// A control frame arrived.
    pub fn peer_alive(&mut self, now: Now) {
        self.liveness.last_heard = now.elapsed;
    }

    /// The token of the last [`Effect::Authenticate`] has been verified or not.
    pub fn authenticated(&mut self, outcome: AuthOutcome<I>, now: Now) -> Effects<I, S> {
        self.input(now, |session, out| {
            if !session.authenticating {
                return session.close(CloseReason::InternalServerError, out);
            }
            session.authenticating = false;
            match outcome {
                AuthOutcome::Accepted(identity) => session.accept_identity(identity, out),
                AuthOutcome::Rejected(error) => session.auth_error(&error, true, now, out),
                AuthOutcome::Failed(reason) => session.close(reason, out),
            }
            while session.accepts_input()
                && let Some((text, received)) = session.held.pop_front()
            {
                session.held_bytes -= text.len();
                session.handle(&text, received, out);
            }
        })
    }

    /// The identity in force is not trusted any more, whatever its token says. The client is told as of an expired one, and
    /// comes back with a new token or none. While another token is being verified nothing happens: that one counts.
    pub fn identity_revoked(&mut self, error: &str, now: Now) -> Effects<I, S> {
        self.input(now, |session, out| {
            if !session.authenticating {
                session.auth_error(error, false, now, out);
            }
        })
    }

    /// The running mutation has committed or failed, but what it shows may not be durable yet. The next one starts.
    pub fn mutation_settled(&mut self, request_id: RequestNumber, now: Now) -> Effects<I, S> {
        self.input(now, |session, _| session.requests.settle_mutation(request_id))
    }

    /// The oldest mutation without an answer is over, and durable.
    pub fn mutation_finished(
        &mut self,
        request_id: RequestNumber,
        outcome: &MutationOutcome,
        now: Now,
    ) -> Effects<I, S> {
        self.input(now, |session, out| {
            if !session.requests.finish_mutation(request_id) {
                return session.close(CloseReason::InternalServerError, out);
            }
            session.answer_mutation(request_id, outcome, now, out);
        })
    }

    /// A running action is over.
    pub fn action_finished(
        &mut self,
        request_id: RequestNumber,
        outcome: &ActionOutcome,
        now: Now,
    ) -> Effects<I, S> {
        self.input(now, |session, out| {
            if !session.requests.finish_action(request_id) {
                return session.close(CloseReason::InternalServerError, out);
            }
            session.answer_action(request_id, outcome, now, out);
        })
    }

    /// The computation of the last [`Effect::ComputeTransition`] is over.
    pub fn transition_computed(
        &mut self,
        id: JobId,
        result: Result<Computed<S>, ComputeFailure>,
        now: Now,
    ) -> Effects<I, S> {
        self.input(now, |session, out| {
            let Some(job) = session.job.take_if(|job| job.id == id) else {
                return session.close(CloseReason::InternalServerError, out);
            };
            match result {
                Ok(computed) => session.finish_job(&job, computed, now, out),
                Err(ComputeFailure::Retry) => session.retry_job(now),
                Err(ComputeFailure::Close(reason)) => session.close(reason, out),
            }
        })
    }

    /// Some subscription of this session has become invalid.
    pub fn invalidated(&mut self, now: Now) -> Effects<I, S> {
        self.input(now, |session, _| session.invalidated = true)
    }

    /// A frame with [`ends_transition`](ServerMessage::ends_transition) has been written to the socket.
    pub fn transition_written(&mut self, now: Now) -> Effects<I, S> {
        self.input(now, |session, _| session.unsent = session.unsent.saturating_sub(1))
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) -> Effects<I, S> {
        self.input(now, |session, out| {
            if now.elapsed >= session.liveness.gone_at() {
                session.close(CloseReason::ClientDisconnected, out);
            } else if session.requests.mutation_deadline().is_some_and(|at| now.elapsed >= at) {
                session.close(CloseReason::InternalServerError, out);
            } else if now.elapsed >= session.liveness.ping_at() {
                session.send(ServerMessage::ping(), now, out);
            }
        })
    }

    /// The server stops on purpose.
    pub fn shut_down(&mut self, now: Now) -> Effects<I, S> {
        self.input(now, |session, out| session.close(CloseReason::GoingAway, out))
    }

    /// Every input but `peer_alive` goes through here: nothing happens after the close, and whatever the input made
    /// possible is started before it returns.
    fn input(&mut self, now: Now, change: impl FnOnce(&mut Self, &mut Effects<I, S>)) -> Effects<I, S> {
        let mut out = Vec::new();
        if !self.closed {
            change(self, &mut out);
            self.start_mutations(now, &mut out);
            self.start_job(now, &mut out);
        }
        out
    }

    fn has_expired(&self, identity: &I, now: Now) -> bool {
        identity.expires_at().is_some_and(|at| now.unix >= at)
    }

    fn send(&mut self, message: ServerMessage, now: Now, out: &mut Effects<I, S>) {
        self.liveness.last_sent = now.elapsed;
        out.push(Effect::Send(message));
    }

    fn auth_error(&mut self, error: &str, attempted: bool, now: Now, out: &mut Effects<I, S>) {
        self.send(ServerMessage::auth_error(error, self.sent.identity, attempted), now, out);
        self.close_with(CloseFrame::Empty, out);
    }

    fn fatal(&mut self, error: &ParseError, now: Now, out: &mut Effects<I, S>) {
        self.send(ServerMessage::fatal_error(&error.to_string()), now, out);
        self.close_with(CloseFrame::Empty, out);
    }

    fn close(&mut self, reason: CloseReason, out: &mut Effects<I, S>) {
        self.close_with(CloseFrame::Reason(reason), out);
    }

    /// Ends the session and lets go of everything it holds.
    fn close_with(&mut self, frame: CloseFrame, out: &mut Effects<I, S>) {
        self.closed = true;
        self.queries = QuerySet::default();
        self.requests = Requests::default();
        self.held = VecDeque::new();
        self.job = None;
        out.push(Effect::Close(frame));
    }
}
