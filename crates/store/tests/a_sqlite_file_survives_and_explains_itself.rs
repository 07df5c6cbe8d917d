//! What is particular to the SQLite store: reopening, foreign and newer files, full disks, readable views.

#![allow(clippy::unwrap_used)] // Functions beside the tests are tests too.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use freshet_store::{
    Batch, CommitRecord, DocumentWrite, SqliteOptions, SqliteStore, Store, StoreError, StoredDocument,
    TableId, TableView,
};
use freshet_values::{InternalId, Timestamp};

const TABLE: TableId = TableId(70);

fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, &SqliteOptions::default())
}

fn batch(timestamp: u64, number: u8, json: &str) -> Batch {
    let internal = InternalId([number; 16]);
    let new = Some(StoredDocument { internal, json: Arc::from(json), size: 9 });
    let documents = vec![DocumentWrite { table: TABLE, internal, new }];
    let record = CommitRecord { timestamp: Timestamp(timestamp), documents, indexes: Vec::new() };
    Batch { commits: vec![Arc::new(record)], ..Batch::default() }
}

fn raw(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

#[test]
fn commits_are_there_after_reopening_with_and_without_a_clean_shutdown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = open(&path).unwrap();
    store.commit(&batch(1, 1, "{}")).unwrap();
    // A copy of the files of a running store is what a power cut leaves behind.
    let crashed = directory.path().join("crashed");
    for suffix in ["", "-wal"] {
        let name = |base: &Path| format!("{}{suffix}", base.display());
        std::fs::copy(name(&path), name(&crashed)).unwrap();
    }
    drop(store);
    for file in [&path, &crashed] {
        let store = open(file).unwrap();
        assert_eq!(store.snapshot().unwrap().timestamp(), Timestamp(1));
        assert!(store.snapshot().unwrap().get(TABLE, InternalId([1; 16])).unwrap().is_some());
    }
    let clean = |path: &Path| -> String {
        raw(path)
            .query_row("SELECT value FROM freshet_meta WHERE name = 'clean_shutdown'", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(clean(&path), "1");
}

#[test]
fn newer_and_foreign_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let newer = directory.path().join("newer");
    drop(open(&newer).unwrap());
    raw(&newer).pragma_update(None, "user_version", 99).unwrap();
    let error = open(&newer).err().unwrap();
    assert!(matches!(error, StoreError::NewerFormat { found: 99, supported: 2, .. }), "{error}");
    assert!(error.to_string().contains("newer release"));

    let foreign = directory.path().join("foreign");
    raw(&foreign).execute_batch("CREATE TABLE cats (name)").unwrap();
    assert!(matches!(open(&foreign), Err(StoreError::Foreign { .. })));
}

#[test]
fn a_closed_store_counts_as_cleanly_shut_down_and_takes_no_writes_even_while_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = open(&path).unwrap();
    store.commit(&batch(1, 1, "{}")).unwrap();
    let reading = store.snapshot().unwrap();
    store.close().unwrap();
    store.close().unwrap();
    assert!(matches!(store.commit(&batch(2, 2, "{}")), Err(StoreError::Closed)));
    let clean: String = raw(&path)
        .query_row("SELECT value FROM freshet_meta WHERE name = 'clean_shutdown'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(clean, "1");
    drop(reading);
}

#[test]
fn damage_is_found_after_an_unclean_shutdown_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = open(&path).unwrap();
    for number in 1..200 {
        store
            .commit(&batch(u64::from(number), number, &format!("{{\"x\":\"{}\"}}", "y".repeat(500))))
            .unwrap();
    }
    drop(store);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 4096], length / 2 / 4096 * 4096).unwrap();
    drop(open(&path).expect("after a clean shutdown a start is quick and does not look"));
    raw(&path).execute("UPDATE freshet_meta SET value = '0' WHERE name = 'clean_shutdown'", []).unwrap();
    let error = open(&path).err().expect("an overwritten page is found");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn tables_can_be_read_by_name_with_any_tool() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = open(&path).unwrap();
    let view = |name: &str, present| TableView { table: TABLE, name: name.to_owned(), present };
    let mut first = batch(1, 1, "{\"_id\":\"abc\",\"_creationTime\":5.5,\"a\":1}");
    first.views = vec![view("messages", true), view("MESSAGES", true), view("freshet_meta", true)];
    store.commit(&first).unwrap();
    let row: (String, f64, String) = raw(&path)
        .query_row("SELECT _id, _creationTime, document FROM messages", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(row, ("abc".to_owned(), 5.5, "{\"_id\":\"abc\",\"_creationTime\":5.5,\"a\":1}".to_owned()));
    let copy = directory.path().join("copy");
    store.copy_to(&copy).unwrap();
    assert!(open(&copy).unwrap().snapshot().unwrap().get(TABLE, InternalId([1; 16])).unwrap().is_some());
    let mut second = batch(2, 2, "{}");
    second.views = vec![view("messages", false)];
    store.commit(&second).unwrap();
    assert!(raw(&path).prepare("SELECT * FROM messages").is_err());
}

#[test]
fn names_for_other_tools_are_bounded_because_every_connection_keeps_them_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = open(&path).unwrap();
    let view = |number: u32, present| TableView {
        table: freshet_store::TableId(1000 + number),
        name: format!("table_{number}"),
        present,
    };
    let mut many = batch(1, 1, "{}");
    many.views = (0..1100).map(|number| view(number, true)).collect();
    store.commit(&many).unwrap();
    let views = || -> i64 {
        let count = "SELECT count(*) FROM sqlite_schema WHERE type = 'view'";
        raw(&path).query_row(count, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(views(), 1000);
    // Tables without one go like the others, and make no room.
    let mut fewer = batch(2, 2, "{}");
    fewer.views = vec![view(5, false), view(1099, false), view(1098, true), view(1097, true)];
    store.commit(&fewer).unwrap();
    assert_eq!(views(), 1000);
    assert!(raw(&path).prepare("SELECT * FROM table_1098").is_ok());
    assert!(raw(&path).prepare("SELECT * FROM table_5").is_err());
}

#[test]
fn snapshots_are_bounded_and_wait_their_turn() {
    let directory = tempfile::tempdir().unwrap();
    let options =
        SqliteOptions { readers_max: 2, reader_wait: Duration::from_millis(20), ..SqliteOptions::default() };
    let store = SqliteStore::open(&directory.path().join("db"), &options).unwrap();
    let first = store.snapshot().unwrap();
    let second = store.snapshot().unwrap();
    assert!(matches!(store.snapshot(), Err(StoreError::ReadersBusy { connections: 2, .. })));
    drop(first);
    assert!(store.snapshot().is_ok());
    drop(second);
    // An idle reader that was pinned before a commit must not serve the old state afterwards.
    store.commit(&batch(1, 1, "{}")).unwrap();
    assert_eq!(store.snapshot().unwrap().timestamp(), Timestamp(1));
}
