//! One transaction: a snapshot, what was read from it, and what is to be written.
//!
//! A transaction runs on one thread and touches nothing shared until it is committed. App code works through
//! [`UserAccess`], the engine through [`SystemAccess`]; both end in `rows`.

mod frames;
mod keys;
mod lifecycle;
mod names;
mod page;
pub(crate) mod pending;
mod rows;
mod scan;
pub(crate) mod search;
mod system;
pub(crate) mod usable;
mod user;
pub(crate) mod view;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use freshet_search::text::Corpus;
use freshet_store::{IndexId, IndexWrite, TableId, TableView};
use freshet_values::Timestamp;

use crate::catalog::Catalog;
use crate::commit::corpora::{self, Corpora};
use crate::commit::exclusive::ExclusiveGuard;
use crate::commit::prepare::Prepared;
use crate::error::{CommitError, DatabaseError, SystemError};
use crate::limits::{TransactionLimits, Usage};
use crate::namespace::Namespace;
use crate::query::Stream;
use crate::read_set::ReadSet;
use crate::schema::SchemaEnforcer;
use crate::shared::{Moment, Shared};
use frames::Frame;
pub use lifecycle::IndexProgress;
pub use page::{Page, PageRequest, PageStatus};
use pending::Pending;
pub use system::SystemAccess;
pub use user::UserAccess;
use view::View;

/// Names a stream within the innermost sub-transaction; numbers count up from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// See the module. Dropping it without a commit leaves no trace.
pub struct Transaction {
    pub(crate) shared: Arc<Shared>,
    view: View,
    catalog: Arc<Catalog>,
    enforcer: Arc<dyn SchemaEnforcer>,
    counts: imbl::HashMap<TableId, u64>,
    corpora: Corpora,
    limits: TransactionLimits,
    usage: Usage,
    /// Queries begun, for metrics.
    queries: u64,
    /// Bytes of the queries that app code made.
    query_bytes: u64,
    read_set: ReadSet,
    pending: Pending,
    frames: Vec<Frame>,
    streams: BTreeMap<StreamId, Box<Stream>>,
    next_stream: u32,
    /// The creation time of the next document, in milliseconds since the epoch.
    next_creation_time: f64,
    /// Dependencies on names and definitions that are recorded already.
    recorded: HashSet<Dependency>,
    exclusive: Option<ExclusiveGuard>,
    backfill: Vec<IndexWrite>,
    /// What was counted of search indexes that are complete with this commit.
    counted: Vec<(IndexId, Corpus)>,
    views: Vec<TableView>,
    /// Indexes of which nothing is left with this commit.
    forgotten: Vec<IndexId>,
    /// New internal numbers were given out.
    numbered: bool,
    /// A table of schemas was written to, perhaps by a nested call that was undone.
    schemas_written: bool,
}

/// What besides documents a transaction depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Dependency {
    TableName(Namespace, freshet_values::TableName),
    IndexName(TableId, freshet_values::IndexName),
    Definition(TableId),
    Schema(Namespace),
}

impl Transaction {
    pub(crate) fn new(shared: Arc<Shared>, moment: Moment) -> Transaction {
        let begin = shared.clock.now().max(moment.view.timestamp().succ());
        Transaction {
            limits: shared.options.limits,
            shared,
            view: moment.view,
            catalog: moment.catalog,
            enforcer: moment.enforcer,
            counts: moment.counts,
            corpora: moment.corpora,
            counted: Vec::new(),
            forgotten: Vec::new(),
            usage: Usage::default(),
            queries: 0,
            query_bytes: 0,
            read_set: ReadSet::new(),
            pending: Pending::default(),
            frames: Vec::new(),
            streams: BTreeMap::new(),
            next_stream: 0,
            next_creation_time: creation_time(begin),
            recorded: HashSet::new(),
            exclusive: None,
            backfill: Vec::new(),
            views: Vec::new(),
            numbered: false,
            schemas_written: false,
        }
    }

    /// The commit up to which this transaction sees everything.
    #[must_use]
    pub fn snapshot_ts(&self) -> Timestamp {
        self.view.timestamp()
    }

    /// What has been read so far. Rows that were loaded ahead but not handed out do not count.
    #[must_use]
    pub fn read_set(&self) -> &ReadSet {
        &self.read_set
    }

