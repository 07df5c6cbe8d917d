//! A database in steps: nothing happens by itself, nothing blocks, and chance has no part in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use freshet_store::StoreError;
use parking_lot::Mutex;

use super::*;
use crate::{CommitError, IndexSpec, IndexState};

fn stepped(options: DatabaseOptions) -> Fixture {
    let clock = ManualClock::new(Timestamp(1_700_000_000_000_000_000));
    opened(Arc::new(MemoryStore::new()), clock, options, 1)
}

/// The database of a store, with randomness of its own.
fn opened(store: Arc<MemoryStore>, clock: Arc<ManualClock>, options: DatabaseOptions, seed: u8) -> Fixture {
    let database = Database::open_stepped(
        Arc::clone(&store) as Arc<dyn Store>,
        options,
        Arc::clone(&clock) as _,
        Randomness::from_seed([seed; 32]),
    )
    .unwrap();
    Fixture { database, store, clock }
}

fn store_all(fixture: &Fixture) {
    while fixture.database.step_commit() {}
}

#[test]
fn commits_are_stored_by_steps_alone_and_what_was_not_stored_is_lost_with_the_last_handle() {
    let fixture = stepped(DatabaseOptions::default());
    store_all(&fixture);
    assert!(!fixture.database.step_commit());
    fixture.insert("t", object([]));
    let commit = fixture.run(|transaction| insert(transaction, "t", object([]))).1;
    assert_eq!(fixture.database.queued().0, 2);
    assert!(fixture.database.durable_ts() < commit.ts);
    assert!(fixture.database.step_commit());
    assert_eq!((fixture.database.queued().0, fixture.database.durable_ts()), (0, commit.ts));
    assert!(fixture.shared_overlay_is_empty());
    fixture.insert("t", object([]));
    let Fixture { database, store, clock } = fixture;
    drop(database);
    let reopened = open_on(store, DatabaseOptions::default(), &clock);
    let mut transaction = reopened.begin().unwrap();
    assert_eq!(transaction.system(Namespace::ROOT).count(&name("t")).unwrap(), 2);
}

#[test]
fn whatever_would_block_fails_at_once_or_takes_the_steps_itself() {
    let fixture = stepped(DatabaseOptions {
        queue_commits_max: 2,
        queue_wait_max: Duration::from_secs(3600),
        exclusive_wait_max: Duration::from_secs(3600),
        ..DatabaseOptions::default()
    });
    store_all(&fixture);
    fixture.insert("t", object([]));
    let commit = fixture.run(|transaction| insert(transaction, "t", object([]))).1;
    let mut transaction = fixture.database.begin().unwrap();
    insert(&mut transaction, "t", object([]));
    assert!(matches!(fixture.database.commit(transaction), Err(CommitError::Overloaded)));
    fixture.database.wait_durable_blocking(commit.ts).unwrap();
    assert!(fixture.database.wait_durable_blocking(commit.ts.succ()).is_err(), "nothing could store that");
    let guard = fixture.database.exclusive().unwrap();
    assert!(matches!(fixture.database.exclusive(), Err(CommitError::Overloaded)));
    let mut transaction = fixture.database.begin().unwrap();
    insert(&mut transaction, "t", object([]));
    assert!(matches!(fixture.database.commit(transaction), Err(CommitError::Overloaded)));
    let mut transaction = fixture.database.begin().unwrap();
    transaction.hold(guard);
    insert(&mut transaction, "t", object([]));
    fixture.database.commit(transaction).unwrap();
    fixture.insert("t", object([]));
}

#[test]
fn an_index_is_built_and_a_dropped_table_removed_one_step_at_a_time() {
    let options = DatabaseOptions { backfill_chunk: 2, ..DatabaseOptions::default() };
    let fixture = stepped(options);
    for n in 0..5 {
        fixture.insert("t", object([("n", num(f64::from(n)))]));
    }
    store_all(&fixture);
    let spec = IndexSpec::Database { fields: vec!["n".parse().unwrap()] };
    let index = fixture
        .run(|transaction| {
            let by_n = "by_n".parse().unwrap();
            transaction.create_index(Namespace::ROOT, &name("t"), &by_n, spec, false).unwrap()
        })
        .0;
    let state = || fixture.database.catalog().index(index).unwrap().state;
    let mut steps = 0;
    while state() == IndexState::Backfilling {
        assert!(fixture.database.step_maintenance().unwrap());
        steps += 1;
    }
    assert_eq!(steps, 4, "three chunks of entries, and the index is complete");
    while fixture.database.step_maintenance().unwrap() {}
    fixture.run(|transaction| transaction.enable_index(index).unwrap());
    let rows =
        fixture.run(|transaction| collect(transaction, &range("t.by_n", "desc", serde_json::json!([]))));
    assert_eq!(rows.0.len(), 5);
    fixture.run(|transaction| assert!(transaction.drop_table(Namespace::ROOT, &name("t")).unwrap()));
    assert!(!fixture.database.step_maintenance().unwrap(), "the past can be read still");
    fixture.clock.advance(120 * 1_000_000_000);
    fixture.insert("other", object([]));
    store_all(&fixture);
    let table = fixture.database.catalog().table_of_index(index).unwrap().id;
    while fixture.database.step_maintenance().unwrap() {}
    assert!(fixture.database.catalog().table(table).is_none());
    assert!(fixture.store.table_counts().unwrap().iter().all(|(counted, _)| *counted != table));
}

