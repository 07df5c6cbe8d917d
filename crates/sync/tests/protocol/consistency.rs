//! Random histories of a client, a database and a driver with delays. After every Transition the client must see exactly
//! what its queries return at that timestamp under that identity, and when all is quiet, everything.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use freshet_sync::session::{
    ActionOutcome, AuthOutcome, ComputeFailure, Computed, Effect, Identity, MutationOutcome, Now,
    QueryOutcome, RequestJob, Subscription, TransitionJob,
};
use freshet_sync::{Answer, ClientVersion, FunctionFailure, Session};
use freshet_values::Timestamp;
use proptest::prelude::*;

use crate::support::client_model::{ClientModel, View};
use crate::support::driver::UNIX_START;

const KEYS: u8 = 4;

/// Every version of every key.
#[derive(Default)]
struct Database {
    ts: u64,
    versions: BTreeMap<u8, Vec<(u64, i64)>>,
}

impl Database {
    fn write(&mut self, key: u8, value: i64) -> u64 {
        self.ts += 1;
        self.versions.entry(key).or_default().push((self.ts, value));
        self.ts
    }

    fn read(&self, key: u8, ts: u64) -> i64 {
        let versions = self.versions.get(&key).map(Vec::as_slice).unwrap_or_default();
        versions.iter().rev().find(|(at, _)| *at <= ts).map_or(0, |(_, value)| *value)
    }

