//! Indexes that come, are built while others write, and go.

use super::*;

#[test]
fn an_index_on_a_filled_table_is_built_in_steps_while_documents_change() {
    let world = World::new(None);
    let ids: Vec<DocumentId> = (0..1500).map(|n| world.insert(nth(n), Value::from("a"))).collect();
    while world.database.step_commit() {}
    let index = world.declare(false);
    assert_eq!(world.state(index), Some(IndexState::Backfilling));
    let (mut steps, mut changed) = (0, ids.iter().step_by(7));
    let query = json!({"indexName": "t.i", "vector": [1, 0, 0], "expressions": null});
    while world.state(index) == Some(IndexState::Backfilling) {
        let expected = "Index t.i is currently backfilling and not available to query yet.";
        let query = VectorQuery::from_json(&query).unwrap();
        if steps == 0 {
            let catalog = world.database.catalog();
            let index = catalog.index(index).unwrap();
            assert_eq!(crate::transaction::usable::check_state(index, "t.i").unwrap_err().message, expected);
            assert_eq!(message(world.database.vector_search(Namespace::ROOT, &query)).1, expected);
        }
        world.database.step_commit();
        world.database.step_maintenance().unwrap();
        if let Some(id) = changed.next() {
            match steps % 3 {
                0 => world.delete(*id),
                1 => world.patch(*id, "v", floats(&[1.0, f64::from(steps), 0.5])),
                _ => drop(world.insert(nth(10_000 + steps), Value::from("b"))),
            }
        }
        steps += 1;
        assert!(steps < 1000, "too many steps");
    }
    assert!(steps > 3, "the build is made of steps");
    let (code, text) = message(world.search(query));
    assert_eq!(code, "IndexBackfillingError");
    assert_eq!(text, "Index t.i is currently backfilling and not available to query yet.");
    world.enable(index);
    world.check();
    world.settle();
    world.check();
}

#[test]
fn a_staged_index_is_kept_up_to_date_and_cannot_be_searched() {
    let world = World::new(None);
    world.insert(nth(1), Value::Null);
    let index = world.declare(true);
    world.settle();
    assert_eq!(world.state(index), Some(IndexState::Backfilled));
    world.insert(nth(2), Value::Null);
    let query = json!({"indexName": "t.i", "vector": [1, 0, 0], "expressions": null});
    let (code, text) = message(world.search(query));
    assert_eq!(code, "IndexStagedError");
    assert_eq!(text, "Index t.i is currently staged and not available to query until it is enabled.");
    world.enable(index);
    world.check();
}

#[test]
fn a_dropped_index_leaves_no_files_and_its_name_can_be_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(Some(folder.path()));
    for n in 0..50 {
        world.insert(nth(n), Value::from("a"));
    }
    let index = world.declare(false);
    world.settle();
    world.enable(index);
    world.settle();
    let path = folder.path().join(index.0.to_string());
    assert!(path.join("manifest").is_file());
    world.drop_index(index);
    let query = json!({"indexName": "t.i", "vector": [1, 0, 0], "expressions": null});
    assert_eq!(message(world.search(query)).0, "IndexNotFoundError");
    world.settle();
    assert!(!path.exists());
    let next = world.declare(false);
    world.settle();
    world.enable(next);
    world.settle();
    world.check();
    // Dropped by somebody else while this is not open.
    let without = world.crash(None);
    without.drop_index(next);
    without.settle();
    let again = without.crash(Some(folder.path()));
    again.settle();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn progress_is_told_while_an_index_is_built() {
    let world = World::new(None);
    for n in 0..600 {
        world.insert(nth(n), Value::Null);
    }
    while world.database.step_commit() {}
    let index = world.declare(false);
    let mut seen = Vec::new();
    while world.state(index) == Some(IndexState::Backfilling) {
        world.clock.advance(2_000_000_000);
        world.database.step_commit();
        world.database.step_maintenance().unwrap();
        let mut transaction = world.database.begin().unwrap();
        let rows = transaction.system(Namespace::ROOT).all(&"_index_backfills".parse().unwrap()).unwrap();
        let number = |row: &crate::Document, field: &str| row.object().unwrap().get(field).cloned();
        seen.extend(rows.iter().map(|row| (number(row, "numDocsIndexed"), number(row, "totalDocs"))));
    }
    assert!(seen.contains(&(Some(Value::Int64(256)), Some(Value::Int64(600)))), "{seen:?}");
}
