//! Files that releases have written, kept as they were, must open in every later release.
//!
//! `fixtures/format-N` holds what the first release with format N wrote: `clean.db`, and `crashed.db` with its log, as
//! a power cut leaves them. Made by `FRESHET_FIXTURES=1 cargo test -p freshet-store --test files_of_every_format_open`;
//! it never replaces the files of a format that has been released.

#![allow(clippy::unwrap_used)] // Functions beside the tests are tests too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use freshet_store::{
    Batch, CommitRecord, DocumentWrite, IndexId, IndexWrite, Order, SqliteOptions, SqliteStore, Store,
    StoreError, StoredDocument, TableId, TableView,
};
use freshet_values::{InternalId, KeyInterval, Timestamp};

const TABLE: TableId = TableId(70);
const INDEX: IndexId = IndexId(71);
/// Commits in each file; the last ones are in the log only, in the file of the crash.
const COMMITS: u64 = 12;

fn fixtures(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{format}"))
}

fn id(number: u64) -> InternalId {
    InternalId([u8::try_from(number).unwrap(); 16])
}

fn json(number: u64) -> String {
    // Every fifth one does not fit into a page.
    let text = "text ".repeat(if number.is_multiple_of(5) { 1000 } else { 10 });
    format!(r#"{{"_id":"d{number}","_creationTime":{number}.5,"text":"{text}"}}"#)
}

/// Commit `number` adds a document; every fourth one removes the one before as well.
fn batch(number: u64) -> Batch {
    let new = StoredDocument { internal: id(number), json: Arc::from(json(number)), size: 40 };
    let mut record = CommitRecord {
        timestamp: Timestamp(number * 1000),
        documents: vec![DocumentWrite { table: TABLE, internal: id(number), new: Some(new) }],
        indexes: vec![IndexWrite {
            index: INDEX,
            key: Arc::from(number.to_be_bytes()),
            document: Some((TABLE, id(number))),
        }],
    };
    if number.is_multiple_of(4) {
        let old = number - 1;
        record.documents.push(DocumentWrite { table: TABLE, internal: id(old), new: None });
        let key = Arc::from(old.to_be_bytes());
        record.indexes.push(IndexWrite { index: INDEX, key, document: None });
    }
    let views = (number == 1).then(|| TableView { table: TABLE, name: "messages".to_owned(), present: true });
    Batch {
        commits: vec![Arc::new(record)],
        counts: vec![(TABLE, number - number / 4)],
        meta: vec![("next_internal".to_owned(), (100 + number).to_string())],
        views: views.into_iter().collect(),
    }
}

/// Puts a copy of a fixture, with its log if it has one, into a directory.
fn place(format: u32, name: &str, directory: &Path) -> PathBuf {
    let target = directory.join("db");
    std::fs::copy(fixtures(format).join(name), &target).unwrap();
    let log = fixtures(format).join(format!("{name}-wal"));
    if log.exists() {
        std::fs::copy(log, directory.join("db-wal")).unwrap();
    }
    target
}

/// Everything that the commits wrote is there, and more can be written.
fn check(path: &Path) {
    let store = SqliteStore::open(path, &SqliteOptions::default()).unwrap();
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.timestamp(), Timestamp(COMMITS * 1000));
    let alive: Vec<u64> = (1..=COMMITS).filter(|number| number % 4 != 3).collect();
    for number in 1..=COMMITS {
        let found = snapshot.get(TABLE, id(number)).unwrap().map(|document| document.json.to_string());
        assert_eq!(found, alive.contains(&number).then(|| json(number)));
    }
    let rows = snapshot.scan(INDEX, &KeyInterval::all(), Order::Asc, 100, usize::MAX).unwrap().rows;
    let keys: Vec<u64> =
        rows.iter().map(|row| u64::from_be_bytes(row.key.as_ref().try_into().unwrap())).collect();
    assert_eq!(keys, alive);
    assert_eq!(store.table_counts().unwrap(), [(TABLE, COMMITS - COMMITS / 4)]);
    assert_eq!(store.meta("next_internal").unwrap(), Some((100 + COMMITS).to_string()));
    let log = store.read_log(Timestamp(999), 100, usize::MAX).unwrap();
    assert_eq!(log.len() as u64, COMMITS);
    assert_eq!(log[4].writes[0].json.as_deref(), Some(json(5).as_str()));
    // Before format 2 nobody wrote down what was trimmed.
    let oldest = store.read_log(Timestamp(0), 1, 1);
    assert!(matches!(oldest, Ok(_) | Err(StoreError::LogTruncated { oldest: Timestamp(999), .. })));
    drop(snapshot);
    let next = COMMITS + 1;
    store.commit(&batch(next)).unwrap();
    assert!(store.snapshot().unwrap().get(TABLE, id(next)).unwrap().is_some());
    drop(store);
    let raw = rusqlite::Connection::open(path).unwrap();
    let number = |name: &str| -> i64 { raw.pragma_query_value(None, name, |row| row.get(0)).unwrap() };
    assert_eq!((number("user_version"), number("auto_vacuum")), (2, 2));
    let named: i64 = raw.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(named, i64::try_from(alive.len()).unwrap() + 1);
    let whole: String = raw.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
}

