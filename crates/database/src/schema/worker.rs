//! Checking existing documents against a submitted schema, in the background and in small steps.
//!
//! Each step reads a few documents, bounded in number and bytes, in a snapshot of its own, so that no snapshot is held for
//! long. That is enough: from the commit of a pending schema on, every write is checked against it, so only the documents
//! that were there before have to be looked at, each once, in the order of their ids. Nothing read here is a dependency:
//! writers are never held up, and never make a step run again.
//!
//! What was read may not be durable yet, and may be undone when the disk fails. So a verdict is only given while what it rests on
//! is still there; otherwise the check goes on where the database says that it was, as after a restart.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use freshet_store::Order;
use freshet_values::{TableName, Timestamp};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::definition::SchemaDefinition;
use super::lifecycle::{self, definition, set_state};
use super::progress::Progress;
use super::row::{SchemaRow, SchemaState};
use crate::database::Database;
use crate::error::{CommitError, DatabaseError};
use crate::namespace::Namespace;
use crate::transaction::Transaction;

/// Steps between two notes of the progress.
const STEPS_PER_NOTE: u64 = 4;
/// Pause after a failure of the database.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// Runs of a small transaction before a conflict counts as a failure.
const ATTEMPTS_MAX: usize = 100;

/// Checks pending schemas for as long as it exists.
#[derive(Debug)]
pub struct SchemaWorker {
    task: JoinHandle<()>,
    /// Ends a check that is under way on a thread of its own, which aborting the task does not; it goes on when the
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
    ts: Timestamp,
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
    /// Tables that are left after the one under way.
    tables: VecDeque<TableName>,
    /// The table under way; `None` when all are done.
    progress: Option<Progress>,
    /// The last moment at which documents were read.
    seen: Timestamp,
    steps: u64,
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
        let mut tables = VecDeque::from(tables_to_walk(active.as_ref(), &schema));
        let total = tables.iter().map(|table| transaction.system(namespace).count_untracked(table)).sum();
        let noted = Progress::read(transaction, namespace, row.id)?;
        if let Some(noted) = &noted {
            tables.retain(|table| *table >= noted.table);
        }
        let checked = noted.as_ref().map_or(0, |noted| noted.checked);
        let first = tables.pop_front();
        let progress = first.map(|table| match noted {
            Some(noted) if noted.table == table => Progress { total, ..noted },
            _ => Progress { checked, total, table, cursor: None },
        });
        let seen = transaction.snapshot_ts();
        Ok(Self { namespace, row, schema, tables, progress, seen, steps: 0 })
    }

    /// Checks a few documents. `false` when this schema needs no more work, or has to be looked at again.
    fn step(&mut self, database: &Database) -> Result<bool, CommitError> {
        let mut transaction = begin(database)?;
        let current = lifecycle::get(&mut transaction, self.namespace, self.row.id)?;
        if current.is_none_or(|row| row.state != SchemaState::Pending) || self.is_misled(database) {
            return Ok(false);
        }
        let Some(progress) = &mut self.progress else {
            self.settle(database, &SchemaState::Validated)?;
            return Ok(false);
        };
        let table = &progress.table;
        let catalog = transaction.catalog();
        let found = catalog.table_by_name(self.namespace, table).zip(self.schema.enforced(table));
        self.seen = transaction.snapshot_ts();
        let mut is_done = true;
        // Otherwise it was dropped meanwhile.
        if let Some((meta, validator)) = found {
            let by_id = catalog.index(meta.by_id).expect("every table has an index of ids");
            let chunk = transaction
                .load(meta, by_id, &progress.rest(), Order::Asc, database.shared().options.validation_chunk)
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
            progress.checked += chunk.rows.len() as u64;
            progress.total = progress.total.max(progress.checked);
            if let Some((position, _)) = chunk.rows.last() {
                progress.cursor = Some(position.to_vec());
            }
            is_done = chunk.rest.is_none();
        }
        if is_done {
            let (checked, total) = (progress.checked, progress.total);
            let next = self.tables.pop_front();
            self.progress = next.map(|table| Progress { checked, total, table, cursor: None });
        }
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS_PER_NOTE) {
            self.note(database)?;
        }
        Ok(true)
    }

    /// Whether something that was read is undone.
    fn is_misled(&self, database: &Database) -> bool {
        database.shared().state.lock().undone.contains(self.seen)
    }

    /// Notes how far it is, unless somebody else ended it meanwhile.
    fn note(&self, database: &Database) -> Result<(), CommitError> {
        let Some(progress) = &self.progress else { return Ok(()) };
        self.conclude(database, |transaction, row| progress.write(transaction, self.namespace, row.id))
    }

    /// Ends the check, unless somebody else ended it meanwhile.
    fn settle(&self, database: &Database, state: &SchemaState) -> Result<(), CommitError> {
        self.conclude(database, |transaction, row| set_state(transaction, self.namespace, row, state))
    }

    /// Writes what follows from what was read, provided that the schema is still pending and that all of it is still there.
    fn conclude(
        &self,
        database: &Database,
        write: impl Fn(&mut Transaction, &SchemaRow) -> Result<(), DatabaseError>,
    ) -> Result<(), CommitError> {
        commit(database, |transaction| {
            let current = lifecycle::get(transaction, self.namespace, self.row.id)?;
            let pending = current.filter(|row| row.state == SchemaState::Pending);
            // If it is undone after this, so is the transaction's own snapshot, and it does not commit.
            match pending.filter(|_| !self.is_misled(database)) {
                Some(row) => write(transaction, &row),
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
