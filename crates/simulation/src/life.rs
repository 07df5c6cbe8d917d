//! One life of the process that has the database open: from opening it to its end, and the check in between.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use freshet_database::{Clock as _, CommitError, Database, DatabaseError, Randomness, SystemError};
use freshet_store::{SqliteStore, Store, StoreError};
use freshet_values::Timestamp;
use parking_lot::Mutex;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::actors::Actors;
use crate::disk::{Disk, Faults};
use crate::inspection::{self, Numbers};
use crate::plan::{Plan, Trouble};
use crate::readings::Readings;
use crate::sabotage::{self, Sabotage};
use crate::violation::{Checked, Violation, check};

/// Attempts at opening before the disk is made to behave.
const ATTEMPTS: u32 = 4;

/// How the store says that it does not know what becomes of a failed commit.
const UNDECIDED: &str = "is not known yet";

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// What was not synced may be gone.
    PowerCut,
    /// The process was killed; files are as it left them.
    Killed,
    /// Everything was stored and closed.
    Closed,
}

/// What all lives on one disk share.
pub(crate) struct World {
    pub(crate) disk: Arc<Disk>,
    pub(crate) plan: Plan,
    pub(crate) sabotage: Sabotage,
    pub(crate) actors: Arc<Mutex<Actors>>,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) numbers: Numbers,
    /// A commit failed, and the store said that it never comes back: the last commit is this one for good.
    pub(crate) decided: Option<Timestamp>,
    /// Lies were told, so acknowledged commits may be gone.
    pub(crate) deceived: bool,
}

/// An open database.
pub(crate) struct Life {
    store: Arc<SqliteStore>,
    database: Database,
}

impl World {
    /// Lives once.
    pub(crate) fn live(&mut self, last: bool) -> Checked {
        let Some(life) = self.open()? else { return Ok(()) };
        self.inspect(&life)?;
        self.unleash();
        let outcome = self.act(&life);
        let end = match self.rng.random_range(0..10) {
            _ if last => End::Closed,
            0..6 => End::PowerCut,
            6..8 => End::Killed,
            _ => End::Closed,
        };
        self.end(life, end)?;
        outcome
    }

    fn note(&self, line: &str) {
        self.actors.lock().note(line);
    }

    fn calm(&self) {
        let faults = Faults { ignore_syncs: self.sabotage == Sabotage::NoSyncs, ..Faults::default() };
        self.disk.set_faults(faults);
        self.disk.light_fuse(None);
    }

    /// Switches on what the plan has in store.
    fn unleash(&mut self) {
        let mut faults = self.plan.faults;
        faults.ignore_syncs = self.sabotage == Sabotage::NoSyncs;
        faults.bytes_max = self.plan.room.map(|room| self.disk.used() + self.rng.random_range(0..room));
        self.disk.set_faults(faults);
        // As often within the first few operations as within the next few hundred.
        let reach = 1 << self.rng.random_range(2..10);
        let fuse = self.rng.random_bool(0.6).then(|| self.rng.random_range(1..=reach));
        self.disk.light_fuse(fuse);
        self.note(&format!("a new life; the fuse is {fuse:?}, the faults are {faults:?}"));
    }

    /// Opens store and database; on a bad disk that may take several attempts.
    fn open(&mut self) -> Checked<Option<Life>> {
        self.calm();
        if self.rng.random_bool(0.3) {
            self.unleash();
        }
        for attempt in 0.. {
            if attempt == ATTEMPTS {
                self.calm();
            }
            let error = match self.try_open() {
                Ok(life) => return Ok(Some(life)),
                Err(error) => error,
            };
            self.note(&format!("opening failed: {error}"));
            if self.deceived && matches!(error, Opening::Store(StoreError::Damaged { .. })) {
                // The one thing besides a prefix that is allowed after lies.
                return Ok(None);
            }
            check(attempt < ATTEMPTS, || format!("the database cannot be opened on a good disk: {error}"))?;
            if self.disk.is_off() && self.rng.random() {
                self.cycle();
            } else {
                self.disk.kill_process();
            }
        }
        unreachable!("the loop only ends by returning")
    }

