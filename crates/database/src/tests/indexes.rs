//! The life of indexes and tables.

use std::collections::BTreeMap;

use super::*;
use crate::{IndexSpec, IndexState};

fn fields(fields: &[&str]) -> IndexSpec {
    IndexSpec::Database { fields: fields.iter().map(|field| field.parse().unwrap()).collect() }
}

#[test]
fn unusable_indexes_are_explained() {
    let fixture = fixture();
    fixture.insert("t", object([]));
    let create = |index: &str, spec, staged| {
        fixture
            .run(|transaction| {
                transaction
                    .create_index(Namespace::ROOT, &name("t"), &index.parse().unwrap(), spec, staged)
                    .unwrap()
            })
            .0
    };
    let all = |index: &str| range(index, "asc", serde_json::json!([]));
    let ask =
        |index: &str| message(fixture.database.begin().unwrap().user(Namespace::ROOT).collect(&all(index)));
    assert_eq!(ask("t.by_x"), "Index t.by_x not found.");
    assert_eq!(ask("nothing.by_x"), "Index nothing.by_x not found.");
    let building = create("by_x", fields(&["x"]), false);
    assert_eq!(ask("t.by_x"), "Index t.by_x is currently backfilling and not available to query yet.");
    create("by_y", fields(&["y"]), true);
    assert_eq!(
        ask("t.by_y"),
        "Index t.by_y is currently staged and not available to query until it is enabled."
    );
    let search = IndexSpec::Search { search_field: "s".parse().unwrap(), filter_fields: Vec::new() };
    create("words", search, false);
    assert_eq!(ask("t.words"), "Index t.words is not a database index");
    wait_until(|| fixture.database.catalog().index(building).unwrap().state == IndexState::Backfilled);
    fixture.run(|transaction| transaction.enable_index(building).unwrap());
    let mut transaction = fixture.database.begin().unwrap();
    assert_eq!(collect(&mut transaction, &all("t.by_x")).len(), 1);
    assert!(collect(&mut transaction, &all("nothing.by_creation_time")).is_empty());
    assert!(collect(&mut transaction, &scan("_modules", "asc", serde_json::json!([]))).is_empty());
}

