//! Texts of errors that app code sees.

use std::collections::BTreeMap;

use super::*;

fn nested(levels: usize) -> Value {
    (1..levels).fold(object([]), |inner, _| object([("a", inner)]))
}

#[test]
fn wrong_ids_are_explained() {
    let fixture = fixture();
    let id = fixture.insert("users", object([]));
    let other = fixture.insert("objects", object([]));
    fixture.run(|transaction| transaction.user(Namespace::ROOT).delete(&id, None).map(|_| ()).unwrap());
    let mut transaction = fixture.database.begin().unwrap();
    let file = transaction
        .system(Namespace::ROOT)
        .insert(&name("_file_storage"), Object::new())
        .unwrap()
        .to_string();
    let module =
        transaction.system(Namespace::ROOT).insert(&name("_modules"), Object::new()).unwrap().to_string();
    let unknown = freshet_values::DocumentId::new(
        freshet_values::TableNumber(12_345),
        freshet_values::InternalId([7; 16]),
    )
    .to_string();
    let mut user = transaction.user(Namespace::ROOT);
    let empty = || BTreeMap::new();
    assert_eq!(message(user.patch(&id, None, empty())), format!("Update on nonexistent document ID {id}"));
    assert_eq!(
        message(user.replace(&id, None, object([]))),
        format!("Replace on nonexistent document ID {id}")
    );
    assert_eq!(message(user.delete(&id, None)), format!("Delete on nonexistent document ID {id}"));
    assert_eq!(
        message(user.get("abc", None, false)),
        "Invalid argument `id` for `db.get`: Unable to decode ID: Invalid ID length 3"
    );
    assert!(message(user.get("abc", None, true)).starts_with("Invalid argument `id` for `db.system.get`: "));
    assert_eq!(
        message(user.get(&other, Some("table"), false)),
        "Invalid argument `id` for `db.get`: expected to be an Id<\"table\">, got Id<\"objects\"> instead."
    );
    assert!(user.get(&unknown, None, false).unwrap().is_none());
    assert!(user.get(&unknown, Some("users"), false).unwrap().is_none());
    assert!(user.get(&module, None, false).unwrap().is_none());
    for id in [&unknown, &module] {
        assert_eq!(
            message(user.patch(id, None, empty())),
            format!("Invalid argument `id` for `db.patch`: Table for ID \"{id}\" not found")
        );
    }
    assert_eq!(message(user.get(&file, None, false)), "System tables can only be accessed with db.system.");
    assert_eq!(message(user.delete(&file, None)), "System tables can only be accessed with db.system.");
    assert!(user.get(&file, None, true).unwrap().is_some());
    assert_eq!(message(user.get(&other, None, true)), "User tables cannot be accessed with db.system.");
    assert_eq!(user.normalize_id("objects", &other).unwrap().map(|id| id.to_string()), Some(other.clone()));
    for (table, id) in
        [("users", &other), ("nothing", &other), ("_modules", &module), ("objects", &"x".repeat(9999))]
    {
        assert_eq!(user.normalize_id(table, id).unwrap(), None);
    }
    assert!(user.normalize_id("_storage", &file).unwrap().is_some());
    assert!(
        message(user.normalize_id("a-b", &other))
            .starts_with("Invalid argument `table` for `db.normalizeId`: ")
    );
}

#[test]
fn wrong_documents_are_explained_and_leave_no_table_behind() {
    let fixture = fixture();
    let mut transaction = fixture.database.begin().unwrap();
    let mut user = transaction.user(Namespace::ROOT);
    assert_eq!(
        message(user.insert("1abc", object([]))),
        "Invalid argument `table` for `db.insert`: Invalid first character '1' in 1abc: Identifiers must start with \
         an alphabetic character or underscore"
    );
    assert_eq!(
        message(user.insert("t", Value::Null)),
        "Invalid argument `value` for `db.insert`: Value must be an Object"
    );
    assert_eq!(
        message(user.insert("t", object([("_x", Value::Null)]))),
        "Field '_x' starts with an underscore, which is only allowed for system fields like '_id'"
    );
    assert!(
        message(user.insert("t", object([("_id", Value::from("abc"))])))
            .ends_with("doesn't match '_id' field \"abc\"")
    );
    assert_eq!(
        message(user.insert("t", object([("_creationTime", num(1.0))]))),
        "Provided creation time 1700000000000.0 doesn't match '_creationTime' field in {_creationTime: 1.0}"
    );
    let large = object([("s", Value::from("x".repeat(1_100_000)))]);
    assert!(message(user.insert("t", large)).contains("Value is too large (1.05 MiB > maximum size 1 MiB)"));
    assert!(
        message(user.insert("t", nested(17)))
            .contains("Document is too nested (nested 17 levels deep > maximum nesting 16)")
    );
    assert_eq!(
        message(user.insert("_storage", object([]))),
        "System tables can only be accessed with db.system."
    );
    assert!(!transaction.has_writes());
    insert(&mut transaction, "t", nested(16));
}

#[test]
fn system_fields_may_be_repeated_but_not_changed() {
    let fixture = fixture();
    let id = fixture.insert("t", object([("a", num(1.0))]));
    let mut transaction = fixture.database.begin().unwrap();
    let mut user = transaction.user(Namespace::ROOT);
    let row = user.get(&id, None, false).unwrap().unwrap();
    let whole = Value::Object(row.object().unwrap().clone());
    user.replace(&id, None, whole).unwrap();
    assert!(!transaction.has_writes(), "an equal document is no write");
    let mut user = transaction.user(Namespace::ROOT);
    let patch = |field: &str, value| BTreeMap::from([(field.to_owned(), value)]);
    for field in ["_id", "_creationTime", "absent"] {
        user.patch(&id, None, patch(field, None)).unwrap();
    }
    assert_eq!(
        message(user.patch(&id, None, patch("_id", Some(Value::from("x"))))),
        format!("Provided document ID \"{id}\" doesn't match '_id' field \"x\"")
    );
    assert!(
        message(user.patch(&id, None, patch("_creationTime", Some(num(5.0)))))
            .contains("doesn't match '_creationTime' field in {")
    );
    assert!(!transaction.has_writes());
    assert_eq!(transaction.usage().documents_written, 0);
}

