//! One open WebSocket: carries out what its session decides.
//!
//! One task owns the session, the socket and the timers. Function calls run in tasks of their own and report through
//! channels, so that nothing they do delays a frame.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use freshet_database::Waker;
use freshet_functions::RequestMetadata;
use freshet_sync::message::client::RequestNumber;
use freshet_sync::session::{
    ActionOutcome, AuthOutcome, CloseFrame, ComputeFailure, Computed, Effect, JobId, MutationOutcome, Now,
};
use freshet_sync::{ClientVersion, CloseReason, Session};
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, SplitStream};
use futures::{FutureExt, StreamExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::task::AbortOnDropHandle;

use super::compute::{self, Computation};
use super::identity::{self, SocketIdentity};
use super::interest::Interest;
use super::outbox::{Outbox, Written, outbox};
use super::own_mutations::OwnMutations;
use super::requests::{self, SharedMetadata};
use super::upgrade::Socket;
use crate::state::State;

/// Control frames that keep the connection alive for clients and proxies that count any frame.
const PING_PERIOD: Duration = Duration::from_secs(5);
/// How long the last frames may take to be written.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the other side may take to answer a close frame.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// News from the tasks of a connection, but for the ends of mutations, which come first and in order.
enum Done {
    Settled(RequestNumber),
    Authenticated(AuthOutcome<SocketIdentity>),
    Action(RequestNumber, ActionOutcome),
    Computed(JobId, Result<Computed<Interest>, ComputeFailure>),
}

/// Serves a socket until either side closes it.
pub(super) async fn run(state: Arc<State>, client: ClientVersion, metadata: RequestMetadata, socket: Socket) {
    let (sink, mut frames) = socket.split();
    let (outbox, writer, mut written) = outbox(sink);
    let mut writer = pin!(writer.run());
    let (done_sender, mut done) = mpsc::unbounded_channel();
    let invalidated = Arc::new(Notify::new());
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
        outbox,
        started,
        waker: waker(&invalidated),
        own_mutations: OwnMutations::default(),
        mutations: FuturesOrdered::new(),
        done: done_sender,
        authentication: None,
        computation: None,
    };
    let mut ping = tokio::time::interval(PING_PERIOD);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !connection.session.is_closed() {
        if connection.outbox.waiting_bytes() > connection.state.config.limits.socket_bytes_max {
            tracing::debug!(session = ?connection.session.session_id(), "a client does not take its answers");
            return;
        }
        let tick_at = started + connection.session.next_tick(connection.now());
        let reads = connection.session.accepts_input() && !connection.outbox.is_full();
        // In order of urgency: a finished mutation is answered before the transition that shows it.
        tokio::select! {
            biased;
            () = connection.state.stopping.cancelled() => connection.shut_down(),
            ended = &mut writer => {
                tracing::debug!(?ended, "a socket cannot be written to");
                return;
            }
            Some((request_id, outcome)) = connection.mutations.next() => {
                connection.mutation_finished(request_id, &outcome);
            }
            Some(Written::Frame { ends_transition }) = written.recv() => connection.written(ends_transition),
            () = tokio::time::sleep_until(tick_at) => connection.tick(),
            _ = ping.tick() => connection.outbox.ping(),
            Some(news) = done.recv() => connection.done(news),
            () = invalidated.notified() => connection.invalidated(),
            frame = frames.next(), if reads => match frame {
                Some(Ok(frame)) => {
                    if !connection.frame(&frame) {
                        break;
                    }
                }
                Some(Err(Error::Capacity(error))) => {
                    tracing::debug!(%error, "a client sent a message that is too large");
                    connection.close_too_large();
                    break;
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "a socket broke");
                    return;
                }
                None => return,
            },
        }
    }
    // Subscriptions and a running computation end here; mutations and actions go on to their ends.
    drop(connection);
    if tokio::time::timeout(FLUSH_TIME_MAX, writer).await.is_ok_and(|ended| ended.is_ok()) {
        drop(tokio::time::timeout(CLOSE_TIME_MAX, read_to_end(frames)).await);
    }
}

