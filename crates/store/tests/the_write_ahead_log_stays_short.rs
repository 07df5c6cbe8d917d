//! Under steady reading somebody always holds a snapshot; the log must begin anew all the same.

#![allow(clippy::unwrap_used)] // Functions beside the tests are tests too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use freshet_store::{
    Batch, CommitRecord, DocumentWrite, SqliteOptions, SqliteStore, Store, StoredDocument, TableId,
};
use freshet_values::{InternalId, Timestamp};

fn batch(number: u32) -> Batch {
    let mut internal = InternalId([0; 16]);
    internal.0[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B9).to_be_bytes());
    let json = format!(r#"{{"text":"{}"}}"#, "x".repeat(3000));
    let new = Some(StoredDocument { internal, json: Arc::from(json), size: 3010 });
    let documents = vec![DocumentWrite { table: TableId(70), internal, new }];
    let timestamp = Timestamp(u64::from(number) + 1);
    Batch {
        commits: vec![Arc::new(CommitRecord { timestamp, documents, indexes: Vec::new() })],
        ..Batch::default()
    }
}

#[test]
fn readers_that_overlap_without_end_do_not_keep_the_log_growing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let options = SqliteOptions { log_pages_max: 200, ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, &options).unwrap();
    let done = AtomicBool::new(false);
    let mut longest = 0;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut held = store.snapshot().unwrap();
                while !done.load(Ordering::Relaxed) {
                    // The next one begins before this one ends.
                    let next = store.snapshot().unwrap();
                    held.get(TableId(70), InternalId([0; 16])).unwrap();
                    held = next;
                    std::thread::sleep(std::time::Duration::from_micros(300));
                }
            });
        }
        for number in 0..400 {
            store.commit(&batch(number)).unwrap();
            let log = std::fs::metadata(path.with_file_name("db-wal")).unwrap().len();
            longest = longest.max(log);
        }
        done.store(true, Ordering::Relaxed);
    });
    // About 2400 pages are written in all. On a busy machine a reader may sleep through many attempts to begin anew.
    let pages = longest / 4096;
    assert!(pages < 1200, "the log had {pages} pages");
    assert_eq!(store.snapshot().unwrap().timestamp(), Timestamp(400));
}
