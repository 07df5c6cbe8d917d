//! What the store says of a commit that failed is what is on the disk after a crash.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use freshet_simulation::clock::SimulatedClock;
use freshet_simulation::disk::{Disk, Faults};
use freshet_store::{
    Batch, CommitRecord, DocumentWrite, SqliteOptions, SqliteStore, Store, StoreError, StoredDocument,
    TableId,
};
use freshet_values::{InternalId, Timestamp};

/// Lives of a store that each test goes through, one per seed.
const SEEDS: u64 = 12;

/// What the store has said of a commit so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Written,
    NotWritten,
    Undecided,
}

fn disk(seed: u64) -> Disk {
    Disk::new(seed, SimulatedClock::new(), None)
}

fn open(disk: &Disk) -> Result<SqliteStore, StoreError> {
    let options = SqliteOptions {
        vfs: Some(disk.vfs().to_owned()),
        check_max: Duration::from_secs(3600),
        log_pages_max: 60,
        // Transactions that are larger than the cache write to the log before they commit.
        cache_bytes: 1 << 20,
        ..SqliteOptions::default()
    };
    SqliteStore::open(Disk::path(), &options)
}

fn batch(timestamp: u64, documents: u64) -> Batch {
    let documents = (0..documents)
        .map(|number| {
            let json = format!("{{\"n\":{timestamp},\"pad\":\"{}\"}}", "x".repeat(3000));
            let internal = InternalId(u128::from((timestamp + number * 7) % 50).to_be_bytes());
            let new = Some(StoredDocument { internal, json: Arc::from(json), size: 10 });
            DocumentWrite { table: TableId(100), internal, new }
        })
        .collect();
    let record = CommitRecord { timestamp: Timestamp(timestamp), documents, indexes: Vec::new() };
    Batch { commits: vec![Arc::new(record)], ..Batch::default() }
}

fn timestamps(store: &dyn Store) -> Vec<u64> {
    let log = store.read_log(Timestamp(0), usize::MAX, usize::MAX).expect("the log can be read");
    log.iter().map(|entry| entry.timestamp.0).collect()
}

/// Commits on a disk with faults until it has said something of every commit; returns what.
fn live(disk: &Disk, seed: u64, faults: Faults) -> BTreeMap<u64, Said> {
    let mut said = BTreeMap::new();
    let store = open(disk).expect("a new disk has no faults");
    store.commit(&batch(1, 1)).expect("a new disk has no faults");
    said.insert(1, Said::Written);
    disk.set_faults(faults);
    // Holds the index of the log, as the readers of a server do nearly always.
    let reader = store.snapshot().expect("reading works");
    for timestamp in 2..40 {
        let answer = match store.commit(&batch(timestamp, 1 + (seed + timestamp) % 20)) {
            Ok(()) => Said::Written,
            Err(StoreError::Undecided(_)) => Said::Undecided,
            Err(_) => Said::NotWritten,
        };
        said.insert(timestamp, answer);
        if answer != Said::Written && (seed + timestamp).is_multiple_of(3) {
            disk.set_faults(Faults::default());
            let last = store.recover().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(timestamps(&store).last(), Some(&last.0), "seed {seed}");
            // Recovering has decided.
            said.values_mut()
                .filter(|said| **said == Said::Undecided)
                .for_each(|said| *said = Said::NotWritten);
            disk.set_faults(faults);
        }
        // What snapshots show.
        let visible: Vec<u64> = said
            .iter()
            .filter(|(_, said)| **said == Said::Written)
            .map(|(timestamp, _)| *timestamp)
            .collect();
        if timestamp.is_multiple_of(6)
            && let Ok(log) = store.read_log(Timestamp(0), usize::MAX, usize::MAX)
        {
            let shown: Vec<u64> = log.iter().map(|entry| entry.timestamp.0).collect();
            assert_eq!(shown, visible, "seed {seed}: what is read while the store has trouble");
        }
    }
    drop(reader);
    // Not closed: the machine stops as it is.
    std::mem::forget(store);
    said
}

fn check(faults: Faults, crash: fn(&Disk)) -> BTreeMap<&'static str, usize> {
    let mut seen = BTreeMap::new();
    for seed in 0..SEEDS {
        let disk = disk(seed);
        let said = live(&disk, seed, faults);
        disk.set_faults(Faults::default());
        crash(&disk);
        let store = open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let there = timestamps(&store);
        for (timestamp, said) in said {
            let is_there = there.contains(&timestamp);
            let (name, right) = match said {
                Said::Written => ("written", is_there),
                Said::NotWritten => ("not written", !is_there),
                Said::Undecided => ("undecided", true),
            };
            assert!(right, "seed {seed}: commit {timestamp} was called {name}; on the disk are {there:?}");
            *seen.entry(name).or_default() += 1;
        }
    }
    eprintln!("{seen:?}");
    seen
}

fn cut_power(disk: &Disk) {
    disk.cut_power();
    disk.restore_power();
}

#[test]
fn when_syncs_fail() {
    let faults = Faults { sync_error: 0.2, ..Faults::default() };
    for crash in [cut_power as fn(&Disk), Disk::kill_process] {
        let seen = check(faults, crash);
        assert!(seen["not written"] > 40, "{seen:?}");
    }
}

#[test]
fn when_writes_fail() {
    let faults = Faults { write_error: 0.05, ..Faults::default() };
    for crash in [cut_power as fn(&Disk), Disk::kill_process] {
        let seen = check(faults, crash);
        assert!(seen["not written"] > 40, "{seen:?}");
    }
}

#[test]
fn when_the_disk_is_full() {
    for room in [400_000, 600_000] {
        let faults = Faults { bytes_max: Some(room), ..Faults::default() };
        for crash in [cut_power as fn(&Disk), Disk::kill_process] {
            let seen = check(faults, crash);
            assert!(seen["not written"] > 40 && !seen.contains_key("undecided"), "{seen:?}");
        }
    }
}
