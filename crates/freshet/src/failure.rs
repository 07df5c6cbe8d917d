//! How a command fails: exit code 2 when what it was told cannot work, 1 when something went wrong on the way.

use std::fmt;
use std::process::ExitCode;

/// The command line, an environment variable or the machine's set-up is at fault. The text says what to change.
#[derive(Debug)]
pub(crate) struct Misconfigured(pub(crate) String);

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misconfigured {}

/// Shorthand for an error that the user can mend.
pub(crate) fn misconfigured(text: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Misconfigured(text.into()))
}

/// The exit code that goes with an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(|cause| cause.is::<Misconfigured>()) { ExitCode::from(2) } else { ExitCode::from(1) }
}
