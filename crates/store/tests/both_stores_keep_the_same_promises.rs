//! The in-memory store stands in for SQLite in tests, so both must behave alike.

#![allow(clippy::unwrap_used)] // Functions beside the tests are tests too.

use std::sync::Arc;

use freshet_store::{
    Batch, CommitRecord, DocumentWrite, IndexId, IndexWrite, MemoryStore, Order, SqliteOptions, SqliteStore,
    Store, StoreError, StoredDocument, TableId,
};
use freshet_values::{InternalId, KeyInterval, Timestamp};

const TABLE: TableId = TableId(70);
const INDEX: IndexId = IndexId(71);

fn id(number: u8) -> InternalId {
    InternalId([number; 16])
}

fn document(number: u8, json: &str) -> StoredDocument {
    StoredDocument { internal: id(number), json: Arc::from(json), size: 5 }
}

fn commit(timestamp: u64, writes: &[(u8, Option<&str>)]) -> Batch {
    let record = CommitRecord {
        timestamp: Timestamp(timestamp),
        documents: writes
            .iter()
            .map(|(number, json)| DocumentWrite {
                table: TABLE,
                internal: id(*number),
                new: json.map(|json| document(*number, json)),
            })
            .collect(),
        indexes: writes
            .iter()
            .map(|(number, json)| IndexWrite {
                index: INDEX,
                key: Arc::from([*number]),
                document: json.map(|_| (TABLE, id(*number))),
            })
            .collect(),
    };
    Batch { commits: vec![Arc::new(record)], ..Batch::default() }
}

fn on_both(check: impl Fn(&dyn Store)) {
    check(&MemoryStore::new());
    let directory = tempfile::tempdir().unwrap();
    check(&SqliteStore::open(&directory.path().join("db"), &SqliteOptions::default()).unwrap());
}

fn scan(store: &dyn Store, interval: &KeyInterval, order: Order, limit: usize) -> (Vec<u8>, bool) {
    let chunk = store.snapshot().unwrap().scan(INDEX, interval, order, limit, usize::MAX).unwrap();
    (chunk.rows.iter().map(|row| row.key[0]).collect(), chunk.exhausted)
}

#[test]
fn scans_respect_bounds_order_and_limit() {
    on_both(|store| {
        let rows: Vec<(u8, Option<&str>)> = (1..=9).map(|number| (number, Some("{}"))).collect();
        store.commit(&commit(1, &rows)).unwrap();
        let interval = KeyInterval { start: vec![3], end: Some(vec![7]) };
        assert_eq!(scan(store, &interval, Order::Asc, 100), (vec![3, 4, 5, 6], true));
        assert_eq!(scan(store, &interval, Order::Desc, 100), (vec![6, 5, 4, 3], true));
        assert_eq!(scan(store, &interval, Order::Asc, 2), (vec![3, 4], false));
        let open = KeyInterval { start: vec![8], end: None };
        assert_eq!(scan(store, &open, Order::Desc, 100), (vec![9, 8], true));
        let snapshot = store.snapshot().unwrap();
        let one = snapshot.scan(INDEX, &KeyInterval::all(), Order::Asc, 100, 1).unwrap();
        assert_eq!((one.rows.len(), one.exhausted), (1, false));
        let table = snapshot.scan_table(TABLE, id(2), id(4), Order::Desc, 2, usize::MAX).unwrap();
        assert_eq!(table.rows.iter().map(|row| row.internal.0[0]).collect::<Vec<_>>(), [4, 3]);
        assert!(!table.exhausted);
    });
}

