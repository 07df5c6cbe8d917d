//! Queries: what their results depend on.

use std::sync::Arc;

use freshet_database::Namespace;
use freshet_functions::{Identity, QueryOptions, UserIdentity};
use freshet_values::{Object, Value};
use serde_json::json;

use crate::support::{App, Deployment, call, uncaught, version_table};

fn app() -> App {
    App::default()
        .mutation("q:insert", |ctx, args| Ok(json!(ctx.insert("notes", args).map_err(uncaught)?)))
        .query("q:list", |ctx, _| Ok(json!(ctx.collect("notes").map_err(uncaught)?)))
        .query("q:page", |ctx, args| {
            let source = json!({ "type": "FullTableScan", "tableName": "notes", "order": null });
            let query = json!({ "source": source, "operators": [] });
            let page = json!({ "query": query, "cursor": args["cursor"], "pageSize": args["size"] });
            ctx.call("1.0/queryPage", page).map_err(uncaught)
        })
        .query("q:two_pages", |ctx, _| {
            let source = json!({ "type": "FullTableScan", "tableName": "notes", "order": null });
            let query = json!({ "source": source, "operators": [] });
            let page = json!({ "query": query, "cursor": null, "pageSize": 1 });
            ctx.call("1.0/queryPage", page.clone()).map_err(uncaught)?;
            ctx.call("1.0/queryPage", page).map_err(uncaught)
        })
        .query("q:me", |ctx, _| ctx.call("1.0/getUserIdentity", json!({})).map_err(uncaught))
        .query("q:env", |ctx, args| Ok(json!(ctx.env(args["name"].as_str().unwrap()))))
        .query("q:commit_ts", |_, _| Ok(json!({ "$commitTs": null })))
        .query("q:meta", |ctx, _| ctx.call("1.0/getFunctionMetadata", json!({})).map_err(uncaught))
        .query("q:metrics", |ctx, _| ctx.call("1.0/getTransactionMetrics", json!({})).map_err(uncaught))
        .query("q:audit", |ctx, _| ctx.call("1.0/auditLog", json!({})).map_err(uncaught))
}

#[tokio::test]
async fn a_query_reads_the_snapshot_that_was_asked_for() {
    let deployment = Deployment::start(app());
    deployment.mutation("q:insert", json!({})).await.unwrap();
    let before =
        deployment.functions.query(call("q:list", json!({})), QueryOptions::default()).await.unwrap();
    deployment.mutation("q:insert", json!({})).await.unwrap();
    let options = QueryOptions { at: Some(before.ts), journal: None };
    let again = deployment.functions.query(call("q:list", json!({})), options).await.unwrap();
    assert_eq!(again.result, before.result);
    assert_eq!(again.ts, before.ts);
}

#[tokio::test]
async fn a_page_keeps_its_end_when_it_is_run_again_with_its_journal() {
    let deployment = Deployment::start(app());
    for n in 0..3 {
        deployment.mutation("q:insert", json!({ "n": n })).await.unwrap();
    }
    let page = call("q:page", json!({ "cursor": null, "size": 10 }));
    let first = deployment.functions.query(page.clone(), QueryOptions::default()).await.unwrap();
    assert!(first.journal.is_some());
    deployment.mutation("q:insert", json!({ "n": 3 })).await.unwrap();
    let small = call("q:page", json!({ "cursor": null, "size": 1 }));
    let options = QueryOptions { at: None, journal: first.journal.clone() };
    let again = deployment.functions.query(small, options).await.unwrap();
    let reply: serde_json::Value = serde_json::from_str(&again.result.unwrap()).unwrap();
    assert_eq!(reply["page"].as_array().unwrap().len(), 4);
    assert_eq!(reply["isDone"], true);
    assert_eq!(again.journal, first.journal);
}

#[tokio::test]
async fn a_function_paginates_once() {
    let deployment = Deployment::start(app());
    let error = deployment.query("q:two_pages", json!({})).await.unwrap_err();
    assert!(error.contains("This query or mutation function ran multiple paginated queries."), "{error}");
}

