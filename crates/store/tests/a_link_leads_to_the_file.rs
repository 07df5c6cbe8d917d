//! A database may lie elsewhere than its name: a link in the data directory leads to the disk that has the room. SQLite keeps
//! the log beside the file itself, so everything else has to be there as well.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // Functions beside the tests are tests too.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use freshet_store::{
    Batch, CommitRecord, DocumentWrite, SqliteOptions, SqliteStore, Store, StoreError, StoredDocument,
    TableId,
};
use freshet_values::{InternalId, Timestamp};

/// Where the link is, and where the file.
struct Places {
    directory: tempfile::TempDir,
}

impl Places {
    fn new() -> Places {
        let directory = tempfile::tempdir().unwrap();
        for name in ["here", "there"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        symlink("../there/db", directory.path().join("here/db")).unwrap();
        Places { directory }
    }

    fn link(&self) -> PathBuf {
        self.directory.path().join("here/db")
    }

    fn there(&self, name: &str) -> PathBuf {
        self.directory.path().join("there").join(name)
    }

    fn is_still_a_link(&self) -> bool {
        std::fs::symlink_metadata(self.link()).unwrap().is_symlink()
            && std::fs::read_dir(self.link().parent().unwrap()).unwrap().count() == 1
    }
}

fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, &SqliteOptions::default())
}

fn commit(store: &SqliteStore, number: u8) {
    let json = Arc::from(format!("{{\"x\":\"{}\"}}", "y".repeat(5000)));
    let new = Some(StoredDocument { internal: InternalId([number; 16]), json, size: 9 });
    let documents = vec![DocumentWrite { table: TableId(70), internal: InternalId([number; 16]), new }];
    let record = CommitRecord { timestamp: Timestamp(number.into()), documents, indexes: Vec::new() };
    store.commit(&Batch { commits: vec![Arc::new(record)], ..Batch::default() }).unwrap();
}

fn last(store: &SqliteStore) -> u64 {
    store.snapshot().unwrap().timestamp().0
}

#[test]
fn a_file_whose_copying_was_cut_short_opens() {
    let places = Places::new();
    let file = places.there("db");
    let store = open(&file).unwrap();
    for number in 1..=40 {
        commit(&store, number);
    }
    // Killed while the log was copied: the first page is there and says how long the file will be.
    let crashed = Places::new();
    std::fs::copy(places.there("db-wal"), crashed.there("db-wal")).unwrap();
    let mut half = std::fs::read(&file).unwrap();
    drop(store);
    let whole = std::fs::read(&file).unwrap();
    assert!(half.len() < whole.len());
    half[..4096].copy_from_slice(&whole[..4096]);
    std::fs::write(crashed.there("db"), half).unwrap();
    let store = open(&crashed.link()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(last(&store), 40);
}

#[test]
fn a_file_of_an_older_format_is_brought_up_to_date_where_it_is() {
    let places = Places::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1/clean.db");
    std::fs::copy(fixture, places.there("db")).unwrap();
    let store = open(&places.link()).unwrap();
    let moment = last(&store);
    drop(store);
    assert!(places.is_still_a_link());
    assert!(places.there("db.format-1").exists());
    assert_eq!(last(&open(&places.there("db")).unwrap()), moment, "the file itself is up to date");
}

#[test]
fn a_link_that_leads_nowhere_is_left_alone() {
    let places = Places::new();
    let error = open(&places.link()).err().expect("an error").to_string();
    assert!(error.contains("link") && error.contains("../there/db"), "{error}");
    assert!(places.is_still_a_link());
}

#[test]
fn the_size_of_the_log_is_known() {
    let places = Places::new();
    drop(open(&places.there("db")).unwrap());
    let store = open(&places.link()).unwrap();
    commit(&store, 1);
    let statistics = store.statistics();
    assert!(statistics.log_bytes > 0 && statistics.file_bytes > 0, "{statistics:?}");
}
