//! The bounds that an operator may tune: their flags, variables, defaults and ranges, in one place.
//!
//! Of some the original backend has variables, too. Deployment recipes set those, so they are understood, after our own.

use std::ops::RangeInclusive;

use anyhow::Result;
use clap::Args;
use freshet_engine::launch::OperatorLimits;

use crate::failure::misconfigured;
use crate::settings::Variable;

/// How much is done at the same time, and how long things may wait and take.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Queries and mutations that may wait for a lane; further ones are answered with 429 [env: FRESHET_QUEUE_LENGTH]
    /// [default: 4096]
    #[arg(long, value_name = "N")]
    queue_length: Option<u64>,
    /// Milliseconds that a call waits for a lane, or an action for a slot, before it is answered with 429
    /// [env: FRESHET_QUEUE_WAIT_MS] [default: 5000]
    #[arg(long, value_name = "MS")]
    queue_wait_ms: Option<u64>,
    /// Actions of the default runtime, HTTP actions included, that run at the same time
    /// [env: FRESHET_ACTIONS] [or: APPLICATION_MAX_CONCURRENT_V8_ACTIONS] [default: 64]
    #[arg(long, value_name = "N")]
    actions: Option<u64>,
    /// "use node" actions that run at the same time
    /// [env: FRESHET_NODE_ACTIONS] [or: APPLICATION_MAX_CONCURRENT_NODE_ACTIONS] [default: 64]
    #[arg(long, value_name = "N")]
    node_actions: Option<u64>,
    /// Processes that actions of the default runtime are spread over; started as they are needed
    /// [env: FRESHET_ACTION_HOSTS] [default: 8]
    #[arg(long, value_name = "N")]
    action_hosts: Option<u64>,
    /// JavaScript heap of one of these processes, in MB [env: FRESHET_ACTION_HOST_HEAP_MB] [default: 512]
    #[arg(long, value_name = "N")]
    action_host_heap_mb: Option<u64>,
    /// Scheduled functions, and as many cron jobs, that run at the same time
    /// [env: FRESHET_SCHEDULED_PARALLELISM] [or: SCHEDULED_JOB_EXECUTION_PARALLELISM] [default: 8]
    #[arg(long, value_name = "N")]
    scheduled_parallelism: Option<u64>,
    /// Scheduled functions that may be outstanding [env: FRESHET_SCHEDULED_MAX] [default: 1000000]
    #[arg(long, value_name = "N")]
    scheduled_max: Option<u64>,
    /// Milliseconds of its own processor time that a query or mutation may take [env: FRESHET_USER_TIME_MS]
    /// [default: 1000]
    #[arg(long, value_name = "MS")]
    user_time_ms: Option<u64>,
    /// Milliseconds that a query or mutation may take in all [env: FRESHET_TOTAL_TIME_MS] [default: 15000]
    #[arg(long, value_name = "MS")]
    total_time_ms: Option<u64>,
    /// Seconds that an action of the default runtime may take
    /// [env: FRESHET_ACTION_TIME_S] [or: V8_ACTION_USER_TIMEOUT_SECS] [default: 1800]
    #[arg(long, value_name = "S")]
    action_time_s: Option<u64>,
    /// Seconds that a "use node" action may take
    /// [env: FRESHET_NODE_ACTION_TIME_S] [or: NODE_ACTION_USER_TIMEOUT_SECS] [default: 600]
    #[arg(long, value_name = "S")]
    node_action_time_s: Option<u64>,
    /// HTTP requests of the API that are worked on at the same time; further ones wait up to 5 s, then get 429
    /// [env: FRESHET_REQUESTS] [default: 1024]
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// Seconds that a request of the API may take before it is answered with 408, actions called over HTTP included; uploads
    /// and HTTP actions have limits of their own
    /// [env: FRESHET_REQUEST_TIME_S] [or: HTTP_SERVER_TIMEOUT_SECONDS] [default: 300]
    #[arg(long, value_name = "S")]
    request_time_s: Option<u64>,
    /// WebSockets that may be open; further ones are answered with 503 [env: FRESHET_SOCKETS] [default: 20000]
    #[arg(long, value_name = "N")]
    sockets: Option<u64>,
    /// TCP connections that may be open; further ones wait [env: FRESHET_CONNECTIONS] [default: 20000]
    #[arg(long, value_name = "N")]
    connections: Option<u64>,
    /// Memory for results of queries that clients share, in MB [env: FRESHET_RESULT_CACHE_MB] [default: 100]
    #[arg(long, value_name = "N")]
    result_cache_mb: Option<u64>,
    /// Memory for answers that wait for slow WebSocket clients, all together, in MB; beyond, the slowest are closed and come
    /// back by themselves [env: FRESHET_SOCKET_BACKLOG_MB] [default: 1024]
    #[arg(long, value_name = "N")]
    socket_backlog_mb: Option<u64>,
}

