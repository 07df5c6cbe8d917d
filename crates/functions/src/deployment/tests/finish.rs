//! `finish_push`: what becomes live, and when it does not.

use super::*;

#[tokio::test]
async fn a_push_is_live_when_it_is_finished_and_not_before() {
    let fixture = Fixture::new();
    let push = Push::new(&[messages(), crons(60)]).schema(&schema("string", "author"));
    let started = fixture.start(&push).await.unwrap();
    assert_eq!(fixture.wait(&started).await, json!({"type": "complete"}));
    assert!(fixture.live().functions.is_empty());

    let mut reading = fixture.begin();
    fixture.code.live_code(&mut reading).unwrap();
    let watching: Subscription = fixture.database.subscribe(
        Arc::new(reading.read_set().clone()),
        reading.snapshot_ts(),
        Arc::new(|| {}),
    );
    assert!(watching.is_valid());
    let finished = fixture.finish(&started).await.unwrap();
    assert!(!watching.is_valid(), "queries have to run again");

    let diff = &finished["componentDiffs"][""];
    assert_eq!(diff["diffType"], json!({"type": "create"}));
    assert_eq!(diff["moduleDiff"], json!({"added": ["crons.js", "messages.js"], "removed": []}));
    assert_eq!(diff["cronDiff"], json!({"added": ["tick"], "updated": [], "deleted": []}));
    assert_eq!(diff["indexDiff"]["added_indexes"][0]["name"], "messages.by_author");
    assert_eq!(diff["schemaDiff"]["previous_schema"], Json::Null);
    assert_eq!(finished["authDiff"], json!({"added": [], "removed": []}));
    let live = fixture.live();
    let list = &live.functions[&"messages:list".parse::<FunctionPath>().unwrap()];
    assert_eq!(list.kind, FunctionKind::Query);
    assert_eq!(live.crons["tick"].args_json, "[{}]");
    assert_eq!(live.package.modules.len(), 2);
    assert!(fixture.begin().user(Namespace::ROOT).insert("messages", Value::decode("{}").unwrap()).is_err());
}

#[tokio::test]
async fn of_two_pushes_at_once_the_one_that_finishes_first_wins() {
    let fixture = Fixture::new();
    let first = fixture.start(&Push::new(&[messages()])).await.unwrap();
    let second = fixture.start(&Push::new(&[messages(), crons(1)])).await.unwrap();
    fixture.finish(&second).await.unwrap();
    let error = fixture.finish(&first).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (400, "ConcurrentPush"));
}

#[tokio::test]
async fn variables_that_changed_during_a_push_are_a_race() {
    let fixture = Fixture::new();
    let started = fixture.start(&Push::new(&[messages()])).await.unwrap();
    fixture.set(json!([{"name": "NEW", "value": "x"}])).await.unwrap();
    let error = fixture.finish(&started).await.unwrap_err();
    assert_eq!(error.code, "RaceDetected");
    assert!(error.message.ends_with("Environment variables have changed during push"), "{error}");
}

#[tokio::test]
async fn declared_variables_are_required_from_the_push_on() {
    let fixture = Fixture::new();
    let declared = json!({"definitionType": {"type": "app"},
        "envVars": [["KEY", {"type": "value", "value": "{\"type\":\"string\"}"}]]});
    let push = Push::new(&[messages()]).definition(&declared);
    let started = fixture.start(&push).await.unwrap();
    let error = fixture.finish(&started).await.unwrap_err();
    assert_eq!(error.code, "MissingEnvironmentVariables");
    assert!(error.message.contains("are not set: KEY."), "{error}");
    fixture.set(json!([{"name": "KEY", "value": "x"}])).await.unwrap();
    fixture.push(&push).await;
    let error = fixture.set(json!([{"name": "KEY", "value": null}])).await.unwrap_err();
    assert_eq!(error.code, "RequiredEnvironmentVariable");
}

#[tokio::test]
async fn cron_jobs_keep_their_time_unless_their_schedule_changes() {
    let fixture = Fixture::new();
    let next = |fixture: &Fixture| {
        let mut transaction = fixture.begin();
        let job = crate::crons::rows::jobs(&mut transaction).unwrap()["tick"].id;
        crate::crons::rows::next_run(&mut transaction, job).unwrap().unwrap().next_ns
    };
    fixture.push(&Push::new(&[messages(), crons(60)])).await;
    let first = next(&fixture);
    let same = fixture.push(&Push::new(&[messages(), crons(60)])).await;
    assert_eq!(same["componentDiffs"][""]["cronDiff"], json!({"added": [], "updated": [], "deleted": []}));
    assert_eq!(next(&fixture), first);
    let changed = fixture.push(&Push::new(&[messages(), crons(30)])).await;
    assert_eq!(changed["componentDiffs"][""]["cronDiff"]["updated"], json!(["tick"]));
    assert!(next(&fixture) > first);
    let removed = fixture.push(&Push::new(&[messages()])).await;
    assert_eq!(removed["componentDiffs"][""]["cronDiff"]["deleted"], json!(["tick"]));
    assert!(
        fixture.begin().system(Namespace::ROOT).all(&"_cron_next_run".parse().unwrap()).unwrap().is_empty()
    );
}
