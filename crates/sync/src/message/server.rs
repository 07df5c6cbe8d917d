//! Frames that the server sends.
//!
//! Results arrive as JSON text and leave as the same text: nothing here decodes a value. Field order is fixed, so that
//! frames can be compared as text.

use std::fmt::Write as _;
use std::sync::Arc;

use freshet_values::Timestamp;
use freshet_websocket::{Part, Text};

use crate::answer::{Answer, FunctionFailure};
use crate::message::client::{QueryId, RequestNumber};

/// A connection's state version, as both sides count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateVersion {
    /// Query-set version whose changes are fully reflected.
    pub query_set: u32,
    /// Number of accepted `Authenticate` messages that are reflected.
    pub identity: u32,
    /// Snapshot at which every query of the set is current.
    pub ts: Timestamp,
}

impl StateVersion {
    /// Where each connection starts.
    pub const INITIAL: Self = Self { query_set: 0, identity: 0, ts: Timestamp::ZERO };

    /// Whether no component is behind `earlier`.
    pub fn is_at_least(&self, earlier: &Self) -> bool {
        self.query_set >= earlier.query_set && self.identity >= earlier.identity && self.ts >= earlier.ts
    }

    fn write(&self, out: &mut String) {
        let Self { query_set, identity, ts } = self;
        write(
            out,
            format_args!(r#"{{"querySet":{query_set},"identity":{identity},"ts":"{}"}}"#, ts.to_wire()),
        );
    }
}

/// What a frame is, for drivers and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// A whole Transition.
    Transition,
    /// A piece of one.
    TransitionChunk,
    /// Answer to a mutation.
    MutationResponse,
    /// Answer to an action.
    ActionResponse,
    /// The identity was refused or has expired; the socket closes next.
    AuthError,
    /// The client is beyond help; the socket closes next.
    FatalError,
    /// Keeps the connection alive.
    Ping,
}

/// A frame to send as one WebSocket text message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerMessage {
    /// What it is.
    pub kind: FrameKind,
    /// The frame's text. Results in it are shared with all who are told the same.
    pub text: Text,
    /// Whether a Transition is complete once this frame is written: each of them frees one place for back-pressure.
    pub ends_transition: bool,
}

impl ServerMessage {
    fn new(kind: FrameKind, text: impl Into<Text>) -> Self {
        Self { kind, text: text.into(), ends_transition: kind == FrameKind::Transition }
    }

