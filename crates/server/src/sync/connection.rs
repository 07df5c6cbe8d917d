//! One open WebSocket: carries out what its session decides.
//!
//! One task owns the session, the socket and the timers. Function calls run in tasks of their own and report through
//! channels, so that nothing they do delays a frame. A change that many watch is handled without any other task: woken
//! once, a connection picks the result up, and hands the frame to the kernel.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use freshet_database::Waker;
use freshet_functions::{Caller, RequestMetadata};
use freshet_sync::message::client::RequestNumber;
use freshet_sync::session::{
    ActionOutcome, AuthOutcome, CloseFrame, ComputeFailure, Computed, Effect, JobId, MutationOutcome, Now,
};
use freshet_sync::{ClientVersion, CloseReason, Session};
use freshet_websocket::Incoming;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use tokio::io::Interest as Readiness;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::compute::Computation;
use super::identity::{self, SocketIdentity};
use super::own_mutations::OwnMutations;
use super::requests::{self, SharedMetadata};
use super::socket::{ReadEnd, Socket};
use crate::queries::{Asker, Interest};
use crate::state::State;

/// Control frames that keep the connection alive for clients and proxies that count any frame. The most impatient client
/// waits for 30 s.
const PING_PERIOD: Duration = Duration::from_secs(10);
/// A client that takes nothing for so long, although something waits for it, is given up.
const STALL_TIME_MAX: Duration = Duration::from_secs(60);
/// How long the last frames may take to be written.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the other side may take to answer a close frame.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// News from the tasks of a connection, but for the ends of mutations, which come first and in order.
enum Done {
    Settled(RequestNumber),
    Authenticated(AuthOutcome<SocketIdentity>),
    /// This identity is not trusted any more.
    Revoked(SocketIdentity, String),
    Action(RequestNumber, ActionOutcome),
    Computed(JobId, Result<Computed<Interest>, ComputeFailure>),
}

/// Serves a socket until either side closes it.
pub(super) async fn run(state: Arc<State>, client: ClientVersion, metadata: RequestMetadata, socket: Socket) {
    let (done_sender, mut done) = mpsc::unbounded_channel();
    let invalidated = Arc::clone(socket.wake());
    let stopping = state.stopping.clone();
    let mut stopping = pin!(stopping.cancelled());
    let started = Instant::now();
    let mut connection = Connection {
        session: Session::new(
            &client,
            SocketIdentity::anonymous(),
            uuid::Uuid::new_v4().into_bytes(),
            now(&state, started),
        ),
        state,
        metadata: Arc::new(metadata),
        socket,
        started,
        ping_at: started,
        stalled_since: started,
        waker: waker(&invalidated),
        own_mutations: OwnMutations::default(),
        mutations: FuturesOrdered::new(),
        done: done_sender,
        authentication: None,
        is_authenticating: false,
        has_other_providers: false,
        computation: None,
        client_closed: false,
    };
    let mut providers = connection.state.services.functions.auth_changes();
    let mut timer = pin!(tokio::time::sleep_until(started));
    while !connection.is_over() {
        match connection.write() {
            Ok(closed) if closed => return,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a socket cannot be written to");
                return;
            }
        }
        if connection.is_over() {
            break;
        }
        // Deadlines mostly move away; the timer is set anew when it goes off too early, not each time.
        let wake_at = connection.wake_at();
        if wake_at < timer.deadline() {
            timer.as_mut().reset(wake_at);
        }
        let readiness = connection.readiness();
        let early = connection.socket.has_early();
        // In order of urgency: a finished mutation is answered before the transition that shows it.
        tokio::select! {
            biased;
            () = &mut stopping => connection.shut_down(),
            Some((request_id, outcome)) = connection.mutations.next() => {
                connection.mutation_finished(request_id, &outcome);
            }
            () = &mut timer => {
                connection.timer();
                timer.as_mut().reset(connection.wake_at());
            }
            Some(news) = done.recv() => connection.done(news),
            () = invalidated.notified() => connection.invalidated(),
            Ok(()) = providers.changed(), if connection.depends_on_providers() => connection.providers_changed(),
            ready = ready(connection.socket.stream(), readiness, early) => match ready {
                Ok(readable) if readable && !connection.read() => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "a socket broke");
                    return;
                }
            },
        }
    }
    // Subscriptions and a running computation end here; mutations and actions go on to their ends.
    let socket = connection.into_socket();
    if tokio::time::timeout(FLUSH_TIME_MAX, write_to_end(socket)).await.is_err() {
        tracing::debug!("a client did not take the end of its connection");
    }
}

