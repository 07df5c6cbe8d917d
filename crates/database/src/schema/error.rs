//! Why a schema is refused.

/// A schema that breaks a rule: the developer's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct SchemaError {
    /// Machine-readable code.
    pub code: &'static str,
    /// Text that the developer reads.
    pub message: String,
}

impl SchemaError {
    /// The broken rule's code and its text.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// JSON that has not the shape of a schema.
    pub(super) fn shape(message: impl Into<String>) -> Self {
        Self::new("InvalidSchema", message)
    }
}