#[test]
fn an_index_built_while_writes_go_on_is_exact() {
    let options = DatabaseOptions { backfill_chunk: 7, ..DatabaseOptions::default() };
    let fixture = fixture_on(Arc::new(MemoryStore::new()), options);
    let ids: Vec<String> =
        (0..200).map(|n| fixture.insert("t", object([("x", num(f64::from(n % 10)))]))).collect();
    let index = fixture
        .run(|transaction| {
            transaction
                .create_index(Namespace::ROOT, &name("t"), &"by_x".parse().unwrap(), fields(&["x"]), false)
                .unwrap()
        })
        .0;
    let mut step = 0;
    while fixture.database.catalog().index(index).unwrap().state == IndexState::Backfilling || step < 100 {
        step += 1;
        let id = &ids[(step * 37) % ids.len()];
        let mut transaction = fixture.database.begin().unwrap();
        let mut user = transaction.user(Namespace::ROOT);
        if user.get(id, None, false).unwrap().is_none() {
            continue;
        }
        if step % 5 == 0 {
            user.delete(id, None).unwrap();
        } else {
            let x = num((step % 13) as f64);
            user.patch(id, None, BTreeMap::from([("x".to_owned(), Some(x))])).unwrap();
        }
        match fixture.database.commit(transaction) {
            // The change of the index's state is a conflict for whoever writes to the table just then.
            Ok(_) | Err(crate::CommitError::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    fixture.run(|transaction| transaction.enable_index(index).unwrap());
    for _ in 0..2 {
        let mut transaction = fixture.database.begin().unwrap();
        let mut expected: Vec<(u64, u64)> =
            collect(&mut transaction, &scan("t", "asc", serde_json::json!([])))
                .iter()
                .map(|row| {
                    let bits = |name| field(row, name).as_f64().unwrap().to_bits();
                    (bits("x"), bits("_creationTime"))
                })
                .collect();
        expected.sort_unstable();
        let found: Vec<(u64, u64)> =
            collect(&mut transaction, &range("t.by_x", "asc", serde_json::json!([])))
                .iter()
                .map(|row| {
                    let bits = |name| field(row, name).as_f64().unwrap().to_bits();
                    (bits("x"), bits("_creationTime"))
                })
                .collect();
        assert_eq!(found, expected);
        fixture.settle();
    }
}

#[test]
fn a_build_goes_on_after_a_restart() {
    let fixture = fixture();
    for n in 0..20 {
        fixture.insert("t", object([("x", num(f64::from(n)))]));
    }
    fixture.settle();
    // The declaration becomes durable, the first step of the build does not.
    let index = {
        let mut transaction = fixture.database.begin().unwrap();
        let index = transaction
            .create_index(Namespace::ROOT, &name("t"), &"by_x".parse().unwrap(), fields(&["x"]), false)
            .unwrap();
        let commit = fixture.database.commit(transaction).unwrap();
        fixture.database.wait_durable_blocking(commit.ts).unwrap();
        index
    };
    let store = Arc::new(fixture.store.after_crash());
    let reopened = open_on(store, DatabaseOptions::default(), &fixture.clock);
    wait_until(|| reopened.catalog().index(index).unwrap().state == IndexState::Backfilled);
    let mut transaction = reopened.begin().unwrap();
    transaction.enable_index(index).unwrap();
    reopened.commit(transaction).unwrap();
    let rows = collect(&mut reopened.begin().unwrap(), &range("t.by_x", "asc", serde_json::json!([])));
    assert_eq!(rows.len(), 20);
}

#[test]
fn a_replaced_index_serves_until_the_new_one_is_enabled() {
    let fixture = fixture();
    fixture.insert("t", object([("a", num(1.0)), ("b", num(2.0))]));
    add_index(&fixture, "t", "i", &["a"]);
    let old = fixture.database.catalog();
    let table = Arc::clone(old.table_by_name(Namespace::ROOT, &name("t")).unwrap());
    let index = "i".parse().unwrap();
    let old = old.index_by_name(table.id, &index).unwrap().id;
    let new = fixture
        .run(|transaction| {
            transaction.create_index(Namespace::ROOT, &name("t"), &index, fields(&["b"]), false).unwrap()
        })
        .0;
    let by =
        |name: &str| range("t.i", "asc", serde_json::json!([{"type": "Gt", "fieldPath": name, "value": 0}]));
    assert_eq!(collect(&mut fixture.database.begin().unwrap(), &by("a")).len(), 1);
    wait_until(|| fixture.database.catalog().index(new).unwrap().state == IndexState::Backfilled);
    fixture.run(|transaction| {
        transaction.drop_index(old).unwrap();
        transaction.enable_index(new).unwrap();
    });
    assert_eq!(collect(&mut fixture.database.begin().unwrap(), &by("b")).len(), 1);
    let states = fixture.database.begin().unwrap().index_states(Namespace::ROOT);
    assert_eq!(states.iter().filter(|state| state.table == "t").count(), 1);
}

#[test]
fn dropped_tables_are_gone_at_once_and_removed_when_nobody_can_read_them() {
    let fixture = fixture();
    let id = fixture.insert("t", object([("x", num(1.0))]));
    add_index(&fixture, "t", "by_x", &["x"]);
    fixture.settle();
    let table = fixture.database.catalog().table_by_name(Namespace::ROOT, &name("t")).unwrap().id;
    let mut writer = fixture.database.begin().unwrap();
    insert(&mut writer, "t", object([]));
    let before = fixture.database.visible_ts();
    fixture.run(|transaction| assert!(transaction.drop_table(Namespace::ROOT, &name("t")).unwrap()));
    assert!(matches!(fixture.database.commit(writer), Err(crate::CommitError::Conflict { .. })));
    let all = scan("t", "asc", serde_json::json!([]));
    let mut transaction = fixture.database.begin().unwrap();
    assert!(collect(&mut transaction, &all).is_empty());
    assert!(transaction.user(Namespace::ROOT).get(&id, None, false).unwrap().is_none());
    assert_eq!(collect(&mut fixture.database.begin_at(before).unwrap(), &all).len(), 1);
    drop(transaction);
    fixture.clock.advance(120_000_000_000);
    // A new table of the same name is another table, and makes the old moments leave the window.
    fixture.insert("t", object([]));
    fixture.settle();
    wait_until(|| {
        fixture.database.shared().maintenance.wake();
        fixture.database.catalog().table(table).is_none()
    });
    assert!(fixture.store.table_counts().unwrap().iter().all(|(counted, _)| *counted != table));
    assert_eq!(collect(&mut fixture.database.begin().unwrap(), &all).len(), 1);
}

#[test]
fn table_numbers_are_the_documented_ones() {
    let fixture = fixture();
    fixture.insert("first", object([]));
    fixture.insert("second", object([]));
    let component = Namespace(7);
    fixture.run(|transaction| {
        transaction.user(component).insert("first", object([])).unwrap();
        transaction.system(component).insert(&name("_file_storage"), Object::new()).unwrap();
    });
    let catalog = fixture.database.catalog();
    let number = |namespace, table: &str| catalog.table_by_name(namespace, &name(table)).unwrap().number.0;
    assert_eq!((number(Namespace::ROOT, "first"), number(Namespace::ROOT, "second")), (10_001, 10_002));
    assert_eq!(number(component, "first"), 10_001);
    assert_eq!(number(Namespace::ROOT, "_scheduled_jobs"), 539);
    assert_eq!((number(Namespace::ROOT, "_file_storage"), number(component, "_file_storage")), (540, 540));
    assert_eq!((number(Namespace::ROOT, "_tables"), number(Namespace::ROOT, "_index")), (513, 514));
}

/// Index entries that the store gets for a patch of one document by an index over `x`.
fn entries_written(fixture: &Fixture, id: &str, field: &str, value: f64) -> usize {
    let (_, commit) = fixture.run(|transaction| {
        let fields = BTreeMap::from([(field.to_owned(), Some(num(value)))]);
        transaction.user(Namespace::ROOT).patch(id, None, fields).unwrap();
    });
    let state = fixture.database.shared().state.lock();
    let committed = state.window.after(Timestamp(commit.ts.0 - 1)).next().unwrap();
    committed.record.indexes.len()
}

#[test]
fn entries_that_stay_where_they_are_are_not_stored_again() {
    let fixture = fixture();
    let id = fixture.insert("t", object([("x", num(1.0))]));
    add_index(&fixture, "t", "by_x", &["x"]);
    assert_eq!(entries_written(&fixture, &id, "y", 1.0), 0);
    assert_eq!(entries_written(&fixture, &id, "x", 2.0), 2);
    fixture.settle();
    wait_until(|| fixture.database.shared().state.lock().overlay.is_empty());
    let mut transaction = fixture.database.begin().unwrap();
    let rows = collect(&mut transaction, &range("t.by_x", "asc", serde_json::json!([])));
    assert_eq!((field(&rows[0], "x"), field(&rows[0], "y")), (num(2.0), num(1.0)));
}

#[test]
fn entries_of_an_index_that_is_being_built_are_stored_even_if_they_stay_where_they_are() {
    let fixture = fixture();
    let id = fixture.insert("t", object([("x", num(1.0))]));
    // The build itself leaves out documents that are written meanwhile. Here it does not get to its first step.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = parking_lot::Mutex::new(released);
    fixture.store.faults().on_snapshot(move || {
        if std::thread::current().name() == Some("freshet-maintenance") {
            let _ = released.lock().recv();
        }
    });
    fixture.run(|transaction| {
        let index = "by_x".parse().unwrap();
        transaction.create_index(Namespace::ROOT, &name("t"), &index, fields(&["x"]), false).unwrap()
    });
    assert_eq!(entries_written(&fixture, &id, "y", 1.0), 1);
    drop(release);
}