/// What the original backend calls some of the limits.
const OTHER_NAMES: [(&str, &str); 6] = [
    ("actions", "APPLICATION_MAX_CONCURRENT_V8_ACTIONS"),
    ("node-actions", "APPLICATION_MAX_CONCURRENT_NODE_ACTIONS"),
    ("scheduled-parallelism", "SCHEDULED_JOB_EXECUTION_PARALLELISM"),
    ("action-time-s", "V8_ACTION_USER_TIMEOUT_SECS"),
    ("node-action-time-s", "NODE_ACTION_USER_TIMEOUT_SECS"),
    ("request-time-s", "HTTP_SERVER_TIMEOUT_SECONDS"),
];

impl LimitArgs {
    /// The limits: of each the flag, else the variable, else the default.
    pub(crate) fn resolve(&self, variable: Variable<'_>) -> Result<OperatorLimits> {
        let limit = |flag: Option<u64>, name: &str, default: u64, range: RangeInclusive<u64>| {
            let own = format!("FRESHET_{}", name.to_uppercase().replace('-', "_"));
            let set = |key: &str| variable(key).filter(|text| !text.is_empty());
            let other = OTHER_NAMES.iter().find(|(limit, key)| *limit == name && set(key).is_some());
            let key = match other {
                Some((_, other)) if set(&own).is_none() => (*other).to_owned(),
                _ => own,
            };
            let text = set(&key);
            let value = match (flag, text) {
                (Some(value), _) => value,
                (None, Some(text)) => text
                    .parse()
                    .map_err(|_| misconfigured(format!("{key}: {text:?} is not a whole number")))?,
                (None, None) => default,
            };
            if range.contains(&value) {
                Ok(value)
            } else {
                let (least, most) = range.into_inner();
                Err(misconfigured(format!("--{name} (or {key}) must be from {least} to {most}, not {value}")))
            }
        };
        const MANY: u64 = 1_000_000;
        let defaults = OperatorLimits::default();
        Ok(OperatorLimits {
            queue_length: limit(self.queue_length, "queue-length", defaults.queue_length, 1..=MANY)?,
            queue_wait_ms: limit(self.queue_wait_ms, "queue-wait-ms", defaults.queue_wait_ms, 1..=600_000)?,
            actions: limit(self.actions, "actions", defaults.actions, 1..=10_000)?,
            node_actions: limit(self.node_actions, "node-actions", defaults.node_actions, 1..=10_000)?,
            action_hosts: limit(self.action_hosts, "action-hosts", defaults.action_hosts, 1..=256)?,
            action_host_heap_mb: limit(
                self.action_host_heap_mb,
                "action-host-heap-mb",
                defaults.action_host_heap_mb,
                64..=65_536,
            )?,
            scheduled_parallelism: limit(
                self.scheduled_parallelism,
                "scheduled-parallelism",
                defaults.scheduled_parallelism,
                1..=1_000,
            )?,
            scheduled_max: limit(
                self.scheduled_max,
                "scheduled-max",
                defaults.scheduled_max,
                1..=100 * MANY,
            )?,
            user_time_ms: limit(self.user_time_ms, "user-time-ms", defaults.user_time_ms, 10..=600_000)?,
            total_time_ms: limit(self.total_time_ms, "total-time-ms", defaults.total_time_ms, 10..=600_000)?,
            action_time_s: limit(self.action_time_s, "action-time-s", defaults.action_time_s, 1..=86_400)?,
            node_action_time_s: limit(
                self.node_action_time_s,
                "node-action-time-s",
                defaults.node_action_time_s,
                1..=86_400,
            )?,
            requests: limit(self.requests, "requests", defaults.requests, 1..=MANY)?,
            request_time_s: limit(
                self.request_time_s,
                "request-time-s",
                defaults.request_time_s,
                1..=86_400,
            )?,
            sockets: limit(self.sockets, "sockets", defaults.sockets, 1..=MANY)?,
            connections: limit(self.connections, "connections", defaults.connections, 1..=MANY)?,
            result_cache_mb: limit(
                self.result_cache_mb,
                "result-cache-mb",
                defaults.result_cache_mb,
                0..=MANY,
            )?,
            socket_backlog_mb: limit(
                self.socket_backlog_mb,
                "socket-backlog-mb",
                defaults.socket_backlog_mb,
                16..=MANY,
            )?,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Limits {
        #[command(flatten)]
        limits: LimitArgs,
    }

    #[test]
    fn the_flag_wins_over_the_variable_and_the_variable_over_the_default() {
        let variable = |key: &str| (key == "FRESHET_ACTIONS").then(|| "7".to_owned());
        let args = LimitArgs { node_actions: Some(3), ..LimitArgs::default() };
        let limits = args.resolve(&variable).unwrap();
        assert_eq!((limits.actions, limits.node_actions, limits.queue_length), (7, 3, 4096));
    }

    #[test]
    fn unusable_numbers_name_the_flag_and_the_variable() {
        let error = LimitArgs { actions: Some(0), ..LimitArgs::default() }.resolve(&|_| None).unwrap_err();
        assert_eq!(error.to_string(), "--actions (or FRESHET_ACTIONS) must be from 1 to 10000, not 0");
        let error = LimitArgs::default().resolve(&|_| Some("many".to_owned())).unwrap_err();
        assert_eq!(error.to_string(), "FRESHET_QUEUE_LENGTH: \"many\" is not a whole number");
    }

    #[test]
    fn names_of_the_original_backend_are_understood_after_our_own() {
        let both = |key: &str| match key {
            "V8_ACTION_USER_TIMEOUT_SECS" | "HTTP_SERVER_TIMEOUT_SECONDS" => Some("60".to_owned()),
            "FRESHET_REQUEST_TIME_S" => Some("7".to_owned()),
            "FRESHET_ACTION_TIME_S" => Some(String::new()),
            _ => None,
        };
        let limits = LimitArgs::default().resolve(&both).unwrap();
        assert_eq!((limits.action_time_s, limits.request_time_s, limits.node_action_time_s), (60, 7, 600));
        let flag = LimitArgs { action_time_s: Some(5), ..LimitArgs::default() };
        assert_eq!(flag.resolve(&both).unwrap().action_time_s, 5);
        let zero = |key: &str| (key == "SCHEDULED_JOB_EXECUTION_PARALLELISM").then(|| "0".to_owned());
        assert_eq!(
            LimitArgs::default().resolve(&zero).unwrap_err().to_string(),
            "--scheduled-parallelism (or SCHEDULED_JOB_EXECUTION_PARALLELISM) must be from 1 to 1000, not 0"
        );
    }

    #[test]
    fn the_help_tells_every_default_and_variable_as_they_are() {
        let defaults = serde_json::to_value(OperatorLimits::default()).unwrap();
        let command = Limits::command();
        let mut arguments = 0;
        for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
            let name = argument.get_id().as_str();
            let help = argument.get_help().unwrap().to_string();
            assert!(help.contains(&format!("[env: FRESHET_{}]", name.to_uppercase())), "{name}: {help}");
            assert!(help.contains(&format!("[default: {}]", defaults[name])), "{name}: {help}");
            let other = OTHER_NAMES.iter().find(|(limit, _)| limit.replace('-', "_") == name);
            let told = other.map_or("[or: ".to_owned(), |(_, key)| format!("[or: {key}]"));
            assert_eq!(help.contains(&told), other.is_some(), "{name}: {help}");
            arguments += 1;
        }
        assert_eq!(arguments, defaults.as_object().unwrap().len());
    }
}
