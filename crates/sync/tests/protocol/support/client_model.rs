//! A client that is as strict as the strictest real one: where the npm package would throw or stay behind, or the Rust
//! client would reconnect, this one panics.

use std::collections::{BTreeMap, BTreeSet};

use freshet_values::Timestamp;
use serde_json::Value as Json;

/// What the client sees of one query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum View {
    Value(Json),
    Error { message: String, data: Option<Json> },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Open {
    /// No response yet.
    Sent,
    /// Answered with success; waits for a Transition at this timestamp.
    Committed(Timestamp),
}

#[derive(Debug, Default)]
pub(crate) struct ClientModel {
    query_set: u32,
    pub(crate) identity: u32,
    pub(crate) ts: Timestamp,
    sent_query_set: u32,
    sent_identity: u32,
    subscribed: BTreeSet<u64>,
    pub(crate) views: BTreeMap<u64, View>,
    pub(crate) journals: BTreeMap<u64, Option<String>>,
    open: BTreeMap<u64, Open>,
    mutations_in_order: Vec<u64>,
    /// Mutations and actions whose promise has settled.
    pub(crate) settled: BTreeSet<u64>,
    /// Responses seen that no Transition has followed yet.
    unfollowed: bool,
    chunks: Option<(String, u64, u64, String)>,
    pub(crate) max_observed: Timestamp,
    pub(crate) transitions: u64,
    pub(crate) fatal: bool,
}

fn field<'a>(object: &'a Json, name: &str) -> &'a Json {
    object.get(name).unwrap_or_else(|| panic!("field {name} missing in {object}"))
}

fn number(object: &Json, name: &str) -> u64 {
    field(object, name).as_u64().unwrap_or_else(|| panic!("{name} is no integer in {object}"))
}

fn text<'a>(object: &'a Json, name: &str) -> &'a str {
    field(object, name).as_str().unwrap_or_else(|| panic!("{name} is no string in {object}"))
}

fn log_lines(object: &Json) {
    let lines = field(object, "logLines").as_array().expect("logLines is an array");
    assert!(lines.iter().all(|line| line.as_str().is_some_and(|line| line.starts_with('['))), "{object}");
}

fn version(object: &Json) -> (u32, u32, Timestamp) {
    let small = |name| u32::try_from(number(object, name)).unwrap();
    (small("querySet"), small("identity"), Timestamp::from_wire(text(object, "ts")).unwrap())
}

impl ClientModel {
    /// The client sends a frame.
    pub(crate) fn sends(&mut self, frame: &str) {
        let frame: Json = serde_json::from_str(frame).unwrap();
        match text(&frame, "type") {
            "ModifyQuerySet" => {
                self.sent_query_set = number(&frame, "newVersion").try_into().unwrap();
                for change in field(&frame, "modifications").as_array().unwrap() {
                    let id = number(change, "queryId");
                    if text(change, "type") == "Add" {
                        self.subscribed.insert(id);
                    } else {
                        self.subscribed.remove(&id);
                        self.views.remove(&id);
                        self.journals.remove(&id);
                    }
                }
            }
            "Authenticate" => self.sent_identity += 1,
            kind @ ("Mutation" | "Action") => {
                let id = number(&frame, "requestId");
                self.open.insert(id, Open::Sent);
                if kind == "Mutation" {
                    self.mutations_in_order.push(id);
                }
            }
            _ => {}
        }
    }

    /// A frame of the server arrives.
    pub(crate) fn receives(&mut self, frame: &str) {
        assert!(!self.fatal, "a frame after FatalError: {frame}");
        let message: Json = serde_json::from_str(frame).expect("the frame is JSON");
        let kind = text(&message, "type");
        if self.chunks.is_some() {
            assert!(matches!(kind, "TransitionChunk" | "Ping"), "{kind} between the pieces of a Transition");
        }
        match kind {
            "Ping" => {}
            "Transition" => self.transition(&message),
            "TransitionChunk" => self.chunk(&message),
            "MutationResponse" | "ActionResponse" => self.response(&message, kind == "MutationResponse"),
            "AuthError" => {
                text(&message, "error");
                assert!(number(&message, "baseVersion") == u64::from(self.identity), "{message}");
                field(&message, "authUpdateAttempted").as_bool().unwrap();
            }
            "FatalError" => {
                text(&message, "error");
                self.fatal = true;
            }
            other => panic!("no client knows a message of type {other}"),
        }
    }

