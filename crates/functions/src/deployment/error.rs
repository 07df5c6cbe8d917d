//! What a push endpoint answers when it does not succeed.
//!
//! The texts of single failures are written where they are detected; this file only says how a failure is carried and
//! how the command line client wants it introduced.

use freshet_database::schema::SchemaError;

/// Introduces every failure of a push that the developer can do something about.
const PUSH_PREFIX: &str = "Hit an error while pushing:\n";

/// A failed push endpoint: what the HTTP server puts into its JSON error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct PushError {
    /// HTTP status.
    pub status: u16,
    /// Machine-readable code.
    pub code: String,
    /// Text that the developer reads.
    pub message: String,
}

impl PushError {
    /// A mistake in the pushed app, or a request that does not fit the deployment's state (400).
    pub fn bad_request(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.into(), message: message.into() }
    }

    /// The client's idea of the live modules is out of date (409).
    pub fn conflict(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: 409, code: code.into(), message: message.into() }
    }

    /// Too much is going on; the client may try again (503).
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self { status: 503, code: "ServiceUnavailable".into(), message: message.into() }
    }

    /// A failure that is not the developer's fault (500). The text is for the log; clients get a neutral one.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a push failed inside the server");
        Self {
            status: 500,
            code: "InternalServerError".into(),
            message: "Your request couldn't be completed. Try again later.".into(),
        }
    }

    /// Adds the introduction that clients expect in front of the developer's own errors.
    pub(super) fn while_pushing(mut self) -> Self {
        if self.status == 400 && !self.message.starts_with(PUSH_PREFIX) {
            self.message.insert_str(0, PUSH_PREFIX);
        }
        self
    }
}

impl From<SchemaError> for PushError {
    fn from(error: SchemaError) -> Self {
        Self::bad_request(error.code, error.message)
    }
}
