//! What clients get to read of failures and console lines, which is less when errors are hidden from them.

use freshet_functions::RequestId;
use freshet_functions::log::LogLine;
use freshet_sync::FunctionFailure;

use crate::state::State;

/// A failure as this server's clients may see it.
pub(crate) fn failure(
    state: &State,
    request_id: RequestId,
    message: String,
    data: Option<String>,
) -> FunctionFailure {
    let detail = (!state.config.redact).then_some(message);
    FunctionFailure { request_id: request_id.to_string(), detail, data }
}

/// Console lines as this server's clients may see them.
pub(crate) fn log_lines(state: &State, lines: &[LogLine]) -> Vec<String> {
    if state.config.redact { Vec::new() } else { lines.iter().map(LogLine::to_client_text).collect() }
}
