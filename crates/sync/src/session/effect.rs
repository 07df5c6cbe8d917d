//! What a session asks of its driver, and what the driver answers.

use std::sync::Arc;
use std::time::Duration;

use freshet_values::Timestamp;

use crate::answer::{Answer, FunctionFailure};
use crate::close::CloseReason;
use crate::message::client::{QueryId, RequestNumber, SessionId, Target, Token};
use crate::message::server::ServerMessage;

/// The moment at which something happens, as the driver read it from its clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Monotonic clock: time since any fixed moment, the same one for the whole life of a session.
    pub elapsed: Duration,
    /// Wall clock: time since the Unix epoch.
    pub unix: Duration,
    /// Newest timestamp at which queries can run.
    pub newest: Timestamp,
}

/// Who a connection acts for. Opaque to the session except for these two questions.
pub trait Identity: Clone {
    /// When it stops being valid, as time since the Unix epoch; `None` for never.
    fn expires_at(&self) -> Option<Duration>;

    /// Whether every function would behave the same for both. A refreshed token of the same user is the same caller:
    /// compare attributes and rights, not token texts and expiry.
    fn is_same_caller(&self, other: &Self) -> bool;
}

/// Interest in everything that one execution of a query read. Dropping it ends the interest.
pub trait Subscription: Clone {
    /// Whether no commit that is visible now has changed what the query read.
    fn is_valid(&self) -> bool;
}

/// Something that the driver has to do. Effects are to be started in order; none of them may block the next.
#[derive(Clone, Debug)]
pub enum Effect<I, S> {
    /// Write this frame after all earlier ones.
    Send(ServerMessage),
    /// Verify a token, then call `authenticated`. At most one at a time.
    Authenticate(Credentials),
    /// Run a mutation, then call `mutation_finished`. At most one at a time.
    RunMutation(RequestJob<I>),
    /// Run an action, then call `action_finished`.
    RunAction(RequestJob<I>),
    /// Bring queries up to date, then call `transition_computed`. At most one at a time.
    ComputeTransition(TransitionJob<I, S>),
    /// Write everything sent so far, then close. Nothing follows this effect.
    Close(CloseFrame),
}

/// How to close the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseFrame {
    /// With the code and text of the reason.
    Reason(CloseReason),
    /// With an empty close frame: no code and no text. The frame sent before it said why.
    Empty,
}

/// What the client presented.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A JSON Web Token.
    User {
        /// The token's text.
        token: Arc<str>,
    },
    /// An admin or deploy key.
    Admin {
        /// The key's text.
        key: Arc<str>,
        /// JSON text of an object: attributes of the user to be seen as.
        acting_as: Option<Arc<str>>,
    },
}

impl Credentials {
    /// `None` for logging out, which needs no verification.
    pub(crate) fn from_token(token: Token) -> Option<Self> {
        match token {
            Token::None => None,
            Token::User(token) => Some(Self::User { token }),
            Token::Admin { key, acting_as } => Some(Self::Admin { key, acting_as }),
        }
    }
}

impl std::fmt::Debug for Credentials {
    /// Shows the kind only: secrets must not end in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credentials::User { .. } => "User(..)",
            Credentials::Admin { .. } => "Admin(..)",
        })
    }
}

/// What became of an [`Effect::Authenticate`].
#[derive(Clone, Debug)]
pub enum AuthOutcome<I> {
    /// The token is good.
    Accepted(I),
    /// The token is bad, expired, or not allowed. The text is shown to the app's developer.
    Rejected(String),
    /// It could not be decided; the client shall come back.
    Failed(CloseReason),
}

/// A mutation or action to run.
#[derive(Clone, Debug)]
pub struct RequestJob<I> {
    /// The client's number for it; hand it back with the outcome.
    pub request_id: RequestNumber,
    /// The session that makes `request_id` unique for ever. `None` when the client did not introduce itself: then run
    /// without protection against replays.
    pub session_id: Option<SessionId>,
    /// What to run.
    pub target: Target,
    /// JSON text of an array that should hold one object; not looked at yet.
    pub args: Arc<str>,
    /// Who asked: the identity in force when the request arrived.
    pub identity: I,
}

