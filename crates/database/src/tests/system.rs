//! System tables: the engine's own access, and what app code sees of them.

use std::collections::BTreeMap;

use super::*;

fn job(transaction: &mut Transaction, completed: Value) -> String {
    let mut system = transaction.system(Namespace::ROOT);
    let bytes = Value::Bytes(br#"[{"a":1}]"#.to_vec());
    let args =
        system.insert(&name("_scheduled_job_args"), Object::from([("args".to_owned(), bytes)])).unwrap();
    let Value::Object(row) = object([
        ("udfPath", Value::from("messages.js:send")),
        ("argsId", Value::from(args.to_string())),
        ("state", object([("type", Value::from("failed")), ("error", Value::from("boom"))])),
        ("nextTs", Value::Null),
        ("completedTs", completed),
        ("originalScheduledTs", Value::Int64(1_500_000_000)),
    ]) else {
        unreachable!("made as an object");
    };
    system.insert(&name("_scheduled_jobs"), row).unwrap().to_string()
}

#[test]
fn app_code_sees_scheduled_functions_and_files_in_their_public_form() {
    let fixture = fixture();
    let mut transaction = fixture.database.begin().unwrap();
    let id = job(&mut transaction, Value::Int64(2_000_000_000));
    job(&mut transaction, Value::Null);
    let row =
        transaction.user(Namespace::ROOT).get(&id, Some("_scheduled_functions"), true).unwrap().unwrap();
    let Value::Object(expected) = object([
        ("name", Value::from("messages.js:send")),
        ("args", Value::Array(vec![object([("a", num(1.0))])])),
        ("scheduledTime", num(1500.0)),
        ("completedTime", num(2000.0)),
        ("state", object([("kind", Value::from("failed")), ("error", Value::from("boom"))])),
    ]) else {
        unreachable!("made as an object");
    };
    assert_eq!(fields_of(&row), expected);
    let done = scan(
        "_scheduled_functions",
        "asc",
        serde_json::json!([
            {"filter": {"$neq": [{"$field": "completedTime"}, {"$literal": {"$undefined": null}}]}},
        ]),
    );
    assert_eq!(collect(&mut transaction, &done).len(), 1);
    let by_next = range("_scheduled_functions.by_next_ts", "asc", serde_json::json!([]));
    assert_eq!(
        message(transaction.user(Namespace::ROOT).collect(&by_next)),
        "Index _scheduled_functions.by_next_ts not found."
    );
    let Value::Object(file) = object([
        ("storageId", Value::from("uuid")),
        ("sha256", Value::Bytes(vec![1, 2, 3])),
        ("size", Value::Int64(9)),
        ("contentType", Value::Null),
    ]) else {
        unreachable!("made as an object");
    };
    transaction.system(Namespace::ROOT).insert(&name("_file_storage"), file).unwrap();
    let files = collect(&mut transaction, &scan("_storage", "desc", serde_json::json!([])));
    assert_eq!(field(&files[0], "sha256"), Value::from("AQID"));
    assert_eq!(field(&files[0], "size"), num(9.0));
    assert!(files[0].object().unwrap().contains_key("contentType"));
    assert!(!files[0].object().unwrap().contains_key("storageId"));
}

#[test]
fn the_engine_finds_rows_by_index_without_using_up_limits() {
    let fixture = fixture();
    let variables = name("_environment_variables");
    let id = fixture
        .run(|transaction| {
            let row =
                Object::from([("name".to_owned(), Value::from("A")), ("value".to_owned(), Value::from("1"))]);
            transaction.system(Namespace::ROOT).insert(&variables, row).unwrap()
        })
        .0;
    fixture.run(|transaction| {
        let mut system = transaction.system(Namespace::ROOT);
        assert_eq!(system.find(&variables, "by_name", &[Value::from("A")]).unwrap()[0].id(), id);
        assert!(system.find(&variables, "by_name", &[Value::from("B")]).unwrap().is_empty());
        system.patch(&variables, id, BTreeMap::from([("value".to_owned(), Some(Value::from("2")))])).unwrap();
        assert_eq!(field(&system.get(&variables, id).unwrap().unwrap(), "value"), Value::from("2"));
        assert_eq!(system.count(&variables).unwrap(), 1);
        assert_eq!(system.all(&variables).unwrap().len(), 1);
        assert_eq!(transaction.usage(), crate::Usage::default());
    });
    fixture.run(|transaction| {
        let mut system = transaction.system(Namespace::ROOT);
        assert!(system.delete(&variables, id).unwrap() && !system.delete(&variables, id).unwrap());
    });
}

#[test]
fn imports_keep_ids_numbers_and_creation_times() {
    let fixture = fixture();
    let number = freshet_values::TableNumber(10_050);
    let id = freshet_values::DocumentId::new(number, freshet_values::InternalId([9; 16]));
    fixture.run(|transaction| {
        let table = transaction.create_table_numbered(Namespace::ROOT, &name("t"), number).unwrap();
        assert_eq!(table.unwrap().number, number);
        assert!(transaction.create_table_numbered(Namespace::ROOT, &name("u"), number).unwrap().is_none());
        let document = Object::from([
            ("_id".to_owned(), Value::from(id.to_string())),
            ("_creationTime".to_owned(), num(5.0)),
        ]);
        transaction.system(Namespace::ROOT).put(&name("t"), id, document).unwrap();
    });
    let mut transaction = fixture.database.begin().unwrap();
    let row = transaction.user(Namespace::ROOT).get(&id.to_string(), Some("t"), false).unwrap().unwrap();
    assert_eq!(field(&row, "_creationTime"), num(5.0));
}

#[test]
fn no_number_of_a_table_is_given_out_twice_when_they_come_to_their_end() {
    let fixture = fixture();
    let id = fixture.insert("t", object([]));
    fixture.database.shared().next_internal.store(u32::MAX - 4, std::sync::atomic::Ordering::Relaxed);
    fixture.insert("last", object([]));
    for _ in 0..3 {
        let mut transaction = fixture.database.begin().unwrap();
        let error = transaction.user(Namespace::ROOT).insert("more", object([])).unwrap_err();
        assert!(error.to_string().contains("restart the server"), "{error}");
    }
    assert!(fixture.database.begin().unwrap().user(Namespace::ROOT).get(&id, None, false).unwrap().is_some());
    fixture.insert("t", object([]));
    fixture.settle();
    // What failed has used up nothing for good.
    let Fixture { database, store, clock } = fixture;
    drop(database);
    let reopened = open_on(store, DatabaseOptions::default(), &clock);
    assert_eq!(reopened.begin().unwrap().user(Namespace::ROOT).count("last").unwrap(), 1);
}
