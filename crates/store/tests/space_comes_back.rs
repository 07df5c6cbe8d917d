//! A file whose contents were deleted shrinks, in steps between which commits go on.

#![allow(clippy::unwrap_used)] // Functions beside the tests are tests too.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use freshet_store::{
    Batch, CommitRecord, DocumentWrite, SqliteOptions, SqliteStore, Store, StoredDocument, TableId,
};
use freshet_values::{InternalId, Timestamp};

const TABLE: TableId = TableId(70);

fn batch(timestamp: u64, number: u32, bytes: usize) -> Batch {
    let mut internal = InternalId([0; 16]);
    internal.0[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B9).to_be_bytes());
    let json = Arc::from(format!("{{\"n\":{number},\"x\":\"{}\"}}", "y".repeat(bytes)));
    let new = Some(StoredDocument { internal, json, size: 9 });
    let documents = vec![DocumentWrite { table: TABLE, internal, new }];
    let record = CommitRecord { timestamp: Timestamp(timestamp), documents, indexes: Vec::new() };
    Batch { commits: vec![Arc::new(record)], ..Batch::default() }
}

/// So many documents, each in a commit of its own, twenty at a time.
fn fill(store: &SqliteStore, documents: u32) {
    for first in (0..documents).step_by(20) {
        let commits =
            (first..first + 20).flat_map(|number| batch(u64::from(number) + 1, number, 3000).commits);
        store.commit(&Batch { commits: commits.collect(), ..Batch::default() }).unwrap();
    }
}

fn pragma(path: &Path, name: &str) -> u32 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
}

#[test]
fn free_pages_are_given_back_until_a_reserve_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let options = SqliteOptions { free_pages_max: 100, ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, &options).unwrap();
    fill(&store, 3000);
    assert_eq!(store.trim_log(Timestamp(2900), 3000).unwrap(), 2899);
    let before = pragma(&path, "page_count");
    assert!(pragma(&path, "freelist_count") > before / 3);
    let mut timestamp = 10_000;
    let mut slowest = Duration::ZERO;
    std::thread::scope(|scope| {
        let shrinking = scope.spawn(|| (0..5).for_each(|_| store.release_unused()));
        while !shrinking.is_finished() || timestamp == 10_000 {
            timestamp += 1;
            let began = Instant::now();
            store.commit(&batch(timestamp, 5000 + u32::try_from(timestamp % 50).unwrap(), 100)).unwrap();
            slowest = slowest.max(began.elapsed());
        }
    });
    eprintln!("{} commits meanwhile, the slowest took {slowest:?}", timestamp - 10_000);
    let (free, pages) = (pragma(&path, "freelist_count"), pragma(&path, "page_count"));
    assert!(free <= 100.max(pages / 5) + 50, "{free} of {pages} pages are free");
    assert!(pages < before - before / 5, "{pages} of {before} pages are left");
    // Nothing else is done when there is nothing to do.
    store.release_unused();
    assert!(pragma(&path, "freelist_count") >= free.saturating_sub(1));
    for number in [0, 1500, 2999] {
        let mut internal = InternalId([0; 16]);
        internal.0[..4].copy_from_slice(&u32::wrapping_mul(number, 0x9E37_79B9).to_be_bytes());
        assert!(store.snapshot().unwrap().get(TABLE, internal).unwrap().is_some());
    }
    drop(store);
    let check: String = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    assert!(std::fs::metadata(&path).unwrap().len() <= u64::from(pages) * 4096 + 4096 * 200);
}

#[test]
fn a_few_free_pages_stay() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
    fill(&store, 300);
    store.trim_log(Timestamp(300), 300).unwrap();
    let before = pragma(&path, "freelist_count");
    store.release_unused();
    assert_eq!(pragma(&path, "freelist_count"), before);
}
