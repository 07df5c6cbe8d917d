//! How the supervisor starts the engine: the flags Node needs, the files it runs, and the configuration it reads.
//!
//! The JavaScript of the runtime is compiled into this library (see `build.rs`) and written below the data directory,
//! so that a release is a binary and an addon, whatever version of the runtime the directory has seen before.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

pub use freshet_files::Location;
use freshet_functions::CallLimits;
pub use freshet_functions::code::ContextPolicy;
use freshet_server::EdgeLimits;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Environment variable with the path of the addon.
pub const ADDON_ENV: &str = "FRESHET_ADDON";
/// Environment variable with the [`EngineConfig`] as JSON.
pub const CONFIG_ENV: &str = "FRESHET_ENGINE_CONFIG";
/// The engine prints this, a space and a [`ReadyReport`] as JSON, on a line of its own when it listens.
pub const READY_PREFIX: &str = "FRESHET_READY";
/// Exit code of an engine that cannot start for a reason that a restart does not cure.
pub const EXIT_CONFIGURATION: i32 = 78;

include!(concat!(env!("OUT_DIR"), "/runtime_files.rs"));

/// Everything the engine is told by whoever starts it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EngineConfig {
    /// Data directory; it exists.
    pub data_dir: PathBuf,
    /// Address to bind, without a port.
    pub host: String,
    /// Port of the API.
    pub port: u16,
    /// Port of HTTP actions; `None` to serve them on the API's port only.
    pub site_port: Option<u16>,
    /// Header in which the operator's proxy tells the client's address.
    pub client_ip_header: Option<String>,
    /// Requests per second of one address without an admin key.
    pub rate_limit: Option<NonZeroU32>,
    /// URL at which clients reach the API; becomes `CONVEX_CLOUD_URL`. No trailing slash.
    pub api_origin: String,
    /// URL at which HTTP actions are reached; becomes `CONVEX_SITE_URL`. No trailing slash.
    pub site_origin: String,
    /// Name of the instance, the first part of admin keys.
    pub instance_name: String,
    /// 32 bytes in lower-case hex.
    pub instance_secret_hex: String,
    /// Number of lanes: V8 threads that run queries and mutations.
    pub lanes: usize,
    /// Memory for pages of the database file, in MB.
    pub cache_mb: usize,
    /// How long commits stay in the log on disk, in seconds.
    pub log_retention_s: u64,
    /// Where stored files are kept: `s3://BUCKET/PREFIX` or a folder; `None` for a folder of the data directory.
    pub storage: Option<String>,
    /// How long the bytes of a deleted file stay, in seconds.
    pub deleted_files_kept_s: u64,
    /// JavaScript heap of one lane, and as much again its array buffers, in MB.
    pub function_memory_mb: usize,
    /// Memory for vector indexes, in MB.
    pub vector_memory_mb: usize,
    /// `tracing` filter, in the syntax of `RUST_LOG`.
    pub log_filter: String,
    /// Which contexts queries and mutations get.
    pub contexts: ContextPolicy,
    /// Base-2 logarithm of the window with which messages to WebSocket clients are compressed, 9 to 15; `None` for no
    /// compression.
    pub websocket_window_bits: Option<u8>,
    /// Whether queries that ran in shared contexts are repeated in fresh ones, to report where they differ.
    pub audit_determinism: bool,
    /// Whether clients get only `Server Error` and no log lines.
    pub redact_logs_to_client: bool,
    /// Whether log lines are JSON objects.
    pub log_json: bool,
    /// Address and port where metrics are shown without a key; `None` for nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Whether metrics are at `/metrics` of the API, for holders of an admin key.
    pub metrics_endpoint: bool,
    /// What the operator may tune.
    pub limits: OperatorLimits,
}

/// Bounds that the operator may tune. Units are in the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each has its flag, which explains it")]
pub struct OperatorLimits {
    pub queue_length: u64,
    pub queue_wait_ms: u64,
    pub actions: u64,
    pub node_actions: u64,
    pub action_hosts: u64,
    pub action_host_heap_mb: u64,
    pub scheduled_parallelism: u64,
    pub scheduled_max: u64,
    pub user_time_ms: u64,
    pub total_time_ms: u64,
    pub action_time_s: u64,
    pub node_action_time_s: u64,
    pub requests: u64,
    pub request_time_s: u64,
    pub sockets: u64,
    pub connections: u64,
    pub result_cache_mb: u64,
    pub socket_backlog_mb: u64,
}

impl Default for OperatorLimits {
    fn default() -> Self {
        Self {
            queue_length: 4096,
            queue_wait_ms: 5_000,
            actions: 64,
            node_actions: 64,
            action_hosts: 8,
            action_host_heap_mb: 512,
            scheduled_parallelism: 8,
            scheduled_max: 1_000_000,
            user_time_ms: 1_000,
            total_time_ms: 15_000,
            action_time_s: 1_800,
            node_action_time_s: 600,
            requests: 1_024,
            request_time_s: 300,
            sockets: 20_000,
            connections: 20_000,
            result_cache_mb: 100,
            socket_backlog_mb: 1_024,
        }
    }
}

