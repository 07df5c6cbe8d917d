//! Transactions as mutations see them.

use serde_json::json;

use crate::support::{App, Deployment, call, thrown, uncaught};

fn app() -> App {
    App::default()
        .mutation("m:read_own_writes", |ctx, _| {
            let id = ctx.insert("notes", json!({ "text": "a" })).map_err(uncaught)?;
            ctx.call("1.0/shallowMerge", json!({ "id": id, "value": { "text": "b" } })).map_err(uncaught)?;
            ctx.call("1.0/get", json!({ "id": id })).map_err(uncaught)
        })
        .mutation("m:insert_then_throw", |ctx, _| {
            ctx.insert("notes", json!({ "text": "lost" })).map_err(uncaught)?;
            Err(thrown("no"))
        })
        .mutation("m:insert", |ctx, args| Ok(json!(ctx.insert("notes", args).map_err(uncaught)?)))
        .query("m:list", |ctx, _| Ok(json!(ctx.collect("notes").map_err(uncaught)?)))
        .mutation("m:commit_ts", |ctx, _| {
            ctx.insert("stamps", json!({ "at": { "$commitTs": null } })).map_err(uncaught)?;
            Ok(json!({ "$commitTs": null }))
        })
        .query("m:stamps", |ctx, _| Ok(json!(ctx.collect("stamps").map_err(uncaught)?)))
        .query("m:query_that_writes", |ctx, _| Ok(json!(ctx.insert("notes", json!({})).map_err(uncaught)?)))
}

#[tokio::test]
async fn a_mutation_reads_its_own_writes() {
    let deployment = Deployment::start(app());
    let note = deployment.mutation("m:read_own_writes", json!({})).await.unwrap();
    assert_eq!(note["text"], "b");
}

#[tokio::test]
async fn a_mutation_that_throws_leaves_nothing_behind() {
    let deployment = Deployment::start(app());
    let error = deployment.mutation("m:insert_then_throw", json!({})).await.unwrap_err();
    assert_eq!(error, "Uncaught Error: no\n");
    assert_eq!(deployment.query("m:list", json!({})).await, Ok(json!([])));
}

#[tokio::test]
async fn a_mutation_is_visible_to_the_next_query_and_tells_its_commit() {
    let deployment = Deployment::start(app());
    let outcome = deployment.functions.mutation(call("m:insert", json!({ "n": 1 })), None).await.unwrap();
    let listed = deployment.functions.query(call("m:list", json!({})), Default::default()).await.unwrap();
    assert!(listed.ts >= outcome.ts.unwrap());
    assert!(listed.result.unwrap().contains("\"n\":1"));
}

#[tokio::test]
async fn a_commit_timestamp_in_the_result_is_that_of_the_commit() {
    let deployment = Deployment::start(app());
    let outcome = deployment.functions.mutation(call("m:commit_ts", json!({})), None).await.unwrap();
    let stamp = freshet_values::Value::Int64(outcome.ts.unwrap().as_i64()).to_json_string();
    assert_eq!(outcome.result.unwrap(), stamp);
    let stamps = deployment.query("m:stamps", json!({})).await.unwrap();
    assert_eq!(stamps[0]["at"].to_string(), stamp);
}

#[tokio::test]
async fn a_query_cannot_write() {
    let deployment = Deployment::start(app());
    let error = deployment.query("m:query_that_writes", json!({})).await.unwrap_err();
    assert_eq!(error, "Uncaught Error: Unknown async operation 1.0/insert\n");
}

#[tokio::test]
async fn finished_executions_are_published() {
    let deployment = Deployment::start(app());
    deployment.mutation("m:insert", json!({})).await.unwrap();
    deployment.mutation("m:insert_then_throw", json!({})).await.unwrap_err();
    let records = deployment.records.0.lock();
    assert_eq!(records.len(), 2);
    assert_eq!((records[0].identifier.as_str(), &records[0].error), ("m:insert", &None));
    assert_eq!(records[1].error.as_deref(), Some("Uncaught Error: no\n"));
}