#[test]
fn index_entries_that_were_undone_are_made_again_before_the_index_counts_as_complete() {
    // What a recovery from a failed write would do, without one: the builder's memory is of a commit that is not there.
    let fixture = stepped(DatabaseOptions { backfill_chunk: 2, ..DatabaseOptions::default() });
    for n in 0..2 {
        fixture.insert("t", object([("n", num(f64::from(n)))]));
    }
    let spec = IndexSpec::Database { fields: vec!["n".parse().unwrap()] };
    let index = fixture
        .run(|transaction| {
            let by_n = "by_n".parse().unwrap();
            transaction.create_index(Namespace::ROOT, &name("t"), &by_n, spec, false).unwrap()
        })
        .0;
    assert!(fixture.database.step_maintenance().unwrap());
    fixture.run(|transaction| {
        let backfills = name("_index_backfills");
        let rows = transaction.system(Namespace::ROOT).all(&backfills).unwrap();
        for row in rows {
            transaction.system(Namespace::ROOT).delete(&backfills, row.id()).unwrap();
        }
    });
    assert!(fixture.database.step_maintenance().unwrap());
    assert_eq!(fixture.database.catalog().index(index).unwrap().state, IndexState::Backfilling);
    while fixture.database.step_maintenance().unwrap() {}
    assert_eq!(fixture.database.catalog().index(index).unwrap().state, IndexState::Backfilled);
}

#[test]
fn an_index_goes_on_being_built_after_a_failure_that_undid_a_part_of_it() {
    let fixture = stepped(DatabaseOptions { backfill_chunk: 2, ..DatabaseOptions::default() });
    for n in 0..5 {
        fixture.insert("t", object([("x", num(f64::from(n)))]));
    }
    create_index(&fixture, "t", false);
    store_all(&fixture);
    assert!(fixture.database.step_maintenance().unwrap());
    fixture.store.faults().fail_commits(StoreError::DiskFull("no space left".to_owned()));
    assert!(fixture.database.step_commit());
    assert!(fixture.database.failure().is_some());
    assert!(fixture.database.step_maintenance().is_err());
    fixture.store.faults().mend_commits();
    assert!(fixture.database.step_commit());
    assert!(fixture.database.failure().is_none());
    while fixture.database.step_maintenance().unwrap() {}
    let index = index_of(&fixture, "t", "by_x");
    assert_eq!(index.state, IndexState::Backfilled);
    fixture.run(|transaction| transaction.enable_index(index.id).unwrap());
    let rows =
        fixture.run(|transaction| collect(transaction, &range("t.by_x", "asc", serde_json::json!([]))));
    assert_eq!(rows.0.len(), 5);
}

/// A run with everything that could depend on chance; returns what can be observed.
fn observe() -> Vec<String> {
    let fixture = stepped(DatabaseOptions { backfill_chunk: 3, ..DatabaseOptions::default() });
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut ids: Vec<String> = Vec::new();
    for n in 0..10 {
        ids.push(fixture.insert("t", object([("n", num(f64::from(n)))])));
    }
    let mut transaction = fixture.database.begin().unwrap();
    collect(&mut transaction, &scan("t", "asc", serde_json::json!([])));
    let reads = Arc::new(transaction.read_set().clone());
    let watchers: Vec<_> = (0..50)
        .map(|watcher| {
            let seen = Arc::clone(&seen);
            let waker = Arc::new(move || seen.lock().push(format!("woke {watcher}")));
            fixture.database.subscribe(Arc::clone(&reads), fixture.database.visible_ts(), waker)
        })
        .collect();
    let spec = || IndexSpec::Database { fields: vec!["n".parse().unwrap()] };
    fixture.run(|transaction| {
        for index in ["a", "b"] {
            let index = index.parse().unwrap();
            transaction.create_index(Namespace::ROOT, &name("t"), &index, spec(), false).unwrap();
        }
        let mut user = transaction.user(Namespace::ROOT);
        for id in &ids {
            user.patch(id, None, BTreeMap::from([("n".to_owned(), Some(num(0.0)))])).unwrap();
        }
        insert(transaction, "new", object([]));
    });
    while fixture.database.step_maintenance().unwrap() {
        let (commits, bytes) = fixture.database.queued();
        seen.lock().push(format!("{commits} {bytes} {}", fixture.database.visible_ts()));
    }
    store_all(&fixture);
    drop(watchers);
    let log = fixture.store.read_log(Timestamp(0), usize::MAX, usize::MAX).unwrap();
    let mut seen = seen.lock().clone();
    seen.extend(log.iter().map(|entry| format!("{entry:?}")));
    seen
}

