//! Opening and closing the server: both listeners, all connections, one shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{OriginError, ServerConfig};
use crate::dispatch::{Dispatcher, Door};
use crate::queries::AGING_INTERVAL;
use crate::services::Services;
use crate::state::{ServerStatistics, State};

/// A connection that has not sent a whole request head by then is closed. Longer than clients keep idle
/// connections, so that it is them who close.
const HEAD_TIME_MAX: Duration = Duration::from_secs(120);

/// After an error of `accept` (no file descriptors left, mostly): give connections time to go away.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {}", explain_bind(source, address.port()))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// An external URL is unusable.
    #[error(transparent)]
    Origin(#[from] OriginError),
}

fn explain_bind(error: &io::Error, port: u16) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {port} is already in use, perhaps by another instance. Stop the program that uses it, or \
             choose another port."
        ),
        io::ErrorKind::PermissionDenied => format!(
            "no permission to use port {port}. Ports below 1024 need special rights; choose a higher port and \
             put a proxy in front."
        ),
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address. Use 0.0.0.0 to listen on all of them.".to_owned()
        }
        _ => error.to_string(),
    }
}

/// The server.
pub struct Server;

/// A running server. Dropping it leaves the server running until the runtime ends.
pub struct ServerHandle {
    state: Arc<State>,
    api_addr: SocketAddr,
    site_addr: Option<SocketAddr>,
    watch_addr: Option<SocketAddr>,
    stopping: CancellationToken,
    tasks: TaskTracker,
    drain_time_max: Duration,
}

impl Server {
    /// Binds the listeners and begins to serve. Returns when both accept connections.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left listening then.
    pub async fn start(config: ServerConfig, services: Services) -> Result<ServerHandle, StartError> {
        config.check()?;
        let api = bind(config.api_addr).await?;
        let site = match config.site_addr {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let watch = match config.watch_addr {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let local = |listener: &TcpListener, asked: SocketAddr| listener.local_addr().unwrap_or(asked);
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        let drain_time_max = config.limits.drain_time_max;
        let (api_asked, site_asked, watch_asked) = (config.api_addr, config.site_addr, config.watch_addr);
        let connections = Arc::new(Semaphore::new(config.limits.connections_max));
        let dispatcher = Dispatcher::new(config, services, stopping.clone(), tasks.clone());
        let handle = ServerHandle {
            state: Arc::clone(dispatcher.state()),
            api_addr: local(&api, api_asked),
            site_addr: site.as_ref().zip(site_asked).map(|(listener, asked)| local(listener, asked)),
            watch_addr: watch.as_ref().zip(watch_asked).map(|(listener, asked)| local(listener, asked)),
            stopping,
            tasks,
            drain_time_max,
        };
        let acceptor = |door| Acceptor {
            dispatcher: dispatcher.clone(),
            door,
            connections: Arc::clone(&connections),
            stopping: handle.stopping.clone(),
            tasks: handle.tasks.clone(),
            drain_time_max: handle.drain_time_max,
        };
        handle.tasks.spawn(acceptor(Door::Api).run(api));
        if let Some(site) = site {
            handle.tasks.spawn(acceptor(Door::Site).run(site));
        }
        if let Some(watch) = watch {
            handle.tasks.spawn(acceptor(Door::Watch).run(watch));
            tracing::info!(address = ?handle.watch_addr, "metrics are shown to whoever asks here");
        }
        handle.tasks.spawn(age_answers(Arc::clone(&handle.state)));
        match handle.site_addr {
            Some(site) => tracing::info!(api = %handle.api_addr, %site, "listening"),
            None => tracing::info!(api = %handle.api_addr, "listening"),
        }
        Ok(handle)
    }
}

impl std::fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerHandle").field("api", &self.api_addr).field("site", &self.site_addr).finish()
    }
}

impl ServerHandle {
    /// How the server is doing, for metrics.
    pub fn statistics(&self) -> ServerStatistics {
        self.state.statistics()
    }

    #[cfg(test)]
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Where the API listens; tells the port when the configured one was 0.
    pub fn api_addr(&self) -> SocketAddr {
        self.api_addr
    }

    /// Where HTTP actions are served at the root.
    pub fn site_addr(&self) -> Option<SocketAddr> {
        self.site_addr
    }

    /// Where metrics are shown without a key.
    pub fn watch_addr(&self) -> Option<SocketAddr> {
        self.watch_addr
    }

    /// Stops accepting, closes WebSockets with 1001 and waits for open requests, but no longer than the configured
    /// drain time and a moment.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        self.tasks.close();
        let grace = self.drain_time_max + Duration::from_secs(1);
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::info!(
                tasks = self.tasks.len(),
                "calls and connections that are still open are given up"
            );
        }
    }
}

/// Has answers that nobody asks for forgotten, until shutdown.
async fn age_answers(state: Arc<State>) {
    let mut intervals = tokio::time::interval(AGING_INTERVAL);
    intervals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while state.stopping.run_until_cancelled(intervals.tick()).await.is_some() {
        state.query_cache.age();
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Bind { address, source })
}

/// Everything that one accept loop needs.
struct Acceptor {
    dispatcher: Dispatcher,
    door: Door,
    connections: Arc<Semaphore>,
    stopping: CancellationToken,
    tasks: TaskTracker,
    drain_time_max: Duration,
}

impl Acceptor {
    async fn run(self, listener: TcpListener) {
        loop {
            let place = tokio::select! {
                () = self.stopping.cancelled() => return,
                place = Arc::clone(&self.connections).acquire_owned() => {
                    place.expect("the semaphore is never closed")
                }
            };
            let accepted = tokio::select! {
                () = self.stopping.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let connection = self.connection(stream, peer);
                    self.tasks.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_ERROR_PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection until it ends or, after shutdown began, the drain time is over.
    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + Send + 'static {
        let dispatcher = self.dispatcher.clone();
        let (door, stopping, drain) = (self.door, self.stopping.clone(), self.drain_time_max);
        async move {
            // Small frames (pings, transitions) must not wait for acknowledgements.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
            let service =
                hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let dispatcher = dispatcher.clone();
                    async move {
                        let request = request.map(axum::body::Body::new);
                        Ok::<_, std::convert::Infallible>(dispatcher.dispatch(door, peer, request).await)
                    }
                });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME_MAX)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stopping.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    match tokio::time::timeout(drain, connection).await {
                        Ok(ended) => ended,
                        Err(_) => return,
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "connection ended with an error");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_error_names_the_port_and_says_what_to_do() {
        let error = StartError::Bind {
            address: "127.0.0.1:3210".parse().unwrap(),
            source: io::Error::from(io::ErrorKind::AddrInUse),
        };
        let text = error.to_string();
        assert!(text.contains("port 3210") && text.contains("another port"), "{text}");
    }
}