    fn try_open(&mut self) -> Result<Life, Opening> {
        let options = self.plan.sqlite(self.disk.vfs());
        let store = Arc::new(SqliteStore::open(Disk::path(), &options).map_err(Opening::Store)?);
        // Before the database has committed anything itself.
        let point = store.snapshot().map_err(Opening::Store)?.timestamp();
        let wrapped = self.sabotage.wrap(Arc::clone(&store) as _);
        let clock = Arc::clone(&self.actors.lock().clock);
        let randomness = Randomness::from_seed(self.rng.random());
        let database =
            Database::open_stepped(Arc::clone(&wrapped), self.plan.options.clone(), clock, randomness)
                .map_err(Opening::Database)?;
        let mut actors = self.actors.lock();
        actors.note(&format!("opened at {point}"));
        let acknowledged = if self.deceived { Timestamp(0) } else { actors.acknowledged };
        let outcome = check(point >= acknowledged, || {
            format!(
                "commits up to {acknowledged} were acknowledged, but after opening the last one is {point}"
            )
        });
        let decided = self.decided.take();
        let outcome = outcome.and(check(decided.is_none_or(|decided| decided == point), || {
            format!("the store said that the last commit is {decided:?}, but after opening it is {point}")
        }));
        let lost = actors.history.forget_after(point);
        actors.note(&format!("{lost} commits are lost"));
        actors.readings.forget_after(point);
        if self.deceived && point == Timestamp::ZERO {
            // Not even the making of the database has survived, and with it the secret of the cursors.
            actors.readings = Readings::default();
        }
        actors.judge(outcome);
        actors.acknowledged = point;
        actors.enter(database.clone(), wrapped, self.plan.clients);
        Ok(Life { store, database })
    }

    /// Checks everything, on a disk that behaves meanwhile.
    fn inspect(&mut self, life: &Life) -> Checked {
        self.disk.light_fuse(None);
        let mut actors = self.actors.lock();
        if let Some(violation) = actors.violation.clone() {
            return Err(violation);
        }
        if self.disk.is_off() || life.database.failure().is_some() {
            return Ok(());
        }
        let before = self.disk.faults();
        self.calm();
        let state = actors.history.at(life.database.visible_ts()).1.state.clone();
        inspection::check_catalog(&life.database, &state)?;
        inspection::check_contents(&life.database, &state)?;
        inspection::check_schemas(&life.database, &state)?;
        inspection::check_file(&self.disk, &life.database)?;
        // A new database has tables that are not durable yet; their numbers may be given out again.
        if life.database.durable_ts() == life.database.visible_ts() {
            inspection::check_numbers(&life.database, &mut self.numbers)?;
        }
        actors.check_log()?;
        actors.note("inspected");
        self.disk.set_faults(before);
        Ok(())
    }

    /// Lets everybody act until the steps are used up or the power goes.
    fn act(&mut self, life: &Life) -> Checked {
        let meanwhile = {
            let actors = Arc::clone(&self.actors);
            Arc::new(move || {
                // Whoever writes to the disk does not hold the actors, except in an inspection, which is alone.
                let Some(mut actors) = actors.try_lock() else { return };
                // A panic must not pass through SQLite's frames.
                let acted = catch_unwind(AssertUnwindSafe(|| {
                    for _ in 0..actors.rng.random_range(0..6) {
                        actors.note("meanwhile:");
                        actors.turn();
                    }
                }));
                if let Err(cause) = acted {
                    actors.judge(Err(Violation::panicked(&*cause)));
                }
            })
        };
        self.disk.meanwhile(Some(meanwhile));
        let steps = self.rng.random_range(1..=self.plan.steps_max);
        for _ in 0..steps {
            self.step(life)?;
            let mut actors = self.actors.lock();
            if !self.disk.is_off() {
                actors.learn();
            }
            if let Some(violation) = actors.violation.take() {
                return Err(violation);
            }
            if self.disk.is_off() {
                actors.note("the power is off");
                break;
            }
            if life.database.failure().is_some() && self.rng.random_bool(0.1) {
                break;
            }
        }
        self.disk.meanwhile(None);
        Ok(())
    }