/// Waits until the socket can do something that is wanted; `true` when there may be something to read.
async fn ready(
    stream: &tokio::net::TcpStream,
    readiness: Option<Readiness>,
    early: bool,
) -> std::io::Result<bool> {
    match readiness {
        Some(readiness) if early && readiness.is_readable() => Ok(true),
        Some(readiness) => {
            let ready = stream.ready(readiness).await?;
            Ok(readiness.is_readable() && (ready.is_readable() || ready.is_read_closed()))
        }
        None => std::future::pending().await,
    }
}

/// Writes the rest and lets the closing handshake finish, so that the other side sees the close frame and not a reset. What
/// arrives meanwhile is forgotten, but taken: a client that cannot get rid of what it sends may not read either.
async fn write_to_end(mut socket: Socket) {
    loop {
        match socket.write() {
            Ok(written) if written.closed => break,
            Ok(_) if socket.waiting_bytes() == 0 => break,
            Ok(_) => {}
            Err(_) => return,
        }
        match socket.stream().ready(Readiness::READABLE | Readiness::WRITABLE).await {
            Ok(ready) if ready.is_readable() && !socket.discard() => return,
            Ok(_) => {}
            Err(_) => return,
        }
    }
    let read_to_end = async { while socket.stream().readable().await.is_ok() && socket.discard() {} };
    drop(tokio::time::timeout(CLOSE_TIME_MAX, read_to_end).await);
}

fn waker(invalidated: &Arc<Notify>) -> Waker {
    let invalidated = Arc::clone(invalidated);
    Arc::new(move || invalidated.notify_one())
}

fn now(state: &State, started: Instant) -> Now {
    Now {
        elapsed: started.elapsed(),
        unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        newest: state.services.database.visible_ts(),
    }
}

struct Connection {
    state: Arc<State>,
    session: Session<SocketIdentity, Interest>,
    metadata: SharedMetadata,
    socket: Socket,
    started: Instant,
    /// When the next control frame is due.
    ping_at: Instant,
    /// When something was last taken by the client, or nothing waited for it.
    stalled_since: Instant,
    /// Handed to every subscription; wakes this connection's task.
    waker: Waker,
    own_mutations: OwnMutations,
    /// Mutations without an answer. Each goes on to its end when the connection is gone.
    mutations: FuturesOrdered<BoxFuture<'static, (RequestNumber, MutationOutcome)>>,
    done: mpsc::UnboundedSender<Done>,
    /// At most one of each; dropped, and thereby stopped, with the connection.
    authentication: Option<AbortOnDropHandle<()>>,
    /// Whether what `authentication` does is to judge a token of the client.
    is_authenticating: bool,
    /// Whether the providers changed meanwhile, so that the outcome may be out of date.
    has_other_providers: bool,
    computation: Option<AbortOnDropHandle<()>>,
    /// The client has said goodbye, or broken the rules of WebSockets, and was answered.
    client_closed: bool,
}

type Effects = Vec<Effect<SocketIdentity, Interest>>;

impl Connection {
    fn now(&self) -> Now {
        now(&self.state, self.started)
    }

    /// Whether only the end is left to be written.
    fn is_over(&self) -> bool {
        self.client_closed || self.session.is_closed()
    }

    fn into_socket(self) -> Socket {
        self.socket
    }

    fn wake_at(&self) -> Instant {
        let tick_at = self.started + self.session.next_tick(self.now());
        let stalls = self.socket.waiting_bytes() > 0;
        let stall_at = stalls.then_some(self.stalled_since + STALL_TIME_MAX);
        tick_at.min(self.ping_at).min(stall_at.unwrap_or(tick_at))
    }

    /// What the socket has to become ready for; `None` for nothing.
    fn readiness(&self) -> Option<Readiness> {
        let reads = self.session.accepts_input() && !self.socket.is_full();
        let writes = self.socket.waiting_bytes() > 0;
        match (reads, writes) {
            (true, true) => Some(Readiness::READABLE | Readiness::WRITABLE),
            (true, false) => Some(Readiness::READABLE),
            (false, true) => Some(Readiness::WRITABLE),
            (false, false) => None,
        }
    }

