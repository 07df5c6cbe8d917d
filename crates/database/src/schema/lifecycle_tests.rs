use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use freshet_store::MemoryStore;
use freshet_values::{IndexName, TableName, Value};
use serde_json::json;

use super::worker;
use super::*;
use crate::{
    Clock, CommitError, Database, DatabaseError, DatabaseOptions, IndexState, Namespace, Randomness,
    SystemClock, Transaction,
};

const ROOT: Namespace = Namespace::ROOT;

fn database() -> Database {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Database::open(Arc::new(MemoryStore::new()), DatabaseOptions::default(), clock, Randomness::from_os())
        .unwrap()
}

/// Indexes are built meanwhile, which may make the transaction run again.
fn commit<T>(database: &Database, work: impl Fn(&mut Transaction) -> T) -> T {
    loop {
        let mut transaction = database.begin().unwrap();
        let value = work(&mut transaction);
        match database.commit(transaction) {
            Ok(_) => return value,
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn check_all(database: &Database) {
    worker::check_pending(database, &AtomicBool::new(false)).unwrap();
}

fn users() -> TableName {
    "users".parse().unwrap()
}

fn insert(database: &Database, json: &str) -> Result<(), DatabaseError> {
    let mut transaction = database.begin().unwrap();
    transaction.user(ROOT).insert("users", Value::decode(json).unwrap())?;
    database.commit(transaction).unwrap();
    Ok(())
}

fn schema(field: &str, indexes: &[(&str, &str)]) -> SchemaDefinition {
    let indexes: Vec<_> =
        indexes.iter().map(|(name, field)| json!({"indexDescriptor": name, "fields": [field]})).collect();
    let text = json!({"schemaValidation": true, "tables": [{
        "tableName": "users", "indexes": indexes,
        "documentType": {"type": "object", "value": {
            "name": {"fieldType": {"type": field}, "optional": false},
            "age": {"fieldType": {"type": "number"}, "optional": true}
        }}
    }]});
    parse(&text.to_string()).unwrap()
}

fn submit_(database: &Database, schema: &SchemaDefinition) -> freshet_values::DocumentId {
    commit(database, |transaction| submit(transaction, ROOT, schema).unwrap())
}

fn state(database: &Database, id: freshet_values::DocumentId) -> SchemaState {
    get(&mut database.begin().unwrap(), ROOT, id).unwrap().unwrap().state
}

fn activate_(database: &Database, id: freshet_values::DocumentId) {
    commit(database, |transaction| {
        let row = get(transaction, ROOT, id).unwrap();
        activate(transaction, ROOT, row.as_ref()).unwrap();
    });
}

#[test]
fn a_schema_that_all_documents_match_is_validated_and_activated() {
    let database = database();
    insert(&database, r#"{"name":"a"}"#).unwrap();
    let id = submit_(&database, &schema("string", &[]));
    assert_eq!(state(&database, id), SchemaState::Pending);
    check_all(&database);
    assert_eq!(state(&database, id), SchemaState::Validated);
    activate_(&database, id);
    assert_eq!(state(&database, id), SchemaState::Active);
    let error = insert(&database, r#"{"name":5}"#).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "Failed to insert or update a document in table \"users\" because it does not match the schema: "
        ),
        "{error}"
    );
    assert!(insert(&database, r#"{"name":"b"}"#).is_ok());
}

#[test]
fn an_existing_document_that_does_not_match_fails_the_schema() {
    let database = database();
    for i in 0..300 {
        insert(&database, &format!(r#"{{"name":"{i}"}}"#)).unwrap();
    }
    insert(&database, r#"{"name":5}"#).unwrap();
    let id = submit_(&database, &schema("string", &[]));
    check_all(&database);
    let SchemaState::Failed { error, table_name } = state(&database, id) else { panic!() };
    assert_eq!(table_name.as_deref(), Some("users"));
    assert!(error.starts_with("Document with ID \""), "{error}");
    assert!(
        error.contains(
            "\" in table \"users\" does not match the schema: Value does not match validator.\nPath: .name\n"
        ),
        "{error}"
    );
    // Nothing is enforced, and the same schema may be handed in again.
    assert!(insert(&database, r#"{"name":6}"#).is_ok());
    assert_ne!(submit_(&database, &schema("string", &[])), id);
}

#[test]
fn a_write_that_does_not_match_fails_the_waiting_schema_and_succeeds() {
    let database = database();
    let id = submit_(&database, &schema("string", &[]));
    check_all(&database);
    assert_eq!(state(&database, id), SchemaState::Validated);
    insert(&database, r#"{"name":5}"#).unwrap();
    let SchemaState::Failed { error, table_name } = state(&database, id) else { panic!() };
    assert!(error.starts_with("New document in table \"users\" does not match the schema: "), "{error}");
    assert_eq!(table_name.as_deref(), Some("users"));
}

#[test]
fn a_write_and_a_submission_at_the_same_time_do_not_miss_each_other() {
    let database = database();
    submit_(&database, &schema("string", &[]));
    let mut writing = database.begin().unwrap();
    writing.user(ROOT).insert("users", Value::decode(r#"{"name":true}"#).unwrap()).unwrap();
    submit_(&database, &schema("number", &[]));
    assert!(matches!(database.commit(writing), Err(crate::CommitError::Conflict { .. })));
}

#[test]
fn a_newer_schema_overwrites_one_that_waits_and_an_equal_one_is_taken_up() {
    let database = database();
    let first = submit_(&database, &schema("string", &[]));
    assert_eq!(submit_(&database, &schema("string", &[])), first);
    let second = submit_(&database, &schema("number", &[]));
    assert_eq!(state(&database, first), SchemaState::Overwritten);
    check_all(&database);
    activate_(&database, second);
    // The active one again: what waits is not wanted any more.
    let third = submit_(&database, &schema("string", &[]));
    assert_eq!(submit_(&database, &schema("number", &[])), second);
    assert_eq!(state(&database, third), SchemaState::Overwritten);
}

#[test]
fn a_schema_that_is_not_validated_cannot_be_activated() {
    let database = database();
    let id = submit_(&database, &schema("string", &[]));
    let mut transaction = database.begin().unwrap();
    let row = get(&mut transaction, ROOT, id).unwrap();
    assert!(activate(&mut transaction, ROOT, row.as_ref()).is_err());
}

#[test]
fn without_validation_nothing_is_checked() {
    let database = database();
    insert(&database, r#"{"name":5}"#).unwrap();
    let mut lax = schema("string", &[]);
    lax.schema_validation = false;
    let id = submit_(&database, &lax);
    check_all(&database);
    activate_(&database, id);
    assert!(insert(&database, r#"{"name":6}"#).is_ok());
}

#[test]
fn tables_whose_new_type_allows_all_of_the_old_are_not_walked() {
    let (strict, loose) = (schema("string", &[]), schema("any", &[]));
    assert_eq!(tables_to_walk(None, &strict), [users()]);
    assert!(tables_to_walk(Some(&strict), &loose).is_empty());
    assert_eq!(tables_to_walk(Some(&loose), &strict), [users()]);
    let mut unenforced = strict.clone();
    unenforced.schema_validation = false;
    assert_eq!(tables_to_walk(Some(&unenforced), &strict), [users()]);
}

fn indexes(database: &Database) -> Vec<(IndexName, IndexState, bool)> {
    let transaction = database.begin().unwrap();
    let mut states: Vec<_> = transaction
        .index_states(ROOT)
        .into_iter()
        .filter(|progress| !progress.table.is_system())
        .map(|progress| (progress.index.name.clone(), progress.index.state, progress.index.staged))
        .collect();
    states.sort_by(|a, b| a.0.cmp(&b.0));
    states
}

fn push(database: &Database, schema: &SchemaDefinition) {
    let id = commit(database, |transaction| {
        let id = submit(transaction, ROOT, schema).unwrap();
        prepare_indexes(transaction, ROOT, Some(schema)).unwrap();
        id
    });
    check_all(database);
    wait_for_indexes(database, schema);
    commit(database, |transaction| {
        switch_indexes(transaction, ROOT, Some(schema)).unwrap();
        let row = get(transaction, ROOT, id).unwrap();
        activate(transaction, ROOT, row.as_ref()).unwrap();
    });
}

fn wait_for_indexes(database: &Database, schema: &SchemaDefinition) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let (complete, total) = index_progress(&mut database.begin().unwrap(), ROOT, schema).unwrap();
        if complete == total {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{complete} of {total} indexes are complete");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn name(text: &str) -> IndexName {
    text.parse().unwrap()
}

#[test]
fn a_changed_index_is_built_beside_the_old_one_and_swapped() {
    let database = database();
    insert(&database, r#"{"name":"a","age":1}"#).unwrap();
    push(&database, &schema("string", &[("i", "name")]));
    assert_eq!(indexes(&database), [(name("i"), IndexState::Enabled, false)]);
    let changed = schema("string", &[("i", "age")]);
    commit(&database, |transaction| {
        submit(transaction, ROOT, &changed).unwrap();
        prepare_indexes(transaction, ROOT, Some(&changed)).unwrap();
    });
    assert_eq!(indexes(&database).len(), 2);
    push(&database, &changed);
    assert_eq!(indexes(&database), [(name("i"), IndexState::Enabled, false)]);
}

#[test]
fn indexes_of_an_abandoned_push_are_dropped_by_the_next() {
    let database = database();
    commit(&database, |transaction| {
        prepare_indexes(transaction, ROOT, Some(&schema("string", &[("gone", "name"), ("kept", "age")])))
            .unwrap();
    });
    let before = database.begin().unwrap().index_states(ROOT);
    commit(&database, |transaction| {
        prepare_indexes(transaction, ROOT, Some(&schema("string", &[("kept", "age")]))).unwrap();
    });
    let names: Vec<IndexName> = indexes(&database).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, [name("kept")]);
    let kept = |states: &[crate::IndexProgress]| {
        states.iter().find(|progress| progress.index.name == "kept").unwrap().index.id
    };
    let after = database.begin().unwrap().index_states(ROOT);
    assert_eq!(kept(&before), kept(&after));
}

#[test]
fn a_staged_index_is_enabled_and_taken_back_without_being_built_again() {
    let database = database();
    insert(&database, r#"{"name":"a","age":1}"#).unwrap();
    let staged = |staged: bool| {
        let mut schema = schema("string", &[("i", "name")]);
        for table in schema.tables.values_mut() {
            for index in table.indexes.values_mut() {
                index.staged = staged;
            }
        }
        schema
    };
    push(&database, &staged(true));
    let id = |database: &Database| {
        let states = database.begin().unwrap().index_states(ROOT);
        states.iter().find(|progress| !progress.table.is_system()).unwrap().index.id
    };
    let first = id(&database);
    assert!(indexes(&database)[0].2);
    push(&database, &staged(false));
    assert_eq!(indexes(&database), [(name("i"), IndexState::Enabled, false)]);
    push(&database, &staged(true));
    assert!(indexes(&database)[0].2);
    assert_eq!(id(&database), first);
}

#[tokio::test]
async fn the_worker_hears_of_new_schemas_by_itself() {
    let database = database();
    let _worker = SchemaWorker::spawn(database.clone());
    for field in ["string", "any"] {
        let id = submit_(&database, &schema(field, &[]));
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        while state(&database, id) != SchemaState::Validated {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

#[test]
fn a_check_that_is_to_end_leaves_the_schema_pending() {
    let database = database();
    insert(&database, r#"{"name":"a"}"#).unwrap();
    let id = submit_(&database, &schema("string", &[]));
    assert!(worker::check_pending(&database, &AtomicBool::new(true)).unwrap().is_none());
    assert_eq!(state(&database, id), SchemaState::Pending);
}

#[test]
fn a_table_that_the_schema_defines_or_refers_to_may_not_be_dropped() {
    let database = database();
    let team = json!({"type": "array", "value": {"type": "id", "tableName": "teams"}});
    let text = json!({"schemaValidation": true, "tables": [{"tableName": "users", "documentType": {"type": "object",
        "value": {"teams": {"fieldType": team, "optional": true}}}}]});
    let id = submit_(&database, &parse(&text.to_string()).unwrap());
    let check = |table: &str| {
        check_droppable(&mut database.begin().unwrap(), ROOT, &table.parse().unwrap())
            .map_err(|error| error.to_string())
    };
    assert_eq!(check("users"), Ok(()), "a schema that is not in force forbids nothing");
    check_all(&database);
    activate_(&database, id);
    assert_eq!(
        check("users"),
        Err("Failed to delete table \"users\" because it is in the schema.".to_owned())
    );
    assert_eq!(
        check("teams"),
        Err("Failed to delete table \"teams\" because table \"users\" has `v.id(\"teams\")` in the schema."
            .to_owned())
    );
    assert_eq!(check("others"), Ok(()));
}