/// Lets the closing handshake finish, so that the other side sees the close frame and not a reset.
async fn read_to_end(mut frames: SplitStream<Socket>) {
    while let Some(Ok(_)) = frames.next().await {}
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
    outbox: Outbox,
    started: Instant,
    /// Handed to every subscription; wakes this connection's task.
    waker: Waker,
    own_mutations: OwnMutations,
    /// Mutations without an answer. Each goes on to its end when the connection is gone.
    mutations: FuturesOrdered<BoxFuture<'static, (RequestNumber, MutationOutcome)>>,
    done: mpsc::UnboundedSender<Done>,
    /// At most one of each; dropped, and thereby stopped, with the connection.
    authentication: Option<AbortOnDropHandle<()>>,
    computation: Option<AbortOnDropHandle<()>>,
}

type Effects = Vec<Effect<SocketIdentity, Interest>>;

impl Connection {
    fn now(&self) -> Now {
        now(&self.state, self.started)
    }

    /// `false` when the client said goodbye.
    fn frame(&mut self, frame: &Message) -> bool {
        let now = self.now();
        let effects = match frame {
            Message::Text(text) => self.session.receive(text, now),
            Message::Binary(_) => self.session.binary_frame(now),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {
                self.session.peer_alive(now);
                return true;
            }
            Message::Close(_) => return false,
        };
        self.start(effects);
        true
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
            Done::Authenticated(outcome) => self.session.authenticated(outcome, now),
            Done::Action(request_id, outcome) => self.session.action_finished(request_id, &outcome, now),
            Done::Computed(job, result) => self.session.transition_computed(job, result, now),
        };
        self.start(effects);
    }

    fn written(&mut self, ends_transition: bool) {
        let now = self.now();
        if self.outbox.is_full() {
            // While nothing is read, taking frames is the only sign of life that the client can give.
            self.session.peer_alive(now);
        }
        if ends_transition {
            let effects = self.session.transition_written(now);
            self.start(effects);
        }
    }

    fn invalidated(&mut self) {
        let effects = self.session.invalidated(self.now());
        self.start(effects);
    }

    fn tick(&mut self) {
        let effects = self.session.tick(self.now());
        self.start(effects);
    }

    fn shut_down(&mut self) {
        let effects = self.session.shut_down(self.now());
        self.start(effects);
    }

    fn close_too_large(&self) {
        self.outbox.close_too_large();
    }

    /// Starts effects in order. None of them is waited for.
    fn start(&mut self, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Send(message) => self.outbox.send(message),
                Effect::Close(frame) => self.close(frame),
                Effect::Authenticate(credentials) => {
                    let (state, done) = (Arc::clone(&self.state), self.done.clone());
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
                        metadata: Arc::clone(&self.metadata),
                        identity: job.identity.clone(),
                        waker: Arc::clone(&self.waker),
                    };
                    let (done, id) = (self.done.clone(), job.id);
                    let own_mutations = self.own_mutations.clone();
                    self.computation = Some(AbortOnDropHandle::new(tokio::spawn(async move {
                        let result = guarded(compute::transition(computation, job))
                            .await
                            .unwrap_or(Err(ComputeFailure::Close(CloseReason::InternalServerError)));
                        if let Ok(Computed { ts, .. }) = &result {
                            own_mutations.let_pass(*ts).await;
                        }
                        drop(done.send(Done::Computed(id, result)));
                    })));
                }
            }
        }
    }

    fn close(&self, frame: CloseFrame) {
        tracing::debug!(?frame, session = ?self.session.session_id(), "closing a socket");
        self.outbox.close(frame);
    }
}

/// `None` after a panic: a session that is owed an outcome must get one, or it would wait for ever.
async fn guarded<T>(work: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(work).catch_unwind().await.ok()
}
