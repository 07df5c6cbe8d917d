//! What is built from what: the one place that knows all floors.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use freshet_auth::HttpFetch;
use freshet_database::{Database, DatabaseOptions, Randomness, SystemClock, VectorOptions};
use freshet_files::{FileStore, LocalFiles, Location, S3Files};
use freshet_functions::deployment::{Deployment, DeploymentConfig, LiveCodeCache};
use freshet_functions::log_stream::LogStream;
use freshet_functions::{
    CallLimits, FilesConfig, Functions, FunctionsConfig, FunctionsSettings, ProviderAuthenticator, Scheduler,
    SystemFunctions,
};
use freshet_instance::{AdminKeys, DataDirectory, DirectoryLock, InstanceName, InstanceSecret, LockHolder};
use freshet_server::{
    EdgeLimits, Server, ServerConfig, ServerHandle, Services, SocketCompression, StartError,
};
use freshet_store::{SqliteOptions, SqliteStore};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::accidents::Accidents;
use crate::action_host::{ActionTimes, HostProgram, ProcessPool};
use crate::crash_signals;
use crate::flight_record::FlightRecord;
use crate::lanes::Lanes;
use crate::launch::{EngineConfig, ReadyReport, node_flags};
use crate::memory_return;
use crate::node_packages::NodePackages;

/// How long the engine waits for one that is about to end.
const LOCK_PATIENCE: Duration = Duration::from_secs(6);
/// Open requests are given this long at shutdown; the supervisor allows the whole engine five seconds.
const DRAIN_TIME: Duration = Duration::from_millis(2500);

/// Something that Node's main thread has to do.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(crate) enum EngineEvent {
    /// End the thread of a lane.
    TerminateLane {
        /// The lane's number.
        lane: u32,
        /// The thread's own number; by now it may have been replaced.
        thread: u32,
    },
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// Starting again would not help.
    #[error("configuration: {0}")]
    Configuration(String),
    /// Starting again may help.
    #[error("{0}")]
    Failed(String),
}

/// A running engine.
pub(crate) struct Engine {
    lanes: Arc<Lanes>,
    stopping: Arc<AtomicBool>,
    running: Mutex<Option<Running>>,
}

/// What has to be ended, in the order of its fields.
struct Running {
    server: ServerHandle,
    scheduler: Scheduler,
    functions: Functions,
    actions: Arc<ProcessPool>,
    database: Database,
    store: Arc<SqliteStore>,
    runtime: Runtime,
    record: Arc<FlightRecord>,
    _lock: DirectoryLock,
}

