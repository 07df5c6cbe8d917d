//! A session whose effects are sorted into trays, for tests that play the driver by hand.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use freshet_sync::session::{
    ActionOutcome, AuthOutcome, CloseFrame, ComputeFailure, Computed, Credentials, Effect, Identity,
    MutationOutcome, Now, QueryOutcome, RequestJob, Subscription, TransitionJob,
};
use freshet_sync::{Answer, ClientVersion, FunctionFailure, ServerMessage, Session};
use freshet_values::Timestamp;

/// Seconds since 1970 at which tests begin.
pub(crate) const UNIX_START: Duration = Duration::from_secs(1_720_000_000);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) expires_at: Option<Duration>,
}

impl Caller {
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), expires_at: None }
    }

    pub(crate) fn until(self, unix: Duration) -> Self {
        Self { expires_at: Some(unix), ..self }
    }
}

impl Identity for Caller {
    fn expires_at(&self) -> Option<Duration> {
        self.expires_at
    }

    fn is_same_caller(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Valid until somebody says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Switch(Rc<Cell<bool>>);

impl Switch {
    pub(crate) fn on() -> Self {
        Self(Rc::new(Cell::new(true)))
    }

    pub(crate) fn turn_off(&self) {
        self.0.set(false);
    }
}

impl Subscription for Switch {
    fn is_valid(&self) -> bool {
        self.0.get()
    }
}

pub(crate) type Job = TransitionJob<Caller, Switch>;

/// A session and what it has asked for.
pub(crate) struct Driver {
    pub(crate) session: Session<Caller, Switch>,
    pub(crate) now: Now,
    pub(crate) sent: VecDeque<ServerMessage>,
    pub(crate) auth: Option<Credentials>,
    pub(crate) mutation: Option<RequestJob<Caller>>,
    pub(crate) mutations_started: Vec<u32>,
    pub(crate) actions: Vec<RequestJob<Caller>>,
    pub(crate) job: Option<Job>,
    pub(crate) closed: Option<CloseFrame>,
    /// Whether each Transition counts as written at once.
    pub(crate) writes_at_once: bool,
}

impl Driver {
    pub(crate) fn new(client: &str) -> Self {
        let now =
            Now { elapsed: Duration::from_secs(1000), unix: UNIX_START, newest: Timestamp(u64::MAX >> 1) };
        let client = ClientVersion::from_header(client);
        Self {
            session: Session::new(&client, Caller::named("anonymous"), [7; 16], now),
            now,
            sent: VecDeque::new(),
            auth: None,
            mutation: None,
            mutations_started: Vec::new(),
            actions: Vec::new(),
            job: None,
            closed: None,
            writes_at_once: true,
        }
    }

    pub(crate) fn sleep(&mut self, time: Duration) {
        self.now.elapsed += time;
        self.now.unix += time;
    }

    fn take(&mut self, effects: Vec<Effect<Caller, Switch>>) {
        for effect in effects {
            assert!(self.closed.is_none(), "an effect after the close: {effect:?}");
            match effect {
                Effect::Send(message) => {
                    let written = message.ends_transition && self.writes_at_once;
                    self.sent.push_back(message);
                    if written {
                        let effects = self.session.transition_written(self.now);
                        self.take(effects);
                    }
                }
                Effect::Authenticate(credentials) => {
                    assert!(self.auth.replace(credentials).is_none(), "two tokens at once");
                }
                Effect::RunMutation(job) => {
                    self.mutations_started.push(job.request_id);
                    assert!(self.mutation.replace(job).is_none(), "two mutations at once");
                }
                Effect::RunAction(job) => self.actions.push(job),
                Effect::ComputeTransition(job) => {
                    assert!(self.job.replace(job).is_none(), "two computations at once");
                }
                Effect::Close(frame) => self.closed = Some(frame),
            }
        }
    }

    pub(crate) fn receive(&mut self, frame: &str) {
        let effects = self.session.receive(frame, self.now);
        self.take(effects);
    }

    pub(crate) fn receive_binary(&mut self) {
        let effects = self.session.binary_frame(self.now);
        self.take(effects);
    }

    pub(crate) fn authenticated(&mut self, outcome: AuthOutcome<Caller>) {
        self.auth.take().expect("a token to verify");
        let effects = self.session.authenticated(outcome, self.now);
        self.take(effects);
    }

    pub(crate) fn revoked(&mut self, error: &str) {
        let effects = self.session.identity_revoked(error, self.now);
        self.take(effects);
    }

    pub(crate) fn finish_mutation(&mut self, outcome: &MutationOutcome) {
        let request_id = self.mutation.take().expect("a running mutation").request_id;
        let effects = self.session.mutation_finished(request_id, outcome, self.now);
        self.take(effects);
    }

    /// The running mutation is over, and the next one may start.
    pub(crate) fn settle_mutation(&mut self) -> u32 {
        let request_id = self.mutation.take().expect("a running mutation").request_id;
        let effects = self.session.mutation_settled(request_id, self.now);
        self.take(effects);
        request_id
    }

    /// A mutation is durable.
    pub(crate) fn answer_mutation(&mut self, request_id: u32, ts: u64) {
        let outcome =
            MutationOutcome::Committed { value: "1".to_owned(), ts: Timestamp(ts), log_lines: Vec::new() };
        let effects = self.session.mutation_finished(request_id, &outcome, self.now);
        self.take(effects);
    }

    pub(crate) fn commit_mutation(&mut self, value: &str, ts: u64) {
        self.finish_mutation(&MutationOutcome::Committed {
            value: value.to_owned(),
            ts: Timestamp(ts),
            log_lines: Vec::new(),
        });
    }

    pub(crate) fn finish_action(&mut self, request_id: u32, outcome: &ActionOutcome) {
        let position = self.actions.iter().position(|job| job.request_id == request_id);
        self.actions.remove(position.expect("a running action"));
        let effects = self.session.action_finished(request_id, outcome, self.now);
        self.take(effects);
    }

    pub(crate) fn compute(&mut self, ts: Timestamp, outcomes: Vec<(u32, QueryOutcome<Switch>)>) {
        self.finish_job(Ok(Computed { ts, outcomes }));
    }

    pub(crate) fn finish_job(&mut self, result: Result<Computed<Switch>, ComputeFailure>) {
        let id = self.job.take().expect("a computation").id;
        let effects = self.session.transition_computed(id, result, self.now);
        self.take(effects);
    }

    /// Computes whatever is asked for: each query that has to run returns `value`.
    pub(crate) fn compute_all(&mut self, ts: u64, value: &str) {
        let job = self.job.as_ref().expect("a computation");
        let outcome = |held: bool| if held { QueryOutcome::Unchanged } else { returns(value) };
        let outcomes =
            job.queries.iter().map(|query| (query.query_id, outcome(query.held.is_some()))).collect();
        self.compute(Timestamp(ts), outcomes);
    }

    pub(crate) fn invalidated(&mut self) {
        let effects = self.session.invalidated(self.now);
        self.take(effects);
    }

    pub(crate) fn written(&mut self) {
        let effects = self.session.transition_written(self.now);
        self.take(effects);
    }

    pub(crate) fn tick(&mut self) {
        let effects = self.session.tick(self.now);
        self.take(effects);
    }

    pub(crate) fn shut_down(&mut self) {
        let effects = self.session.shut_down(self.now);
        self.take(effects);
    }

    /// The text of the next frame sent.
    pub(crate) fn next_frame(&mut self) -> Option<String> {
        self.sent.pop_front().map(|message| message.text.to_string())
    }
}

/// A query that returned.
pub(crate) fn returns(value: &str) -> QueryOutcome<Switch> {
    answered(Answer::updated(value, &[], None), Switch::on())
}

pub(crate) fn answered(answer: Answer, subscription: Switch) -> QueryOutcome<Switch> {
    QueryOutcome::Answered { answer: Arc::new(answer), subscription }
}

/// Takes an error text apart into the parts that the session puts together.
pub(crate) fn failure_of(text: &str, data: Option<&str>) -> FunctionFailure {
    let rest = text.strip_prefix("[Request ID: ").unwrap();
    let (request_id, rest) = rest.split_once("] Server Error").unwrap();
    FunctionFailure {
        request_id: request_id.to_owned(),
        detail: rest.strip_prefix('\n').map(str::to_owned),
        data: data.map(str::to_owned),
    }
}

/// A frame that adds queries `ids`, all calling `m:list`.
pub(crate) fn add(base: u32, ids: &[u32]) -> String {
    let adds: Vec<String> = ids
        .iter()
        .map(|id| format!(r#"{{"type":"Add","queryId":{id},"udfPath":"m:list","args":[{{}}]}}"#))
        .collect();
    modify(base, &adds)
}

pub(crate) fn remove(base: u32, ids: &[u32]) -> String {
    let removes: Vec<String> =
        ids.iter().map(|id| format!(r#"{{"type":"Remove","queryId":{id}}}"#)).collect();
    modify(base, &removes)
}

fn modify(base: u32, modifications: &[String]) -> String {
    format!(
        r#"{{"type":"ModifyQuerySet","baseVersion":{base},"newVersion":{},"modifications":[{}]}}"#,
        base + 1,
        modifications.join(",")
    )
}

pub(crate) fn mutation(id: u32) -> String {
    format!(r#"{{"type":"Mutation","requestId":{id},"udfPath":"m:send","args":[{{}}]}}"#)
}

pub(crate) fn action(id: u32) -> String {
    format!(r#"{{"type":"Action","requestId":{id},"udfPath":"m:act","args":[{{}}]}}"#)
}

pub(crate) fn connect(more: &str) -> String {
    format!(
        r#"{{"type":"Connect","sessionId":"2f1c9a54-6f0e-4b7d-9a3e-5d1c0b8e7f21","connectionCount":0,"lastCloseReason":null{more}}}"#
    )
}

pub(crate) fn token(base: u32, text: &str) -> String {
    format!(r#"{{"type":"Authenticate","baseVersion":{base},"tokenType":"User","value":"{text}"}}"#)
}