fn formats() -> Vec<u32> {
    let folders = std::fs::read_dir(fixtures(1).parent().unwrap()).unwrap();
    let numbers = folders.map(|folder| {
        let name = folder.unwrap().file_name().into_string().unwrap();
        name.strip_prefix("format-").unwrap().parse().unwrap()
    });
    numbers.collect()
}

#[test]
fn files_of_every_format_open_and_can_be_written() {
    assert!(formats().len() >= 2);
    for format in formats() {
        for name in ["clean.db", "crashed.db"] {
            println!("format {format}, {name}");
            let directory = tempfile::tempdir().unwrap();
            check(&place(format, name, directory.path()));
        }
    }
}

#[test]
fn the_old_file_is_kept_and_is_the_way_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = place(1, "crashed.db", directory.path());
    drop(SqliteStore::open(&path, &SqliteOptions::default()).unwrap());
    let mut names: Vec<String> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["db", "db.format-1"]);
    let old = rusqlite::Connection::open(directory.path().join("db.format-1")).unwrap();
    let version: u32 = old.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    let timestamp: String = old
        .query_row("SELECT value FROM freshet_meta WHERE name = 'durable_timestamp'", [], |row| row.get(0))
        .unwrap();
    assert_eq!((version, timestamp), (1, (COMMITS * 1000).to_string()));
}

#[test]
fn a_file_that_another_program_reads_is_not_brought_up_to_date_behind_its_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = place(1, "crashed.db", directory.path());
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN; SELECT * FROM freshet_meta;").unwrap();
    let error = SqliteStore::open(&path, &SqliteOptions::default()).err().unwrap();
    assert!(error.to_string().contains("close that program"), "{error}");
    other.execute_batch("COMMIT").unwrap();
    drop(other);
    check(&path);
}

#[test]
fn fixtures_are_made_when_asked_for() {
    if std::env::var_os("FRESHET_FIXTURES").is_none() {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("db");
    let open = || SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
    drop(open());
    let raw = rusqlite::Connection::open(&path).unwrap();
    let format = raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    drop(raw);
    let target = fixtures(format);
    assert!(!target.join("clean.db").exists(), "{} is there already", target.display());
    std::fs::create_dir_all(&target).unwrap();
    for number in 1..=COMMITS - 2 {
        open().commit(&batch(number)).unwrap();
    }
    let store = open();
    store.commit(&batch(COMMITS - 1)).unwrap();
    store.commit(&batch(COMMITS)).unwrap();
    std::fs::copy(&path, target.join("crashed.db")).unwrap();
    std::fs::copy(work.path().join("db-wal"), target.join("crashed.db-wal")).unwrap();
    drop(store);
    std::fs::copy(&path, target.join("clean.db")).unwrap();
}
