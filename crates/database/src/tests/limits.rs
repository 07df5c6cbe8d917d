//! Limits of one transaction, their texts, and what nested calls share of them.

use super::*;
use crate::{Budget, TransactionLimits};

const HELP: &str = "Consider using smaller limits in your queries, paginating your queries, or using indexed queries \
                    with a selective index range expressions.";

fn limited(limits: TransactionLimits) -> Fixture {
    fixture_on(Arc::new(MemoryStore::new()), DatabaseOptions { limits, ..DatabaseOptions::default() })
}

fn fill(fixture: &Fixture, rows: usize) -> Vec<String> {
    (0..rows).map(|_| fixture.insert("t", object([]))).collect()
}

#[test]
fn reading_too_much_fails_with_the_documented_texts() {
    let fixture = limited(TransactionLimits { documents_read: 3, ..Default::default() });
    fill(&fixture, 4);
    let mut transaction = fixture.database.begin().unwrap();
    let all = scan("t", "asc", serde_json::json!([]));
    let rejected = scan("t", "asc", serde_json::json!([{"filter": {"$literal": false}}]));
    for query in [&all, &rejected] {
        let mut transaction = fixture.database.begin().unwrap();
        assert_eq!(
            message(transaction.user(Namespace::ROOT).collect(query)),
            format!("Too many documents read in a single function execution (limit: 3). {HELP}")
        );
    }
    assert_eq!(collect(&mut transaction, &scan("t", "asc", serde_json::json!([{"limit": 3}]))).len(), 3);

    let fixture = limited(TransactionLimits { bytes_read: 100, ..Default::default() });
    fill(&fixture, 2);
    assert_eq!(
        message(fixture.database.begin().unwrap().user(Namespace::ROOT).collect(&all)),
        format!("Too many bytes read in a single function execution (limit: 100 bytes). {HELP}")
    );

    let fixture = limited(TransactionLimits { intervals_read: 2, ..Default::default() });
    let ids = fill(&fixture, 3);
    let mut transaction = fixture.database.begin().unwrap();
    let mut user = transaction.user(Namespace::ROOT);
    for id in [&ids[0], &ids[1], &ids[1], &ids[0]] {
        user.get(id, None, false).unwrap();
    }
    assert_eq!(
        message(user.get(&ids[2], None, false)),
        format!("Too many reads in a single function execution (limit: 2). {HELP}")
    );
}

#[test]
fn writing_documents_takes_nothing_from_the_limit_on_ranges() {
    let fixture = limited(TransactionLimits { intervals_read: 2, ..Default::default() });
    let ids = fill(&fixture, 5);
    fixture.run(|transaction| {
        let mut user = transaction.user(Namespace::ROOT);
        user.get(&ids[0], None, false).unwrap();
        for id in &ids {
            user.delete(id, None).unwrap();
        }
        assert_eq!(transaction.usage().intervals_read, 1);
        assert_eq!(transaction.usage().documents_read, 6);
    });
    assert_eq!(
        collect(&mut fixture.database.begin().unwrap(), &scan("t", "asc", serde_json::json!([]))).len(),
        0
    );
}

#[test]
fn a_write_over_the_limit_is_not_applied_and_the_rest_commits() {
    let fixture = limited(TransactionLimits { documents_written: 2, ..Default::default() });
    fixture.run(|transaction| {
        insert(transaction, "t", object([]));
        insert(transaction, "t", object([]));
        for _ in 0..2 {
            assert_eq!(
                message(transaction.user(Namespace::ROOT).insert("t", object([]))),
                "Too many writes in a single function execution (limit: 2)"
            );
        }
    });
    assert_eq!(fixture.database.begin().unwrap().user(Namespace::ROOT).count("t").unwrap(), 2);

    let fixture = limited(TransactionLimits { bytes_written: 1 << 20, ..Default::default() });
    let large = || object([("s", Value::from("x".repeat(600_000)))]);
    fixture.run(|transaction| {
        insert(transaction, "t", large());
        assert_eq!(
            message(transaction.user(Namespace::ROOT).insert("t", large())),
            "Too many bytes written in a single function execution (limit: 1 MiB)"
        );
    });
}

/// A table "t" with two indexes on `s`, in a database where the keys of so many documents of `text()` may be made.
fn with_two_indexes(documents: u64) -> (Fixture, String) {
    let limits = TransactionLimits { index_key_bytes: documents * KEY_BYTES, ..Default::default() };
    let fixture = limited(limits);
    let id = fixture.insert("t", text());
    add_index(&fixture, "t", "by_s", &["s"]);
    add_index(&fixture, "t", "by_s_and_other", &["s", "other"]);
    (fixture, id)
}

fn text() -> Value {
    object([("s", Value::from("x".repeat(1000)))])
}

/// Text, creation time and id in both indexes, and a field that is not there in one of them.
const KEY_BYTES: u64 = 2 * (1002 + 9 + 34) + 1;