#[test]
fn creation_times_ascend_strictly_and_are_not_given_back() {
    let fixture = fixture();
    // Making a table takes creation times too.
    fixture.insert("t", object([]));
    fixture.run(|transaction| {
        insert(transaction, "t", object([]));
        transaction.begin_sub(None);
        insert(transaction, "t", object([]));
        transaction.rollback_sub().unwrap();
        insert(transaction, "t", object([]));
    });
    let rows = collect(&mut fixture.database.begin().unwrap(), &scan("t", "asc", serde_json::json!([])));
    let times: Vec<f64> = rows.iter().map(|row| field(row, "_creationTime").as_f64().unwrap()).collect();
    assert_eq!(times[2], times[1].next_up().next_up());
    assert!((times[1] - 1_700_000_000_002.0).abs() < 0.001);
}

#[test]
fn commit_timestamp_placeholders_become_the_commit_timestamp() {
    let fixture = fixture();
    fixture.insert("t", object([("ts", Value::Int64(5))]));
    add_index(&fixture, "t", "by_ts", &["ts"]);
    let pending = range(
        "t.by_ts",
        "asc",
        serde_json::json!([{"type": "Eq", "fieldPath": "ts", "value": {"$commitTs": null}}]),
    );
    let (_, commit) = fixture.run(|transaction| {
        let id = insert(
            transaction,
            "t",
            object([("ts", Value::CommitTs), ("in", Value::Array(vec![Value::CommitTs]))]),
        );
        assert_eq!(collect(transaction, &pending).len(), 1);
        let row = transaction.user(Namespace::ROOT).get(&id, None, false).unwrap().unwrap();
        assert!(row.json().contains("$commitTs"));
    });
    for _ in 0..2 {
        let mut transaction = fixture.database.begin().unwrap();
        assert!(collect(&mut transaction, &pending).is_empty());
        let rows = collect(&mut transaction, &range("t.by_ts", "desc", serde_json::json!([])));
        assert_eq!(field(&rows[0], "ts"), Value::Int64(commit.ts.as_i64()));
        assert_eq!(field(&rows[0], "in"), Value::Array(vec![Value::Int64(commit.ts.as_i64())]));
        fixture.settle();
    }
}

#[test]
fn a_placeholder_is_not_the_largest_int64_although_it_equals_it() {
    let fixture = fixture();
    let largest = || Value::Int64(i64::MAX);
    let ((), commit) = fixture.run(|transaction| {
        let id = insert(transaction, "t", object([("a", Value::CommitTs), ("b", largest())]));
        let mut user = transaction.user(Namespace::ROOT);
        user.patch(
            &id,
            None,
            [("a".to_owned(), Some(largest())), ("b".to_owned(), Some(Value::CommitTs))].into(),
        )
        .unwrap();
        // The same once more changes nothing.
        user.patch(&id, None, [("b".to_owned(), Some(Value::CommitTs))].into()).unwrap();
        assert_eq!(transaction.usage().documents_written, 2);
    });
    let rows = collect(&mut fixture.database.begin().unwrap(), &scan("t", "asc", serde_json::json!([])));
    assert_eq!(field(&rows[0], "a"), largest());
    assert_eq!(field(&rows[0], "b"), Value::Int64(commit.ts.as_i64()));
}

#[test]
fn writes_between_steps_of_a_stream_show_if_they_lie_ahead() {
    let fixture = fixture();
    let ids: Vec<String> = (0..3).map(|n| fixture.insert("t", object([("n", num(f64::from(n)))]))).collect();
    fixture.settle();
    // Later than the last document, whose creation time the new one would share otherwise.
    fixture.clock.advance(1_000_000);
    let mut transaction = fixture.database.begin().unwrap();
    let stream =
        transaction.user(Namespace::ROOT).open_query(&scan("t", "asc", serde_json::json!([]))).unwrap();
    transaction.next(stream).unwrap();
    transaction.user(Namespace::ROOT).delete(&ids[1], None).unwrap();
    transaction.user(Namespace::ROOT).delete(&ids[0], None).unwrap();
    insert(&mut transaction, "t", object([("n", num(9.0))]));
    let mut rest = Vec::new();
    while let Some(row) = transaction.next(stream).unwrap() {
        rest.push(field(&row, "n").as_f64().unwrap());
    }
    assert_eq!(rest, [2.0, 9.0]);
    assert!(transaction.next(stream).unwrap().is_none());
}

#[test]
fn a_range_with_more_bounds_than_any_index_has_fields_is_refused_before_they_are_compared() {
    let bounds = |count: usize| {
        let bound = |n: usize| serde_json::json!({"type": "Eq", "fieldPath": format!("f{n}"), "value": 1});
        serde_json::json!({
            "source": {
                "type": "IndexRange", "indexName": "t.by_x", "order": "asc",
                "range": (0..count).map(bound).collect::<Vec<_>>(),
            },
            "operators": [],
        })
    };
    assert!(Query::from_json(&bounds(256)).is_ok());
    assert_eq!(Query::from_json(&bounds(257)).unwrap_err(), "`range` may have at most 256 elements, got 257");
}