impl Engine {
    /// Opens the data directory and listens.
    pub(crate) fn start(
        config: &EngineConfig,
        runtime_dir: &Path,
        notify: Box<dyn Fn(EngineEvent) + Send + Sync>,
    ) -> Result<(Self, ReadyReport), EngineError> {
        let started = Instant::now();
        init_logging(&config.log_filter, config.log_json);
        let directory = DataDirectory::open_or_create(&config.data_dir).map_err(configuration)?;
        let lock =
            DirectoryLock::acquire(&directory, LockHolder::Engine, LOCK_PATIENCE).map_err(configuration)?;
        let name = InstanceName::from_str(&config.instance_name).map_err(configuration)?;
        let secret = InstanceSecret::from_str(&config.instance_secret_hex).map_err(configuration)?;
        let accidents = Arc::new(Accidents::open(directory.clone()));
        let record = FlightRecord::create(&directory.flight_record_file(), config.lanes.max(1))
            .map_err(|error| EngineError::Failed(format!("cannot write to the data directory: {error}")))?;
        crash_signals::note_in(record.clone());
        memory_return::start()
            .map_err(|error| EngineError::Failed(format!("cannot start threads: {error}")))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("freshet-io")
            .on_thread_park(memory_return::before_waiting)
            .build()
            .map_err(|error| EngineError::Failed(format!("cannot start threads: {error}")))?;
        let _inside = runtime.enter();

        let store = Arc::new(
            SqliteStore::open(
                &directory.database_file(),
                &SqliteOptions { cache_bytes: config.cache_mb << 20, ..SqliteOptions::default() },
            )
            .map_err(configuration)?,
        );
        let database = Database::open(
            store.clone(),
            DatabaseOptions {
                log_retention: Duration::from_secs(config.log_retention_s),
                // Whoever takes longer than a function may, hangs.
                exclusive_wait_max: config.limits.calls().total_time_max + Duration::from_secs(5),
                vectors: VectorOptions {
                    directory: Some(config.data_dir.join("vectors")),
                    memory_bytes: config.vector_memory_mb << 20,
                    ..VectorOptions::default()
                },
                ..DatabaseOptions::default()
            },
            Arc::new(SystemClock),
            Randomness::from_os(),
        )
        .map_err(|error| EngineError::Failed(error.to_string()))?;

        let limits = CallLimits {
            function_memory_mib_max: config.function_memory_mb,
            action_memory_mib_max: config.limits.action_host_heap_mb as usize,
            ..config.limits.calls()
        };
        let actions = Arc::new(ProcessPool::new(
            HostProgram {
                node: std::env::current_exe()
                    .map_err(|error| EngineError::Failed(format!("cannot find the Node binary: {error}")))?,
                script: runtime_dir.join("action-host.js"),
                isolate_flags: node_flags(config.limits.action_host_heap_mb as usize),
                heap_megabytes: config.limits.action_host_heap_mb as usize,
                scratch: config.data_dir.join("action-hosts"),
            },
            ActionTimes { isolate: limits.isolate_action_time_max, node: limits.node_action_time_max },
            config.limits.action_hosts as usize,
            NodePackages::new(directory.packages_folder()),
        ));
        let logs = Arc::new(LogStream::new());
        let code = Arc::new(LiveCodeCache::new(database.clone()).with_contexts(config.contexts));
        let settings = FunctionsSettings {
            limits: limits.clone(),
            cloud_url: config.api_origin.clone(),
            site_url: config.site_origin.clone(),
            deployment_name: config.instance_name.clone(),
            redact_errors: config.redact_logs_to_client,
        };
        let functions = Functions::new(FunctionsConfig {
            database: database.clone(),
            code,
            native: Arc::new(SystemFunctions::new(config.api_origin.clone(), config.site_origin.clone())),
            host: actions.clone(),
            authenticator: Arc::new(ProviderAuthenticator::new(
                database.clone(),
                Arc::new(HttpFetch::default()),
            )),
            log_sink: logs.clone(),
            files: FilesConfig {
                store: open_files(config, &directory, &runtime)?,
                upload_key: secret.derive("upload URLs"),
                deleted_kept: Duration::from_secs(config.deleted_files_kept_s),
            },
            settings,
        });
        let deployment = Deployment::new(DeploymentConfig {
            database: database.clone(),
            host: actions.clone(),
            cloud_url: config.api_origin.clone(),
            site_url: config.site_origin.clone(),
        });
        let queue = functions.lane_queue().clone();
        functions.quarantine().set(accidents.quarantined());
        let released = functions.clone();
        deployment.when_live(move || {
            queue.wake();
            if released.quarantine().lift() {
                tracing::info!("the app was deployed: no function is in quarantine any more");
            }
            accidents.forget();
        });
        if config.audit_determinism {
            functions.audit_contexts();
        }
        let lanes = Arc::new(Lanes::new(functions.lane_queue(), &record, config.function_memory_mb << 20));

        let configured = deployment.clone();
        let services = Services {
            database: database.clone(),
            functions: functions.clone(),
            deployment,
            logs,
            admin_keys: AdminKeys::new(name.clone(), &secret),
        };
        let server_config = ServerConfig {
            api_addr: address(&config.host, config.port)?,
            site_addr: config.site_port.map(|port| address(&config.host, port)).transpose()?,
            client_ip_header: config.client_ip_header.as_deref().and_then(|name| name.parse().ok()),
            rate_limit: config.rate_limit,
            watch_addr: config.metrics_listen,
            metrics_endpoint: config.metrics_endpoint,
            api_origin: config.api_origin.clone(),
            site_origin: config.site_origin.clone(),
            instance_name: name,
            redact: config.redact_logs_to_client,
            compression: config
                .websocket_window_bits
                .map_or(SocketCompression::Off, |window_bits_max| SocketCompression::On { window_bits_max }),
            limits: EdgeLimits { drain_time_max: DRAIN_TIME, ..config.limits.edge() },
        };
        let server =
            runtime.block_on(Server::start(server_config, services)).map_err(|error| match error {
                StartError::Bind { .. } | StartError::Origin(_) => configuration(error),
            })?;
        let scheduler = Scheduler::start(&functions);
        let counting = functions.clone();
        runtime.spawn(async move { counting.metrics().keep_minutes().await });
        let warming = actions.clone();
        runtime.spawn(async move {
            if let Err(error) = warming.warm_up().await {
                tracing::error!(%error, "cannot start an action host; actions will fail until one starts");
            }
            if let Err(error) = configured.reconfigure_authentication().await {
                tracing::error!(%error, "authentication stays configured as it was; deploy the app again");
            }
            warming.trim().await;
        });
        let stopping = Arc::new(AtomicBool::new(false));
        lanes.set_end(
            &(Arc::new(move |lane, thread| notify(EngineEvent::TerminateLane { lane, thread }))
                as Arc<dyn Fn(u32, u32) + Send + Sync>),
        );
        watch_lanes(lanes.clone(), limits, stopping.clone())?;

        let report = ReadyReport {
            api_addr: server.api_addr().to_string(),
            site_addr: server.site_addr().map(|addr| addr.to_string()).unwrap_or_default(),
            startup_ms: started.elapsed().as_millis() as u64,
        };
        drop(_inside);
        let running =
            Running { server, scheduler, functions, actions, database, store, runtime, record, _lock: lock };
        Ok((Self { lanes, stopping, running: Mutex::new(Some(running)) }, report))
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// Ends the engine from the top down: first nothing new comes in, at last everything is on disk.
    pub(crate) fn stop(&self) {
        let Some(running) = self.running.lock().take() else {
            return;
        };
        self.stopping.store(true, Ordering::Relaxed);
        let Running { server, scheduler, functions, actions, database, store, runtime, record, _lock } =
            running;
        runtime.block_on(async {
            server.shutdown().await;
            scheduler.stop().await;
            functions.close();
            actions.shut_down().await;
            let newest = database.visible_ts();
            if let Err(error) = database.wait_durable(newest).await {
                tracing::error!(%error, "the last commits could not be stored; nobody was told of them");
            }
        });
        drop(functions);
        database.save_vectors();
        drop(database);
        runtime.shutdown_timeout(Duration::from_millis(500));
        // Said explicitly: the lanes' threads hold on to the database until the process ends.
        if let Err(error) = store.close() {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
        record.close();
    }
}

/// Opens the place for files.
fn open_files(
    config: &EngineConfig,
    directory: &DataDirectory,
    runtime: &Runtime,
) -> Result<Arc<dyn FileStore>, EngineError> {
    let location = config.storage.as_deref().map(Location::from_str).transpose().map_err(configuration)?;
    let store: Arc<dyn FileStore> = match location.unwrap_or(Location::Folder(directory.storage_folder())) {
        Location::Folder(folder) => Arc::new(LocalFiles::open(&folder).map_err(|error| {
            configuration(format!("cannot use {} for stored files: {error}", folder.display()))
        })?),
        Location::Bucket { bucket, prefix } => {
            let files = Arc::new(S3Files::from_environment(&bucket, &prefix).map_err(configuration)?);
            let probed = files.clone();
            // A bucket that cannot be reached now does not keep everything else from working.
            runtime.spawn(async move {
                if let Err(error) = probed.probe().await {
                    tracing::error!(%error, "stored files cannot be reached; check bucket, endpoint and credentials");
                }
            });
            files
        }
    };
    tracing::debug!(place = store.describe(), "stored files");
    Ok(store)
}

/// Starts the thread that ends calls which run too long.
fn watch_lanes(lanes: Arc<Lanes>, limits: CallLimits, stopping: Arc<AtomicBool>) -> Result<(), EngineError> {
    std::thread::Builder::new()
        .name("freshet-watchdog".into())
        .spawn(move || lanes.watch(&limits, &stopping))
        .map(drop)
        .map_err(|error| EngineError::Failed(format!("cannot start threads: {error}")))
}

fn address(host: &str, port: u16) -> Result<SocketAddr, EngineError> {
    let ip = match host {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        other => other.parse().map_err(|_| {
            EngineError::Configuration(format!("--host takes an IP address or `localhost`, not '{other}'"))
        })?,
    };
    Ok(SocketAddr::new(ip, port))
}

fn configuration(error: impl std::fmt::Display) -> EngineError {
    EngineError::Configuration(error.to_string())
}

fn init_logging(filter: &str, json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails when a test has set another subscriber, which is then the right one.
    let _ = if json {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        lines.with_target(false).compact().try_init()
    };
}
