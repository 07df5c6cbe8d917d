//! What survives which failure.

use freshet_store::{SqliteOptions, SqliteStore, StoreError};

use super::*;
use crate::{CommitError, DurabilityError};

fn values(database: &Database) -> Vec<f64> {
    let rows = collect(&mut database.begin().unwrap(), &scan("t", "asc", serde_json::json!([])));
    rows.iter().map(|row| field(row, "n").as_f64().unwrap()).collect()
}

#[test]
fn commits_are_visible_at_once_and_durable_later() {
    let fixture = fixture();
    fixture.insert("t", object([("n", num(1.0))]));
    fixture.settle();
    fixture.store.faults().hold_commits(true);
    let (_, commit) = fixture.run(|transaction| insert(transaction, "t", object([("n", num(2.0))])));
    assert_eq!(values(&fixture.database), [1.0, 2.0]);
    assert!(fixture.database.durable_ts() < commit.ts);
    assert_eq!(fixture.database.queued().0, 1);
    fixture.store.faults().hold_commits(false);
    fixture.database.wait_durable_blocking(commit.ts).unwrap();
    assert_eq!(fixture.database.durable_ts(), commit.ts);
    wait_until(|| fixture.database.shared().state.lock().overlay.is_empty());
    assert_eq!(values(&fixture.database), [1.0, 2.0]);
}

#[test]
fn a_crash_before_durability_loses_only_what_nobody_was_told_of() {
    let fixture = fixture();
    fixture.insert("t", object([("n", num(1.0))]));
    fixture.settle();
    fixture.store.faults().hold_commits(true);
    fixture.insert("t", object([("n", num(2.0))]));
    let visible = fixture.database.visible_ts();
    let store = Arc::new(fixture.store.after_crash());
    fixture.store.faults().hold_commits(false);
    let reopened = open_on(store, DatabaseOptions::default(), &fixture.clock);
    assert_eq!(values(&reopened), [1.0]);
    // Neither the numbers of tables nor the time go back.
    let mut transaction = reopened.begin().unwrap();
    insert(&mut transaction, "u", object([]));
    assert!(reopened.commit(transaction).unwrap().ts >= visible.min(reopened.durable_ts()));
    let catalog = reopened.catalog();
    let mut numbers: Vec<u32> = catalog.tables().map(|table| table.id.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), catalog.tables().count());
}

#[test]
fn waiting_commits_share_one_write() {
    let fixture = fixture();
    fixture.insert("t", object([("n", num(0.0))]));
    fixture.settle();
    fixture.store.faults().hold_commits(true);
    let before = fixture.store.faults().commits_begun();
    for n in 1..=50 {
        fixture.insert("t", object([("n", num(f64::from(n)))]));
    }
    fixture.store.faults().hold_commits(false);
    fixture.settle();
    assert!(fixture.store.faults().commits_begun() - before <= 2);
    assert_eq!(values(&fixture.database).len(), 51);
}

#[test]
fn after_a_store_failure_nothing_is_written_and_reads_show_what_is_durable() {
    let fixture = fixture();
    fixture.insert("t", object([("n", num(1.0))]));
    fixture.settle();
    fixture.store.faults().hold_commits(true);
    let (_, commit) = fixture.run(|transaction| {
        insert(transaction, "t", object([("n", num(2.0))]));
        insert(transaction, "new", object([]));
    });
    let reads = {
        let mut transaction = fixture.database.begin().unwrap();
        collect(&mut transaction, &scan("t", "asc", serde_json::json!([])));
        Arc::new(transaction.read_set().clone())
    };
    let misled = fixture.database.subscribe(reads, commit.ts, Arc::new(|| {}));
    fixture.store.faults().fail_commits(StoreError::DiskFull("no space left".to_owned()));
    assert!(fixture.database.wait_durable_blocking(commit.ts).is_err());
    wait_until(|| fixture.database.failure().is_some());
    assert_eq!(values(&fixture.database), [1.0]);
    assert!(fixture.database.catalog().table_by_name(Namespace::ROOT, &name("new")).is_none());
    assert!(!misled.is_valid());
    let mut transaction = fixture.database.begin().unwrap();
    insert(&mut transaction, "t", object([]));
    match fixture.database.commit(transaction) {
        Err(CommitError::ReadOnly(cause)) => assert!(cause.contains("the disk is full"), "{cause}"),
        other => panic!("{other:?}"),
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(fixture.database.wait_durable(commit.ts)).is_err());
    assert!(runtime.block_on(fixture.database.wait_durable(fixture.database.durable_ts())).is_ok());
}

