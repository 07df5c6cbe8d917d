//! After a commit that failed, the store knows what is on disk, goes on reading, and writes again when it can.

#![allow(clippy::unwrap_used)] // Functions beside the tests are tests too.

use std::path::Path;
use std::sync::Arc;

use freshet_store::{
    Batch, CommitRecord, DocumentWrite, SqliteOptions, SqliteStore, Store, StoreError, StoredDocument,
    TableId,
};
use freshet_values::{InternalId, Timestamp};

const TABLE: TableId = TableId(70);

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, &SqliteOptions::default()).unwrap()
}

fn batch(timestamp: u64, bytes: usize) -> Batch {
    let internal = InternalId([u8::try_from(timestamp).unwrap(); 16]);
    let json = Arc::from(format!("{{\"x\":\"{}\"}}", "y".repeat(bytes)));
    let new = Some(StoredDocument { internal, json, size: 9 });
    let documents = vec![DocumentWrite { table: TABLE, internal, new }];
    let record = CommitRecord { timestamp: Timestamp(timestamp), documents, indexes: Vec::new() };
    Batch { commits: vec![Arc::new(record)], ..Batch::default() }
}

fn stored(store: &dyn Store) -> Vec<u64> {
    let log = store.read_log(Timestamp(0), 100, usize::MAX).unwrap();
    log.iter().map(|entry| entry.timestamp.0).collect()
}

#[test]
fn a_full_disk_is_an_error_of_one_commit_and_reads_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = open(&path);
    store.commit(&batch(1, 10)).unwrap();
    // SQLite's bound on pages gives the same error as a full disk.
    store.limit_pages(40).unwrap();
    let error = store.commit(&batch(2, 400_000)).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull(_)), "{error}");
    assert!(error.to_string().contains("free some space"), "{error}");
    assert_eq!(stored(&store), [1]);
    assert!(store.snapshot().unwrap().get(TABLE, InternalId([1; 16])).unwrap().is_some());
    // What does fit can be stored at once; the timestamp of the failed commit was not used up.
    store.commit(&batch(2, 10)).unwrap();
    assert_eq!(stored(&store), [1, 2]);
    drop(store);
    assert_eq!(stored(&open(&path)), [1, 2]);
}

#[test]
fn recovering_needs_room_for_more_than_a_row_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = open(&path);
    store.commit(&batch(1, 10)).unwrap();
    let pages: u32 = raw(&path).pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.limit_pages(pages + 2).unwrap();
    assert!(matches!(store.commit(&batch(2, 400_000)), Err(StoreError::DiskFull(_))));
    assert!(matches!(store.recover(), Err(StoreError::DiskFull(_))));
    store.limit_pages(10_000).unwrap();
    assert_eq!(store.recover().unwrap(), Timestamp(1));
    store.commit(&batch(2, 400_000)).unwrap();
    assert_eq!(stored(&store), [1, 2]);
    let probes: i64 = raw(&path)
        .query_row("SELECT count(*) FROM freshet_meta WHERE name = 'probe'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(probes, 0);
    store.close().unwrap();
    assert!(matches!(store.recover(), Err(StoreError::Closed)));
}

#[test]
fn another_programs_lock_delays_commits_but_breaks_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = open(&path);
    store.commit(&batch(1, 10)).unwrap();
    let other = raw(&path);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.commit(&batch(2, 10)).unwrap_err();
    assert!(error.to_string().contains("locked"), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.recover().unwrap(), Timestamp(1));
    store.commit(&batch(2, 10)).unwrap();
    assert_eq!(stored(&store), [1, 2]);
}

fn raw(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}
