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
//! | What happened | Input | | Effect | What to do, and what to report |
//! |---|---|---|---|---|
//! | text frame | [`receive`](Session::receive) | | [`Send`](Effect::Send) | queue the text; when a frame with `ends_transition` has been written: [`transition_written`](Session::transition_written) |
//! | binary frame | [`binary_frame`](Session::binary_frame) | | [`Authenticate`](Effect::Authenticate) | verify: [`authenticated`](Session::authenticated) |
//! | Ping or Pong frame | [`peer_alive`](Session::peer_alive) | | [`RunMutation`](Effect::RunMutation) | run until durable: [`mutation_finished`](Session::mutation_finished) |
//! | a subscription woke up | [`invalidated`](Session::invalidated) | | [`RunAction`](Effect::RunAction) | run: [`action_finished`](Session::action_finished) |
//! | [`next_tick`](Session::next_tick) reached | [`tick`](Session::tick) | | [`ComputeTransition`](Effect::ComputeTransition) | see below: [`transition_computed`](Session::transition_computed) |
//! | the server stops | [`shut_down`](Session::shut_down) | | [`Close`](Effect::Close) | flush, close; nothing follows |
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
//! When several things are ready, report finished mutations **before** computed Transitions: a client that sees its own
//! write arrive before the answer to its mutation shows it twice for a moment, as data and as optimistic update.
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
mod query_set;
mod requests;
mod timing;

use std::collections::VecDeque;
use std::time::Duration;

use freshet_values::Timestamp;
use sha2::{Digest as _, Sha256};

pub use self::effect::{
    ActionOutcome, AuthOutcome, CloseFrame, ComputeFailure, Computed, Credentials, Effect, Identity, JobId,
    JobQuery, MutationOutcome, Now, QueryCall, QueryOutcome, RequestJob, Subscription, TransitionJob,
};
use self::query_set::{Changes, Offered, QuerySet, QuerySetError};
use self::requests::{Received, Requests};
use self::timing::{Liveness, Retry};
use crate::answer::{Answer, FunctionFailure};
use crate::client_version::ClientVersion;
use crate::close::CloseReason;
use crate::limits;
use crate::message::client::{
    Authenticate, ClientMessage, Connect, ModifyQuerySet, ParseError, Request, RequestNumber, SessionId,
    TargetError,
};
use crate::message::server::{self, ClockFields, ServerMessage, StateVersion};

const IDENTITY_EXPIRED: &str = "Convex token identity expired";

/// One connection. `I` is the driver's identity, `S` its subscription handle.
pub struct Session<I, S> {
    /// Set by the last effect ever returned.
    closed: bool,
    /// Whether large Transitions may be sent in pieces.
    sends_chunks: bool,
    /// Makes the request ids of failures that the session itself explains; unique to the connection.
    seed: [u8; 16],
    /// Failures explained so far.
    failures_explained: u64,
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
            seed,
            failures_explained: 0,
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

    // ---- inputs ----

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