#[test]
fn when_the_cause_is_gone_writes_go_on_by_themselves_and_what_was_undone_stays_undone() {
    let fixture = fixture();
    fixture.insert("t", object([("n", num(1.0))]));
    fixture.settle();
    let before = fixture.database.visible_ts();
    fixture.store.faults().hold_commits(true);
    let (_, lost) = fixture.run(|transaction| {
        insert(transaction, "t", object([("n", num(2.0))]));
        insert(transaction, "new", object([]));
    });
    let mut misled = fixture.database.begin().unwrap();
    assert_eq!(collect(&mut misled, &scan("t", "asc", serde_json::json!([]))).len(), 2);
    insert(&mut misled, "t", object([("n", num(2.5))]));
    let reads = Arc::new(misled.read_set().clone());
    fixture.store.faults().fail_commits(StoreError::DiskFull("no space left".to_owned()));
    wait_until(|| fixture.database.failure().is_some());
    assert!(!fixture.database.is_undecided());
    fixture.store.faults().hold_commits(false);
    fixture.store.faults().mend_commits();
    wait_until(|| fixture.database.failure().is_none());
    assert!(fixture.database.shared().state.lock().overlay.is_empty());
    assert_eq!(fixture.database.durable_ts(), before);

    // Who read what was undone cannot build on it.
    assert!(matches!(fixture.database.commit(misled), Err(CommitError::Conflict { .. })));
    fixture.insert("t", object([("n", num(3.0))]));
    fixture.settle();
    assert!(fixture.database.durable_ts() > lost.ts);
    assert_eq!(values(&fixture.database), [1.0, 3.0]);
    assert_eq!(fixture.database.begin().unwrap().user(Namespace::ROOT).count("t").unwrap(), 2);
    assert!(fixture.database.catalog().table_by_name(Namespace::ROOT, &name("new")).is_none());
    // Who asks late is told the truth although later commits are durable.
    let late = fixture.database.wait_durable_blocking(lost.ts);
    assert!(matches!(late, Err(DurabilityError::NotStored(_))), "{late:?}");
    assert!(fixture.database.begin_at(lost.ts).is_err());
    assert!(!fixture.database.subscribe(reads, lost.ts, Arc::new(|| {})).is_valid());
    let reopened = open_on(Arc::new(fixture.store.after_crash()), DatabaseOptions::default(), &fixture.clock);
    assert_eq!(values(&reopened), [1.0, 3.0]);
    assert_eq!(reopened.begin().unwrap().user(Namespace::ROOT).count("t").unwrap(), 2);
}

#[test]
fn nobody_is_told_that_a_commit_did_not_happen_while_that_is_not_known() {
    let fixture = fixture();
    fixture.insert("t", object([("n", num(1.0))]));
    fixture.settle();
    fixture.store.faults().hold_commits(true);
    let (_, commit) = fixture.run(|transaction| insert(transaction, "t", object([("n", num(2.0))])));
    fixture.store.faults().fail_commits(StoreError::Undecided("the sync failed".to_owned()));
    let told = fixture.database.wait_durable_blocking(commit.ts);
    assert!(matches!(told, Err(DurabilityError::Unknown(_))), "{told:?}");
    assert!(fixture.database.is_undecided());
    fixture.store.faults().hold_commits(false);
    fixture.store.faults().mend_commits();
    wait_until(|| fixture.database.failure().is_none());
    fixture.insert("t", object([("n", num(3.0))]));
    fixture.settle();
    assert_eq!(values(&fixture.database), [1.0, 3.0]);
}

#[test]
fn closing_does_not_wait_for_a_disk_that_stays_full() {
    let fixture = fixture();
    fixture.insert("t", object([]));
    fixture.settle();
    fixture.store.faults().fail_commits(StoreError::DiskFull("no space left".to_owned()));
    fixture.insert("t", object([]));
    wait_until(|| fixture.database.failure().is_some());
    drop(fixture);
}

#[test]
fn a_full_queue_holds_commits_back_and_then_refuses_them() {
    let options = DatabaseOptions {
        queue_commits_max: 3,
        queue_wait_max: std::time::Duration::from_millis(30),
        ..DatabaseOptions::default()
    };
    let fixture = fixture_on(Arc::new(MemoryStore::new()), options);
    fixture.insert("t", object([]));
    fixture.settle();
    fixture.store.faults().hold_commits(true);
    for _ in 0..3 {
        fixture.insert("t", object([]));
    }
    let mut transaction = fixture.database.begin().unwrap();
    insert(&mut transaction, "t", object([]));
    assert!(matches!(fixture.database.commit(transaction), Err(CommitError::Overloaded)));
    fixture.store.faults().hold_commits(false);
    fixture.settle();
    fixture.insert("t", object([]));
}

#[test]
fn sqlite_keeps_everything_across_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let clock = ManualClock::new(Timestamp(1_700_000_000_000_000_000));
    let open = || {
        let store = SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
        open_on(Arc::new(store), DatabaseOptions::default(), &clock)
    };
    let database = open();
    let mut last = Timestamp::ZERO;
    for n in 0..20 {
        let mut transaction = database.begin().unwrap();
        insert(&mut transaction, "t", object([("n", num(f64::from(n)))]));
        last = database.commit(transaction).unwrap().ts;
    }
    drop(database);
    let database = open();
    assert_eq!(values(&database).len(), 20);
    assert!(database.visible_ts() >= last);
    let mut transaction = database.begin().unwrap();
    assert_eq!(transaction.user(Namespace::ROOT).count("t").unwrap(), 20);
    insert(&mut transaction, "t", object([("n", num(20.0))]));
    assert!(database.commit(transaction).unwrap().ts > last);
    database.wait_durable_blocking(database.visible_ts()).unwrap();
    let by_id = range("t.by_id", "desc", serde_json::json!([]));
    assert_eq!(collect(&mut database.begin().unwrap(), &by_id).len(), 21);
}