/// What became of a mutation.
#[derive(Clone, Debug)]
pub enum MutationOutcome {
    /// It has committed and the commit is durable.
    Committed {
        /// Encoded JSON text of the result.
        value: String,
        /// Timestamp of the commit; of a replay, the original one.
        ts: Timestamp,
        /// Console lines, `[LEVEL] text` each.
        log_lines: Vec<String>,
    },
    /// It failed by its own fault and nothing was written.
    Failed {
        /// Why.
        failure: FunctionFailure,
        /// Console lines, `[LEVEL] text` each.
        log_lines: Vec<String>,
    },
    /// It did not run to an end through no fault of its own; the client will replay it on a new socket.
    Abandoned(CloseReason),
}

/// What became of an action.
#[derive(Clone, Debug)]
pub enum ActionOutcome {
    /// It returned.
    Returned {
        /// Encoded JSON text of the result.
        value: String,
        /// Console lines, `[LEVEL] text` each.
        log_lines: Vec<String>,
    },
    /// It failed.
    Failed {
        /// Why.
        failure: FunctionFailure,
        /// Console lines, `[LEVEL] text` each.
        log_lines: Vec<String>,
    },
    /// It could not be run, and the socket has to go.
    Abandoned(CloseReason),
}

/// Names a [`TransitionJob`] within its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobId(pub(crate) u64);

/// Queries to bring up to date, all at one timestamp.
#[derive(Clone, Debug)]
pub struct TransitionJob<I, S> {
    /// Hand it back with the results.
    pub id: JobId,
    /// The timestamp to be chosen must not be lower than this.
    pub at_least: Timestamp,
    /// Who the queries run for.
    pub identity: I,
    /// The connection's whole query set in ascending order of `query_id`.
    pub queries: Vec<JobQuery<S>>,
}

/// One query of a [`TransitionJob`].
#[derive(Clone, Debug)]
pub struct JobQuery<S> {
    /// Hand it back with the outcome.
    pub query_id: QueryId,
    /// What to run.
    pub call: Arc<QueryCall>,
    /// Journal to run it with.
    pub journal: Option<Arc<str>>,
    /// `Some`: the client holds a result that was still good when the job was made. If this subscription is valid up to
    /// the chosen timestamp, answer [`QueryOutcome::Unchanged`] without running; else run. `None`: run.
    pub held: Option<S>,
    /// Whether the client has been shown no result of it on this connection yet.
    pub is_new: bool,
}

/// A query's function and arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryCall {
    /// The function.
    pub target: Target,
    /// JSON text of an array that should hold one object; not looked at yet.
    pub args: Arc<str>,
}

/// Results of a [`TransitionJob`].
#[derive(Clone, Debug)]
pub struct Computed<S> {
    /// The timestamp at which every result holds. It must be durable: the client will be told of it.
    pub ts: Timestamp,
    /// One outcome for each query of the job, in the job's order.
    pub outcomes: Vec<(QueryId, QueryOutcome<S>)>,
}

/// What became of one query.
#[derive(Clone, Debug)]
pub enum QueryOutcome<S> {
    /// What the client holds is good up to the chosen timestamp. Only where the job offered `held`.
    Unchanged,
    /// It ran, or an equal execution was found in a cache.
    Answered {
        /// The result, shared with everybody who asked the same.
        answer: Arc<Answer>,
        /// Interest in what it read, from the chosen timestamp on.
        subscription: S,
    },
    /// It cannot run for now, while others can (an index it needs is being loaded). The client sees it loading; if the
    /// client has a result already, the whole job is tried again later instead.
    Unavailable,
}

/// Why a [`TransitionJob`] has no results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeFailure {
    /// A passing trouble such as overload or a snapshot that is too old: compute again after a pause.
    Retry,
    /// Anything else: close the socket, because skipping a Transition would leave the client behind for good.
    Close(CloseReason),
}