#[tokio::test]
async fn asking_for_the_identity_is_noticed() {
    let deployment = Deployment::start(app());
    let attributes = json!({ "issuer": "https://i", "subject": "s" }).as_object().unwrap().clone();
    let mut asking = call("q:me", json!({}));
    asking.identity = Identity::User(UserIdentity::from_attributes(attributes).unwrap());
    let asked = deployment.functions.query(asking, QueryOptions::default()).await.unwrap();
    assert!(asked.observed_identity);
    assert!(asked.result.unwrap().contains("https://i|s"));
    let silent =
        deployment.functions.query(call("q:list", json!({})), QueryOptions::default()).await.unwrap();
    assert!(!silent.observed_identity);
}

#[tokio::test]
async fn a_token_that_was_not_verified_fails_only_those_who_ask() {
    let deployment = Deployment::start(app());
    let mut asking = call("q:me", json!({}));
    asking.identity = Identity::Unverified("no provider".into());
    let asked = deployment.functions.query(asking, QueryOptions::default()).await.unwrap();
    assert_eq!(asked.result.unwrap_err().message, "Uncaught Error: no provider\n");
}

#[tokio::test]
async fn the_two_urls_are_always_in_the_environment() {
    let deployment = Deployment::start(app());
    let get = |name: &'static str| deployment.query("q:env", json!({ "name": name }));
    assert_eq!(get("CONVEX_CLOUD_URL").await, Ok(json!("http://127.0.0.1:3210")));
    assert_eq!(get("CONVEX_SITE_URL").await, Ok(json!("http://127.0.0.1:3211")));
    assert_eq!(get("OTHER").await, Ok(json!(null)));
}

#[tokio::test]
async fn a_query_cannot_return_an_unresolved_commit_timestamp() {
    let deployment = Deployment::start(app());
    let error = deployment.query("q:commit_ts", json!({})).await.unwrap_err();
    assert!(error.contains("queries cannot return an unresolved commit timestamp"), "{error}");
}

#[tokio::test]
async fn functions_learn_about_themselves() {
    let deployment = Deployment::start(app());
    assert_eq!(
        deployment.query("q:meta", json!({})).await,
        Ok(json!({ "name": "q:meta", "componentPath": "" }))
    );
    let metrics = deployment.query("q:metrics", json!({})).await.unwrap();
    assert_eq!(metrics["documentsRead"], json!({ "used": 0, "remaining": 32000 }));
}

#[tokio::test]
async fn a_feature_that_is_missing_says_so() {
    let deployment = Deployment::start(app());
    let error = deployment.query("q:audit", json!({})).await.unwrap_err();
    assert_eq!(error, "Uncaught Error: Audit logging is not available in this version of the server.\n");
}

#[tokio::test]
async fn a_missing_function_is_looked_for_again_after_a_push() {
    let deployment = Deployment::start(app());
    let database = deployment.functions.database().clone();
    let missing =
        deployment.functions.query(call("q:nope", json!({})), QueryOptions::default()).await.unwrap();
    assert!(missing.result.is_err());
    let subscription = database.subscribe(missing.read_set, missing.ts, Arc::new(|| {}));
    deployment.mutation("q:insert", json!({})).await.unwrap();
    assert!(subscription.is_valid());
    let mut push = database.begin().unwrap();
    let version = Object::from([("version".to_owned(), Value::Int64(2))]);
    push.system(Namespace::ROOT).insert(&version_table(), version).unwrap();
    database.commit(push).unwrap();
    assert!(!subscription.is_valid());
}

#[tokio::test]
async fn a_query_depends_on_the_variables_that_it_read_and_no_others() {
    let deployment = Deployment::start(app());
    let database = deployment.functions.database().clone();
    let set = |name: &str| {
        let mut transaction = database.begin().unwrap();
        let row = Object::from([("name".to_owned(), name.into()), ("value".to_owned(), "x".into())]);
        let table = "_environment_variables".parse().unwrap();
        transaction.system(Namespace::ROOT).insert(&table, row).unwrap();
        database.commit(transaction).unwrap();
    };
    set("FIRST");
    let read = deployment
        .functions
        .query(call("q:env", json!({ "name": "MINE" })), QueryOptions::default())
        .await
        .unwrap();
    assert_eq!(read.result.unwrap(), "null");
    let subscription = database.subscribe(read.read_set, read.ts, Arc::new(|| {}));
    set("OTHER");
    assert!(subscription.is_valid());
    set("MINE");
    assert!(!subscription.is_valid());
    assert_eq!(deployment.query("q:env", json!({ "name": "MINE" })).await, Ok(json!("x")));
}
