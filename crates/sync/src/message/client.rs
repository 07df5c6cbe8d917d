//! Frames that clients send.
//!
//! Input is hostile until parsed. Parsing borrows from the frame, never recurses into arguments, and allocates no more
//! than a small multiple of the frame's length; arguments and journals stay the text that the client sent. Fields that
//! only serve diagnostics are read leniently, everything that decides behaviour strictly. A function path that breaks the
//! rules is not an error of the frame: it fails the one query or request that carries it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use freshet_values::{ComponentPath, FunctionPath, Timestamp};
use serde::Deserialize;
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::limits;

/// Chosen by the client for each query, never reused while the client lives.
pub type QueryId = u32;
/// Counts the mutations and actions of a client.
pub type RequestNumber = u32;

/// A frame from a client.
#[derive(Clone, Debug)]
pub enum ClientMessage {
    /// Introduces the client; usually first, sometimes never sent.
    Connect(Connect),
    /// Adds and removes queries.
    ModifyQuerySet(ModifyQuerySet),
    /// Asks to run a mutation.
    Mutation(Request),
    /// Asks to run an action.
    Action(Request),
    /// Changes the identity of the connection.
    Authenticate(Authenticate),
    /// Telemetry; its content is not looked at.
    Event,
}

/// Who connects, and what it has seen before.
#[derive(Clone, Debug)]
pub struct Connect {
    /// Names the client's session.
    pub session_id: SessionId,
    /// Newest timestamp that the client has ever been shown.
    pub max_observed: Option<Timestamp>,
    /// The client's clock, in milliseconds since the Unix epoch.
    pub client_ts_ms: Option<i64>,
    /// For logs only.
    pub connection_count: Option<u32>,
    /// For logs only; cut to [`limits::ECHO_CHARS_MAX`] characters.
    pub last_close_reason: Option<String>,
}

/// The UUID of a client session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Uuid);

impl fmt::Display for SessionId {
    /// Hyphenated and lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// A step from one query-set version to a later one.
#[derive(Clone, Debug)]
pub struct ModifyQuerySet {
    /// Version that the client believes the server has received.
    pub base_version: u32,
    /// Version after this step.
    pub new_version: u32,
    /// Changes in order.
    pub modifications: Vec<QuerySetModification>,
}

/// One change of the query set.
#[derive(Clone, Debug)]
pub enum QuerySetModification {
    /// Subscribe.
    Add {
        /// Its name on this connection.
        query_id: QueryId,
        /// What to run.
        call: Call,
        /// Journal of the last result that the client holds.
        journal: Option<Arc<str>>,
    },
    /// Unsubscribe.
    Remove {
        /// Its name on this connection.
        query_id: QueryId,
    },
}

/// A mutation or action to run.
#[derive(Clone, Debug)]
pub struct Request {
    /// The client's number for it.
    pub request_id: RequestNumber,
    /// What to run.
    pub call: Call,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function, or why its name is none.
    pub target: Result<Target, TargetError>,
    /// JSON text of an array; nothing inside has been looked at.
    pub args: Arc<str>,
}

/// A function of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Path in canonical form.
    pub path: FunctionPath,
    /// Component instance; the root when the client named none.
    pub component: ComponentPath,
}

/// A function or component path that breaks the rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct TargetError {
    text: String,
}

/// A change of identity.
#[derive(Clone, Debug)]
pub struct Authenticate {
    /// Number of `Authenticate` messages that the client believes were accepted before.
    pub base_version: u32,
    /// What it presents.
    pub token: Token,
}

/// What the client presents.
#[derive(Clone)]
pub enum Token {
    /// Nothing: log out.
    None,
    /// A JSON Web Token.
    User(Arc<str>),
    /// An admin or deploy key.
    Admin {
        /// The key.
        key: Arc<str>,
        /// JSON text of an object: attributes of the user to be seen as.
        acting_as: Option<Arc<str>>,
    },
}

impl fmt::Debug for Token {
    /// Shows the kind only: tokens are secrets and debug output ends in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Token::None => "None",
            Token::User(_) => "User(..)",
            Token::Admin { .. } => "Admin(..)",
        })
    }
}

