//! Failures that are not results of a function, and the one place that prepares errors for clients.

use crate::request_id::RequestId;

/// Code of calls that a closing server does not begin.
const SHUTTING_DOWN: &str = "ShuttingDown";

/// Class of a [`CallError`]; decides the HTTP status and what a WebSocket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// 400
    BadRequest,
    /// 401
    Unauthenticated,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 409
    Conflict,
    /// 429
    RateLimited,
    /// 500
    Internal,
    /// 503: try again later.
    Overloaded,
}

impl ErrorClass {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            ErrorClass::BadRequest => 400,
            ErrorClass::Unauthenticated => 401,
            ErrorClass::Forbidden => 403,
            ErrorClass::NotFound => 404,
            ErrorClass::Conflict => 409,
            ErrorClass::RateLimited => 429,
            ErrorClass::Internal => 500,
            ErrorClass::Overloaded => 503,
        }
    }
}

/// A call that produced no function result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// What kind of failure it is.
    pub class: ErrorClass,
    /// Short code in camel case, for programs.
    pub code: &'static str,
    /// Text for people.
    pub message: String,
}

impl CallError {
    /// A failure of the given class.
    pub fn new(class: ErrorClass, code: &'static str, message: impl Into<String>) -> Self {
        Self { class, code, message: message.into() }
    }

    /// A malformed request.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::BadRequest, code, message)
    }

    /// A failure inside the server. The detail goes to the server's log; callers get the generic text.
    pub fn internal(detail: &dyn std::fmt::Display) -> Self {
        tracing::error!(%detail, "a call failed inside the server");
        Self::new(
            ErrorClass::Internal,
            "InternalServerError",
            "Your request couldn't be completed. Try again later.",
        )
    }

    /// The server has no room for the call right now.
    pub(crate) fn too_many_concurrent(kind: &str, limit: usize) -> Self {
        Self::new(
            ErrorClass::RateLimited,
            "TooManyConcurrentRequests",
            format!(
                "Too many concurrent requests. Your backend is limited to {limit} concurrent {kind}. Retry \
                 with a backoff, or give the server more lanes."
            ),
        )
    }

    /// Whether nothing of the call has happened, because there was no room for it or the server is closing.
    pub(crate) fn is_refusal(&self) -> bool {
        self.class == ErrorClass::RateLimited || self.code == SHUTTING_DOWN
    }

    /// The server is closing.
    pub(crate) fn shutting_down() -> Self {
        Self::new(ErrorClass::Overloaded, SHUTTING_DOWN, "The server is shutting down. Try again later.")
    }
}

/// The `errorMessage` that a client gets for a failed function. `message` is the failure's text without this prefix;
/// with `redact` the client learns the request id only.
pub fn client_error_text(request_id: RequestId, message: &str, redact: bool) -> String {
    if redact {
        format!("[Request ID: {request_id}] Server Error")
    } else {
        format!("[Request ID: {request_id}] Server Error\n{message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redacted_error_shows_nothing_but_the_request_id() {
        let id = RequestId::of_session_request("2f1c9a54-6f0e-4b7d-9a3e-5d1c0b8e7f21", 0);
        assert_eq!(client_error_text(id, "secret\n", true), "[Request ID: 3f5173bf47e24113] Server Error");
        assert_eq!(
            client_error_text(id, "Uncaught Error: x\n", false),
            "[Request ID: 3f5173bf47e24113] Server Error\nUncaught Error: x\n"
        );
    }
}
