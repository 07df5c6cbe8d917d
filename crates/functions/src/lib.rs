//! Function calls, the host interface, modules, deployment and the scheduler.
//!
//! A call comes in through [`Functions`]. Queries and mutations wait in a [`LaneQueue`] for a V8 thread, which runs them
//! through its [`Lane`]; actions go to an [`host::ActionHost`]. This crate knows transactions, arguments, errors and
//! time, but neither HTTP, nor WebSocket frames, nor Node.

mod action;
mod action_callbacks;
mod action_execution;
mod address;
mod arguments;
mod attempt;
mod audit;
mod authentication;
mod cached_query;
mod call;
mod call_error;
pub mod code;
mod commit_watch;
mod crons;
pub mod deployment;
mod due_loop;
pub mod environment;
mod execution;
mod files;
mod frame;
mod function_handle;
mod functions;
pub mod host;
mod http_action;
mod identity;
mod job;
mod lane;
mod lane_call;
mod lane_order;
mod lane_queue;
mod limits;
pub mod log;
pub mod log_stream;
pub mod metrics;
mod native;
mod native_call;
mod nested;
mod one_off;
mod own_transaction;
pub mod quarantine;
mod remembered;
mod request_id;
mod resolve;
mod rows;
mod scheduler;
mod services;
mod session_requests;
mod settle;
mod stack;
mod statistics;
mod syscalls;
mod system_functions;
mod variables;
mod vector_search;

pub use authentication::{AuthenticationError, Authenticator, ProviderAuthenticator, VerifiedUser};
pub use cached_query::CachedQuery;
pub use call::{
    ActionOutcome, AnyOutcome, Caller, FunctionCall, FunctionError, HttpActionAnswer, HttpActionRequest,
    MutationOutcome, QueryOptions, QueryOutcome, RequestMetadata, SessionRequest,
};
pub use call_error::{CallError, ErrorClass, client_error_text};
pub use commit_watch::CommitWatch;
pub use execution::{ExecutionRecord, LogSink, NoSink, ProgressRecord, SharedLogSink};
pub use files::{FileBytes, FileHead, FileInfo, FileUpload, FilesConfig, OpenFile, TokenError};
pub use functions::Functions;
pub use identity::{Identity, IdentityError, UserIdentity};
pub use lane::{Lane, LaneClock, LaneNext, NewestCode};
pub use lane_queue::LaneQueue;
pub use limits::CallLimits;
pub use native::{NativeError, NativeFunctions, NoNativeFunctions};
pub use one_off::{OneOffError, OneOffModule};
pub use request_id::RequestId;
pub use scheduler::{JobFilter, Scheduler};
pub use services::{FunctionsConfig, FunctionsSettings};
pub use statistics::{
    ActionStatistics, FunctionsStatistics, LaneStatistics, LogStatistics, SchedulerStatistics,
};
pub use system_functions::SystemFunctions;