/// A frame that is not a message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Received Invalid JSON on websocket: {detail}")]
pub struct ParseError {
    detail: String,
}

impl ParseError {
    pub(crate) fn new(detail: &dyn fmt::Display) -> Self {
        // Parsers quote what they did not expect, and that may be the whole frame.
        Self { detail: cut(&detail.to_string()) }
    }
}

impl From<serde_json::Error> for ParseError {
    fn from(error: serde_json::Error) -> Self {
        Self::new(&error)
    }
}

impl FromStr for ClientMessage {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match object::<Tag>(text)?.tag.as_str() {
            "Connect" => Ok(Self::Connect(object::<ConnectFields<'_>>(text)?.parse()?)),
            "ModifyQuerySet" => Ok(Self::ModifyQuerySet(object::<ModifyFields<'_>>(text)?.parse()?)),
            "Mutation" => Ok(Self::Mutation(object::<RequestFields<'_>>(text)?.parse()?)),
            "Action" => Ok(Self::Action(object::<RequestFields<'_>>(text)?.parse()?)),
            "Authenticate" => Ok(Self::Authenticate(object::<AuthenticateFields<'_>>(text)?.parse()?)),
            "Event" => Ok(Self::Event),
            other => Err(ParseError::new(&format_args!("unknown message type `{}`", cut(other)))),
        }
    }
}

/// Parses a JSON object. Derived impls would accept an array of the fields too, which no client sends.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ParseError> {
    if text.trim_start().starts_with('{') {
        Ok(serde_json::from_str(text)?)
    } else {
        Err(ParseError::new(&"expected a JSON object"))
    }
}

/// A field that is for diagnostics only: absent when it is not what it should be.
fn lenient<T: DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(limits::ECHO_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[derive(Deserialize)]
struct Tag {
    #[serde(rename = "type")]
    tag: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConnectFields<'a> {
    session_id: String,
    max_observed_timestamp: Option<String>,
    #[serde(borrow)]
    client_ts: Option<&'a RawValue>,
    #[serde(borrow)]
    connection_count: Option<&'a RawValue>,
    #[serde(borrow)]
    last_close_reason: Option<&'a RawValue>,
}

impl ConnectFields<'_> {
    fn parse(self) -> Result<Connect, ParseError> {
        let session_id = Uuid::try_parse(&self.session_id)
            .map_err(|error| ParseError::new(&format_args!("invalid sessionId: {error}")))?;
        let max_observed = match &self.max_observed_timestamp {
            Some(text) => Some(timestamp(text)?),
            None => None,
        };
        Ok(Connect {
            session_id: SessionId(session_id),
            max_observed,
            // A fractional clock is possible where a page replaces `Date.now`; `as` saturates.
            client_ts_ms: lenient::<f64>(self.client_ts).map(|ms| ms as i64),
            connection_count: lenient(self.connection_count),
            last_close_reason: lenient::<String>(self.last_close_reason).map(|reason| cut(&reason)),
        })
    }
}

fn timestamp(text: &str) -> Result<Timestamp, ParseError> {
    Timestamp::from_wire(text)
        .map_err(|error| ParseError::new(&format_args!("invalid maxObservedTimestamp: {error}")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModifyFields<'a> {
    base_version: u32,
    new_version: u32,
    #[serde(borrow)]
    modifications: Elements<'a>,
}

impl ModifyFields<'_> {
    fn parse(self) -> Result<ModifyQuerySet, ParseError> {
        let modifications = self.modifications.0.into_iter().map(modification).collect::<Result<_, _>>()?;
        Ok(ModifyQuerySet { base_version: self.base_version, new_version: self.new_version, modifications })
    }
}

/// The texts of an array's elements, at most [`limits::PENDING_MODIFICATIONS_MAX`] of them: a pointer is larger than the
/// smallest element, so that without a bound a frame could ask for many times its own size.
struct Elements<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;

        impl<'de> Visitor<'de> for Bounded {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of at most {} modifications", limits::PENDING_MODIFICATIONS_MAX)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Elements<'de>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = array.next_element::<&RawValue>()? {
                    if elements.len() == limits::PENDING_MODIFICATIONS_MAX {
                        return Err(serde::de::Error::invalid_length(elements.len() + 1, &self));
                    }
                    elements.push(element);
                }
                Ok(Elements(elements))
            }
        }

        deserializer.deserialize_seq(Bounded)
    }
}

fn modification(raw: &RawValue) -> Result<QuerySetModification, ParseError> {
    match object::<Tag>(raw.get())?.tag.as_str() {
        "Add" => object::<AddFields<'_>>(raw.get())?.parse(),
        "Remove" => {
            let RemoveFields { query_id } = object(raw.get())?;
            Ok(QuerySetModification::Remove { query_id })
        }
        other => Err(ParseError::new(&format_args!("unknown modification type `{}`", cut(other)))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddFields<'a> {
    query_id: QueryId,
    udf_path: String,
    #[serde(borrow)]
    args: &'a RawValue,
    journal: Option<String>,
    component_path: Option<String>,
}

impl AddFields<'_> {
    fn parse(self) -> Result<QuerySetModification, ParseError> {
        Ok(QuerySetModification::Add {
            query_id: self.query_id,
            call: Call::parse(&self.udf_path, self.component_path.as_deref(), self.args)?,
            journal: self.journal.map(Arc::from),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RemoveFields {
    query_id: QueryId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestFields<'a> {
    request_id: RequestNumber,
    udf_path: String,
    #[serde(borrow)]
    args: &'a RawValue,
    component_path: Option<String>,
}

impl RequestFields<'_> {
    fn parse(self) -> Result<Request, ParseError> {
        let call = Call::parse(&self.udf_path, self.component_path.as_deref(), self.args)?;
        Ok(Request { request_id: self.request_id, call })
    }
}

impl Call {
    fn parse(path: &str, component: Option<&str>, args: &RawValue) -> Result<Self, ParseError> {
        let args = args.get();
        if !args.starts_with('[') {
            return Err(ParseError::new(&"expected `args` to be an array"));
        }
        Ok(Self { target: Target::parse(path, component), args: args.into() })
    }
}

impl Target {
    fn parse(path: &str, component: Option<&str>) -> Result<Self, TargetError> {
        let path = path.parse::<FunctionPath>().map_err(|error| TargetError::new(&error))?;
        let component = component
            .unwrap_or_default()
            .parse::<ComponentPath>()
            .map_err(|error| TargetError::new(&error))?;
        Ok(Self { path, component })
    }
}

impl TargetError {
    fn new(error: &dyn fmt::Display) -> Self {
        // The text repeats the path, whose length the client chose.
        Self { text: cut(&error.to_string()) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthenticateFields<'a> {
    base_version: u32,
    token_type: String,
    value: Option<String>,
    /// Spelling of the npm package.
    #[serde(borrow)]
    impersonating: Option<&'a RawValue>,
    /// Spelling of the Rust crate.
    #[serde(borrow, rename = "acting_as")]
    acting_as: Option<&'a RawValue>,
}

impl AuthenticateFields<'_> {
    fn parse(self) -> Result<Authenticate, ParseError> {
        let value = self.value.map(Arc::<str>::from);
        let missing = || ParseError::new(&"missing field `value`");
        let token = match self.token_type.as_str() {
            "None" => Token::None,
            "User" => Token::User(value.ok_or_else(missing)?),
            "Admin" => {
                let acting_as = self.impersonating.or(self.acting_as).map(RawValue::get);
                if acting_as.is_some_and(|text| !text.starts_with('{')) {
                    return Err(ParseError::new(&"expected the impersonated identity to be an object"));
                }
                Token::Admin { key: value.ok_or_else(missing)?, acting_as: acting_as.map(Arc::from) }
            }
            other => return Err(ParseError::new(&format_args!("unknown token type `{}`", cut(other)))),
        };
        Ok(Authenticate { base_version: self.base_version, token })
    }
}
