//! Each thing that can stand where the database should be gives an error that says what to do, and is not touched.

#![allow(clippy::unwrap_used)] // Functions beside the tests are tests too.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use freshet_store::{
    Batch, CommitRecord, DocumentWrite, SqliteOptions, SqliteStore, Store, StoreError, StoredDocument,
    TableId,
};
use freshet_values::{InternalId, Timestamp};

/// Opens, expects an error, and checks that no file was made, changed or removed.
fn refusal(path: &Path, directory: &Path) -> StoreError {
    let before = contents(directory);
    let error = SqliteStore::open(path, &SqliteOptions::default()).err().expect("an error");
    let after = contents(directory);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{error}");
    assert!(before == after, "files have changed: {error}");
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()), "the error names the file: {text}");
    error
}

fn contents(directory: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).ok())).collect()
}

fn fill(path: &Path) {
    let store = SqliteStore::open(path, &SqliteOptions::default()).unwrap();
    for number in 1..=40 {
        let internal = InternalId([number; 16]);
        let json = Arc::from(format!("{{\"x\":\"{}\"}}", "y".repeat(1000)));
        let new = Some(StoredDocument { internal, json, size: 9 });
        let documents = vec![DocumentWrite { table: TableId(70), internal, new }];
        let record = CommitRecord { timestamp: Timestamp(number.into()), documents, indexes: Vec::new() };
        store.commit(&Batch { commits: vec![Arc::new(record)], ..Batch::default() }).unwrap();
    }
}

#[test]
fn a_directory_in_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    std::fs::create_dir(&path).unwrap();
    let error = refusal(&path, directory.path());
    assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
    assert!(error.to_string().contains("is a directory"), "{error}");
}

#[test]
fn a_directory_that_does_not_exist() {
    let directory = tempfile::tempdir().unwrap();
    let error = refusal(&directory.path().join("missing/db"), directory.path());
    assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
    assert!(error.to_string().contains("does not exist; create it"), "{error}");
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = refusal(&file.join("db"), directory.path());
    assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
}

#[test]
fn an_empty_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    std::fs::write(&path, "").unwrap();
    let error = refusal(&path, directory.path());
    assert!(matches!(error, StoreError::NotADatabase { .. }), "{error:?}");
    assert!(error.to_string().contains("restore a backup, or delete it"), "{error}");
}

#[test]
fn another_kind_of_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    for text in ["x".repeat(8192), "x".to_owned(), "SQLite format 2\0 and more".to_owned()] {
        std::fs::write(&path, text).unwrap();
        let error = refusal(&path, directory.path());
        assert!(matches!(error, StoreError::NotADatabase { .. }), "{error:?}");
    }
}

#[test]
fn a_file_whose_end_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    fill(&path);
    let whole = std::fs::read(&path).unwrap();
    for length in [16, 99, 100, 4096, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = refusal(&path, directory.path());
        assert!(matches!(error, StoreError::Damaged { .. }), "{length}: {error:?}");
        assert!(error.to_string().contains("missing"), "{length}: {error}");
    }
    std::fs::write(&path, whole).unwrap();
    SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
}

#[test]
fn a_log_without_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    fill(&path);
    std::fs::rename(&path, directory.path().join("db-wal")).unwrap();
    let error = refusal(&path, directory.path());
    assert!(error.to_string().contains("bring the file back"), "{error}");
}

#[test]
fn files_and_directories_that_this_user_may_not_write() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    let path = inside.join("db");
    let allow = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(&inside, 0o555);
    if std::fs::write(inside.join("probe"), "").is_ok() {
        // Permissions do not bind this user, who is likely root. The read-only mount of the end-to-end test does.
        eprintln!("not tested: permissions do not bind this user");
        return;
    }
    let new = refusal(&path, &inside);
    allow(&inside, 0o755);
    fill(&path);
    allow(&path, 0o444);
    let file = refusal(&path, &inside);
    allow(&path, 0o644);
    allow(&inside, 0o555);
    let beside = refusal(&path, &inside);
    allow(&inside, 0o755);
    for error in [new, file, beside] {
        assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
    }
    SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
}

#[test]
fn a_first_start_that_was_cut_short_is_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    std::fs::write(directory.path().join("db.new"), "half").unwrap();
    std::fs::write(directory.path().join("db.new-journal"), "half").unwrap();
    fill(&path);
    let names: Vec<String> = contents(directory.path()).into_keys().collect();
    assert_eq!(names, ["db"]);
}
