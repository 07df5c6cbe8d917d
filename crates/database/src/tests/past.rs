//! Reads of the recent past.

use super::*;
use crate::SystemError;

#[test]
fn a_past_moment_reads_as_it_was() {
    let fixture = fixture();
    let id = fixture.insert("t", object([("n", num(1.0))]));
    add_index(&fixture, "t", "by_n", &["n"]);
    let before = fixture.database.visible_ts();
    fixture.run(|transaction| {
        let mut user = transaction.user(Namespace::ROOT);
        user.patch(&id, None, [("n".to_owned(), Some(num(9.0)))].into()).unwrap();
        user.insert("t", object([("n", num(5.0))])).unwrap();
        user.insert("later", object([])).unwrap();
    });
    let between = fixture.database.visible_ts();
    fixture.run(|transaction| transaction.user(Namespace::ROOT).delete(&id, None).map(|_| ()).unwrap());
    for durable in [false, true] {
        if durable {
            fixture.settle();
        }
        let numbers = |ts: Timestamp| -> Vec<f64> {
            let mut transaction = fixture.database.begin_at(ts).unwrap();
            assert_eq!(transaction.snapshot_ts(), ts);
            let rows = collect(&mut transaction, &range("t.by_n", "asc", serde_json::json!([])));
            assert_eq!(transaction.user(Namespace::ROOT).count("t").unwrap(), rows.len() as u64);
            rows.iter().map(|row| field(row, "n").as_f64().unwrap()).collect()
        };
        assert_eq!(numbers(before), [1.0]);
        assert_eq!(numbers(between), [5.0, 9.0]);
        assert_eq!(numbers(fixture.database.visible_ts()), [5.0]);
        let past = fixture.database.begin_at(before).unwrap();
        assert!(past.catalog().table_by_name(Namespace::ROOT, &name("later")).is_none());
    }
}

#[test]
fn moments_outside_the_window_are_refused_and_old_transactions_cannot_commit() {
    let fixture = fixture();
    fixture.insert("t", object([]));
    let old = fixture.database.visible_ts();
    let mut slow = fixture.database.begin().unwrap();
    insert(&mut slow, "t", object([]));
    fixture.insert("t", object([]));
    fixture.settle();
    fixture.clock.advance(61_000_000_000);
    fixture.insert("t", object([]));
    fixture.settle();
    wait_until(|| fixture.database.oldest_ts() > old);
    assert!(matches!(fixture.database.begin_at(old), Err(SystemError::OutOfRetention { .. })));
    assert!(matches!(
        fixture.database.commit(slow),
        Err(crate::CommitError::Conflict { conflicting_ts: None, .. })
    ));
    let future = fixture.database.visible_ts().succ();
    assert!(matches!(fixture.database.begin_at(future), Err(SystemError::OutOfRetention { .. })));
}

#[test]
fn an_index_that_was_dropped_since_is_not_read_in_the_past() {
    let fixture = fixture();
    let id = fixture.insert("t", object([("n", num(1.0))]));
    add_index(&fixture, "t", "by_n", &["n"]);
    let before = fixture.database.visible_ts();
    let index = fixture.database.begin().unwrap().index_states(Namespace::ROOT)[..]
        .iter()
        .find(|progress| progress.index.name == "by_n")
        .map(|progress| progress.index.id)
        .unwrap();
    fixture.run(|transaction| transaction.drop_index(index).unwrap());
    // From here on nobody keeps its entries up to date.
    fixture.run(|transaction| {
        let mut user = transaction.user(Namespace::ROOT);
        user.patch(&id, None, [("n".to_owned(), Some(num(9.0)))].into()).unwrap();
    });
    fixture.settle();
    let mut past = fixture.database.begin_at(before).unwrap();
    let by_n = range("t.by_n", "asc", serde_json::json!([]));
    assert!(matches!(
        past.user(Namespace::ROOT).collect(&by_n),
        Err(DatabaseError::System(SystemError::OutOfRetention { .. }))
    ));
    let rows = collect(&mut past, &scan("t", "asc", serde_json::json!([])));
    assert_eq!(field(&rows[0], "n"), num(1.0));
}

#[test]
fn the_window_counts_what_small_documents_take_in_memory_and_not_just_their_text() {
    let fixture = fixture();
    fixture.insert("t", object([("n", num(1.0))]));
    let (_, commit) = fixture.run(|transaction| insert(transaction, "t", object([("n", num(2.0))])));
    let state = fixture.database.shared().state.lock();
    let committed = state.window.after(Timestamp(commit.ts.0 - 1)).next().unwrap();
    // One map node for the fields alone; the text has some 80 bytes.
    let node = 11 * size_of::<(String, Value)>();
    assert!((node..4 * node).contains(&committed.weight), "{}", committed.weight);
    assert!(committed.record.weight() < node);
}