#[test]
fn index_keys_over_the_limit_are_not_written_and_the_rest_commits() {
    let (fixture, _) = with_two_indexes(2);
    fixture.run(|transaction| {
        insert(transaction, "t", text());
        insert(transaction, "t", text());
        assert_eq!(transaction.usage().index_key_bytes, 2 * KEY_BYTES);
        insert(transaction, "without_indexes", text());
        assert_eq!(
            message(transaction.user(Namespace::ROOT).insert("t", object([]))),
            "Too many bytes of index keys written in a single function execution (limit: 4.08 KiB). Consider writing \
             fewer documents at a time, or using fewer indexes on large fields."
        );
        // Nor is a table made for a document that is refused.
        assert!(transaction.user(Namespace::ROOT).insert("new", object([])).is_err());
        assert!(transaction.catalog().table_by_name(Namespace::ROOT, &name("new")).is_none());
    });
    assert_eq!(fixture.database.begin().unwrap().user(Namespace::ROOT).count("t").unwrap(), 3);
}

#[test]
fn index_keys_count_before_and_after_a_write_and_once_in_a_transaction() {
    let (fixture, id) = with_two_indexes(4);
    fixture.run(|transaction| {
        let patch = |n| std::collections::BTreeMap::from([("n".to_owned(), Some(num(n)))]);
        transaction.user(Namespace::ROOT).patch(&id, None, patch(1.0)).unwrap();
        assert_eq!(transaction.usage().index_key_bytes, 2 * KEY_BYTES);
        transaction.user(Namespace::ROOT).patch(&id, None, patch(2.0)).unwrap();
        assert_eq!(transaction.usage().index_key_bytes, 3 * KEY_BYTES);
        transaction.begin_sub(None);
        transaction.user(Namespace::ROOT).patch(&id, None, patch(3.0)).unwrap();
        assert!(transaction.user(Namespace::ROOT).patch(&id, None, patch(4.0)).is_err());
        transaction.rollback_sub().unwrap();
        transaction.user(Namespace::ROOT).patch(&id, None, patch(5.0)).unwrap();
    });
    let mut transaction = fixture.database.begin().unwrap();
    let found = transaction.user(Namespace::ROOT).get(&id, None, false).unwrap().unwrap();
    assert_eq!(field(&found, "n"), num(5.0));
}

#[test]
fn a_document_with_more_index_keys_than_allowed_can_be_removed_but_not_changed() {
    let (fixture, id) = with_two_indexes(0);
    let mut transaction = fixture.database.begin().unwrap();
    assert!(transaction.user(Namespace::ROOT).replace(&id, None, object([])).is_err());
    let (other, _) = fixture.run(|transaction| {
        transaction.system(Namespace::ROOT).insert(&name("t"), fields_of_text()).unwrap().to_string()
    });
    fixture.run(|transaction| {
        transaction.user(Namespace::ROOT).delete(&id, None).unwrap();
        assert!(transaction.user(Namespace::ROOT).delete(&other, None).is_err());
    });
    assert_eq!(fixture.database.begin().unwrap().user(Namespace::ROOT).count("t").unwrap(), 1);
}

fn fields_of_text() -> Object {
    let Value::Object(fields) = text() else { unreachable!("made as an object") };
    fields
}

#[test]
fn rolling_back_gives_writes_back_but_not_reads() {
    let fixture =
        limited(TransactionLimits { documents_written: 3, documents_read: 3, ..Default::default() });
    let id = fixture.insert("t", object([]));
    let mut transaction = fixture.database.begin().unwrap();
    transaction.begin_sub(None);
    insert(&mut transaction, "t", object([]));
    insert(&mut transaction, "t", object([]));
    transaction.user(Namespace::ROOT).get(&id, None, false).unwrap();
    transaction.charge_schedule(10).unwrap();
    transaction.rollback_sub().unwrap();
    let usage = transaction.usage();
    assert_eq!((usage.documents_written, usage.documents_read, usage.functions_scheduled), (0, 1, 1));
    for _ in 0..3 {
        insert(&mut transaction, "t", object([]));
    }
}

#[test]
fn a_budget_caps_the_nested_call_beyond_what_was_used_before() {
    let fixture = limited(TransactionLimits { documents_written: 5, ..Default::default() });
    let mut transaction = fixture.database.begin().unwrap();
    insert(&mut transaction, "t", object([]));
    transaction.begin_sub(Some(&Budget { documents_written: Some(2), ..Budget::default() }));
    insert(&mut transaction, "t", object([]));
    insert(&mut transaction, "t", object([]));
    assert_eq!(
        message(transaction.user(Namespace::ROOT).insert("t", object([]))),
        "Too many writes in a single function execution (limit: 3)"
    );
    transaction.commit_sub().unwrap();
    insert(&mut transaction, "t", object([]));
    assert!(transaction.user(Namespace::ROOT).insert("t", object([])).is_err());
}