    /// Writes what the kernel takes, and computes what back-pressure held up. `true` when the close frame is out.
    fn write(&mut self) -> std::io::Result<bool> {
        loop {
            let was_full = self.socket.is_full();
            let written = self.socket.write()?;
            let now = self.now();
            if written.bytes > 0 || self.socket.waiting_bytes() == 0 {
                self.stalled_since = Instant::now();
            }
            if was_full && written.bytes > 0 {
                // While nothing is read, taking frames is the only sign of life that the client can give.
                self.session.peer_alive(now);
            }
            for _ in 0..written.transitions {
                let effects = self.session.transition_written(now);
                self.start(effects);
            }
            let is_too_much = self.socket.waiting_bytes() > self.state.config.limits.socket_bytes_max;
            if (is_too_much || self.socket.has_to_go()) && !self.is_over() {
                self.give_up();
            }
            if written.closed || written.bytes == 0 || self.socket.waiting_bytes() == 0 {
                return Ok(written.closed);
            }
        }
    }

    /// For a client that does not take its answers.
    fn give_up(&mut self) {
        tracing::debug!(session = ?self.session.session_id(), "a client does not take its answers");
        self.state.meters.sockets_too_slow.increment();
        self.socket.drop_waiting();
        self.socket.close(CloseFrame::Reason(CloseReason::ClientTooSlow));
        self.client_closed = true;
    }

    /// `false` when the other side is gone.
    fn read(&mut self) -> bool {
        let mut arrived = Vec::new();
        let ended = self.socket.read(|incoming| arrived.push(incoming));
        for incoming in arrived {
            self.incoming(&incoming);
        }
        match ended {
            Ok(()) => true,
            Err(ReadEnd::Gone(error)) => {
                tracing::debug!(%error, "a client has gone");
                false
            }
            Err(ReadEnd::Broken(error)) => {
                tracing::debug!(%error, session = ?self.session.session_id(), "closing a socket");
                self.socket.close_broken(error);
                self.client_closed = true;
                true
            }
        }
    }

    fn incoming(&mut self, incoming: &Incoming) {
        let now = self.now();
        let effects = match incoming {
            Incoming::Text(text) => self.session.receive(text, now),
            Incoming::Binary => self.session.binary_frame(now),
            Incoming::Ping(content) => {
                self.socket.pong(content);
                return self.session.peer_alive(now);
            }
            Incoming::Pong => return self.session.peer_alive(now),
            Incoming::Close(code) => {
                self.socket.answer_close(*code);
                self.client_closed = true;
                return;
            }
        };
        self.start(effects);
    }

    fn mutation_finished(&mut self, request_id: RequestNumber, outcome: &MutationOutcome) {
        let effects = self.session.mutation_finished(request_id, outcome, self.now());
        self.own_mutations.answered();
        self.start(effects);
    }

    fn done(&mut self, news: Done) {
        let now = self.now();
        let effects = match news {
            Done::Settled(request_id) => self.session.mutation_settled(request_id, now),
            Done::Authenticated(outcome) => self.authenticated(outcome, now),
            // By now the client may have logged out, or in as somebody else.
            Done::Revoked(identity, _) if !self.session.identity().is_the_same(&identity) => Vec::new(),
            Done::Revoked(_, reason) => self.session.identity_revoked(&reason, now),
            Done::Action(request_id, outcome) => self.session.action_finished(request_id, &outcome, now),
            Done::Computed(job, result) => self.session.transition_computed(job, result, now),
        };
        self.start(effects);
    }

    fn authenticated(&mut self, outcome: AuthOutcome<SocketIdentity>, now: Now) -> Effects {
        self.is_authenticating = false;
        let effects = self.session.authenticated(outcome, now);
        if std::mem::take(&mut self.has_other_providers) {
            self.check_identity();
        }
        effects
    }

    /// Whether another configuration of authentication would matter to this connection.
    fn depends_on_providers(&self) -> bool {
        self.is_authenticating || self.session.identity().0.token.is_some()
    }

    /// Tokens that were accepted may not be any more.
    fn providers_changed(&mut self) {
        if self.is_authenticating {
            self.has_other_providers = true;
        } else {
            self.check_identity();
        }
    }