    /// Values are taken modulo 3, so that many writes change nothing that anybody can see.
    fn run(&self, query: Query, caller: &str, ts: u64) -> serde_json::Value {
        let seen = |key| self.read(key, ts) % 3;
        match query {
            Query::Key(key) => serde_json::json!([caller, seen(key)]),
            Query::All => serde_json::json!((0..KEYS).map(seen).collect::<Vec<_>>()),
            Query::Nowhere => unreachable!("it has no function"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Query {
    Key(u8),
    All,
    Nowhere,
}

impl Query {
    fn path(self) -> &'static str {
        match self {
            Query::Key(_) => "m:key",
            Query::All => "m:all",
            Query::Nowhere => "m:not a path",
        }
    }

    fn keys(self) -> Vec<u8> {
        match self {
            Query::Key(key) => vec![key],
            _ => (0..KEYS).collect(),
        }
    }
}

#[derive(Clone)]
struct Interest {
    database: Rc<RefCell<Database>>,
    keys: Vec<u8>,
    since: u64,
}

impl Interest {
    fn is_valid_through(&self, ts: u64) -> bool {
        let database = self.database.borrow();
        let mut versions = self.keys.iter().filter_map(|key| database.versions.get(key)).flatten();
        !versions.any(|(at, _)| *at > self.since && *at <= ts)
    }
}

impl Subscription for Interest {
    fn is_valid(&self) -> bool {
        self.is_valid_through(u64::MAX)
    }
}

#[derive(Clone)]
struct Person(String);

impl Identity for Person {
    fn expires_at(&self) -> Option<Duration> {
        None
    }

    fn is_same_caller(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add(Vec<Query>),
    Remove(usize),
    Mutate(u8),
    Act,
    LogIn(u8),
    LogOut,
    Verify,
    WriteElsewhere(u8),
    CommitMutation,
    FailMutation,
    /// Its outcome is settled: the next one starts before this one is answered.
    SettleMutation,
    ReportMutation,
    FinishAction,
    WakeUp,
    /// The computation chooses the newest timestamp.
    ChooseTimestamp,
    /// The computation chooses the oldest timestamp that it may.
    ChooseOldTimestamp,
    Compute,
    ComputeWithoutNewOnes,
    ComputeInVain,
    FrameWritten,
    Sleep(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let query =
        prop_oneof![8 => (0..KEYS).prop_map(Query::Key), 3 => Just(Query::All), 1 => Just(Query::Nowhere)];
    prop_oneof![
        3 => prop::collection::vec(query, 0..4).prop_map(Step::Add),
        2 => (0..8usize).prop_map(Step::Remove),
        3 => (0..KEYS).prop_map(Step::Mutate),
        1 => Just(Step::Act),
        1 => (0..3u8).prop_map(Step::LogIn),
        1 => Just(Step::LogOut),
        3 => Just(Step::Verify),
        4 => (0..KEYS).prop_map(Step::WriteElsewhere),
        3 => Just(Step::CommitMutation),
        1 => Just(Step::FailMutation),
        3 => Just(Step::SettleMutation),
        3 => Just(Step::ReportMutation),
        1 => Just(Step::FinishAction),
        3 => Just(Step::WakeUp),
        4 => Just(Step::ChooseTimestamp),
        2 => Just(Step::ChooseOldTimestamp),
        6 => Just(Step::Compute),
        1 => Just(Step::ComputeWithoutNewOnes),
        1 => Just(Step::ComputeInVain),
        5 => Just(Step::FrameWritten),
        1 => (0..20_000u16).prop_map(Step::Sleep),
    ]
}

/// The whole world around one session.
struct World {
    session: Session<Person, Interest>,
    client: ClientModel,
    database: Rc<RefCell<Database>>,
    elapsed: Duration,
    unwritten: usize,
    /// The client's side.
    queries: BTreeMap<u32, Query>,
    added: u32,
    query_set: u32,
    callers: Vec<String>,
    requests: u32,
    /// The driver's side.
    token: Option<String>,
    mutation: Option<RequestJob<Person>>,
    /// Outcome of the running mutation: its commit, or its failure.
    mutation_done: Option<Option<u64>>,
    /// Mutations that are over and not reported, oldest first.
    settled: VecDeque<(u32, Option<u64>)>,
    actions: Vec<u32>,
    job: Option<(TransitionJob<Person, Interest>, Option<u64>)>,
    wake_up: bool,
    writes: i64,
}

impl World {
    fn new() -> Self {
        let database = Rc::<RefCell<Database>>::default();
        database.borrow_mut().ts = 100;
        let now = Now { elapsed: Duration::ZERO, unix: UNIX_START, newest: Timestamp(100) };
        let nobody = Person("nobody".to_owned());
        Self {
            session: Session::new(&ClientVersion::from_header("npm-1.48.0"), nobody, [0; 16], now),
            client: ClientModel::default(),
            database,
            elapsed: Duration::ZERO,
            unwritten: 0,
            queries: BTreeMap::new(),
            added: 0,
            query_set: 0,
            callers: vec!["nobody".to_owned()],
            requests: 0,
            token: None,
            mutation: None,
            mutation_done: None,
            settled: VecDeque::new(),
            actions: Vec::new(),
            job: None,
            wake_up: false,
            writes: 0,
        }
    }

    fn now(&self) -> Now {
        let newest = Timestamp(self.database.borrow().ts);
        Now { elapsed: self.elapsed, unix: UNIX_START + self.elapsed, newest }
    }

    fn write(&mut self, key: u8) -> u64 {
        self.writes += 1;
        self.wake_up = true;
        // Every other write leaves the visible value as it was.
        let old = self.database.borrow().read(key, u64::MAX);
        let value = if self.writes % 2 == 0 { old + 3 } else { old + 1 };
        self.database.borrow_mut().write(key, value)
    }

    fn take(&mut self, effects: Vec<Effect<Person, Interest>>) {
        for effect in effects {
            match effect {
                Effect::Send(message) => {
                    self.unwritten += usize::from(message.ends_transition);
                    let transitions = self.client.transitions;
                    self.client.receives(&message.text.to_string());
                    if self.client.transitions > transitions {
                        self.check_views();
                    }
                }
                Effect::Authenticate(_) => assert!(self.token.is_some()),
                Effect::RunMutation(job) => assert!(self.mutation.replace(job).is_none()),
                Effect::RunAction(job) => self.actions.push(job.request_id),
                Effect::ComputeTransition(job) => assert!(self.job.replace((job, None)).is_none()),
                Effect::Close(frame) => panic!("the session gave up: {frame:?}"),
            }
        }
        assert!(self.unwritten <= 2, "back-pressure is ignored");
    }

    /// What the client sees is what its queries return at its timestamp under its identity.
    fn check_views(&self) {
        let caller = &self.callers[self.client.identity as usize];
        for (id, view) in &self.client.views {
            let query = self.queries[&u32::try_from(*id).unwrap()];
            match view {
                View::Value(value) => {
                    let expected = self.database.borrow().run(query, caller, self.client.ts.0);
                    assert_eq!(*value, expected, "query {id} at {}", self.client.ts.0);
                }
                View::Error { message, data } => {
                    assert_eq!(query, Query::Nowhere);
                    assert!(message.contains("is not a valid path") && data.is_none(), "{message}");
                }
            }
        }
    }

    fn send(&mut self, frame: &str) {
        self.client.sends(frame);
        let effects = self.session.receive(frame, self.now());
        self.take(effects);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Add(queries) => self.add(queries),
            Step::Remove(position) => self.remove(*position),
            Step::Mutate(key) => {
                let id = self.next_request();
                self.send(&format!(
                    r#"{{"type":"Mutation","requestId":{id},"udfPath":"m:add","args":[{{"key":{key}}}]}}"#
                ));
            }
            Step::Act => {
                let id = self.next_request();
                self.send(&format!(
                    r#"{{"type":"Action","requestId":{id},"udfPath":"m:act","args":[{{}}]}}"#
                ));
            }
            // The client waits for its token to be accepted before it presents another.
            Step::LogIn(who) if self.token.is_none() => {
                self.token = Some(format!("user {who}"));
                self.callers.push(format!("user {who}"));
                let base = self.callers.len() - 2;
                self.send(&format!(
                    r#"{{"type":"Authenticate","baseVersion":{base},"tokenType":"User","value":"t"}}"#
                ));
            }
            Step::LogOut if self.token.is_none() => {
                self.callers.push("nobody".to_owned());
                let base = self.callers.len() - 2;
                self.send(&format!(r#"{{"type":"Authenticate","baseVersion":{base},"tokenType":"None"}}"#));
            }
            Step::Verify => {
                if let Some(name) = self.token.take() {
                    let effects = self.session.authenticated(AuthOutcome::Accepted(Person(name)), self.now());
                    self.take(effects);
                }
            }
            Step::WriteElsewhere(key) => {
                self.write(*key);
            }
            Step::CommitMutation => {
                if self.mutation_done.is_none()
                    && let Some(args) = self.mutation.as_ref().map(|job| job.args.clone())
                {
                    let key = args.bytes().find(u8::is_ascii_digit).unwrap() - b'0';
                    self.mutation_done = Some(Some(self.write(key)));
                }
            }
            Step::FailMutation => {
                if self.mutation.is_some() && self.mutation_done.is_none() {
                    self.mutation_done = Some(None);
                }
            }
            Step::SettleMutation => {
                if let Some(done) = self.mutation_done.take() {
                    let id = self.mutation.take().unwrap().request_id;
                    self.settled.push_back((id, done));
                    let effects = self.session.mutation_settled(id, self.now());
                    self.take(effects);
                }
            }
            Step::ReportMutation => self.report_mutation(),
            Step::FinishAction => {
                if let Some(id) = self.actions.pop() {
                    let outcome = ActionOutcome::Returned { value: "1".to_owned(), log_lines: Vec::new() };
                    let effects = self.session.action_finished(id, &outcome, self.now());
                    self.take(effects);
                }
            }
            Step::WakeUp => {
                if std::mem::take(&mut self.wake_up) {
                    let effects = self.session.invalidated(self.now());
                    self.take(effects);
                }
            }
            Step::ChooseTimestamp => {
                let newest = self.database.borrow().ts;
                if let Some((_, chosen)) = &mut self.job {
                    chosen.get_or_insert(newest);
                }
            }
            Step::ChooseOldTimestamp => {
                if let Some((job, chosen)) = &mut self.job {
                    chosen.get_or_insert(job.at_least.0.max(100));
                }
            }
            Step::Compute => self.compute(false),
            Step::ComputeWithoutNewOnes => self.compute(true),
            Step::ComputeInVain => {
                if let Some((job, _)) = self.job.take() {
                    let effects =
                        self.session.transition_computed(job.id, Err(ComputeFailure::Retry), self.now());
                    self.take(effects);
                }
            }
            Step::FrameWritten => {
                if self.unwritten > 0 {
                    self.unwritten -= 1;
                    let effects = self.session.transition_written(self.now());
                    self.take(effects);
                }
            }
            Step::Sleep(ms) => {
                self.elapsed += Duration::from_millis(u64::from(*ms));
                self.session.peer_alive(self.now());
                // Nobody lets a mutation run into its deadline here.
                self.step(&Step::CommitMutation);
                while self.mutation_done.is_some() || !self.settled.is_empty() {
                    self.step(&Step::ReportMutation);
                }
                let effects = self.session.tick(self.now());
                self.take(effects);
            }
            Step::LogIn(_) | Step::LogOut => {}
        }
    }

    fn next_request(&mut self) -> u32 {
        self.requests += 1;
        self.requests - 1
    }

    fn add(&mut self, queries: &[Query]) {
        let mut adds = Vec::new();
        for query in queries {
            let id = self.added;
            self.added += 1;
            self.queries.insert(id, *query);
            let key = if let Query::Key(key) = query { *key } else { 0 };
            let path = query.path();
            adds.push(format!(
                r#"{{"type":"Add","queryId":{id},"udfPath":"{path}","args":[{{"key":{key}}}]}}"#
            ));
        }
        self.modify(&adds);
    }

    fn remove(&mut self, position: usize) {
        let Some(id) = self.queries.keys().nth(position).copied() else { return };
        self.queries.remove(&id);
        self.modify(&[format!(r#"{{"type":"Remove","queryId":{id}}}"#)]);
    }

    fn modify(&mut self, changes: &[String]) {
        let (base, changes) = (self.query_set, changes.join(","));
        self.query_set += 1;
        self.send(&format!(
            r#"{{"type":"ModifyQuerySet","baseVersion":{base},"newVersion":{},"modifications":[{changes}]}}"#,
            base + 1
        ));
    }

    fn report_mutation(&mut self) {
        let (id, done) = match self.settled.pop_front() {
            Some(settled) => settled,
            None => match self.mutation_done.take() {
                Some(done) => (self.mutation.take().unwrap().request_id, done),
                None => return,
            },
        };
        let outcome = match done {
            Some(ts) => MutationOutcome::Committed {
                value: "null".to_owned(),
                ts: Timestamp(ts),
                log_lines: Vec::new(),
            },
            None => MutationOutcome::Failed {
                failure: FunctionFailure {
                    request_id: "0000000000000000".to_owned(),
                    detail: None,
                    data: None,
                },
                log_lines: Vec::new(),
            },
        };
        let effects = self.session.mutation_finished(id, &outcome, self.now());
        self.take(effects);
    }

    fn compute(&mut self, leave_out_new: bool) {
        let Some((job, chosen)) = self.job.take() else { return };
        let ts = chosen.unwrap_or_else(|| self.database.borrow().ts);
        assert!(Timestamp(ts) >= job.at_least, "asked for a timestamp that does not exist yet");
        let outcome = |call: &freshet_sync::session::QueryCall| {
            let query = match call.target.path.function() {
                "all" => Query::All,
                _ => Query::Key(call.args.bytes().find(u8::is_ascii_digit).unwrap() - b'0'),
            };
            let value = self.database.borrow().run(query, &job.identity.0, ts).to_string();
            let interest = Interest { database: self.database.clone(), keys: query.keys(), since: ts };
            QueryOutcome::Answered {
                answer: Arc::new(Answer::updated(&value, &[], None)),
                subscription: interest,
            }
        };
        let outcomes = job
            .queries
            .iter()
            .map(|query| {
                let outcome = match &query.held {
                    Some(held) if held.is_valid_through(ts) => QueryOutcome::Unchanged,
                    None if leave_out_new => QueryOutcome::Unavailable,
                    _ => outcome(&query.call),
                };
                (query.query_id, outcome)
            })
            .collect();
        let computed = Computed { ts: Timestamp(ts), outcomes };
        let effects = self.session.transition_computed(job.id, Ok(computed), self.now());
        self.take(effects);
    }

    /// Lets everything that is under way come to its end.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            for step in [
                Step::Verify,
                Step::CommitMutation,
                Step::ReportMutation,
                Step::FinishAction,
                Step::WakeUp,
                Step::Compute,
                Step::FrameWritten,
            ] {
                self.step(&step);
            }
            let busy = self.token.is_some()
                || self.mutation.is_some()
                || !self.settled.is_empty()
                || !self.actions.is_empty()
                || self.wake_up
                || self.job.is_some()
                || self.unwritten > 0;
            let wait = self.session.next_tick(self.now()).saturating_sub(self.elapsed);
            if !busy && self.client.is_caught_up() && wait >= Duration::from_secs(10) {
                return;
            }
            if !busy {
                self.elapsed += wait.max(Duration::from_millis(1));
                self.session.peer_alive(self.now());
                let effects = self.session.tick(self.now());
                self.take(effects);
            }
        }
        panic!("it never comes to rest: {:?}", self.client);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_client_always_sees_one_snapshot_and_in_the_end_the_newest(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        world.check_views();
        prop_assert!(world.client.is_caught_up());
        prop_assert_eq!(world.client.views.len(), world.queries.len());
        prop_assert_eq!(world.client.settled.len(), world.requests as usize);
        let caller = world.callers.last().unwrap().clone();
        let newest = world.database.borrow().ts;
        for (id, query) in world.queries.iter().filter(|(_, query)| **query != Query::Nowhere) {
            let expected = world.database.borrow().run(*query, &caller, newest);
            prop_assert_eq!(&world.client.views[&u64::from(*id)], &View::Value(expected));
        }
    }
}
