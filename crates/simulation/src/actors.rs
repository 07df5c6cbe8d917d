//! Everybody who uses the database in one life of its process, and what they have seen.

use std::sync::Arc;

use freshet_database::{CommitError, Database, DatabaseError, SystemError};
use freshet_store::{Snapshot, Store, StoreError};
use freshet_values::Timestamp;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::clock::SimulatedClock;
use crate::deeds::Deeds;
use crate::disk::Disk;
use crate::journal;
use crate::model::{Entry, Frames, History, Operation, State};
use crate::readings::Readings;
use crate::session::{Session, Setback};
use crate::trace::Trace;
use crate::violation::{Checked, Violation, check};
use crate::watcher::Watcher;

/// Subscriptions at one time.
const WATCHERS_MAX: usize = 6;
/// Snapshots of the store that are held at one time.
const SNAPSHOTS_MAX: usize = 3;
/// Operations of one transaction.
const OPERATIONS_MAX: usize = 12;

/// See the module.
pub(crate) struct Actors {
    pub(crate) disk: Arc<Disk>,
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) trace: Trace,
    pub(crate) history: History,
    /// The last commit that some client was told is durable.
    pub(crate) acknowledged: Timestamp,
    pub(crate) pad_max: usize,
    /// Tells clients that a commit is durable as soon as it is visible: a bug that the simulation must find.
    pub(crate) acknowledge_early: bool,
    /// The first broken promise.
    pub(crate) violation: Option<Violation>,
    database: Option<Database>,
    store: Option<Arc<dyn Store>>,
    clients: Vec<Option<Session>>,
    watchers: Vec<Watcher>,
    snapshots: Vec<Box<dyn Snapshot>>,
    pub(crate) readings: Readings,
    pub(crate) deeds: Deeds,
}

impl Actors {
    pub(crate) fn new(disk: Arc<Disk>, clock: Arc<SimulatedClock>, rng: ChaCha8Rng) -> Actors {
        Actors {
            disk,
            clock,
            rng,
            trace: Trace::default(),
            history: History::new(),
            acknowledged: Timestamp(0),
            pad_max: 200,
            acknowledge_early: false,
            violation: None,
            database: None,
            store: None,
            clients: Vec::new(),
            watchers: Vec::new(),
            snapshots: Vec::new(),
            readings: Readings::default(),
            deeds: Deeds::default(),
        }
    }

    /// A new life begins.
    pub(crate) fn enter(&mut self, database: Database, store: Arc<dyn Store>, clients: usize) {
        self.database = Some(database);
        self.store = Some(store);
        self.clients = (0..clients).map(|_| None).collect();
    }

    /// The database takes writes again: what was undone never happened, and those who saw it cannot build on it.
    pub(crate) fn recover(&mut self) {
        let database = self.database();
        let visible = database.visible_ts();
        self.history.forget_after(visible);
        let misled = |client: &mut Option<Session>| client.take_if(|session| session.base > visible);
        let misled: Vec<Session> = self.clients.iter_mut().filter_map(misled).collect();
        for Session { transaction, .. } in misled {
            // Not what it tried: a write that changes nothing is none, and who only read may end.
            let wrote = transaction.has_writes();
            let answer = database.commit(transaction);
            self.judge(check(!wrote || answer.is_err(), || {
                format!("a commit on top of an undone one ended with {answer:?}")
            }));
        }
        self.note("the database takes writes again");
    }

    /// The process ends: nobody holds anything any more.
    pub(crate) fn leave(&mut self) {
        self.clients.clear();
        self.watchers.clear();
        self.snapshots.clear();
        self.database = None;
        self.store = None;
    }

