//! Replays recorded conversations. `C>` is a frame of the client, `S>` one of the server, `S!` the server closing.
//! `S?` is a frame that the server may send; this one has nothing to say at that point and leaves it out.
//! `D>` starts a computation that finds nothing new.
//!
//! What the functions return is taken from the expected frames. Everything else in them (which queries are asked for,
//! versions, order, what is left out because it is unchanged) has to come from the session, and every frame must match
//! to the byte, but for the two clock fields.

use std::collections::BTreeMap;
use std::time::Duration;

use freshet_sync::CloseReason;
use freshet_sync::session::{
    ActionOutcome, AuthOutcome, CloseFrame, Credentials, MutationOutcome, QueryOutcome,
};
use freshet_sync::{Answer, FunctionFailure};
use freshet_values::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::support::client_model::ClientModel;
use crate::support::driver::{Caller, Driver, Job, Switch, UNIX_START, answered, failure_of};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExpectedTransition {
    end_version: ExpectedVersion,
    modifications: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExpectedVersion {
    query_set: u32,
    identity: u32,
    ts: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExpectedModification {
    query_id: u32,
    value: Option<Box<RawValue>>,
    error_message: Option<String>,
    error_data: Option<Box<RawValue>>,
    #[serde(default)]
    log_lines: Vec<String>,
    journal: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExpectedResponse {
    request_id: u32,
    success: bool,
    result: Box<RawValue>,
    ts: Option<String>,
    log_lines: Vec<String>,
    error_data: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    new_version: Option<u32>,
    modifications: Option<Vec<Added>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Added {
    query_id: u32,
    journal: Option<String>,
}

/// One socket of a conversation.
struct Replay {
    driver: Driver,
    client: ClientModel,
    /// Versions received, and those that the computation in flight is for.
    received: (u32, u32),
    job_target: (u32, u32),
    /// Last modification and subscription of each query.
    results: BTreeMap<u32, String>,
    switches: BTreeMap<u32, Switch>,
    /// The journal that each query has to be run with.
    journals: BTreeMap<u32, Option<String>>,
    /// Frames left out: the timestamp that the script believes in, and the real one.
    skipped: Option<(String, String)>,
    last_ts: String,
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn kind_of(frame: &str) -> String {
    #[derive(Deserialize)]
    struct Kind {
        r#type: String,
    }
    parse::<Kind>(frame).r#type
}

fn without_clocks(frame: &str) -> String {
    match frame.find(r#","clientClockSkew":"#) {
        Some(at) => format!("{}}}", &frame[..at]),
        None => frame.to_owned(),
    }
}

impl Replay {
    fn new(client: &str) -> Self {
        Self {
            driver: Driver::new(client),
            client: ClientModel::default(),
            received: (0, 0),
            job_target: (0, 0),
            results: BTreeMap::new(),
            switches: BTreeMap::new(),
            journals: BTreeMap::new(),
            skipped: None,
            last_ts: Timestamp::ZERO.to_wire(),
        }
    }

    fn act(&mut self, action: impl FnOnce(&mut Driver)) {
        let before = self.driver.job.as_ref().map(|job| format!("{:?}", job.id));
        action(&mut self.driver);
        let after = self.driver.job.as_ref().map(|job| format!("{:?}", job.id));
        if after != before {
            self.job_target = self.received;
        }
    }

    fn client_sends(&mut self, frame: &str) {
        self.client.sends(frame);
        match kind_of(frame).as_str() {
            "ModifyQuerySet" => {
                let versions: Versions = parse(frame);
                self.received.0 = versions.new_version.unwrap();
                for added in versions.modifications.unwrap() {
                    self.journals.insert(added.query_id, added.journal);
                }
            }
            "Authenticate" => self.received.1 += 1,
            _ => {}
        }
        self.act(|driver| driver.receive(frame));
    }

    fn server_sends(&mut self, expected: &str) {
        let mut expected = expected.to_owned();
        if let Some((scripted, real)) = self.skipped.take() {
            expected = expected.replacen(&scripted, &real, 1);
        }
        for _ in 0..10 {
            if !self.driver.sent.is_empty() {
                break;
            }
            self.provoke(&expected);
        }
        let frame = self.driver.next_frame().expect("a frame");
        assert_eq!(without_clocks(&frame), expected);
        self.client.receives(&frame);
        self.last_ts = self.client.ts.to_wire();
    }

    fn server_may_send(&mut self, frame: &str) {
        let expected: ExpectedTransition = parse(frame);
        assert!(expected.modifications.is_empty() && self.driver.sent.is_empty());
        self.provoke(frame);
        assert!(self.driver.sent.is_empty(), "this server has nothing to say here");
        self.skipped = Some((expected.end_version.ts, self.last_ts.clone()));
    }

    /// Makes happen what has to happen before the server sends `expected`.
    fn provoke(&mut self, expected: &str) {
        match kind_of(expected).as_str() {
            "Transition" => self.provoke_transition(expected),
            "MutationResponse" => {
                let response: ExpectedResponse = parse(expected);
                assert_eq!(self.driver.mutation.as_ref().unwrap().request_id, response.request_id);
                let outcome = match response.ts {
                    Some(ts) => MutationOutcome::Committed {
                        value: response.result.get().to_owned(),
                        ts: Timestamp::from_wire(&ts).unwrap(),
                        log_lines: response.log_lines,
                    },
                    None => {
                        MutationOutcome::Failed { failure: failure(&response), log_lines: response.log_lines }
                    }
                };
                self.act(|driver| driver.finish_mutation(&outcome));
            }
            "ActionResponse" => {
                let response: ExpectedResponse = parse(expected);
                let outcome = if response.success {
                    let value = response.result.get().to_owned();
                    ActionOutcome::Returned { value, log_lines: response.log_lines }
                } else {
                    ActionOutcome::Failed { failure: failure(&response), log_lines: response.log_lines }
                };
                self.act(|driver| driver.finish_action(response.request_id, &outcome));
            }
            "Ping" => {
                self.driver.sleep(Duration::from_secs(15));
                self.act(Driver::tick);
            }
            "AuthError" => {
                self.driver.sleep(Duration::from_secs(3600));
                self.turn_off_all();
                self.act(Driver::invalidated);
            }
            other => panic!("cannot provoke {other}"),
        }
    }

    fn provoke_transition(&mut self, expected: &str) {
        if let Some(credentials) = self.driver.auth.clone() {
            let caller = caller_of(&credentials);
            return self.act(|driver| driver.authenticated(AuthOutcome::Accepted(caller)));
        }
        let expected: ExpectedTransition = parse(expected);
        let changed: BTreeMap<u32, String> = expected
            .modifications
            .iter()
            .map(|raw| (parse::<ExpectedModification>(raw.get()).query_id, raw.get().to_owned()))
            .collect();
        if self.driver.job.is_none() {
            // Somebody wrote what the changed queries read; where none changes, something that they all read in vain.
            if changed.is_empty() {
                self.turn_off_all();
            }
            for id in changed.keys() {
                self.switches[id].turn_off();
            }
            self.act(Driver::invalidated);
        }
        let job = self.driver.job.clone().expect("a reason to compute");
        let target = (expected.end_version.query_set, expected.end_version.identity);
        if self.job_target != target {
            // The script folds this computation into the next one: it finds nothing new.
            let ts = job.at_least;
            let outcomes = self.outcomes(&job, &BTreeMap::new());
            return self.act(|driver| driver.compute(ts, outcomes));
        }
        let outcomes = self.outcomes(&job, &changed);
        let ts = Timestamp::from_wire(&expected.end_version.ts).unwrap();
        self.act(|driver| driver.compute(ts, outcomes));
    }

    fn outcomes(&mut self, job: &Job, changed: &BTreeMap<u32, String>) -> Vec<(u32, QueryOutcome<Switch>)> {
        let mut outcomes = Vec::new();
        for query in &job.queries {
            let id = query.query_id;
            assert_eq!(query.journal.as_deref(), self.journals[&id].as_deref(), "journal of query {id}");
            if let Some(raw) = changed.get(&id) {
                self.results.insert(id, raw.clone());
            } else if query.held.is_some() {
                outcomes.push((id, QueryOutcome::Unchanged));
                continue;
            }
            let modification: ExpectedModification = parse(&self.results[&id]);
            self.journals.insert(id, modification.journal.clone());
            let switch = Switch::on();
            self.switches.insert(id, switch.clone());
            outcomes.push((id, answered(answer(&modification), switch)));
        }
        outcomes
    }

    fn turn_off_all(&self) {
        self.switches.values().for_each(Switch::turn_off);
    }

    fn server_closes(&mut self, how: &str) {
        if self.driver.closed.is_none() {
            match how {
                "1001" => self.driver.shut_down(),
                _ if self.driver.mutation.is_some() => {
                    self.driver
                        .finish_mutation(&MutationOutcome::Abandoned(CloseReason::InternalServerError));
                }
                _ => {
                    let id = self.driver.actions[0].request_id;
                    self.driver
                        .finish_action(id, &ActionOutcome::Abandoned(CloseReason::InternalServerError));
                }
            }
        }
        let text = match self.driver.closed.expect("the session is closed") {
            CloseFrame::Empty => "none".to_owned(),
            CloseFrame::Reason(reason) => format!("{} {}", reason.code(), reason.text()).trim().to_owned(),
        };
        assert_eq!(text, how);
    }
}

fn failure(response: &ExpectedResponse) -> FunctionFailure {
    let text: String = parse(response.result.get());
    failure_of(&text, response.error_data.as_deref().map(RawValue::get))
}

fn answer(modification: &ExpectedModification) -> Answer {
    let journal = modification.journal.as_deref().map(Into::into);
    match &modification.error_message {
        Some(text) => {
            let data = modification.error_data.as_deref().map(RawValue::get);
            Answer::failed(&failure_of(text, data), &modification.log_lines, journal)
        }
        None => {
            // A JSON null reads as an absent field.
            let value = modification.value.as_deref().map_or("null", RawValue::get);
            Answer::updated(value, &modification.log_lines, journal)
        }
    }
}

fn caller_of(credentials: &Credentials) -> Caller {
    match credentials {
        Credentials::User { token } if **token == *"JWT_B" => {
            Caller::named("ada").until(UNIX_START + Duration::from_secs(60))
        }
        Credentials::User { token } => {
            assert!(token.starts_with("JWT_"));
            Caller::named("ada")
        }
        Credentials::Admin { key, acting_as } => {
            assert_eq!(&**key, "dev|key");
            assert_eq!(acting_as.as_deref(), Some(r#"{"issuer":"https://i","subject":"s","role":"qa"}"#));
            Caller::named("admin as s")
        }
    }
}

/// Replays all sockets of a conversation; each ends with a client that has seen everything, unless it was cut off.
fn replay(client: &str, script: &str) {
    let mut replay = Replay::new(client);
    for line in script.lines() {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("C>", frame) => replay.client_sends(frame),
            ("S>", frame) => replay.server_sends(frame),
            ("S?", frame) => replay.server_may_send(frame),
            ("S!", how) => replay.server_closes(how),
            ("D>", _) => {
                replay.turn_off_all();
                replay.act(Driver::invalidated);
            }
            ("#", comment) if comment.starts_with("-- new socket") => replay = Replay::new(client),
            ("#" | "", _) => {}
            (other, _) => panic!("what is {other}?"),
        }
    }
    assert!(replay.driver.sent.is_empty(), "frames that nobody expected: {:?}", replay.driver.sent);
}

#[test]
fn w1_subscribe_see_an_update_and_unsubscribe() {
    replay("npm-1.48.0", include_str!("w1.txt"));
}

#[test]
fn w2_a_mutation_completes_with_the_transition_that_includes_it() {
    replay("npm-1.48.0", include_str!("w2.txt"));
}

#[test]
fn w3_a_mutation_that_throws_is_followed_by_a_transition_too() {
    replay("npm-1.48.0", include_str!("w3.txt"));
}

#[test]
fn w4_a_lost_connection_replays_its_mutations() {
    replay("npm-1.48.0", include_str!("w4.txt"));
}

#[test]
fn w5_tokens_are_confirmed_refreshed_and_expire() {
    replay("npm-1.48.0", include_str!("w5.txt"));
}

#[test]
fn w6_pages_grow_split_and_survive_a_reconnect() {
    replay("npm-1.48.0", include_str!("w6.txt"));
}

#[test]
fn w7_a_failing_query_recovers() {
    replay("npm-1.48.0", include_str!("w7.txt"));
}

#[test]
fn w8_actions_are_answered_as_they_finish() {
    replay("npm-1.48.0", include_str!("w8.txt"));
}

/// The recorded pieces are cut where this server would not cut; what can be checked is that a strict client takes them.
#[test]
fn w9_a_strict_client_joins_recorded_pieces() {
    let mut client = ClientModel::default();
    for line in include_str!("w9.txt").lines() {
        match line.split_once(' ') {
            Some(("C>", frame)) => client.sends(frame),
            Some(("S>", frame)) => client.receives(frame),
            _ => {}
        }
    }
    assert!(client.is_caught_up());
}

#[test]
fn w10_an_admin_impersonates_and_a_socket_works_without_connect() {
    replay("npm-1.48.0", include_str!("w10.txt"));
}

#[test]
fn w11_a_python_client_queries_mutates_and_resends_an_action() {
    replay("python-0.8.1", include_str!("w11.txt"));
}
