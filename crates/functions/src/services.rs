//! What calls need, in one place: shared by the service, the lanes, running actions and the scheduler.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use freshet_database::Database;
use freshet_meter::{Counter, Gauge};
use freshet_values::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::audit::Audit;
use crate::authentication::Authenticator;
use crate::call_error::CallError;
use crate::code::{CodeSource, LiveCode};
use crate::execution::{ExecutionRecord, LogSink};
use crate::files::{FileService, FilesConfig};
use crate::host::{ActionHost, Environment};
use crate::limits::CallLimits;
use crate::metrics::FunctionMetrics;
use crate::native::NativeFunctions;
use crate::own_transaction::begin_query;
use crate::quarantine::Quarantine;
use crate::scheduler::backlog::ScheduleMeters;
use crate::session_requests::Sessions;
use crate::stack::StackMapper;
use crate::statistics::ActionStatistics;

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
    /// Who verifies users' tokens.
    pub authenticator: Arc<dyn Authenticator>,
    /// Who hears of finished executions.
    pub log_sink: Arc<dyn LogSink>,
    /// Where files are kept.
    pub files: FilesConfig,
    /// What the operator decided.
    pub settings: FunctionsSettings,
}

pub(crate) struct Services {
    pub(crate) database: Database,
    pub(crate) code: Arc<dyn CodeSource>,
    pub(crate) native: Arc<dyn NativeFunctions>,
    pub(crate) host: Arc<dyn ActionHost>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) log_sink: Arc<dyn LogSink>,
    pub(crate) metrics: FunctionMetrics,
    pub(crate) files: Arc<FileService>,
    pub(crate) settings: FunctionsSettings,
    pub(crate) limits: CallLimits,
    pub(crate) stacks: StackMapper,
    pub(crate) sessions: Sessions,
    /// Functions that may not run.
    pub(crate) quarantine: Quarantine,
    /// Set while contexts are audited.
    pub(crate) audit: OnceLock<Audit>,
    /// Bound the actions that run at the same time, by environment.
    isolate_slots: ActionSlots,
    node_slots: ActionSlots,
    /// Bounds the vector searches that run at the same time.
    vector_slots: Arc<Semaphore>,
    /// What the scheduler does.
    pub(crate) schedule: ScheduleMeters,
}

/// Places for actions of one runtime.
struct ActionSlots {
    places: Arc<Semaphore>,
    places_max: usize,
    waiting: Gauge,
    refused: Counter,
}

impl ActionSlots {
    fn new(places_max: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            waiting: Gauge::new(),
            refused: Counter::new(),
        }
    }

    fn statistics(&self) -> ActionStatistics {
        ActionStatistics {
            running: self.places_max.saturating_sub(self.places.available_permits()) as u64,
            running_max: self.places_max as u64,
            waiting: self.waiting.get().unsigned_abs(),
            refused: self.refused.get(),
        }
    }
}

impl Services {
    pub(crate) fn new(config: FunctionsConfig) -> Self {
        let limits = config.settings.limits.clone();
        Self {
            database: config.database,
            code: config.code,
            native: config.native,
            host: config.host,
            authenticator: config.authenticator,
            log_sink: config.log_sink,
            metrics: FunctionMetrics::default(),
            files: Arc::new(FileService::new(config.files)),
            settings: config.settings,
            stacks: StackMapper::default(),
            sessions: Sessions::default(),
            quarantine: Quarantine::default(),
            audit: OnceLock::new(),
            isolate_slots: ActionSlots::new(limits.isolate_actions_max),
            node_slots: ActionSlots::new(limits.node_actions_max),
            vector_slots: Arc::new(Semaphore::new(limits.vector_searches_max)),
            schedule: ScheduleMeters::default(),
            limits,
        }
    }

    /// Tells metrics and the log stream of a finished execution.
    pub(crate) fn completed(&self, record: ExecutionRecord) {
        self.metrics.record(&record);
        self.log_sink.completed(record);
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

    /// A slot for one vector search.
    pub(crate) async fn vector_slot(&self) -> Result<OwnedSemaphorePermit, CallError> {
        self.vector_slots.clone().acquire_owned().await.map_err(|_closed| CallError::shutting_down())
    }

    /// A slot for one action; waits for one no longer than the limit.
    pub(crate) async fn action_slot(
        &self,
        environment: Environment,
    ) -> Result<OwnedSemaphorePermit, CallError> {
        let (slots, kind) = match environment {
            Environment::Isolate => (&self.isolate_slots, "actions"),
            Environment::Node => (&self.node_slots, "Node actions"),
        };
        if let Ok(permit) = slots.places.clone().try_acquire_owned() {
            return Ok(permit);
        }
        slots.waiting.add(1);
        let waited =
            tokio::time::timeout(self.limits.queue_wait_max, slots.places.clone().acquire_owned()).await;
        slots.waiting.add(-1);
        match waited {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(CallError::shutting_down()),
            Err(_elapsed) => {
                slots.refused.increment();
                Err(CallError::too_many_concurrent(kind, slots.places_max))
            }
        }
    }

    /// Actions of the default runtime, and of Node.
    pub(crate) fn action_statistics(&self) -> (ActionStatistics, ActionStatistics) {
        (self.isolate_slots.statistics(), self.node_slots.statistics())
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
