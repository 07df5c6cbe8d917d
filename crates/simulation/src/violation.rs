//! A broken promise.

use std::any::Any;
use std::fmt;

/// What is wrong, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Violation {
    /// Somebody panicked with this payload.
    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Violation {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("without a text");
        Violation(format!("panicked: {text}"))
    }
}

/// What checks return.
pub(crate) type Checked<T = ()> = Result<T, Violation>;

/// An error unless the condition holds.
pub(crate) fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation(otherwise())) }
}
