//! Checking existing documents against a submitted schema, in the background and in small steps.
//!
//! Each step reads a few documents, bounded in number and bytes, in a snapshot of its own, so that no snapshot is held for
//! long. That is enough: from the commit of a pending schema on, every write is checked against it, so only the documents
//! that were there before have to be looked at, each once, in the order of their ids. Nothing read here is a dependency:
//! writers are never held up, and never make a step run again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use freshet_store::Order;
use freshet_values::{KeyInterval, TableName};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::definition::SchemaDefinition;
use super::lifecycle::{self, definition, set_progress, set_state};
use super::row::{SchemaRow, SchemaState};
use crate::database::Database;
use crate::error::{CommitError, DatabaseError};
use crate::namespace::Namespace;
use crate::transaction::Transaction;

/// Most documents of one step; their bytes are bounded as well.
const STEP_DOCUMENTS: usize = 256;
/// Steps between two reports of progress.
const STEPS_PER_REPORT: u64 = 16;
/// Pause after a failure of the database.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// Runs of a small transaction before a conflict counts as a failure.
const ATTEMPTS_MAX: usize = 100;

/// Checks pending schemas for as long as it exists.
#[derive(Debug)]
pub struct SchemaWorker {
    task: JoinHandle<()>,
    /// Ends a check that is under way on a thread of its own, which aborting the task does not; it begins anew when the
    /// database is opened again.
    closing: Arc<AtomicBool>,
}

impl SchemaWorker {
    /// Starts the worker on the current tokio runtime.
    pub fn spawn(database: Database) -> Self {
        let closing = Arc::new(AtomicBool::new(false));
        Self { task: tokio::spawn(run(database, Arc::clone(&closing))), closing }
    }
}

impl Drop for SchemaWorker {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

async fn run(database: Database, closing: Arc<AtomicBool>) {
    loop {
        let (working, closing) = (database.clone(), Arc::clone(&closing));
        let step = tokio::task::spawn_blocking(move || check_pending(&working, &closing)).await;
        match step {
            Ok(Ok(Some(idle))) => idle.wait(&database).await,
            Ok(Ok(None)) => return,
            Ok(Err(error)) => {
                tracing::error!(%error, "checking documents against a new schema failed; trying again");
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "checking documents against a new schema panicked; trying again");
                }
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
        }
    }
}

/// The state in which there was nothing to do.
pub(super) struct Idle {
    reads: Arc<crate::read_set::ReadSet>,
    ts: freshet_values::Timestamp,
}

impl Idle {
    /// Waits until there may be something to do.
    async fn wait(self, database: &Database) {
        let notify = Arc::new(Notify::new());
        let waker = {
            let notify = Arc::clone(&notify);
            Arc::new(move || notify.notify_one())
        };
        let subscription = database.subscribe(self.reads, self.ts, waker);
        if subscription.is_valid() {
            notify.notified().await;
        }
    }
}

/// Checks every pending schema to its end; `None` when `closing` was set before.
pub(super) fn check_pending(database: &Database, closing: &AtomicBool) -> Result<Option<Idle>, CommitError> {
    let mut checker = SchemaChecker::default();
    while !closing.load(Ordering::Relaxed) {
        if let Some(idle) = checker.advance(database)? {
            return Ok(Some(idle));
        }
    }
    Ok(None)
}

/// Checks pending schemas step by step.
#[derive(Default)]
pub(crate) struct SchemaChecker {
    current: Option<Validation>,
}

impl SchemaChecker {
    /// One step; `false` when no schema is pending.
    pub(crate) fn step(&mut self, database: &Database) -> Result<bool, CommitError> {
        Ok(self.advance(database)?.is_none())
    }

    fn advance(&mut self, database: &Database) -> Result<Option<Idle>, CommitError> {
        if self.current.is_none() {
            let mut transaction = begin(database)?;
            self.current = Validation::next(&mut transaction)?;
            if self.current.is_none() {
                return Ok(Some(Idle {
                    reads: Arc::new(transaction.read_set().clone()),
                    ts: transaction.snapshot_ts(),
                }));
            }
        }
        // After an error the same step is taken again.
        if let Some(validation) = &mut self.current
            && !validation.step(database)?
        {
            self.current = None;
        }
        Ok(None)
    }
}

fn begin(database: &Database) -> Result<Transaction, DatabaseError> {
    Ok(database.begin()?)
}

/// One schema that is being checked.
struct Validation {
    namespace: Namespace,
    row: SchemaRow,
    schema: SchemaDefinition,
    /// Tables that are left; the first one is under way.
    tables: VecDeque<TableName>,
    /// Keys of the documents of that table that are left.
    rest: KeyInterval,
    steps: u64,
    checked: u64,
    total: u64,
}