#[test]
fn the_number_of_tables_is_bounded() {
    let options = DatabaseOptions { user_tables_max: 2, ..DatabaseOptions::default() };
    let fixture = fixture_on(Arc::new(MemoryStore::new()), options);
    fixture.insert("a", object([]));
    fixture.insert("b", object([]));
    let mut transaction = fixture.database.begin().unwrap();
    assert!(
        message(transaction.user(Namespace::ROOT).insert("c", object([]))).starts_with("Too many tables")
    );
    // A dropped table makes room, and gives its number back.
    fixture.run(|transaction| assert!(transaction.drop_table(Namespace::ROOT, &name("a")).unwrap()));
    fixture.insert("c", object([]));
    let catalog = fixture.database.catalog();
    let number = |table: &str| catalog.table_by_name(Namespace::ROOT, &name(table)).unwrap().number.0;
    assert_eq!((catalog.user_tables(), number("c"), number("b")), (2, 10_001, 10_002));
}

#[test]
fn a_stale_nested_query_sees_no_pending_writes_and_records_nothing() {
    let fixture = fixture();
    fixture.insert("t", object([]));
    let mut transaction = fixture.database.begin().unwrap();
    insert(&mut transaction, "t", object([]));
    let before = transaction.read_set().clone();
    transaction.begin_stale_sub(None);
    assert_eq!(collect(&mut transaction, &scan("t", "asc", serde_json::json!([]))).len(), 1);
    assert_eq!(transaction.user(Namespace::ROOT).count("t").unwrap(), 1);
    transaction.commit_sub().unwrap();
    assert_eq!(*transaction.read_set(), before);
    assert_eq!(collect(&mut transaction, &scan("t", "asc", serde_json::json!([]))).len(), 2);
    // Streams of nested calls are numbered anew, and the caller's go on.
    let all = scan("t", "asc", serde_json::json!([]));
    let outer = transaction.user(Namespace::ROOT).open_query(&all).unwrap();
    transaction.begin_sub(None);
    assert_eq!(transaction.user(Namespace::ROOT).open_query(&all).unwrap(), crate::StreamId(0));
    transaction.commit_sub().unwrap();
    assert!(transaction.next(outer).unwrap().is_some());
    assert!(transaction.close(outer) && !transaction.close(outer));
    assert_eq!(message(transaction.next(outer)), "in-progress query not found");
}

#[test]
fn what_a_stale_nested_query_looked_up_is_still_recorded_when_the_caller_looks_it_up() {
    let fixture = fixture();
    fixture.insert("other", object([]));
    let all = scan("missing", "asc", serde_json::json!([]));
    let mut transaction = fixture.database.begin().unwrap();
    transaction.begin_stale_sub(None);
    assert!(collect(&mut transaction, &all).is_empty());
    transaction.commit_sub().unwrap();
    assert!(collect(&mut transaction, &all).is_empty());
    insert(&mut transaction, "other", object([]));
    fixture.insert("missing", object([]));
    assert!(matches!(fixture.database.commit(transaction), Err(crate::CommitError::Conflict { .. })));
}

#[test]
fn every_document_that_is_accepted_can_be_read_back() {
    let fixture = fixture();
    let fields = |count: usize| Value::object((0..count).map(|n| (format!("f{n}"), Value::Null)));
    let mut transaction = fixture.database.begin().unwrap();
    let mut user = transaction.user(Namespace::ROOT);
    // System fields are fields, too.
    assert!(message(user.insert("t", fields(1023))).contains("1025 > maximum number 1024"));
    let id = fixture.insert("t", fields(1022));
    fixture.settle();
    wait_until(|| fixture.database.shared().state.lock().overlay.is_empty());
    let mut transaction = fixture.database.begin().unwrap();
    let document = transaction.user(Namespace::ROOT).get(&id, None, false).unwrap().unwrap();
    assert_eq!(fields_of(&document).len(), 1022);
}

#[test]
fn transactions_can_move_between_threads() {
    fn movable<T: Send>() {}
    fn shareable<T: Send + Sync>() {}
    movable::<Transaction>();
    shareable::<Database>();
    shareable::<crate::Subscription>();
    shareable::<Document>();
}

#[test]
fn queries_that_pile_up_are_bounded() {
    let fixture = fixture();
    fixture.insert("t", object([]));
    let all = scan("t", "asc", serde_json::json!([]));
    let mut transaction = fixture.database.begin().unwrap();
    for _ in 0..8192 {
        transaction.user(Namespace::ROOT).open_query(&all).unwrap();
    }
    assert_eq!(
        message(transaction.user(Namespace::ROOT).open_query(&all)),
        format!("Too many open queries in a single function execution (limit: 8192). {HELP}")
    );
    assert!(transaction.close(crate::StreamId(0)));
    transaction.user(Namespace::ROOT).open_query(&all).unwrap();

    let text = "x".repeat(1 << 20);
    let filter = serde_json::json!([{"filter": {"$eq": [{"$field": "s"}, {"$literal": text}]}}]);
    let large = scan("t", "asc", filter);
    let mut transaction = fixture.database.begin().unwrap();
    for _ in 0..63 {
        assert!(collect(&mut transaction, &large).is_empty());
    }
    assert!(
        message(transaction.user(Namespace::ROOT).collect(&large))
            .starts_with("Too many bytes in the bounds and filters of queries")
    );
}
