//! A copy that is made while others write is one moment of the database, with everything that belongs to it.

#![allow(clippy::unwrap_used)] // Functions beside the tests are tests too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use freshet_store::{
    Batch, CommitRecord, DocumentWrite, IndexId, IndexWrite, Order, SqliteOptions, SqliteStore, Store,
    StoreError, StoredDocument, TableId,
};
use freshet_values::{InternalId, KeyInterval, Timestamp};

const TABLE: TableId = TableId(70);
const INDEX: IndexId = IndexId(71);

/// Every commit writes its number into two documents, the log, the counts and a named text.
fn batch(number: u64) -> Batch {
    let document = |internal| {
        let json = format!("{{\"n\":{number},\"pad\":\"{}\"}}", "x".repeat(2000));
        let new = Some(StoredDocument { internal, json: Arc::from(json), size: 9 });
        DocumentWrite { table: TABLE, internal, new }
    };
    let new = InternalId(u128::from(number + 1).to_be_bytes());
    let index =
        IndexWrite { index: INDEX, key: Arc::from(number.to_be_bytes()), document: Some((TABLE, new)) };
    let record = CommitRecord {
        timestamp: Timestamp(number),
        documents: vec![document(InternalId([0; 16])), document(new)],
        indexes: vec![index],
    };
    Batch {
        commits: vec![Arc::new(record)],
        counts: vec![(TABLE, number + 1)],
        meta: vec![("last".to_owned(), number.to_string())],
        views: Vec::new(),
    }
}

#[test]
fn copies_made_while_commits_go_on_show_one_moment_each() {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteOptions::default();
    let store = SqliteStore::open(&directory.path().join("db"), &options).unwrap();
    (1..=300).for_each(|number| store.commit(&batch(number)).unwrap());
    store.trim_log(Timestamp(10), 100).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 301.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                store.commit(&batch(number)).unwrap();
            }
        });
        for copy in 0..4 {
            let target = directory.path().join(format!("copy-{copy}"));
            let before = store.snapshot().unwrap().timestamp();
            store.copy_to(&target).unwrap();
            let copied = SqliteStore::open(&target, &options).unwrap();
            let snapshot = copied.snapshot().unwrap();
            let last = snapshot.timestamp().0;
            assert!(last >= before.0, "{last} is older than {before}");
            let first = snapshot.get(TABLE, InternalId([0; 16])).unwrap().unwrap();
            assert!(first.json.starts_with(&format!("{{\"n\":{last},")));
            let rows = snapshot.scan(INDEX, &KeyInterval::all(), Order::Asc, usize::MAX, usize::MAX).unwrap();
            assert_eq!(rows.rows.len() as u64, last);
            assert_eq!(copied.table_counts().unwrap(), [(TABLE, last + 1)]);
            assert_eq!(copied.meta("last").unwrap(), Some(last.to_string()));
            assert!(matches!(copied.read_log(Timestamp(8), 1, 1), Err(StoreError::LogTruncated { .. })));
            assert_eq!(copied.read_log(Timestamp(9), usize::MAX, usize::MAX).unwrap().len() as u64, last - 9);
            copied.commit(&batch(last + 1)).unwrap();
            drop(snapshot);
            drop(copied);
            let raw = rusqlite::Connection::open(&target).unwrap();
            let number =
                |name: &str| -> i64 { raw.pragma_query_value(None, name, |row| row.get(0)).unwrap() };
            assert_eq!((number("user_version"), number("auto_vacuum")), (2, 2));
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_copy_never_replaces_a_file_and_a_failed_one_leaves_none() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("db"), &SqliteOptions::default()).unwrap();
    store.commit(&batch(1)).unwrap();
    let target = directory.path().join("precious");
    std::fs::write(&target, "precious").unwrap();
    assert!(matches!(store.copy_to(&target), Err(StoreError::Unusable { .. })));
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    let nowhere = directory.path().join("missing/copy");
    assert!(store.copy_to(&nowhere).is_err());
    assert!(!nowhere.exists());
}