#[test]
fn a_snapshot_does_not_see_later_commits() {
    on_both(|store| {
        store.commit(&commit(1, &[(1, Some("{\"a\":1}")), (2, Some("{}"))])).unwrap();
        let before = store.snapshot().unwrap();
        store.commit(&commit(2, &[(1, Some("{\"a\":2}")), (2, None), (3, Some("{}"))])).unwrap();
        let after = store.snapshot().unwrap();
        assert_eq!((before.timestamp(), after.timestamp()), (Timestamp(1), Timestamp(2)));
        assert_eq!(&*before.get(TABLE, id(1)).unwrap().unwrap().json, "{\"a\":1}");
        assert_eq!(&*after.get(TABLE, id(1)).unwrap().unwrap().json, "{\"a\":2}");
        assert!(before.get(TABLE, id(2)).unwrap().is_some() && after.get(TABLE, id(2)).unwrap().is_none());
        let keys = |snapshot: &dyn freshet_store::Snapshot| {
            let chunk = snapshot.scan(INDEX, &KeyInterval::all(), Order::Asc, 10, usize::MAX).unwrap();
            chunk.rows.iter().map(|row| row.key[0]).collect::<Vec<_>>()
        };
        assert_eq!(keys(&*before), [1, 2]);
        assert_eq!(keys(&*after), [1, 3]);
    });
}

