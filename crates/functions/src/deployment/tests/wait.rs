//! `wait_for_schema`: when it answers, and what.

use super::*;

#[tokio::test]
async fn a_document_that_does_not_match_stops_the_push_and_nothing_changes() {
    let fixture = Fixture::new();
    fixture.push(&Push::new(&[messages()])).await;
    fixture.insert("messages", r#"{"author":5}"#);
    let push = Push::new(&[]).schema(&schema("string", "author"));
    let started = fixture.start(&push).await.unwrap();
    let status = fixture.wait(&started).await;
    assert_eq!(
        (&status["type"], &status["componentPath"], &status["tableName"]),
        (&json!("failed"), &json!(""), &json!("messages"))
    );
    assert!(status["error"].as_str().unwrap().starts_with("Document with ID \""), "{status}");
    let error = fixture.finish(&started).await.unwrap_err();
    assert_eq!(error.code, "SchemaAlreadyFailed");
    assert!(error.message.starts_with("Hit an error while pushing:\n"), "{error}");
    assert_eq!(fixture.live().functions.len(), 2);
}

#[tokio::test]
async fn a_schema_that_a_newer_push_replaced_is_a_race() {
    let fixture = Fixture::new();
    let first = fixture.start(&Push::new(&[messages()]).schema(&schema("string", "author"))).await.unwrap();
    fixture.start(&Push::new(&[messages()]).schema(&schema("number", "author"))).await.unwrap();
    assert_eq!(fixture.wait(&first).await, json!({"type": "raceDetected"}));
    assert_eq!(fixture.finish(&first).await.unwrap_err().code, "SchemaAlreadyOverwritten");
}

#[tokio::test]
async fn an_answer_is_held_back_until_there_is_news_or_the_time_is_up() {
    let fixture = Fixture::without_worker();
    let started = fixture.start(&Push::new(&[]).schema(&schema("string", "author"))).await.unwrap();
    let wait = |timeout_ms: u64| {
        let request = json!({"schemaChange": started["schemaChange"], "timeoutMs": timeout_ms});
        fixture.deployment.wait_for_schema(serde_json::from_value(request).unwrap())
    };
    let begun = Instant::now();
    let status = serde_json::to_value(wait(200).await.unwrap()).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(status["type"], "inProgress");
    assert_eq!(status["components"][""]["schemaValidationComplete"], false);
    assert_eq!(status["components"][""]["indexesTotal"], 1);
    // However long the client would wait, it hears of the progress in between.
    let status = serde_json::to_value(wait(3_600_000).await.unwrap()).unwrap();
    assert_eq!(status["type"], "inProgress");
    let (status, _worker) = tokio::join!(fixture.wait(&started), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        SchemaWorker::spawn(fixture.database.clone())
    });
    assert_eq!(status, json!({"type": "complete"}));
}

#[tokio::test]
async fn without_a_schema_there_is_nothing_to_wait_for() {
    let fixture = Fixture::without_worker();
    let started = fixture.start(&Push::new(&[messages()])).await.unwrap();
    assert_eq!(fixture.wait(&started).await, json!({"type": "complete"}));
}