    /// Tables and indexes as this transaction sees them. Looking here records no dependency.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// What has been used so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage { intervals_read: self.read_set.counted_intervals(), ..self.usage }
    }

    /// Queries begun so far.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.queries
    }

    /// What may be used, lowered by the budgets of the nested calls that are under way.
    #[must_use]
    pub fn limits(&self) -> &TransactionLimits {
        &self.limits
    }

    /// Counts a scheduled function with the size of its arguments in bytes.
    ///
    /// # Errors
    /// When it is one too many; then it must not be scheduled.
    pub fn charge_schedule(&mut self, args_bytes: u64) -> Result<(), DatabaseError> {
        self.usage.functions_scheduled += 1;
        self.usage.scheduled_args_bytes += args_bytes;
        Ok(self.limits.check_schedules(&self.usage)?)
    }

    /// Whether there is anything to commit.
    #[must_use]
    pub fn has_writes(&self) -> bool {
        !self.backfill.is_empty() || self.pending.has_changes()
    }

    /// Access on behalf of app code, with its limits and error texts.
    pub fn user(&mut self, namespace: Namespace) -> UserAccess<'_> {
        UserAccess::new(self, namespace)
    }

    /// Access on behalf of the engine: all tables, no limits, no schema.
    pub fn system(&mut self, namespace: Namespace) -> SystemAccess<'_> {
        SystemAccess::new(self, namespace)
    }

    /// Keeps the exclusive token until the transaction has ended, so that its commit meets no conflict. The token must have been
    /// taken before the transaction began.
    pub fn hold(&mut self, guard: ExclusiveGuard) {
        self.exclusive = Some(guard);
    }

    /// Commits; returns the timestamp at which the writes are visible, or that of the snapshot if nothing was written.
    pub(crate) fn commit(mut self) -> Result<Timestamp, CommitError> {
        if !self.frames.is_empty() {
            let defect = "a transaction was committed inside a sub-transaction".to_owned();
            return Err(CommitError::Database(SystemError::Defect(defect).into()));
        }
        if !self.has_writes() {
            return Ok(self.snapshot_ts());
        }
        let enforcer = self.recompile_schemas()?;
        let mut prepared =
            Prepared::new(&self.pending, Arc::clone(&self.catalog)).map_err(DatabaseError::from)?;
        prepared.backfill = std::mem::take(&mut self.backfill);
        prepared.enforcer = enforcer;
        prepared.counted = std::mem::take(&mut self.counted);
        prepared.views = std::mem::take(&mut self.views);
        prepared.meta.extend(self.forgotten.iter().map(|index| (corpora::meta_name(*index), String::new())));
        prepared.numbered = self.numbered;
        let exclusive = self.exclusive.is_some();
        self.shared.commit(self.view.timestamp(), &self.read_set, prepared, exclusive)
    }

    /// Adds an entry for an existing document to an index that is being built.
    pub(crate) fn add_backfill(&mut self, entry: IndexWrite) {
        self.backfill.push(entry);
    }

    /// Sets the statistics of a search index whose entries were counted at the snapshot.
    pub(crate) fn set_corpus(&mut self, index: IndexId, corpus: Corpus) {
        self.counted.push((index, corpus));
    }

    /// Whether what is read becomes part of the read set and sees pending writes; not inside a stale snapshot.
    fn is_tracked(&self) -> bool {
        !self.frames.last().is_some_and(Frame::is_stale)
    }

    /// Depends on all that was read for something, as if this transaction had read it.
    pub fn depend_on(&mut self, reads: &ReadSet) {
        if self.is_tracked() {
            self.read_set.merge(reads);
        }
    }

    fn record(&mut self, index: IndexId, interval: &freshet_values::KeyInterval, counted: bool) {
        if self.is_tracked() {
            if counted {
                self.read_set.add(index, interval);
            } else {
                self.read_set.add_uncounted(index, interval);
            }
        }
    }
}

/// Whole milliseconds plus the remaining nanoseconds, as a double.
fn creation_time(begin: Timestamp) -> f64 {
    (begin.0 / 1_000_000) as f64 + (begin.0 % 1_000_000) as f64 * 1e-6
}