    /// Everything sent has been answered and shown.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.open.is_empty()
            && !self.unfollowed
            && self.query_set == self.sent_query_set
            && self.identity == self.sent_identity
            && self.subscribed.iter().all(|id| self.views.contains_key(id))
    }

    fn chunk(&mut self, message: &Json) {
        let (number_, total) = (number(message, "partNumber"), number(message, "totalParts"));
        let id = text(message, "transitionId").to_owned();
        let piece = text(message, "chunk");
        let (mut whole, expected, ..) = match self.chunks.take() {
            None => (String::new(), 0, total, id.clone()),
            Some(buffer) => {
                assert_eq!((buffer.2, &buffer.3), (total, &id), "pieces of two Transitions are mixed");
                buffer
            }
        };
        assert_eq!(number_, expected, "pieces out of order");
        whole.push_str(piece);
        if number_ + 1 == total {
            let message: Json = serde_json::from_str(&whole).unwrap();
            assert_eq!(text(&message, "type"), "Transition");
            self.transition(&message);
        } else {
            self.chunks = Some((whole, expected + 1, total, id));
        }
    }

    fn transition(&mut self, message: &Json) {
        let start = version(field(message, "startVersion"));
        let end = version(field(message, "endVersion"));
        assert_eq!(start, (self.query_set, self.identity, self.ts), "Invalid start version: {message}");
        assert!(end.0 >= start.0 && end.1 >= start.1 && end.2 >= start.2, "versions go backwards: {message}");
        assert!(end.0 <= self.sent_query_set, "a query set that was never sent: {message}");
        assert!(end.1 <= self.sent_identity, "an identity that was never sent: {message}");
        let clocks = (message.get("clientClockSkew"), message.get("serverTs"));
        match clocks {
            (None, None) => {}
            (Some(skew), Some(server)) => assert!(skew.is_i64() && server.is_u64(), "{message}"),
            _ => panic!("one clock field without the other: {message}"),
        }
        let mut previous = None;
        for change in field(message, "modifications").as_array().unwrap() {
            let id = number(change, "queryId");
            assert!(previous < Some(id), "ids are not ascending: {message}");
            previous = Some(id);
            self.modification(id, change);
        }
        (self.query_set, self.identity, self.ts) = end;
        self.transitions += 1;
        self.unfollowed = false;
        self.max_observed = self.max_observed.max(end.2);
        let done: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, state)| matches!(state, Open::Committed(ts) if *ts <= end.2))
            .map(|(id, _)| *id)
            .collect();
        for id in done {
            self.open.remove(&id);
            self.settled.insert(id);
        }
    }

    fn modification(&mut self, id: u64, change: &Json) {
        let view = match text(change, "type") {
            "QueryRemoved" => {
                self.views.remove(&id);
                return;
            }
            "QueryUpdated" => View::Value(field(change, "value").clone()),
            "QueryFailed" => View::Error {
                message: text(change, "errorMessage").to_owned(),
                data: change.get("errorData").cloned(),
            },
            other => panic!("no client knows a modification of type {other}"),
        };
        log_lines(change);
        let journal = field(change, "journal");
        assert!(journal.is_null() || journal.is_string(), "{change}");
        // Results for queries that are no longer wanted are ignored.
        if self.subscribed.contains(&id) {
            self.views.insert(id, view);
            self.journals.insert(id, journal.as_str().map(str::to_owned));
        }
    }

    fn response(&mut self, message: &Json, is_mutation: bool) {
        let id = number(message, "requestId");
        assert_eq!(self.open.get(&id), Some(&Open::Sent), "Invalid request id from server: {message}");
        log_lines(message);
        let success = field(message, "success").as_bool().unwrap();
        if success {
            field(message, "result");
            assert!(message.get("errorData").is_none());
        } else {
            assert!(text(message, "result").starts_with("[Request ID: "), "{message}");
            assert!(message.get("ts").is_none_or(Json::is_null));
        }
        if is_mutation {
            let next = self.mutations_in_order.remove(0);
            assert_eq!(next, id, "mutations are answered out of order");
            self.unfollowed = true;
        }
        if is_mutation && success {
            let ts = Timestamp::from_wire(text(message, "ts")).unwrap();
            self.max_observed = self.max_observed.max(ts);
            self.open.insert(id, Open::Committed(ts));
        } else {
            self.open.remove(&id);
            self.settled.insert(id);
        }
    }
}
