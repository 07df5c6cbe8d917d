//! What every handler can reach.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::ServerConfig;
use crate::edge::admission::Admission;
use crate::metrics::EdgeMeters;
use crate::queries::QueryCache;
use crate::services::Services;
use crate::sync::Backlog;

/// Shared by all requests of a running server.
pub(crate) struct State {
    /// The operator's decisions.
    pub(crate) config: ServerConfig,
    /// The floors below.
    pub(crate) services: Services,
    /// Set when shutdown begins; long polls and WebSockets end then.
    pub(crate) stopping: CancellationToken,
    /// Tasks that shutdown waits for.
    pub(crate) tasks: TaskTracker,
    /// One permit for each open WebSocket.
    pub(crate) sockets: Arc<Semaphore>,
    /// What waits for slow WebSocket clients.
    pub(crate) backlog: Arc<Backlog>,
    /// Results of queries, shared by WebSockets and HTTP.
    pub(crate) query_cache: QueryCache,
    /// Bounds the memory that push bodies take.
    pub(crate) pushes: Admission,
    /// What is counted at the edge.
    pub(crate) meters: EdgeMeters,
    /// Bounds the memory that files on their way to clients take.
    pub(crate) downloads: Admission,
}

/// How a server is doing, for metrics. Counters begin at zero with the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerStatistics {
    /// Open WebSockets.
    pub sockets: usize,
    /// Questions that were answered without running a query.
    pub query_cache_hits: u64,
    /// Questions for which a query ran.
    pub query_cache_misses: u64,
    /// Results that are kept.
    pub query_cache_entries: usize,
    /// Bytes that they take, roughly.
    pub query_cache_bytes: usize,
}

/// The other end of the connection, kept in the request's extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) SocketAddr);

impl State {
    /// The state of a new server.
    pub(crate) fn new(
        config: ServerConfig,
        services: Services,
        stopping: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        let pushes = Admission::new(config.limits.pushes_max, config.limits.request_time_max);
        let downloads = Admission::new(config.limits.downloads_max, config.limits.request_queue_time_max);
        let query_cache = QueryCache::new(config.limits.query_cache_bytes_max);
        let sockets = Arc::new(Semaphore::new(config.limits.sockets_max));
        let backlog = Arc::new(Backlog::new(config.limits.backlog_bytes_max));
        Self {
            config,
            services,
            stopping,
            tasks,
            sockets,
            backlog,
            query_cache,
            pushes,
            meters: EdgeMeters::default(),
            downloads,
        }
    }

    /// How the server is doing.
    pub(crate) fn statistics(&self) -> ServerStatistics {
        let cache = self.query_cache.statistics();
        ServerStatistics {
            sockets: self.config.limits.sockets_max - self.sockets.available_permits(),
            query_cache_hits: cache.hits,
            query_cache_misses: cache.misses,
            query_cache_entries: cache.entries,
            query_cache_bytes: cache.bytes,
        }
    }
}
