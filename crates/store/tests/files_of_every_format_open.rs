//! Files that releases have written, kept as they were, must open in every later release.
//!
//! `fixtures/format-N` holds what the first release with format N wrote: `clean.db`, and `crashed.db` with its log, as
//! a power cut leaves them. Made by `FRESHET_FIXTURES=1 cargo test -p freshet-store --test files_of_every_format_open`;
//! it never replaces the files of a format that has been released.

#![allow(clippy::unwrap_used)] // Functions beside the tests are tests too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use freshet_store::{
    Batch, CommitRecord, DocumentWrite, IndexId, IndexWrite, SqliteOptions, SqliteStore, Store,
    StoredDocument, TableId, TableView,
};
use freshet_values::{InternalId, Timestamp};

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
