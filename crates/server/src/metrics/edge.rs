//! Requests, sockets, transitions, the cache of results, and the log stream.

use std::fmt;

use super::families::Families;
use crate::state::State;

/// Writes the families.
pub(super) fn write(families: &mut Families<'_>, state: &State) -> fmt::Result {
    let meters = &state.meters;
    families.counters(
        "freshet_http_requests",
        "Requests that were answered, by door and class of status; upgrades to WebSockets are 1xx.",
        meters.requests(),
    )?;
    families.times(
        "freshet_http_request_seconds",
        "Time to answer an API request, long polls included; HTTP actions until their response begins.",
        [([], &meters.request_us.distribution())],
    )?;
    families.gauge(
        "freshet_http_requests_running",
        "Requests that are being answered.",
        meters.running.get(),
    )?;
    let sockets_max = state.config.limits.sockets_max;
    let sockets = sockets_max.saturating_sub(state.sockets.available_permits());
    families.gauge("freshet_sockets", "Open WebSockets.", sockets)?;
    families.gauge("freshet_sockets_limit", "WebSockets that may be open.", sockets_max)?;
    families.counter(
        "freshet_sockets_opened",
        "WebSockets that were opened.",
        meters.sockets_opened.get(),
    )?;
    families.counter(
        "freshet_sockets_too_slow",
        "WebSockets that were closed because their clients did not take what waited for them.",
        meters.sockets_too_slow.get(),
    )?;
    families.gauge(
        "freshet_socket_backlog_bytes",
        "Bytes that wait for slow WebSocket clients; what several wait for counts once.",
        state.backlog.bytes(),
    )?;
    families.gauge(
        "freshet_socket_backlog_bytes_limit",
        "Bytes that may wait for them.",
        state.backlog.bytes_max(),
    )?;
    families.counter(
        "freshet_transitions",
        "Transitions that were computed: moments at which a client's queries were brought up to date.",
        meters.transition_us.distribution().count(),
    )?;
    families.times(
        "freshet_transition_seconds",
        "Time to compute a transition, until what it shows is durable.",
        [([], &meters.transition_us.distribution())],
    )?;
    let cache = state.query_cache.statistics();
    families.counter("freshet_result_cache_hits", "Queries that a stored result answered.", cache.hits)?;
    families.counter("freshet_result_cache_misses", "Queries that had to run.", cache.misses)?;
    families.gauge("freshet_result_cache_entries", "Results in that cache.", cache.entries)?;
    families.gauge("freshet_result_cache_bytes", "Bytes in that cache.", cache.bytes)?;
    let logs = state.services.logs.statistics();
    families.gauge("freshet_log_entries", "Executions and lines that the log stream keeps.", logs.entries)?;
    families.gauge("freshet_log_bytes", "Bytes of these.", logs.bytes)?;
    families.counter("freshet_log_dropped", "Entries that made room for newer ones.", logs.dropped)
}
