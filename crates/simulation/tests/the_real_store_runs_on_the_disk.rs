//! The SQLite store on a simulated disk by itself, without the database above.

#![allow(clippy::unwrap_used)] // Tests may panic.

use std::sync::Arc;
use std::time::Duration;

use freshet_simulation::clock::SimulatedClock;
use freshet_simulation::disk::{Disk, Faults};
use freshet_store::{
    Batch, CommitRecord, DocumentWrite, SqliteOptions, SqliteStore, Store, StoreError, StoredDocument,
    TableId,
};
use freshet_values::{InternalId, Timestamp};
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};

fn disk(seed: u64) -> Disk {
    Disk::new(seed, SimulatedClock::new(), None)
}

fn open(disk: &Disk) -> Result<SqliteStore, StoreError> {
    open_with(disk, 40)
}

fn open_with(disk: &Disk, log_pages_max: u32) -> Result<SqliteStore, StoreError> {
    let options = SqliteOptions {
        vfs: Some(disk.vfs().to_owned()),
        check_max: Duration::from_secs(3600),
        log_pages_max,
        ..SqliteOptions::default()
    };
    SqliteStore::open(Disk::path(), &options)
}

fn batch(timestamp: u64) -> Batch {
    let json = format!("{{\"n\":{timestamp},\"pad\":\"{}\"}}", "x".repeat(3000));
    let internal = InternalId([u8::try_from(timestamp % 50).unwrap(); 16]);
    let new = Some(StoredDocument { internal, json: Arc::from(json), size: 10 });
    let documents = vec![DocumentWrite { table: TableId(100), internal, new }];
    let record = CommitRecord { timestamp: Timestamp(timestamp), documents, indexes: Vec::new() };
    Batch { commits: vec![Arc::new(record)], ..Batch::default() }
}

#[test]
fn what_was_committed_survives_power_cuts_at_every_operation() {
    for fuse in 1..200 {
        let disk = disk(fuse);
        disk.light_fuse(Some(fuse));
        let mut acknowledged = 0;
        if let Ok(store) = open(&disk) {
            for timestamp in 1..=60 {
                if store.commit(&batch(timestamp)).is_err() {
                    break;
                }
                acknowledged = timestamp;
            }
        }
        disk.cut_power();
        disk.restore_power();
        let store = open(&disk).unwrap_or_else(|error| panic!("fuse {fuse}: {error}"));
        let log = store.read_log(Timestamp(0), 1000, usize::MAX).unwrap();
        let last = log.last().map_or(0, |entry| entry.timestamp.0);
        assert!(last >= acknowledged, "fuse {fuse}: {acknowledged} was acknowledged, {last} is there");
        assert_eq!(log.len() as u64, last);
    }
}

#[test]
fn a_full_disk_is_reported_as_such() {
    let disk = disk(1);
    let store = open(&disk).unwrap();
    disk.set_faults(Faults { bytes_max: Some(disk.used() + 5000), ..Faults::default() });
    let error = (1..).find_map(|timestamp| store.commit(&batch(timestamp)).err()).unwrap();
    assert!(matches!(error, StoreError::DiskFull(_)), "{error}");
}

#[test]
fn two_disks_with_one_seed_do_the_same() {
    let run = || {
        let disk = disk(7);
        disk.set_faults(Faults { write_error: 0.01, sync_error: 0.01, ..Faults::default() });
        let mut trace = Vec::new();
        if let Ok(store) = open(&disk) {
            trace
                .extend((1..100).map(|timestamp| (store.commit(&batch(timestamp)).is_ok(), disk.counters())));
        }
        trace
    };
    assert_eq!(run(), run());
}

/// Opens the store again after the process was killed; returns what then seems to be durable.
fn killed(disk: &Disk, store: SqliteStore) -> (SqliteStore, u64) {
    disk.kill_process();
    drop(store);
    disk.set_faults(Faults::default());
    let store = open(disk).unwrap();
    let seen = store.snapshot().unwrap().timestamp().0;
    (store, seen)
}

#[test]
fn what_is_seen_after_a_failed_sync_and_a_restart_survives_a_power_cut() {
    for seed in 0..200 {
        let disk = disk(seed);
        // The log must not begin anew just then.
        let store = open_with(&disk, 4000).unwrap();
        (1..=5).for_each(|timestamp| store.commit(&batch(timestamp)).unwrap());
        // The process ends before it can undo the commit.
        disk.set_faults(Faults { sync_error: 1.0, ..Faults::default() });
        disk.light_fuse(Some(1 + seed % 41));
        store.commit(&batch(6)).unwrap_err();
        let (store, seen) = killed(&disk, store);
        // Commits on top, sometimes enough for the log to be copied into the file.
        let last = seen + seed % 20;
        (seen + 1..=last).for_each(|timestamp| store.commit(&batch(timestamp)).unwrap());
        disk.cut_power();
        drop(store);
        disk.restore_power();
        let store = open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(store.snapshot().unwrap().timestamp().0, last, "seed {seed}");
    }
}

#[test]
fn nobody_else_can_write_while_the_log_is_written_again() {
    let disk = disk(1);
    let store = open_with(&disk, 4000).unwrap();
    (1..=5).for_each(|timestamp| store.commit(&batch(timestamp)).unwrap());
    disk.kill_process();
    drop(store);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let tool = Connection::open_with_flags_and_vfs(Disk::path(), flags, disk.vfs()).unwrap();
    tool.busy_timeout(Duration::ZERO).unwrap();
    let (tool, turns) = (Mutex::new(tool), Arc::new(Mutex::new(Vec::new())));
    let tries = Arc::clone(&turns);
    disk.set_faults(Faults { slow_sync: 1.0, ..Faults::default() });
    disk.meanwhile(Some(Arc::new(move || {
        let tool = tool.lock();
        let has_turn = tool.execute_batch("BEGIN IMMEDIATE").is_ok();
        tries.lock().push(has_turn);
        if has_turn {
            tool.execute_batch("ROLLBACK").unwrap();
        }
    })));
    drop(open_with(&disk, 4000).unwrap());
    disk.meanwhile(None);
    let turns = turns.lock();
    assert!(!turns.is_empty() && !turns[0], "{turns:?}");
}
