//! How a process ended, and what those who waited for it are told.

use freshet_functions::host::HostFailure;

/// How a process ended.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) cause: Cause,
    /// Invocations that it was running.
    pub(super) running: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Cause {
    OutOfMemory,
    /// Any other, in words that continue "its process".
    Other(String),
}

impl End {
    /// The failure of an invocation that was running; `heap_megabytes` is the heap that the process had.
    pub(super) fn failure(&self, heap_megabytes: usize) -> HostFailure {
        let others = match self.running.saturating_sub(1) {
            0 => String::new(),
            1 => ", while another action was running in it".into(),
            others => format!(", while {others} other actions were running in it"),
        };
        match &self.cause {
            Cause::OutOfMemory if self.running <= 1 => HostFailure::OutOfMemory,
            Cause::OutOfMemory => HostFailure::Crashed(format!(
                "its process ran out of memory (maximum memory usage: {heap_megabytes} MB){others}"
            )),
            Cause::Other(text) => HostFailure::Crashed(format!("its process {text}{others}")),
        }
    }
}
