//! A server ready to be run: its directory locked, its identity known, its engine found.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use freshet_engine::launch::{EngineConfig, ReadyReport};
use freshet_instance::{
    ConfiguredCredentials, DataDirectory, DirectoryLock, Instance, LockError, LockHolder,
};

use crate::failure::misconfigured;
use crate::settings::ListenSettings;
use crate::shutdown::Shutdown;
use crate::supervisor::{self, EngineLaunch};
use crate::{addon, node, ports};

/// A second server is refused after this; a supervisor that is being replaced needs a moment to let go.
const LOCK_PATIENCE: Duration = Duration::from_millis(200);

/// What differs between the commands that run a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceStyle {
    /// Whether the engine's lines carry its name, because other children write as well.
    pub(crate) mark_lines: bool,
    /// How to choose another port for the API when the one asked for is taken.
    pub(crate) port_advice: &'static str,
    /// The same for the port of HTTP actions.
    pub(crate) site_port_advice: &'static str,
}

impl ServiceStyle {
    /// For commands with a flag for each port.
    pub(crate) fn with_flags(mark_lines: bool) -> Self {
        Self {
            mark_lines,
            port_advice: "choose another with --port",
            site_port_advice: "choose another with --site-port",
        }
    }
}

/// One server, not yet running. Holds the directory's lock for as long as it exists.
pub(crate) struct Service {
    directory: DataDirectory,
    instance: Instance,
    launch: EngineLaunch,
    first_start: bool,
    _lock: DirectoryLock,
}

impl Service {
    /// Opens the data directory and finds what the engine needs; fails early with what to do about it.
    pub(crate) fn prepare(
        data: &Path,
        credentials: ConfiguredCredentials,
        settings: &ListenSettings,
        style: ServiceStyle,
    ) -> Result<Self> {
        let node = node::find()?;
        let addon = addon::find()?;
        let directory = open_directory(data)?;
        let lock =
            DirectoryLock::acquire(&directory, LockHolder::Supervisor, LOCK_PATIENCE).map_err(|error| {
                match error {
                    LockError::Taken { .. } => misconfigured(error.to_string()),
                    LockError::File { .. } => error.into(),
                }
            })?;
        ports::ensure_free(&settings.host, settings.ports.api, style.port_advice)?;
        if !settings.single_port {
            ports::ensure_free(&settings.host, settings.ports.site, style.site_port_advice)?;
        }
        let instance = Instance::open_or_create(&directory, credentials)?;
        let config = EngineConfig {
            data_dir: directory.path().to_owned(),
            host: settings.host.clone(),
            port: settings.ports.api,
            site_port: (!settings.single_port).then_some(settings.ports.site),
            client_ip_header: settings.client_ip_header.clone(),
            rate_limit: settings.rate_limit,
            api_origin: settings.api_origin.clone(),
            site_origin: settings.site_origin.clone(),
            instance_name: instance.name.to_string(),
            instance_secret_hex: instance.secret.to_hex(),
            lanes: settings.lanes,
            cache_mb: settings.cache_mb,
            log_retention_s: settings.log_retention_s,
            storage: settings.storage.clone(),
            deleted_files_kept_s: settings.deleted_files_kept_s,
            function_memory_mb: settings.function_memory_mb,
            vector_memory_mb: settings.vector_memory_mb,
            contexts: settings.contexts,
            websocket_window_bits: settings.websocket_window_bits,
            audit_determinism: settings.audit_determinism,
            log_filter: settings.log_filter.clone(),
            redact_logs_to_client: settings.redact_logs_to_client,
            log_json: settings.log_json,
            metrics_listen: settings.metrics_listen,
            metrics_endpoint: settings.metrics_endpoint,
            limits: settings.limits,
        };
        let first_start = !directory.database_file().exists();
        let launch = EngineLaunch { node, addon, config, mark_lines: style.mark_lines };
        Ok(Self { directory, instance, launch, first_start, _lock: lock })
    }

    /// The data directory, absolute.
    pub(crate) fn data(&self) -> &Path {
        self.directory.path()
    }

    /// The admin key for tools on this machine.
    pub(crate) fn admin_key(&self) -> String {
        self.instance.admin_keys().standing_key()
    }

    /// Whether the directory held no database before.
    pub(crate) fn is_first_start(&self) -> bool {
        self.first_start
    }

    /// Where programs on this machine reach the API, whatever address it is known by elsewhere.
    pub(crate) fn local_url(&self) -> String {
        let host = match self.launch.config.host.as_str() {
            "0.0.0.0" | "::" => "127.0.0.1",
            host => host,
        };
        let port = self.launch.config.port;
        if host.contains(':') { format!("http://[{host}]:{port}") } else { format!("http://{host}:{port}") }
    }

    /// Runs the engine until the shutdown is requested; see [`supervisor::supervise`].
    pub(crate) async fn run(
        &self,
        shutdown: &Shutdown,
        on_first_ready: impl FnOnce(&ReadyReport),
    ) -> Result<()> {
        supervisor::supervise(&self.launch, shutdown, on_first_ready).await
    }
}

/// Opens or makes the data directory.
pub(crate) fn open_directory(data: &Path) -> Result<DataDirectory> {
    DataDirectory::open_or_create(data).map_err(|error| misconfigured(error.to_string()))
}