impl Validation {
    /// A pending schema of any namespace.
    fn next(transaction: &mut Transaction) -> Result<Option<Self>, DatabaseError> {
        let namespaces: Vec<Namespace> = transaction
            .catalog()
            .tables()
            .filter(|table| table.name == lifecycle::schemas())
            .map(|table| table.namespace)
            .chain([Namespace::ROOT])
            .collect();
        for namespace in namespaces {
            let pending = lifecycle::in_progress(transaction, namespace)?;
            if let Some(row) = pending.filter(|row| row.state == SchemaState::Pending) {
                return Self::new(transaction, namespace, row).map(Some);
            }
        }
        Ok(None)
    }

    fn new(
        transaction: &mut Transaction,
        namespace: Namespace,
        row: SchemaRow,
    ) -> Result<Self, DatabaseError> {
        let schema = definition(&row)?;
        let active = lifecycle::active(transaction, namespace)?;
        let active = active.as_ref().map(definition).transpose()?;
        let tables = tables_to_walk(active.as_ref(), &schema);
        let total = tables.iter().map(|table| transaction.system(namespace).count_untracked(table)).sum();
        Ok(Self {
            namespace,
            row,
            schema,
            tables: tables.into(),
            rest: KeyInterval::all(),
            steps: 0,
            checked: 0,
            total,
        })
    }

    /// Checks a few documents. `false` when this schema needs no more work.
    fn step(&mut self, database: &Database) -> Result<bool, CommitError> {
        let mut transaction = begin(database)?;
        let current = lifecycle::get(&mut transaction, self.namespace, self.row.id)?;
        if current.is_none_or(|row| row.state != SchemaState::Pending) {
            return Ok(false);
        }
        let Some(table) = self.tables.front().cloned() else {
            self.settle(database, &SchemaState::Validated)?;
            return Ok(false);
        };
        let catalog = transaction.catalog();
        let found = catalog.table_by_name(self.namespace, &table).zip(self.schema.enforced(&table));
        let rest = match found {
            // Dropped meanwhile.
            None => None,
            Some((meta, validator)) => {
                let by_id = catalog.index(meta.by_id).expect("every table has an index of ids");
                let chunk = transaction
                    .load(meta, by_id, &self.rest, Order::Asc, STEP_DOCUMENTS)
                    .map_err(DatabaseError::from)?;
                let names = catalog.names(self.namespace);
                for (_, document) in &chunk.rows {
                    let object = document.object().map_err(DatabaseError::from)?;
                    if let Err(error) = validator.check(object, &names) {
                        let error = format!(
                            "Document with ID \"{}\" in table \"{table}\" does not match the schema: {error}",
                            document.id()
                        );
                        let failed = SchemaState::Failed { error, table_name: Some(table.to_string()) };
                        self.settle(database, &failed)?;
                        return Ok(false);
                    }
                }
                self.checked += chunk.rows.len() as u64;
                chunk.rest
            }
        };
        if rest.is_none() {
            self.tables.pop_front();
        }
        self.rest = rest.unwrap_or_else(KeyInterval::all);
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS_PER_REPORT) {
            let (namespace, id, checked, total) = (self.namespace, self.row.id, self.checked, self.total);
            commit(database, |transaction| {
                set_progress(transaction, namespace, id, checked, total.max(checked))
            })?;
        }
        Ok(true)
    }

    /// Ends the check, unless somebody else ended it meanwhile.
    fn settle(&self, database: &Database, state: &SchemaState) -> Result<(), CommitError> {
        commit(database, |transaction| {
            let current = lifecycle::get(transaction, self.namespace, self.row.id)?;
            match current.filter(|row| row.state == SchemaState::Pending) {
                Some(row) => set_state(transaction, self.namespace, &row, state),
                None => Ok(()),
            }
        })
    }
}

/// The tables whose documents may not match `next`. Documents match what is enforced now; where `next` allows all of
/// that, nothing has to be looked at.
pub fn tables_to_walk(active: Option<&SchemaDefinition>, next: &SchemaDefinition) -> Vec<TableName> {
    next.tables
        .keys()
        .filter(|table| {
            let Some(wanted) = next.enforced(table) else { return false };
            if *wanted.validator() == freshet_values::validator::Validator::Any {
                return false;
            }
            let enforced = active.and_then(|active| active.enforced(table));
            enforced.is_none_or(|enforced| !wanted.is_superset_of(enforced))
        })
        .cloned()
        .collect()
}

/// Runs a small transaction until it commits.
fn commit(
    database: &Database,
    work: impl Fn(&mut Transaction) -> Result<(), DatabaseError>,
) -> Result<(), CommitError> {
    let mut attempts = 0;
    loop {
        let mut transaction = begin(database)?;
        work(&mut transaction)?;
        match database.commit(transaction) {
            Ok(_) => return Ok(()),
            Err(CommitError::Conflict { .. }) if attempts < ATTEMPTS_MAX => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}
