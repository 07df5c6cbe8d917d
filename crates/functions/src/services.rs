//! What calls need, in one place: shared by the service, the lanes, running actions and the scheduler.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use freshet_database::Database;
use freshet_values::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::audit::Audit;
use crate::call_error::CallError;
use crate::code::{CodeSource, LiveCode};
use crate::execution::LogSink;
use crate::host::{ActionHost, Environment};
use crate::identity::IdentitySource;
use crate::limits::CallLimits;
use crate::native::NativeFunctions;
use crate::own_transaction::begin_query;
use crate::session_requests::Sessions;
use crate::stack::StackMapper;

/// What the operator decided about calls.
#[derive(Clone, Debug)]
pub struct FunctionsSettings {
    /// Bounds.
    pub limits: CallLimits,
    /// `CONVEX_CLOUD_URL`: the origin that clients use.
    pub cloud_url: String,
    /// `CONVEX_SITE_URL`: the origin of HTTP actions.
    pub site_url: String,
    /// Name of the deployment.
    pub deployment_name: String,
    /// Whether clients see error texts and console lines.
    pub redact_errors: bool,
}

/// Everything that [`crate::Functions`] is built from.
pub struct FunctionsConfig {
    /// The data.
    pub database: Database,
    /// The deployed code.
    pub code: Arc<dyn CodeSource>,
    /// The server's own queries.
    pub native: Arc<dyn NativeFunctions>,
    /// Where actions run.
    pub host: Arc<dyn ActionHost>,
    /// Who verifies the tokens of HTTP actions.
    pub identities: Arc<dyn IdentitySource>,
    /// Who hears of finished executions.
    pub log_sink: Arc<dyn LogSink>,
    /// What the operator decided.
    pub settings: FunctionsSettings,
}

pub(crate) struct Services {
    pub(crate) database: Database,
    pub(crate) code: Arc<dyn CodeSource>,
    pub(crate) native: Arc<dyn NativeFunctions>,
    pub(crate) host: Arc<dyn ActionHost>,
    pub(crate) identities: Arc<dyn IdentitySource>,
    pub(crate) log_sink: Arc<dyn LogSink>,
    pub(crate) settings: FunctionsSettings,
    pub(crate) limits: CallLimits,
    pub(crate) stacks: StackMapper,
    pub(crate) sessions: Sessions,
    /// Set while contexts are audited.
    pub(crate) audit: OnceLock<Audit>,
    /// Bound the actions that run at the same time, by environment.
    isolate_slots: Arc<Semaphore>,
    node_slots: Arc<Semaphore>,
}

impl Services {
    pub(crate) fn new(config: FunctionsConfig) -> Self {
        let limits = config.settings.limits.clone();
        Self {
            database: config.database,
            code: config.code,
            native: config.native,
            host: config.host,
            identities: config.identities,
            log_sink: config.log_sink,
            settings: config.settings,
            stacks: StackMapper::default(),
            sessions: Sessions::default(),
            audit: OnceLock::new(),
            isolate_slots: Arc::new(Semaphore::new(limits.isolate_actions_max)),
            node_slots: Arc::new(Semaphore::new(limits.node_actions_max)),
            limits,
        }
    }

    /// The live code at the newest snapshot, for callers without a transaction of their own.
    pub(crate) fn newest_code(&self) -> Result<Arc<LiveCode>, CallError> {
        self.code.live_code(&mut begin_query(self, None)?)
    }

    /// The wall clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.database.clock().now()
    }

    /// The wall clock in whole milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now().as_nanos() / 1_000_000
    }

    /// The wall clock in nanoseconds since the Unix epoch, as int64 values hold it.
    pub(crate) fn now_ns(&self) -> i64 {
        self.now().as_i64()
    }

    /// A slot for one action; waits for one no longer than the limit.
    pub(crate) async fn action_slot(
        &self,
        environment: Environment,
    ) -> Result<OwnedSemaphorePermit, CallError> {
        let (slots, kind, limit) = match environment {
            Environment::Isolate => (&self.isolate_slots, "actions", self.limits.isolate_actions_max),
            Environment::Node => (&self.node_slots, "Node actions", self.limits.node_actions_max),
        };
        match tokio::time::timeout(self.limits.queue_wait_max, slots.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(CallError::shutting_down()),
            Err(_elapsed) => Err(CallError::too_many_concurrent(kind, limit)),
        }
    }
}

/// Time since the Unix epoch.
pub(crate) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Seconds since the Unix epoch.
pub(crate) fn seconds(time: Timestamp) -> f64 {
    Duration::from_nanos(time.as_nanos()).as_secs_f64()
}
