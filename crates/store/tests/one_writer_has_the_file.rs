//! Two servers on one file would each take timestamps and check conflicts as if they were alone. The one that notices first
//! must not write any more.

#![allow(clippy::unwrap_used)] // Functions beside the tests are tests too.

use std::sync::Arc;

use freshet_store::{
    Batch, CommitRecord, DocumentWrite, SqliteOptions, SqliteStore, Store, StoreError, StoredDocument,
    TableId,
};
use freshet_values::{InternalId, Timestamp};

fn commit(store: &SqliteStore, number: u8) -> Result<(), StoreError> {
    let json = Arc::from("{}");
    let new = Some(StoredDocument { internal: InternalId([number; 16]), json, size: 9 });
    let documents = vec![DocumentWrite { table: TableId(70), internal: InternalId([number; 16]), new }];
    let record = CommitRecord { timestamp: Timestamp(number.into()), documents, indexes: Vec::new() };
    store.commit(&Batch { commits: vec![Arc::new(record)], ..Batch::default() })
}

#[test]
fn a_commit_of_another_server_is_noticed_and_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let first = SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
    commit(&first, 1).unwrap();
    let second = SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
    commit(&second, 2).unwrap();
    let error = commit(&first, 3).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    commit(&second, 4).unwrap();
    let log = second.read_log(Timestamp(0), 10, usize::MAX).unwrap();
    assert_eq!(log.iter().map(|entry| entry.timestamp.0).collect::<Vec<_>>(), [1, 2, 4]);
    // Whatever it tries, it does not go on as if nothing had happened.
    assert!(matches!(first.recover(), Err(StoreError::Overtaken)));
    assert!(matches!(commit(&first, 5), Err(StoreError::Overtaken)));
}

#[test]
fn commits_without_documents_are_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("db"), &SqliteOptions::default()).unwrap();
    let meta = |value: &str| Batch { meta: vec![("name".to_owned(), value.to_owned())], ..Batch::default() };
    store.commit(&meta("a")).unwrap();
    commit(&store, 1).unwrap();
    store.commit(&meta("b")).unwrap();
    commit(&store, 2).unwrap();
    assert_eq!(store.meta("name").unwrap().as_deref(), Some("b"));
}