#[test]
fn a_group_ends_in_the_last_version_and_logs_every_one() {
    on_both(|store| {
        let mut group = commit(1, &[(1, Some("{\"v\":1}")), (2, Some("{}"))]);
        group.commits.extend(commit(2, &[(1, Some("{\"v\":2}")), (2, None)]).commits);
        group.counts = vec![(TABLE, 1)];
        group.meta = vec![("name".to_owned(), "value".to_owned())];
        store.commit(&group).unwrap();
        let snapshot = store.snapshot().unwrap();
        assert_eq!(&*snapshot.get(TABLE, id(1)).unwrap().unwrap().json, "{\"v\":2}");
        assert_eq!(scan(store, &KeyInterval::all(), Order::Asc, 10), (vec![1], true));
        assert_eq!(store.table_counts().unwrap(), [(TABLE, 1)]);
        assert_eq!(store.meta("name").unwrap().as_deref(), Some("value"));
        assert_eq!(store.meta("durable_timestamp").unwrap(), None);
        let log = store.read_log(Timestamp(0), 10, usize::MAX).unwrap();
        assert_eq!(log.iter().map(|entry| entry.timestamp.0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(log[0].writes[0].json.as_deref(), Some("{\"v\":1}"));
        assert_eq!(log[1].writes[1].json, None);
        assert_eq!(store.read_log(Timestamp(1), 10, usize::MAX).unwrap().len(), 1);
    });
}

#[test]
fn the_log_is_read_in_bounded_pieces() {
    on_both(|store| {
        let json = format!("{{\"text\":\"{}\"}}", "x".repeat(1000));
        for timestamp in 1..=20 {
            store.commit(&commit(timestamp, &[(1, Some(&json))])).unwrap();
        }
        let read = |after, limit, bytes_max| {
            let entries = store.read_log(Timestamp(after), limit, bytes_max).unwrap();
            entries.iter().map(|entry| entry.timestamp.0).collect::<Vec<_>>()
        };
        assert_eq!(read(0, 3, usize::MAX), [1, 2, 3]);
        assert_eq!(read(0, 100, 2500), [1, 2, 3]);
        // However small the bound, there is progress.
        assert_eq!(read(3, 100, 1), [4]);
        assert_eq!(read(3, 100, 0), [4]);
        assert_eq!(read(20, 100, 1), Vec::<u64>::new());
    });
}

#[test]
fn a_reader_of_the_log_is_told_what_was_forgotten() {
    on_both(|store| {
        for timestamp in 1..=9 {
            store.commit(&commit(timestamp * 10, &[(1, Some("{}"))])).unwrap();
        }
        assert_eq!(store.trim_log(Timestamp(40), 2).unwrap(), 2);
        assert_eq!(store.trim_log(Timestamp(40), 2).unwrap(), 1);
        assert_eq!(store.trim_log(Timestamp(40), 2).unwrap(), 0);
        for after in [0, 29] {
            let error = store.read_log(Timestamp(after), 10, usize::MAX).unwrap_err();
            let StoreError::LogTruncated { requested, oldest } = error else { panic!("{error}") };
            assert_eq!((requested, oldest), (Timestamp(after), Timestamp(30)));
        }
        // The last forgotten one has been seen by whoever goes on from it.
        let entries = store.read_log(Timestamp(30), 10, usize::MAX).unwrap();
        assert_eq!(entries.first().map(|entry| entry.timestamp), Some(Timestamp(40)));
        assert_eq!(entries.len(), 6);
        assert_eq!(store.trim_log(Timestamp(1000), 100).unwrap(), 6);
        assert_eq!(store.read_log(Timestamp(90), 10, usize::MAX).unwrap(), []);
        assert!(store.read_log(Timestamp(89), 10, usize::MAX).is_err());
    });
}

#[test]
fn dropped_tables_and_indexes_are_cleared_in_steps() {
    on_both(|store| {
        let rows: Vec<(u8, Option<&str>)> = (1..=5).map(|number| (number, Some("{}"))).collect();
        store.commit(&commit(1, &rows)).unwrap();
        assert_eq!(store.clear_index(INDEX, 3).unwrap(), 3);
        assert_eq!(scan(store, &KeyInterval::all(), Order::Asc, 10), (vec![4, 5], true));
        assert_eq!(store.clear_index(INDEX, 3).unwrap(), 2);
        assert_eq!(store.clear_table(TABLE, 3).unwrap(), 3);
        assert_eq!(store.clear_table(TABLE, 3).unwrap(), 2);
        assert!(store.snapshot().unwrap().get(TABLE, id(1)).unwrap().is_none());
    });
}

#[test]
fn timestamps_must_ascend() {
    on_both(|store| {
        store.commit(&commit(5, &[(1, Some("{}"))])).unwrap();
        let error = store.commit(&commit(5, &[(2, Some("{}"))])).unwrap_err();
        assert!(matches!(error, StoreError::OutOfOrder { given: 5, current: 5 }), "{error}");
        assert!(store.snapshot().unwrap().get(TABLE, id(2)).unwrap().is_none());
    });
}

#[test]
fn keys_are_scanned_and_counted_without_documents() {
    on_both(|store| {
        let all: Vec<(u8, Option<&str>)> = (1..=6).map(|number| (number, Some("{}"))).collect();
        store.commit(&commit(1, &all)).unwrap();
        store.commit(&commit(2, &[(4, None)])).unwrap();
        let snapshot = store.snapshot().unwrap();
        let keys = |interval: &KeyInterval, limit| {
            let chunk = snapshot.scan_keys(INDEX, interval, limit).unwrap();
            (chunk.iter().map(|key| key[0]).collect::<Vec<_>>(), chunk.exhausted)
        };
        let some = KeyInterval { start: vec![2], end: Some(vec![6]) };
        assert_eq!(keys(&some, 2), (vec![2, 3], false));
        assert_eq!(keys(&some, 4), (vec![2, 3, 5], true));
        assert_eq!(keys(&KeyInterval::all(), 9), (vec![1, 2, 3, 5, 6], true));
        assert_eq!(snapshot.count_keys(INDEX, &some).unwrap(), 3);
        assert_eq!(snapshot.count_keys(INDEX, &KeyInterval { start: vec![5], end: None }).unwrap(), 2);
        assert_eq!(snapshot.count_keys(IndexId(72), &KeyInterval::all()).unwrap(), 0);
    });
}

#[test]
fn an_empty_text_removes_a_name() {
    on_both(|store| {
        let set = |value: &str| Batch { meta: vec![("n".to_owned(), value.to_owned())], ..Batch::default() };
        store.commit(&set("x")).unwrap();
        assert_eq!(store.meta("n").unwrap().as_deref(), Some("x"));
        store.commit(&set("")).unwrap();
        assert_eq!(store.meta("n").unwrap(), None);
    });
}