#[test]
fn the_same_clock_and_randomness_give_the_same_run() {
    let first = observe();
    assert!(first.iter().any(|line| line == "woke 49"));
    assert_eq!(first, observe());
}

fn index_of(fixture: &Fixture, table: &str, index: &str) -> Arc<crate::IndexMeta> {
    let catalog = fixture.database.catalog();
    let table = catalog.table_by_name(Namespace::ROOT, &name(table)).unwrap();
    Arc::clone(catalog.index_by_name(table.id, &index.parse().unwrap()).unwrap())
}

fn create_index(fixture: &Fixture, table: &str, staged: bool) {
    let spec = IndexSpec::Database { fields: vec!["x".parse().unwrap()] };
    fixture.run(|transaction| {
        let index = "by_x".parse().unwrap();
        transaction.create_index(Namespace::ROOT, &name(table), &index, spec, staged).unwrap()
    });
}

#[test]
fn opening_waits_for_the_indexes_of_system_tables_and_for_no_others() {
    let fixture = stepped(DatabaseOptions::default());
    for n in 0..10 {
        fixture.insert("t", object([("x", num(f64::from(n)))]));
    }
    create_index(&fixture, "t", false);
    // As if this release had an index more than the one before.
    let by_hash = index_of(&fixture, "_modules", "by_hash").id;
    fixture.run(|transaction| {
        let fields = Object::from([("sha256".to_owned(), Value::from("abc"))]);
        transaction.system(Namespace::ROOT).insert(&name("_modules"), fields).unwrap();
        transaction.drop_index(by_hash).unwrap();
    });
    store_all(&fixture);
    let Fixture { database, store, clock } = fixture;
    drop(database);
    let fixture = opened(store, clock, DatabaseOptions::default(), 2);
    assert_eq!(index_of(&fixture, "_modules", "by_hash").state, IndexState::Enabled);
    let mut transaction = fixture.database.begin().unwrap();
    let found = transaction.system(Namespace::ROOT).find(&name("_modules"), "by_hash", &[Value::from("abc")]);
    assert_eq!(found.unwrap().len(), 1);
    assert_eq!(index_of(&fixture, "t", "by_x").state, IndexState::Backfilling);
    while fixture.database.step_maintenance().unwrap() {}
    assert_eq!(index_of(&fixture, "t", "by_x").state, IndexState::Backfilled);
}

#[test]
fn a_staged_index_is_built_after_those_that_a_push_waits_for() {
    let fixture = stepped(DatabaseOptions { backfill_chunk: 2, ..DatabaseOptions::default() });
    for table in ["staged", "wanted"] {
        for n in 0..20 {
            fixture.insert(table, object([("x", num(f64::from(n)))]));
        }
    }
    store_all(&fixture);
    create_index(&fixture, "staged", true);
    for _ in 0..3 {
        fixture.database.step_maintenance().unwrap();
    }
    create_index(&fixture, "wanted", false);
    while index_of(&fixture, "wanted", "by_x").state == IndexState::Backfilling {
        fixture.database.step_maintenance().unwrap();
    }
    assert_eq!(index_of(&fixture, "staged", "by_x").state, IndexState::Backfilling);
    while fixture.database.step_maintenance().unwrap() {}
    assert_eq!(index_of(&fixture, "staged", "by_x").state, IndexState::Backfilled);
}

/// Hands in a schema in which `x` is a number.
fn want_numbers(fixture: &Fixture) -> freshet_values::DocumentId {
    let text = r#"{"schemaValidation":true,"tables":[{"tableName":"t","documentType":{"type":"object","value":
        {"x":{"fieldType":{"type":"number"},"optional":false}}}}]}"#;
    let schema = crate::schema::parse(text).unwrap();
    fixture.run(|transaction| crate::schema::submit(transaction, Namespace::ROOT, &schema).unwrap()).0
}