    /// Judges the token of the identity in force once more.
    fn check_identity(&mut self) {
        let identity = self.session.identity().clone();
        if identity.0.token.is_none() || self.session.is_closed() {
            return;
        }
        let (state, done) = (Arc::clone(&self.state), self.done.clone());
        self.authentication = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            if let Some(reason) = guarded(identity::revoked(&state, &identity)).await.flatten() {
                drop(done.send(Done::Revoked(identity, reason)));
            }
        })));
    }

    fn invalidated(&mut self) {
        let effects = self.session.invalidated(self.now());
        self.start(effects);
    }

    fn timer(&mut self) {
        let instant = Instant::now();
        if instant >= self.ping_at {
            self.ping_at = instant + PING_PERIOD;
            self.socket.ping();
        }
        if self.socket.waiting_bytes() > 0 && instant >= self.stalled_since + STALL_TIME_MAX {
            return self.give_up();
        }
        let now = self.now();
        if now.elapsed >= self.session.next_tick(now) {
            let effects = self.session.tick(now);
            self.start(effects);
        }
    }

    fn shut_down(&mut self) {
        let effects = self.session.shut_down(self.now());
        self.start(effects);
    }

    /// Starts effects in order. None of them is waited for.
    fn start(&mut self, effects: Effects) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Send(message) => self.socket.send(&message),
                Effect::Close(frame) => self.close(frame),
                Effect::Authenticate(credentials) => {
                    let (state, done) = (Arc::clone(&self.state), self.done.clone());
                    self.is_authenticating = true;
                    self.authentication = Some(AbortOnDropHandle::new(tokio::spawn(async move {
                        let outcome = guarded(identity::authenticate(&state, credentials))
                            .await
                            .unwrap_or(AuthOutcome::Failed(CloseReason::InternalServerError));
                        drop(done.send(Done::Authenticated(outcome)));
                    })));
                }
                Effect::RunMutation(job) => {
                    let (state, metadata) = (Arc::clone(&self.state), Arc::clone(&self.metadata));
                    let (done, request_id) = (self.done.clone(), job.request_id);
                    let commit = self.own_mutations.started();
                    let end = self.state.tasks.spawn(async move {
                        let settled = move || drop(done.send(Done::Settled(request_id)));
                        guarded(requests::mutation(&state, &metadata, job, commit, settled)).await
                    });
                    self.mutations.push_back(Box::pin(async move {
                        let outcome = end.await.ok().flatten();
                        let failed = MutationOutcome::Abandoned(CloseReason::InternalServerError);
                        (request_id, outcome.unwrap_or(failed))
                    }));
                }
                Effect::RunAction(job) => {
                    let (state, metadata) = (Arc::clone(&self.state), Arc::clone(&self.metadata));
                    let (done, request_id) = (self.done.clone(), job.request_id);
                    self.state.tasks.spawn(async move {
                        let outcome = guarded(requests::action(&state, &metadata, job))
                            .await
                            .unwrap_or(ActionOutcome::Abandoned(CloseReason::InternalServerError));
                        drop(done.send(Done::Action(request_id, outcome)));
                    });
                }
                Effect::ComputeTransition(job) => {
                    let computation = Computation {
                        state: Arc::clone(&self.state),
                        asker: Asker {
                            visitor: Arc::clone(&job.identity.0),
                            metadata: Arc::clone(&self.metadata),
                            caller: Caller::SyncWorker,
                            request_id: None,
                        },
                        waker: Arc::clone(&self.waker),
                    };
                    // A mutation without an answer may be part of what is known, and has to be answered first.
                    let known = self.own_mutations.is_empty().then(|| computation.at_once(&job)).flatten();
                    if let Some(computed) = known {
                        effects.extend(self.session.transition_computed(job.id, Ok(computed), self.now()));
                        continue;
                    }
                    let (done, id) = (self.done.clone(), job.id);
                    let own_mutations = self.own_mutations.clone();
                    self.computation = Some(AbortOnDropHandle::new(tokio::spawn(async move {
                        let began = std::time::Instant::now();
                        let state = Arc::clone(&computation.state);
                        let result = guarded(computation.transition(&job))
                            .await
                            .unwrap_or(Err(ComputeFailure::Close(CloseReason::InternalServerError)));
                        if let Ok(Computed { ts, .. }) = &result {
                            state.meters.transition(began.elapsed());
                            own_mutations.let_pass(*ts).await;
                        }
                        drop(done.send(Done::Computed(id, result)));
                    })));
                }
            }
        }
    }

    fn close(&mut self, frame: CloseFrame) {
        tracing::debug!(?frame, session = ?self.session.session_id(), "closing a socket");
        self.socket.close(frame);
    }
}

/// `None` after a panic: a session that is owed an outcome must get one, or it would wait for ever.
async fn guarded<T>(work: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(work).catch_unwind().await.ok()
}
