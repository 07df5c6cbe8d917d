//! `evaluate_push` and `evaluate_schema`: predictions that change nothing.

use super::*;

#[tokio::test]
async fn evaluations_change_nothing() {
    let fixture = Fixture::new();
    fixture.insert("messages", r#"{"author":"a"}"#);
    let push = Push::new(&[messages()]).schema(&schema("string", "author"));
    let evaluated = fixture.deployment.evaluate_push(push.request()).await.unwrap();
    let evaluated = serde_json::to_value(evaluated).unwrap();
    assert_eq!(evaluated["schemaChange"]["schemaIds"], json!({}));
    assert_eq!(evaluated["schemaChange"]["indexDiffs"][""]["added_indexes"].as_array().unwrap().len(), 1);
    let predicted = fixture.deployment.evaluate_schema(push.request()).await.unwrap();
    assert_eq!(
        serde_json::to_value(predicted).unwrap(),
        json!({"componentSchemaEvaluations": {"": {
            "definitionPath": "", "schemaValidation": true,
            "tables": [{"name": "messages", "outcome": "mustWalk", "numDocs": 1, "sizeBytes": 0}],
            "indexes": [{"name": "messages.by_author", "type": "database", "fields": ["author", "_creationTime"],
                         "staged": false, "change": "added", "needsBackfill": true, "numDocs": 1}],
            "discardedStagedValidators": []
        }}, "newComponentDefinitions": []})
    );
    assert_eq!(fixture.stored(), [0, 0, 0]);
    assert_eq!(fixture.system("_system/frontend/getSchemas", &json!({})), json!({}));
}

#[tokio::test]
async fn a_staged_index_that_is_enabled_needs_no_backfill_once_it_is_complete() {
    let fixture = Fixture::new();
    let mut staged = schema("string", "author");
    let indexes = staged["tables"][0]["indexes"].take();
    staged["tables"][0]["stagedDbIndexes"] = indexes.clone();
    staged["tables"][0]["indexes"] = json!([]);
    fixture.push(&Push::new(&[messages()]).schema(&staged)).await;
    let push = Push::new(&[messages()]).schema(&schema("string", "author"));
    let predicted = fixture.deployment.evaluate_schema(push.request()).await.unwrap();
    let predicted = serde_json::to_value(predicted).unwrap();
    let index = &predicted["componentSchemaEvaluations"][""]["indexes"][0];
    assert_eq!((&index["change"], &index["needsBackfill"]), (&json!("enabled"), &json!(false)));
    let finished = fixture.push(&push).await;
    let diff = &finished["componentDiffs"][""]["indexDiff"];
    assert_eq!(diff["enabled_indexes"][0]["name"], "messages.by_author");
    assert_eq!(diff["added_indexes"], json!([]));
}