    pub(crate) fn database(&self) -> Database {
        self.database.clone().expect("actors only act between `enter` and `leave`")
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().expect("actors only act between `enter` and `leave`"))
    }

    /// Writes down what happened.
    pub(crate) fn note(&mut self, line: &str) {
        let operations = self.disk.counters().operations;
        self.trace.push(&format!("[{operations}] {line}"));
    }

    /// Keeps the first violation.
    pub(crate) fn judge(&mut self, outcome: Checked) {
        if let Err(violation) = outcome {
            self.violation.get_or_insert(violation);
        }
    }

    /// Whether the storage has a reason to fail at the moment.
    pub(crate) fn may_fail(&self) -> bool {
        let faults = self.disk.faults();
        self.disk.is_off()
            || faults.bytes_max.is_some()
            || faults.write_error > 0.0
            || faults.sync_error > 0.0
            || self.database.as_ref().is_some_and(|database| database.failure().is_some())
    }

    /// Updates what clients were told.
    pub(crate) fn learn(&mut self) {
        let database = self.database();
        let durable = if self.acknowledge_early { database.visible_ts() } else { database.durable_ts() };
        self.acknowledged = self.acknowledged.max(durable);
    }

    /// Some client does something.
    pub(crate) fn turn(&mut self) {
        let outcome = match self.rng.random_range(0..100) {
            0..84 => self.client_turn(),
            84..92 => self.check_watchers(),
            92..95 => self.hold_snapshot(),
            95..98 => self.check_log(),
            _ => {
                self.snapshots.clear();
                Ok(())
            }
        };
        self.judge(outcome);
    }

    fn client_turn(&mut self) -> Checked {
        let client = self.rng.random_range(0..self.clients.len());
        let Some(mut session) = self.clients[client].take() else { return self.begin(client) };
        match self.rng.random_range(0..100) {
            0..4 => {
                self.note(&format!("client {client} gives up"));
                return Ok(());
            }
            4..30 => return self.commit(client, session),
            _ if session.operations.len() >= OPERATIONS_MAX => return self.commit(client, session),
            _ => {}
        }
        match session.act(&mut self.rng, self.pad_max, &mut self.readings) {
            Ok(line) => {
                self.note(&format!("client {client}: {line}"));
                session.operations.last().into_iter().for_each(|done| self.deeds.count(done));
                if let Some(Operation::Insert { id, .. }) = session.operations.last() {
                    self.history.claim(*id)?;
                }
                self.clients[client] = Some(session);
                Ok(())
            }
            Err(setback) => self.endure(client, setback, session.past),
        }
    }

    fn begin(&mut self, client: usize) -> Checked {
        let database = self.database();
        let past = self.rng.random_bool(0.15);
        let guard = if !past && self.rng.random_bool(0.1) {
            let free = !self.is_held();
            let guard = database.exclusive();
            check(guard.is_ok() == free, || {
                format!("the exclusive token is free: {free}, but {:?}", guard.is_ok())
            })?;
            guard.ok()
        } else {
            None
        };
        let begun = if past {
            let count = self.history.timestamps().len();
            let ts = self.history.timestamps().nth(self.rng.random_range(0..count)).expect("counted");
            database.begin_at(ts)
        } else {
            database.begin()
        };
        match begun {
            Ok(mut transaction) => {
                let state = self.history.at(transaction.snapshot_ts()).1.state.clone();
                let alone = guard.is_some();
                guard.into_iter().for_each(|guard| transaction.hold(guard));
                let how = if alone { " alone" } else { "" };
                self.note(&format!("client {client} begins{how} at {}", transaction.snapshot_ts()));
                self.clients[client] = Some(Session { past, alone, ..Session::new(transaction, state) });
                Ok(())
            }
            Err(error) => self.endure(client, Setback::Error(error.into()), past),
        }
    }

    /// Whether some client has the exclusive token.
    fn is_held(&self) -> bool {
        self.clients.iter().flatten().any(|session| session.alone)
    }

    /// Accepts an error if there is a reason for it.
    fn endure(&mut self, client: usize, setback: Setback, past: bool) -> Checked {
        let error = match setback {
            Setback::Violation(violation) => return Err(violation),
            Setback::Error(error) => error,
        };
        let excused = match &error {
            DatabaseError::System(SystemError::OutOfRetention { .. }) => past,
            DatabaseError::System(SystemError::Store(_)) => self.may_fail(),
            _ => false,
        };
        check(excused, || format!("client {client} got an error without a reason: {error}"))?;
        self.note(&format!("client {client} is turned away"));
        Ok(())
    }

    fn commit(&mut self, client: usize, mut session: Session) -> Checked {
        while session.frames.depth() > 0 {
            let ended = session.end_sub(true).and_then(|operation| Ok(session.follow(operation)?));
            if let Err(setback) = ended {
                return self.endure(client, setback, session.past);
            }
        }
        let database = self.database();
        if !session.transaction.has_writes() {
            let wrote =
                session.operations.iter().any(|operation| !matches!(operation, Operation::Read { .. }));
            if !wrote && self.watchers.len() < WATCHERS_MAX {
                self.watchers.push(Watcher::new(&database, &session));
                self.note(&format!("client {client} subscribes to what it read at {}", session.base));
            }
            let base = session.base;
            let committed = database.commit(session.transaction);
            return check(committed.as_ref().is_ok_and(|commit| commit.ts == base), || {
                format!("a transaction without writes ended with {committed:?}")
            });
        }
        let Session { transaction, base, operations, alone, .. } = session;
        let before = database.visible_ts();
        let failed = database.failure().is_some();
        match database.commit(transaction) {
            Ok(commit) => {
                self.deeds.commits += 1;
                self.note(&format!("client {client} commits at {}", commit.ts));
                check(database.failure().is_none(), || {
                    "a commit succeeded although the database is read-only".to_owned()
                })?;
                self.record(before, commit.ts, &operations)
            }
            Err(CommitError::Conflict { conflicting_ts, .. }) => {
                self.deeds.conflicts += 1;
                self.note(&format!("client {client} meets a conflict"));
                // One that is too old to tell may be refused even so.
                check(!alone || conflicting_ts.is_none(), || {
                    format!("a conflict with {conflicting_ts:?} although the exclusive token was held")
                })?;
                check(before != base || failed, || {
                    format!("a conflict at {base} although nothing was committed since")
                })
            }
            Err(CommitError::Overloaded) => {
                self.note(&format!("client {client} finds the queue full"));
                let excused = database.queued().0 > 0 || self.is_held();
                check(excused, || "overloaded, but nothing waits and nobody runs alone".to_owned())
            }
            Err(CommitError::ReadOnly(_)) => {
                self.note(&format!("client {client} finds the database read-only"));
                check(failed, || "read-only without a failure".to_owned())
            }
            Err(CommitError::Database(error)) => {
                Err(Violation(format!("client {client} could not commit: {error}")))
            }
        }
    }

    /// A commit must have the results that it would have had alone, after all commits before it.
    fn record(&mut self, before: Timestamp, ts: Timestamp, operations: &[Operation]) -> Checked {
        // After a failure the model still has the commits that were undone. They stay undone from here on.
        self.history.forget_after(before);
        let mut frames = Frames::new(self.history.at(before).1.state.clone());
        for operation in operations {
            frames.follow(operation).map_err(|Violation(text)| {
                Violation(format!("the commit at {ts} is not serializable: run at that time, {text}"))
            })?;
        }
        let (state, writes) = frames.finish();
        self.history.push(ts, Entry { state, writes })
    }

    /// The model at the newest visible commit.
    pub(crate) fn visible(&self) -> &State {
        &self.history.at(self.database().visible_ts()).1.state
    }

    pub(crate) fn check_watchers(&mut self) -> Checked {
        let visible = self.visible();
        self.watchers.iter().try_for_each(|watcher| watcher.check(visible))?;
        self.watchers.retain(Watcher::is_valid);
        if self.watchers.len() == WATCHERS_MAX {
            self.watchers.remove(0);
        }
        Ok(())
    }

    fn hold_snapshot(&mut self) -> Checked {
        if self.snapshots.len() == SNAPSHOTS_MAX {
            self.snapshots.remove(0);
        }
        match self.store().snapshot() {
            Ok(snapshot) => {
                self.note(&format!("a snapshot of the store is held at {}", snapshot.timestamp()));
                self.snapshots.push(snapshot);
                Ok(())
            }
            Err(error) => check(self.may_fail(), || format!("no snapshot of the store: {error}")),
        }
    }

    pub(crate) fn check_log(&mut self) -> Checked {
        let count = self.history.timestamps().len();
        let after = self.history.timestamps().nth(self.rng.random_range(0..count)).expect("counted");
        let durable = self.database().durable_ts();
        let store = self.store();
        let (after, log) = match store.read_log(after, usize::MAX >> 1, usize::MAX) {
            Err(StoreError::LogTruncated { oldest, .. }) => {
                check(after < oldest && oldest <= durable, || {
                    format!("the log has forgotten what came after {after}, through {oldest}")
                })?;
                (oldest, store.read_log(oldest, usize::MAX >> 1, usize::MAX))
            }
            log => (after, log),
        };
        match log {
            Ok(log) => journal::check_log(&log, &self.history, after, durable),
            Err(error) => check(self.may_fail(), || format!("the log cannot be read: {error}")),
        }
    }
}
