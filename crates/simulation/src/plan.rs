//! What one seed is about.

use std::time::Duration;

use freshet_database::DatabaseOptions;
use freshet_store::SqliteOptions;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::disk::Faults;

/// The sort of trouble that a seed has; power cuts and killed processes belong to all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Nothing else.
    Crashes,
    /// Writes fail.
    WriteErrors,
    /// Syncs fail.
    SyncErrors,
    /// The disk fills up, and has room again later.
    FullDisk,
    /// Syncs are slow, and the others go on meanwhile.
    SlowDisk,
    /// All of the above.
    Everything,
    /// Syncs of the log report success and do nothing. Commits that were acknowledged may be lost, from the end.
    Lies,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) trouble: Trouble,
    pub(crate) faults: Faults,
    /// Bytes that the disk has room for beyond what is used when a life begins.
    pub(crate) room: Option<usize>,
    /// It begins with an empty disk, rather than with a database that was opened before.
    pub(crate) fresh: bool,
    pub(crate) lives: u32,
    pub(crate) steps_max: u32,
    pub(crate) clients: usize,
    pub(crate) pad_max: usize,
    pub(crate) commit_share: u32,
    pub(crate) maintenance_share: u32,
    pub(crate) log_pages_max: u32,
    pub(crate) options: DatabaseOptions,
}

impl Plan {
    pub(crate) fn new(rng: &mut ChaCha8Rng) -> Plan {
        let trouble = match rng.random_range(0..10) {
            0 | 1 => Trouble::Crashes,
            2 => Trouble::WriteErrors,
            3 | 4 => Trouble::SyncErrors,
            5 => Trouble::FullDisk,
            6 => Trouble::SlowDisk,
            7 | 8 => Trouble::Everything,
            _ => Trouble::Lies,
        };
        let is = |wanted: &[Trouble]| wanted.contains(&trouble);
        let mut faults = Faults::default();
        if is(&[Trouble::WriteErrors, Trouble::Everything]) {
            faults.write_error = rng.random_range(0.0005..0.005);
        }
        if is(&[Trouble::SyncErrors, Trouble::Everything]) {
            faults.sync_error = rng.random_range(0.003..0.05);
        }
        if is(&[Trouble::SlowDisk, Trouble::Everything]) {
            faults.slow_sync = rng.random_range(0.2..1.0);
        }
        if trouble == Trouble::Lies {
            faults.log_lies = rng.random_range(0.3..1.0);
        }
        let full = is(&[Trouble::FullDisk, Trouble::Everything]);
        let options = DatabaseOptions {
            window_age: Duration::from_millis(rng.random_range(1..5000)),
            queue_commits_max: rng.random_range(3..40),
            queue_wait_max: Duration::ZERO,
            exclusive_wait_max: Duration::ZERO,
            log_retention: Duration::from_secs(if rng.random_bool(0.3) { 60 } else { 48 * 3600 }),
            backfill_chunk: rng.random_range(1..8),
            validation_chunk: rng.random_range(1..8),
            ..DatabaseOptions::default()
        };
        Plan {
            trouble,
            faults,
            room: full.then(|| rng.random_range(10_000..200_000)),
            fresh: rng.random_bool(0.05),
            lives: rng.random_range(1..5),
            steps_max: if rng.random_bool(0.15) { 600 } else { rng.random_range(10..150) },
            clients: rng.random_range(1..6),
            pad_max: if rng.random_bool(0.3) { 20_000 } else { 300 },
            commit_share: rng.random_range(3..30),
            maintenance_share: rng.random_range(1..25),
            log_pages_max: rng.random_range(8..150),
            options,
        }
    }

    pub(crate) fn sqlite(&self, vfs: &str) -> SqliteOptions {
        SqliteOptions {
            vfs: Some(vfs.to_owned()),
            log_pages_max: self.log_pages_max,
            // The check is bounded by the machine's time, which must not have a say here.
            check_max: Duration::from_secs(24 * 3600),
            // Nothing waits here: with more readers than anybody holds, nobody has to.
            reader_wait: Duration::ZERO,
            ..SqliteOptions::default()
        }
    }
}