    /// The running mutation is over.
    pub fn mutation_finished(
        &mut self,
        request_id: RequestNumber,
        outcome: MutationOutcome,
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
        outcome: ActionOutcome,
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

    // ---- frames ----

    fn hold(&mut self, text: &str, now: Now, out: &mut Effects<I, S>) {
        self.held_bytes += text.len();
        if self.held.len() == limits::HELD_MESSAGES_MAX || self.held_bytes > limits::HELD_BYTES_MAX {
            return self.close(CloseReason::TooManyConcurrentRequests, out);
        }
        self.held.push_back((text.to_owned(), now));
    }

    fn handle(&mut self, text: &str, now: Now, out: &mut Effects<I, S>) {
        match text.parse() {
            Ok(ClientMessage::Connect(connect)) => self.connect(&connect, now, out),
            Ok(ClientMessage::ModifyQuerySet(step)) => self.modify_query_set(step, out),
            Ok(ClientMessage::Authenticate(authenticate)) => self.authenticate(authenticate, out),
            Ok(ClientMessage::Mutation(request)) => self.mutation(request, now, out),
            Ok(ClientMessage::Action(request)) => self.action(request, now, out),
            Ok(ClientMessage::Event) => {}
            Err(error) => self.fatal(&error, now, out),
        }
    }

    fn connect(&mut self, connect: &Connect, now: Now, out: &mut Effects<I, S>) {
        let observed = connect.max_observed.unwrap_or(Timestamp::ZERO);
        // A client that has seen more than we have must not be shown an older state; nor may it change its session.
        if self.client.is_some() || observed > now.newest {
            return self.close(CloseReason::InternalServerError, out);
        }
        self.floor = self.floor.max(observed);
        let server_ms = i64::try_from(now.unix.as_millis()).unwrap_or(i64::MAX);
        let clock_skew_ms = connect.client_ts_ms.map(|client_ms| client_ms.saturating_sub(server_ms));
        self.client = Some(Client { session_id: connect.session_id, clock_skew_ms });
    }

    fn modify_query_set(&mut self, step: ModifyQuerySet, out: &mut Effects<I, S>) {
        match self.queries.receive(step) {
            Ok(()) => {}
            // Not a FatalError: the npm client has a race that gets here, and reconnecting heals it.
            Err(QuerySetError::Violation) => self.close(CloseReason::InternalServerError, out),
            Err(QuerySetError::TooLarge) => self.close(CloseReason::TooManyConcurrentRequests, out),
        }
    }

    fn authenticate(&mut self, Authenticate { base_version, token }: Authenticate, out: &mut Effects<I, S>) {
        if base_version != self.identity_version {
            return self.close(CloseReason::InternalServerError, out);
        }
        match Credentials::from_token(token) {
            Some(credentials) => {
                self.authenticating = true;
                out.push(Effect::Authenticate(credentials));
            }
            None => self.accept_identity(self.anonymous.clone(), out),
        }
    }

    fn accept_identity(&mut self, identity: I, out: &mut Effects<I, S>) {
        let Some(version) = self.identity_version.checked_add(1) else {
            return self.close(CloseReason::InternalServerError, out);
        };
        self.identity_version = version;
        if !identity.is_same_caller(&self.identity) {
            self.caller_epoch += 1;
        }
        self.identity = identity;
    }

    fn mutation(&mut self, request: Request, now: Now, out: &mut Effects<I, S>) {
        if self.has_expired(&self.identity, now) {
            return self.auth_error(IDENTITY_EXPIRED, false, now, out);
        }
        let received = self.received(request);
        if let Err(reason) = self.requests.enqueue_mutation(received) {
            self.close(reason, out);
        }
    }

    fn action(&mut self, request: Request, now: Now, out: &mut Effects<I, S>) {
        if self.has_expired(&self.identity, now) {
            return self.auth_error(IDENTITY_EXPIRED, false, now, out);
        }
        if let Err(reason) = self.requests.start_action(request.request_id) {
            return self.close(reason, out);
        }
        match self.received(request).into_job() {
            Ok(job) => out.push(Effect::RunAction(job)),
            Err((received, error)) => {
                let request_id = received.request.request_id;
                let failure = self.explain(Some(&received), &error);
                self.requests.finish_action(request_id);
                let outcome = ActionOutcome::Failed { failure, log_lines: Vec::new() };
                self.answer_action(request_id, outcome, now, out);
            }
        }
    }

    fn received(&self, request: Request) -> Received<I> {
        Received { request, session_id: self.session_id(), identity: self.identity.clone() }
    }

    // ---- requests ----

    fn start_mutations(&mut self, now: Now, out: &mut Effects<I, S>) {
        while !self.closed
            && let Some(received) = self.requests.start_mutation(now.elapsed)
        {
            match received.into_job() {
                Ok(job) => out.push(Effect::RunMutation(job)),
                Err((received, error)) => {
                    let request_id = received.request.request_id;
                    let failure = self.explain(Some(&received), &error);
                    self.requests.finish_mutation(request_id);
                    let outcome = MutationOutcome::Failed { failure, log_lines: Vec::new() };
                    self.answer_mutation(request_id, outcome, now, out);
                }
            }
        }
    }

    fn answer_mutation(
        &mut self,
        request_id: RequestNumber,
        outcome: MutationOutcome,
        now: Now,
        out: &mut Effects<I, S>,
    ) {
        let (message, ts) = match &outcome {
            MutationOutcome::Committed { value, ts, log_lines } => {
                (ServerMessage::mutation_response(request_id, Ok((value, *ts)), log_lines), *ts)
            }
            MutationOutcome::Failed { failure, log_lines } => {
                (ServerMessage::mutation_response(request_id, Err(failure), log_lines), Timestamp::ZERO)
            }
            MutationOutcome::Abandoned(reason) => return self.close(*reason, out),
        };
        self.floor = self.floor.max(ts);
        self.owe(ts);
        self.send(message, now, out);
    }

    fn answer_action(
        &mut self,
        request_id: RequestNumber,
        outcome: ActionOutcome,
        now: Now,
        out: &mut Effects<I, S>,
    ) {
        let message = match &outcome {
            ActionOutcome::Returned { value, log_lines } => {
                ServerMessage::action_response(request_id, Ok(value), log_lines)
            }
            ActionOutcome::Failed { failure, log_lines } => {
                ServerMessage::action_response(request_id, Err(failure), log_lines)
            }
            ActionOutcome::Abandoned(reason) => return self.close(*reason, out),
        };
        self.owe(Timestamp::ZERO);
        self.send(message, now, out);
    }

    fn owe(&mut self, ts: Timestamp) {
        self.owed = self.owed.max(Some(ts));
    }

    /// The failure of a request, or of a query where there is none, whose path names no function.
    fn explain(&mut self, request: Option<&Received<I>>, error: &TargetError) -> FunctionFailure {
        self.failures_explained += 1;
        explain(&self.seed, self.failures_explained, request, error)
    }

    // ---- Transitions ----

    fn start_job(&mut self, now: Now, out: &mut Effects<I, S>) {
        let can_start = !self.closed
            && self.job.is_none()
            && self.unsent < limits::TRANSITIONS_UNSENT_MAX
            && !self.retry.must_wait(now.elapsed);
        if !can_start || !self.needs_job(now) {
            return;
        }
        if self.has_expired(&self.identity, now) {
            // A token being verified may put things right.
            if !self.authenticating {
                self.auth_error(IDENTITY_EXPIRED, false, now, out);
            }
            return;
        }
        self.invalidated = false;
        let (seed, explained) = (self.seed, &mut self.failures_explained);
        self.queries.apply_pending(|error| {
            *explained += 1;
            Answer::failed(&explain::<I>(&seed, *explained, None, error), &[], None)
        });
        self.last_job += 1;
        let id = JobId(self.last_job);
        let queries = self.queries.job(self.caller_epoch);
        self.job = Some(ActiveJob {
            id,
            start: self.sent,
            query_set: self.queries.received_version(),
            identity_version: self.identity_version,
            identity: self.identity.clone(),
            caller_epoch: self.caller_epoch,
            at_least: self.floor,
            offered: queries.iter().map(Offered::of).collect(),
        });
        out.push(Effect::ComputeTransition(TransitionJob {
            id,
            at_least: self.floor,
            identity: self.identity.clone(),
            queries,
        }));
    }

    fn needs_job(&mut self, now: Now) -> bool {
        let must = self.queries.received_version() != self.sent.query_set
            || self.identity_version != self.sent.identity
            || self.owed.is_some()
            || self.retry.is_left_out_due(now.elapsed);
        if !must && self.invalidated {
            // The wake-up may be older than the results we hold.
            self.invalidated = self.queries.has_invalid();
        }
        must || self.invalidated
    }

    fn retry_job(&mut self, now: Now) {
        self.retry.failed(now.elapsed);
        self.invalidated = true;
    }

    fn finish_job(&mut self, job: &ActiveJob<I>, computed: Computed<S>, now: Now, out: &mut Effects<I, S>) {
        if self.has_expired(&job.identity, now) {
            // Nothing may be delivered under it. If the client has a newer one already, that one's turn has come.
            self.invalidated = true;
            if self.identity_version == job.identity_version && !self.authenticating {
                self.auth_error(IDENTITY_EXPIRED, false, now, out);
            }
            return;
        }
        if self.queries.lacks_shown(&computed) {
            return self.retry_job(now);
        }
        let ts = computed.ts;
        let end = StateVersion { query_set: job.query_set, identity: job.identity_version, ts };
        let Ok(changes) = self.queries.absorb(&job.offered, job.caller_epoch, computed.outcomes) else {
            return self.close(CloseReason::InternalServerError, out);
        };
        // Clients that are sent a Transition which does not fit stay behind for good without noticing.
        if job.start != self.sent || !end.is_at_least(&self.sent) || ts < job.at_least {
            return self.close(CloseReason::InternalServerError, out);
        }
        self.retry.succeeded(now.elapsed, changes.has_unavailable);
        self.invalidated |= changes.has_invalid;
        // Even when nothing is sent: results kept here are results at `ts` now.
        self.floor = self.floor.max(ts);
        let pays = self.owed.is_some_and(|owed| owed <= ts);
        let advances = end.query_set != self.sent.query_set || end.identity != self.sent.identity;
        if pays || advances || !changes.is_empty() {
            self.send_transition(end, &changes, now, out);
        }
        if pays {
            self.owed = None;
        }
    }

    fn send_transition(&mut self, end: StateVersion, changes: &Changes, now: Now, out: &mut Effects<I, S>) {
        let clock_skew_ms = self.client.as_ref().and_then(|client| client.clock_skew_ms);
        let clocks = clock_skew_ms.map(|client_clock_skew_ms| ClockFields {
            client_clock_skew_ms,
            server_ts_ns: u64::try_from(now.unix.as_nanos()).unwrap_or(u64::MAX),
        });
        let text = server::transition(&self.sent, &end, &changes.modifications(), clocks);
        let piece_bytes_max = self.sends_chunks.then_some(limits::CHUNK_BYTES_MAX);
        self.transitions_sent += 1;
        for frame in server::transition_frames(text, self.transitions_sent, piece_bytes_max) {
            self.send(frame, now, out);
        }
        self.unsent += 1;
        self.sent = end;
    }

    // ---- endings ----

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

/// Requests of a session have the id that tools compute from what the client knows; others a unique one.
fn explain<I>(
    seed: &[u8; 16],
    number: u64,
    request: Option<&Received<I>>,
    error: &TargetError,
) -> FunctionFailure {
    let session = request.and_then(|received| Some((received.session_id?, received.request.request_id)));
    let digest = match session {
        Some((session_id, request_id)) => Sha256::digest(format!("{session_id}|{request_id}")),
        None => Sha256::digest([&seed[..], &number.to_le_bytes()].concat()),
    };
    FunctionFailure { request_id: hex::encode(&digest[..8]), detail: Some(format!("{error}\n")), data: None }
}