    fn step(&mut self, life: &Life) -> Checked {
        let (commit, maintain) = (self.plan.commit_share, self.plan.maintenance_share);
        let choice = self.rng.random_range(0..100);
        if choice < commit {
            let failed = life.database.failure().is_some();
            life.database.step_commit();
            let durable = life.database.durable_ts();
            self.note(&format!("a group was stored; durable is {durable}"));
            if failed && life.database.failure().is_none() {
                self.decided = None;
                self.actors.lock().recover();
            }
            return self.after_failure(life);
        }
        if choice < commit + maintain {
            if self.sabotage == Sabotage::UncheckedSchemas {
                sabotage::approve_schema(&life.database);
            }
            let outcome = life.database.step_maintenance();
            self.note(&format!("housekeeping: {outcome:?}"));
            let actors = self.actors.lock();
            return match outcome {
                Ok(_) | Err(CommitError::Overloaded) => Ok(()),
                Err(error) => {
                    check(actors.may_fail(), || format!("housekeeping failed without a reason: {error}"))
                }
            };
        }
        match self.rng.random_range(0..40) {
            0 => {
                let mut actors = self.actors.lock();
                let before = Timestamp(
                    actors.history.newest().0.saturating_sub(self.rng.random_range(0..2_000_000_000)),
                );
                let before = before.min(actors.clock.now());
                let trimmed = actors.store().trim_log(before, self.rng.random_range(1..20));
                actors.note(&format!("the log is trimmed: {trimmed:?}"));
                check(trimmed.is_ok() || actors.may_fail(), || format!("trimming failed: {trimmed:?}"))
            }
            1 => {
                let actors = self.actors.lock();
                actors.clock.set_back(self.rng.random_range(0..1_000_000_000));
                Ok(())
            }
            2 if self.plan.room.is_some() => {
                self.change_room();
                Ok(())
            }
            2..8 => {
                let actors = self.actors.lock();
                let nanos = match self.rng.random_range(0..10) {
                    0 => self.rng.random_range(0..600_000_000_000),
                    _ => self.rng.random_range(0..1_000_000_000),
                };
                actors.clock.advance(nanos);
                Ok(())
            }
            _ => {
                let mut actors = self.actors.lock();
                for _ in 0..self.rng.random_range(1..8) {
                    actors.turn();
                }
                Ok(())
            }
        }
    }

    /// Somebody frees space, or takes it.
    fn change_room(&mut self) {
        let room = self.plan.room.unwrap_or(0);
        let more = if self.rng.random() { Some(self.rng.random_range(0..=room)) } else { None };
        let bytes_max = more.map(|more| self.disk.used() + more);
        self.disk.set_faults(Faults { bytes_max, ..self.disk.faults() });
        self.note(&format!("the disk has room for {more:?} more bytes"));
    }

    /// A group could not be stored, or all is well.
    fn after_failure(&mut self, life: &Life) -> Checked {
        let Some(cause) = life.database.failure() else { return Ok(()) };
        let mut actors = self.actors.lock();
        actors.note(&format!("the database is read-only: {cause}"));
        check(actors.may_fail(), || format!("a commit could not be stored without a reason: {cause}"))?;
        // Making the system tables of a new database may have been tried again since.
        if !self.disk.is_off() && !self.plan.fresh {
            let recovered = self.rng.random_bool(0.3).then(|| life.store.recover());
            actors.note(&format!("recovery: {recovered:?}"));
            match recovered {
                Some(Ok(ts)) => self.decided = Some(ts),
                _ if !cause.contains(UNDECIDED) && self.decided.is_none() => {
                    self.decided = Some(life.database.durable_ts());
                }
                _ => {}
            }
        }
        // Whoever was told of a commit that is undone now has been told again.
        actors.check_watchers()
    }

    /// Ends a life and brings the machine back.
    fn end(&mut self, life: Life, end: End) -> Checked {
        let Life { store, database } = life;
        let mut end = end;
        if end == End::Closed && !self.disk.is_off() && database.failure().is_none() {
            self.calm();
            while database.step_commit() {}
            let mut actors = self.actors.lock();
            actors.learn();
            let outcome = actors.check_watchers();
            actors.judge(outcome);
            if let Some(cause) = database.failure() {
                return Err(Violation(format!("a commit could not be stored on a good disk: {cause}")));
            }
            actors.leave();
            drop(actors);
            drop(database);
            drop(store);
            self.disk.kill_process();
        } else {
            if end == End::Closed {
                end = End::Killed;
            }
            // Either way nobody gets to do anything more.
            self.disk.cut_power();
            self.actors.lock().leave();
            drop(database);
            drop(store);
            match end {
                End::PowerCut => self.cycle(),
                End::Killed | End::Closed => self.disk.kill_process(),
            }
        }
        self.note(&format!("the life ended: {end:?}"));
        Ok(())
    }

    fn cycle(&mut self) {
        if self.plan.trouble == Trouble::Lies {
            self.deceived = true;
        }
        self.disk.restore_power();
    }
}

/// Why opening failed.
#[derive(Debug)]
enum Opening {
    Store(StoreError),
    Database(CommitError),
}

impl std::fmt::Display for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Opening::Store(error)
            | Opening::Database(CommitError::Database(DatabaseError::System(SystemError::Store(error)))) => {
                write!(f, "{error}")
            }
            Opening::Database(error) => write!(f, "{error}"),
        }
    }
}