fn schema_state(database: &Database, id: freshet_values::DocumentId) -> crate::schema::SchemaState {
    let row = crate::schema::get(&mut database.begin().unwrap(), Namespace::ROOT, id).unwrap();
    row.unwrap().state
}

fn set_x(fixture: &Fixture, id: &str, x: Value) {
    fixture.run(|transaction| {
        let fields = BTreeMap::from([("x".to_owned(), Some(x))]);
        transaction.user(Namespace::ROOT).patch(id, None, fields).unwrap();
    });
}

#[test]
fn a_check_of_documents_that_was_cut_short_goes_on_where_it_was() {
    let options = DatabaseOptions { validation_chunk: 10, ..DatabaseOptions::default() };
    let fixture = stepped(options.clone());
    let ids: Vec<String> =
        (0..200).map(|n| fixture.insert("t", object([("x", num(f64::from(n)))]))).collect();
    // Documents are checked in the order of their ids.
    set_x(&fixture, ids.iter().max().unwrap(), Value::Null);
    store_all(&fixture);
    let id = want_numbers(&fixture);
    for _ in 0..14 {
        fixture.database.step_maintenance().unwrap();
    }
    assert_eq!(schema_state(&fixture.database, id), crate::schema::SchemaState::Pending);
    store_all(&fixture);
    let Fixture { database, store, clock } = fixture;
    drop(database);
    let randomness = Randomness::from_seed([2; 32]);
    let database = Database::open_stepped(store, options, Arc::clone(&clock) as _, randomness).unwrap();
    let mut steps = 0;
    while schema_state(&database, id) == crate::schema::SchemaState::Pending {
        database.step_maintenance().unwrap();
        steps += 1;
    }
    assert_eq!(steps, 8, "twelve of twenty steps were noted");
    let crate::schema::SchemaState::Failed { error, table_name } = schema_state(&database, id) else {
        panic!("it has the wrong state")
    };
    assert_eq!(table_name.as_deref(), Some("t"));
    assert!(error.ends_with(
        "\" in table \"t\" does not match the schema: Value does not match validator.\nPath: .x\nValue: null\nValidator: \
         v.float64()"
    ));
}

#[test]
fn no_schema_counts_as_valid_because_of_a_write_that_was_undone() {
    let fixture = stepped(DatabaseOptions { validation_chunk: 2, ..DatabaseOptions::default() });
    let bad = fixture.insert("t", object([("x", Value::Null)]));
    for n in 0..20 {
        fixture.insert("t", object([("x", num(f64::from(n)))]));
    }
    let id = want_numbers(&fixture);
    store_all(&fixture);
    set_x(&fixture, &bad, num(1.0));
    // Long enough to read the new version, and to note that.
    for _ in 0..6 {
        fixture.database.step_maintenance().unwrap();
    }
    fixture.store.faults().fail_commits(StoreError::DiskFull("no space left".to_owned()));
    assert!(fixture.database.step_commit());
    fixture.store.faults().mend_commits();
    assert!(fixture.database.step_commit());
    while fixture.database.step_maintenance().unwrap() {}
    let state = schema_state(&fixture.database, id);
    assert!(matches!(state, crate::schema::SchemaState::Failed { .. }), "{state:?}");
}

#[test]
fn the_log_is_forgotten_although_the_clock_was_set_back() {
    const YEAR: u64 = 365 * 24 * 3600 * 1_000_000_000;
    const HOUR: u64 = 3600 * 1_000_000_000;
    let fixture = stepped(DatabaseOptions::default());
    fixture.insert("t", object([]));
    store_all(&fixture);
    let Fixture { database, store, .. } = fixture;
    drop(database);
    let clock = ManualClock::new(Timestamp(1_700_000_000_000_000_000 - YEAR));
    let fixture = opened(store, clock, DatabaseOptions::default(), 2);
    let mut moments = Vec::new();
    for _ in 0..96 {
        moments.push(fixture.insert_at("t"));
        store_all(&fixture);
        while fixture.database.step_maintenance().unwrap() {}
        fixture.clock.advance(HOUR);
    }
    assert!(moments[95].0 > 1_700_000_000_000_000_000, "timestamps never go back");
    let is_kept = |at: &Timestamp| fixture.store.read_log(*at, 1, usize::MAX).is_ok();
    let kept = moments.iter().filter(|at| is_kept(at)).count();
    assert!((48..=50).contains(&kept), "two days of {kept} hours");
}
