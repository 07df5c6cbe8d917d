//! SQLite counts pages as copied that it has not synced: a sync of the database file that fails must not make it forget the
//! only copy that is left, the one in the log.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use freshet_simulation::clock::SimulatedClock;
use freshet_simulation::disk::{Disk, Faults};
use freshet_store::{
    Batch, CommitRecord, DocumentWrite, SqliteOptions, SqliteStore, Store, StoreError, StoredDocument,
    TableId,
};
use freshet_values::{InternalId, Timestamp};

/// Each loses other pages in the failed sync.
const SEEDS: u64 = 30;

fn open(disk: &Disk) -> SqliteStore {
    let options = SqliteOptions {
        vfs: Some(disk.vfs().to_owned()),
        check_max: Duration::from_secs(3600),
        log_pages_max: 60,
        ..SqliteOptions::default()
    };
    SqliteStore::open(Disk::path(), &options).unwrap_or_else(|error| panic!("{error}"))
}

/// A commit of a document that fills pages of its own, which no other commit writes to.
fn commit(store: &SqliteStore, timestamp: u64) -> Result<(), StoreError> {
    let json = format!("{{\"n\":{timestamp},\"pad\":\"{}\"}}", format!("{timestamp:08}").repeat(1000));
    let internal = InternalId(u128::from(timestamp).to_be_bytes());
    let new = Some(StoredDocument { internal, json: Arc::from(json), size: 10 });
    let documents = vec![DocumentWrite { table: TableId(100), internal, new }];
    let record = CommitRecord { timestamp: Timestamp(timestamp), documents, indexes: Vec::new() };
    store.commit(&Batch { commits: vec![Arc::new(record)], ..Batch::default() })
}

/// Copies parts, fails to sync the rest, and goes on on a good disk.
fn trouble(disk: &Disk) -> (SqliteStore, u64) {
    let store = open(disk);
    let mut reader = None;
    for timestamp in 1..=6 {
        commit(&store, timestamp).unwrap();
        // With somebody always at the last commit but one, the log is copied up to there, and not synced.
        reader = Some(store.snapshot().unwrap());
    }
    drop(reader);
    disk.set_faults(Faults { file_sync_error: 1.0, ..Faults::default() });
    let mut last = 6;
    while disk.counters().sync_errors == 0 {
        last += 1;
        commit(&store, last).unwrap();
    }
    disk.set_faults(Faults::default());
    for _ in 0..12 {
        last += 1;
        commit(&store, last).unwrap();
    }
    (store, last)
}

fn check(disk: &Disk, seed: u64, last: u64) {
    let store = open(disk);
    let log = store.read_log(Timestamp(0), usize::MAX, usize::MAX).unwrap_or_else(|error| panic!("{error}"));
    let found: Vec<u64> = log.iter().map(|entry| entry.timestamp.0).collect();
    assert_eq!(found, (1..=last).collect::<Vec<u64>>(), "seed {seed}");
    for entry in log {
        let json = entry.writes[0].json.as_deref().unwrap_or_default();
        let number = format!("{:08}", entry.timestamp.0);
        assert!(json.matches(&number).count() == 1000, "seed {seed}: {number} has other pages");
    }
}

#[test]
fn after_a_power_cut_everything_is_there() {
    for seed in 0..SEEDS {
        let disk = Disk::new(seed, SimulatedClock::new(), None);
        let (store, last) = trouble(&disk);
        disk.cut_power();
        drop(store);
        disk.restore_power();
        check(&disk, seed, last);
    }
}

#[test]
fn closing_does_not_remove_the_log() {
    for seed in 0..SEEDS {
        let disk = Disk::new(seed, SimulatedClock::new(), None);
        let (store, last) = trouble(&disk);
        store.close().unwrap_or_else(|error| panic!("{error}"));
        drop(store);
        disk.cut_power();
        disk.restore_power();
        check(&disk, seed, last);
    }
}

#[test]
fn the_log_does_not_grow_for_ever() {
    let disk = Disk::new(1, SimulatedClock::new(), None);
    let (store, mut last) = trouble(&disk);
    let refused = loop {
        match commit(&store, last + 1) {
            Ok(()) => last += 1,
            Err(error) => break error,
        }
        assert!(last < 1000, "nothing is refused");
    };
    assert!(refused.to_string().contains("restart the server"), "{refused}");
    drop(store);
    check(&disk, 1, last);
}

#[test]
fn another_connection_for_writing_copies_nothing_either() {
    for seed in 0..SEEDS {
        let disk = Disk::new(seed, SimulatedClock::new(), None);
        let (store, mut last) = trouble(&disk);
        // So long that SQLite would copy the log by itself.
        for _ in 0..300 {
            last += 1;
            commit(&store, last).unwrap();
        }
        // Now and then the connection cannot settle what became of a commit, and another one can.
        for _ in 0..20 {
            last += 1;
            disk.set_faults(Faults { sync_error: 0.5, ..Faults::default() });
            let committed = commit(&store, last);
            disk.set_faults(Faults::default());
            if committed.is_err() {
                store.recover().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                commit(&store, last).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            }
        }
        disk.cut_power();
        drop(store);
        disk.restore_power();
        check(&disk, seed, last);
    }
}
