//! Bounds of calls. Limits on data inside one transaction belong to the database.

use std::time::Duration;

/// Bounds of calls; every one can be configured.
#[derive(Clone, Debug)]
pub struct CallLimits {
    /// Time that a query's or mutation's own code may take, host calls not counted.
    pub user_time_max: Duration,
    /// Time that a query or mutation may take with its host calls.
    pub total_time_max: Duration,
    /// Time that an action of the default runtime may take; the host enforces it.
    pub isolate_action_time_max: Duration,
    /// Time that a `"use node"` action may take; the host enforces it.
    pub node_action_time_max: Duration,
    /// JavaScript heap of the thread that runs a query or mutation, and as much again its array buffers, in MiB; the host
    /// enforces it.
    pub function_memory_mib_max: usize,
    /// JavaScript heap of the process that runs an action, in MiB; the host enforces it.
    pub action_memory_mib_max: usize,
    /// Arguments of one call, in bytes of the value model.
    pub args_bytes_max: usize,
    /// Arguments of one `"use node"` action, in bytes of the value model.
    pub node_args_bytes_max: usize,
    /// Result of one call, in bytes of the value model.
    pub result_bytes_max: usize,
    /// Console lines of one call, with those of nested calls.
    pub log_lines_max: usize,
    /// Text of one console line in bytes.
    pub log_line_bytes_max: usize,
    /// Depth of nested calls.
    pub call_depth_max: usize,
    /// Arguments of one scheduled function, in bytes of the value model.
    pub scheduled_args_bytes_max: usize,
    /// Scheduled jobs that run at the same time.
    pub scheduled_parallelism: usize,
    /// Scheduled functions that may be outstanding, as far as they are counted.
    pub scheduled_max: u64,
    /// Queries and mutations that may wait for a lane.
    pub queue_length_max: usize,
    /// How long a call waits for a lane, or an action for a slot.
    pub queue_wait_max: Duration,
    /// Actions of the default runtime, HTTP actions included, that run at the same time.
    pub isolate_actions_max: usize,
    /// `"use node"` actions that run at the same time.
    pub node_actions_max: usize,
    /// Host calls of one action that are served at the same time; further ones queue.
    pub action_host_calls_max: usize,
    /// Body of an HTTP action's response in bytes.
    pub http_response_bytes_max: usize,
    /// File that an action can read into memory, in bytes.
    pub blob_bytes_max: u64,
    /// Vector searches that run at the same time; further ones queue.
    pub vector_searches_max: usize,
    /// Conflicts after which a mutation runs alone.
    pub conflicts_before_exclusive: u32,
}

impl Default for CallLimits {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            user_time_max: Duration::from_secs(1),
            total_time_max: Duration::from_secs(15),
            isolate_action_time_max: Duration::from_secs(1800),
            node_action_time_max: Duration::from_secs(600),
            function_memory_mib_max: 256,
            action_memory_mib_max: 512,
            args_bytes_max: 16 * MIB,
            node_args_bytes_max: 5 * MIB,
            result_bytes_max: 16 * MIB,
            log_lines_max: 256,
            log_line_bytes_max: 32_768,
            call_depth_max: 8,
            scheduled_args_bytes_max: 16 * MIB,
            scheduled_parallelism: 8,
            scheduled_max: 1_000_000,
            queue_length_max: 4096,
            queue_wait_max: Duration::from_secs(5),
            isolate_actions_max: 64,
            node_actions_max: 64,
            action_host_calls_max: 64,
            http_response_bytes_max: 20 * MIB,
            blob_bytes_max: 256 << 20,
            vector_searches_max: std::thread::available_parallelism().map_or(1, usize::from),
            conflicts_before_exclusive: 3,
        }
    }
}
