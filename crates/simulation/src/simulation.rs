//! Runs seeds.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use freshet_database::{Database, DatabaseOptions, Randomness};
use freshet_store::{SqliteStore, Store};
use parking_lot::Mutex;
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::actors::Actors;
use crate::clock::SimulatedClock;
use crate::deeds::Deeds;
use crate::disk::{Counters, Disk, Image};
use crate::inspection::Numbers;
use crate::life::World;
use crate::plan::{Plan, Trouble};
use crate::sabotage::Sabotage;
use crate::trace::Trace;
use crate::violation::Violation;

/// What a seed did, when no promise was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Two runs that did the same have the same digest.
    pub digest: u64,
    /// What the seed was about.
    pub trouble: Trouble,
    /// What happened on the disk.
    pub disk: Counters,
    /// What clients got to do.
    pub deeds: Deeds,
}

/// A seed that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What the seed was about.
    pub trouble: Trouble,
    /// The promise.
    pub violation: Violation,
    /// The way there.
    pub trace: Trace,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { seed, trouble, violation, trace } = self;
        writeln!(f, "{trace}")?;
        writeln!(f, "seed {seed} ({trouble:?}): {violation}")?;
        write!(
            f,
            "run it again: FRESHET_SEED={seed} cargo nextest run -p freshet-simulation one_seed --no-capture"
        )
    }
}

/// Runs one seed from beginning to end.
///
/// # Errors
/// The first broken promise.
pub fn run(seed: u64, sabotage: Sabotage) -> Result<Summary, Box<Failure>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let plan = Plan::new(&mut rng);
    let trouble = plan.trouble;
    let clock = SimulatedClock::new();
    let image = (!plan.fresh).then(|| prepared().clone());
    let disk = Arc::new(Disk::new(rng.random(), Arc::clone(&clock), image));
    let mut actors = Actors::new(Arc::clone(&disk), clock, ChaCha8Rng::seed_from_u64(rng.random()));
    actors.pad_max = plan.pad_max;
    actors.acknowledge_early = sabotage == Sabotage::EarlyAcknowledgement;
    actors.note(&format!("{plan:?}"));
    let actors = Arc::new(Mutex::new(actors));
    let lives = plan.lives;
    let mut world = World {
        disk: Arc::clone(&disk),
        plan,
        sabotage,
        actors: Arc::clone(&actors),
        rng,
        numbers: Numbers::default(),
        decided: None,
        deceived: false,
    };
    // The last life always ends well. A panic is a broken promise like any other, and has a seed as well.
    let lived = catch_unwind(AssertUnwindSafe(|| (0..=lives).try_for_each(|life| world.live(life == lives))));
    let outcome = lived.unwrap_or_else(|cause| Err(Violation::panicked(&*cause)));
    disk.meanwhile(None);
    drop(world);
    let mut actors = actors.lock();
    actors.leave();
    match outcome {
        Ok(()) => {
            Ok(Summary { digest: actors.trace.digest(), trouble, disk: disk.counters(), deeds: actors.deeds })
        }
        Err(violation) => Err(Box::new(Failure { seed, trouble, violation, trace: actors.trace.clone() })),
    }
}

/// A disk with a database that has been opened once and closed. Making its system tables would take most of the time
/// of a seed.
fn prepared() -> &'static Image {
    static PREPARED: OnceLock<Image> = OnceLock::new();
    PREPARED.get_or_init(|| {
        let clock = SimulatedClock::new();
        let disk = Disk::new(0, Arc::clone(&clock), None);
        let options = freshet_store::SqliteOptions { vfs: Some(disk.vfs().to_owned()), ..Default::default() };
        let store = Arc::new(SqliteStore::open(Disk::path(), &options).expect("a good disk"));
        let randomness = Randomness::from_seed([7; 32]);
        let database = Database::open_stepped(
            Arc::clone(&store) as Arc<dyn Store>,
            DatabaseOptions::default(),
            clock,
            randomness,
        )
        .expect("a good disk");
        while database.step_commit() {}
        while database.step_maintenance().expect("a good disk") {}
        drop(database);
        drop(store);
        disk.image()
    })
}