    /// The keep-alive frame.
    pub fn ping() -> Self {
        Self::new(FrameKind::Ping, r#"{"type":"Ping"}"#.to_owned())
    }

    /// Tells the client that it is beyond help. The npm client never reconnects after it.
    pub fn fatal_error(error: &str) -> Self {
        let mut text = r#"{"type":"FatalError","error":"#.to_owned();
        write_string(&mut text, error);
        text.push('}');
        Self::new(FrameKind::FatalError, text)
    }

    /// Tells the client that its identity is refused (`attempted`) or no longer valid. `base_version` is the identity
    /// version of the last Transition sent.
    pub fn auth_error(error: &str, base_version: u32, attempted: bool) -> Self {
        let mut text = r#"{"type":"AuthError","error":"#.to_owned();
        write_string(&mut text, error);
        write(
            &mut text,
            format_args!(r#","baseVersion":{base_version},"authUpdateAttempted":{attempted}}}"#),
        );
        Self::new(FrameKind::AuthError, text)
    }

    /// Answers a mutation. A success carries its result and commit timestamp.
    pub fn mutation_response(
        request_id: RequestNumber,
        result: Result<(&str, Timestamp), &FunctionFailure>,
        log_lines: &[String],
    ) -> Self {
        let ts = match result {
            Ok((_, ts)) => format!(r#","ts":"{}""#, ts.to_wire()),
            Err(_) => r#","ts":null"#.to_owned(),
        };
        let result = result.map(|(value, _)| value);
        let text = response("MutationResponse", request_id, result, &ts, log_lines);
        Self::new(FrameKind::MutationResponse, text)
    }

    /// Answers an action.
    pub fn action_response(
        request_id: RequestNumber,
        result: Result<&str, &FunctionFailure>,
        log_lines: &[String],
    ) -> Self {
        Self::new(FrameKind::ActionResponse, response("ActionResponse", request_id, result, "", log_lines))
    }
}

fn response(
    kind: &str,
    request_id: RequestNumber,
    result: Result<&str, &FunctionFailure>,
    ts_field: &str,
    log_lines: &[String],
) -> String {
    let success = result.is_ok();
    let mut out = format!(r#"{{"type":"{kind}","requestId":{request_id},"success":{success},"result":"#);
    match result {
        Ok(value) => out.push_str(value),
        Err(failure) => write_string(&mut out, &failure.to_string()),
    }
    out.push_str(ts_field);
    out.push_str(r#","logLines":"#);
    write_strings(&mut out, log_lines);
    if let Some(data) = result.err().and_then(|failure| failure.data.as_deref()) {
        out.push_str(r#","errorData":"#);
        out.push_str(data);
    }
    out.push('}');
    out
}

/// One element of a Transition.
#[derive(Clone, Debug)]
pub enum Modification<'a> {
    /// The query has this result now.
    Answered(QueryId, &'a Answer),
    /// The query is no longer in the set.
    Removed(QueryId),
}

impl Modification<'_> {
    /// The query that it is about.
    pub fn query_id(&self) -> QueryId {
        match self {
            Modification::Answered(query_id, _) | Modification::Removed(query_id) => *query_id,
        }
    }
}

/// The two clock fields of a Transition; they are sent together or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockFields {
    /// The client's clock minus the server's, when the client connected.
    pub client_clock_skew_ms: i64,
    /// The server's clock in nanoseconds since the Unix epoch.
    pub server_ts_ns: u64,
}

/// Writes a Transition. `modifications` must be in ascending order of their ids, without repetition.
pub fn transition(
    start: &StateVersion,
    end: &StateVersion,
    modifications: &[Modification<'_>],
    clocks: Option<ClockFields>,
) -> Text {
    let mut parts = Vec::with_capacity(2 * modifications.len() + 1);
    let mut out = String::with_capacity(320);
    out.push_str(r#"{"type":"Transition","startVersion":"#);
    start.write(&mut out);
    out.push_str(r#","endVersion":"#);
    end.write(&mut out);
    out.push_str(r#","modifications":["#);
    for (position, modification) in modifications.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        match modification {
            Modification::Answered(query_id, answer) => {
                let kind = if answer.is_failure() { "QueryFailed" } else { "QueryUpdated" };
                write(&mut out, format_args!(r#"{{"type":"{kind}","queryId":{query_id},"#));
                // Here, between a comma and a field's name, a message may have spaces, as shared texts demand.
                parts.push(Part::Own(std::mem::take(&mut out)));
                parts.push(Part::Shared { slot: *query_id, text: Arc::clone(answer.fields()) });
                out.push('}');
            }
            Modification::Removed(query_id) => {
                write(&mut out, format_args!(r#"{{"type":"QueryRemoved","queryId":{query_id}}}"#));
            }
        }
    }
    out.push(']');
    if let Some(ClockFields { client_clock_skew_ms, server_ts_ns }) = clocks {
        write(
            &mut out,
            format_args!(r#","clientClockSkew":{client_clock_skew_ms},"serverTs":{server_ts_ns}"#),
        );
    }
    out.push('}');
    parts.push(Part::Own(out));
    Text::new(parts)
}

/// The frames that carry a Transition: itself, or pieces of at most `piece_bytes_max` bytes of its text when it is larger
/// than that. `transition_id` only has to be the same in all pieces.
pub fn transition_frames(
    text: Text,
    transition_id: u64,
    piece_bytes_max: Option<usize>,
) -> Vec<ServerMessage> {
    let whole;
    let pieces = match piece_bytes_max {
        Some(bytes_max) if text.len() > bytes_max => {
            whole = text.to_string();
            pieces(&whole, bytes_max)
        }
        _ => return vec![ServerMessage::new(FrameKind::Transition, text)],
    };
    let total = pieces.len();
    let frame = |(number, piece): (usize, &str)| {
        let mut out = String::with_capacity(piece.len() + piece.len() / 8 + 128);
        out.push_str(r#"{"type":"TransitionChunk","chunk":"#);
        write_string(&mut out, piece);
        write(
            &mut out,
            format_args!(r#","partNumber":{number},"totalParts":{total},"transitionId":"{transition_id}"}}"#),
        );
        let ends_transition = number + 1 == total;
        ServerMessage { kind: FrameKind::TransitionChunk, text: out.into(), ends_transition }
    };
    pieces.into_iter().enumerate().map(frame).collect()
}

/// Cuts at character boundaries, each piece as long as it may be.
fn pieces(mut text: &str, bytes_max: usize) -> Vec<&str> {
    let mut pieces = Vec::with_capacity(text.len() / bytes_max + 1);
    while !text.is_empty() {
        // A limit below the length of one character must not stop progress.
        let first = text.chars().next().map_or(0, char::len_utf8);
        let (piece, rest) = text.split_at(text.floor_char_boundary(bytes_max).max(first));
        pieces.push(piece);
        text = rest;
    }
    pieces
}

fn write(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a string cannot fail");
}

/// Appends a JSON string.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("strings serialise"));
}

/// Appends a JSON array of strings.
pub(crate) fn write_strings(out: &mut String, texts: &[String]) {
    out.push_str(&serde_json::to_string(texts).expect("strings serialise"));
}