impl OperatorLimits {
    /// The bounds of calls.
    pub(crate) fn calls(&self) -> CallLimits {
        CallLimits {
            queue_length_max: self.queue_length as usize,
            queue_wait_max: Duration::from_millis(self.queue_wait_ms),
            isolate_actions_max: self.actions as usize,
            node_actions_max: self.node_actions as usize,
            scheduled_parallelism: self.scheduled_parallelism as usize,
            scheduled_max: self.scheduled_max,
            user_time_max: Duration::from_millis(self.user_time_ms),
            total_time_max: Duration::from_millis(self.total_time_ms),
            isolate_action_time_max: Duration::from_secs(self.action_time_s),
            node_action_time_max: Duration::from_secs(self.node_action_time_s),
            ..CallLimits::default()
        }
    }

    /// The bounds of the edge.
    pub(crate) fn edge(&self) -> EdgeLimits {
        EdgeLimits {
            requests_max: self.requests as usize,
            request_time_max: Duration::from_secs(self.request_time_s),
            sockets_max: self.sockets as usize,
            connections_max: self.connections as usize,
            query_cache_bytes_max: (self.result_cache_mb as usize) << 20,
            backlog_bytes_max: (self.socket_backlog_mb as usize) << 20,
            ..EdgeLimits::default()
        }
    }
}

/// What the engine says once it listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadyReport {
    /// Bound address of the API.
    pub api_addr: String,
    /// Bound address of HTTP actions; empty if they have none of their own.
    pub site_addr: String,
    /// Milliseconds from the start of the engine's own code to listening.
    pub startup_ms: u64,
}

/// Flags for a `node` that runs the default runtime with `memory_mb` MB: the engine's, and those of action hosts.
pub fn node_flags(memory_mb: usize) -> Vec<String> {
    const WASM_PAGES_OF_A_MEGABYTE: usize = 16;
    let mut flags = [
        // Modules of the app are evaluated through `vm.SourceTextModule`, of which Node warns at every start. The flag
        // that silences that one warning is newer than the oldest Node we run on.
        "--experimental-vm-modules",
        "--no-warnings",
        // No context of the process may turn a string into code; user code cannot reach for the host's `Function`.
        "--disallow-code-generation-from-strings",
        // Lanes keep compiled code themselves. V8's own cache never finds a module of an earlier context, because each
        // has its own way to import; it only compares the text with that of every earlier one, and keeps those contexts
        // alive: 0.6 MB for each call that runs in one of its own.
        "--no-compilation-cache",
    ]
    .map(String::from)
    .to_vec();
    // Memories of WebAssembly are reserved by the operating system, not by V8, and can be filled in one operation.
    flags.push(format!("--wasm-max-mem-pages={}", memory_mb * WASM_PAGES_OF_A_MEGABYTE));
    flags.push(format!(
        "--v8-pool-size={}",
        collector_threads(available_parallelism().map_or(1, usize::from))
    ));
    flags
}

/// How many threads of a process help V8 to collect garbage and to compile, on a machine with so many processors. Node
/// starts four wherever it runs. All lanes share them, and a function that fills its heap keeps all of them busy: with two
/// processors they took both, and every other call waited behind them.
fn collector_threads(processors: usize) -> usize {
    const COLLECTOR_THREADS_MAX: usize = 4;
    processors.saturating_sub(1).clamp(1, COLLECTOR_THREADS_MAX)
}

/// Writes the runtime's JavaScript below `dir` and returns the file that `node` is to run.
///
/// Each version of the runtime has a folder of its own, named by its content, so that a running engine never sees the
/// files of another version.
///
/// # Errors
/// Fails when the directory cannot be written.
pub fn write_bootstrap(dir: &Path) -> io::Result<PathBuf> {
    let mut hasher = Sha256::new();
    for (name, text) in RUNTIME_FILES {
        hasher.update(name.as_bytes());
        hasher.update([0]);
        hasher.update(text.as_bytes());
        hasher.update([0]);
    }
    let version = hex::encode(&hasher.finalize()[..8]);
    let folder = dir.join("runtime").join(version);
    std::fs::create_dir_all(&folder)?;
    for (name, text) in RUNTIME_FILES {
        let path = folder.join(name);
        // Written even when present: a half-written file of an interrupted start must not stay.
        if std::fs::read_to_string(&path).ok().as_deref() != Some(*text) {
            std::fs::write(&path, text)?;
        }
    }
    Ok(folder.join("engine.js"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_leave_a_processor_to_calls_where_there_is_more_than_one() {
        assert_eq!([0, 1, 2, 3, 5, 64].map(collector_threads), [1, 1, 1, 2, 4, 4]);
    }
}
