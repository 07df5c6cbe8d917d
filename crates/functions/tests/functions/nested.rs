//! Calls within a transaction.

use freshet_functions::host::JsError;
use serde_json::json;

use crate::support::{App, Deployment, thrown, uncaught};

fn app() -> App {
    App::default()
        .mutation("n:insert", |ctx, args| Ok(json!(ctx.insert("notes", args).map_err(uncaught)?)))
        .mutation("n:insert_then_throw", |ctx, _| {
            ctx.insert("notes", json!({ "text": "undone" })).map_err(uncaught)?;
            Err(JsError { data: Some("{\"kind\":\"x\"}".into()), ..thrown("nested") })
        })
        .mutation("n:insert_then_return_nonsense", |ctx, _| {
            ctx.insert("notes", json!({ "text": "undone" })).map_err(uncaught)?;
            Ok(json!("text"))
        })
        .returns("n:insert_then_return_nonsense", json!({ "type": "number" }))
        .query("n:list", |ctx, _| Ok(json!(ctx.collect("notes").map_err(uncaught)?)))
        .internal("n:list")
        .mutation("n:catch", |ctx, args| {
            ctx.insert("notes", json!({ "text": "before" })).map_err(uncaught)?;
            let error = ctx.run("mutation", args["callee"].as_str().unwrap(), json!({})).unwrap_err();
            assert!(error.catchable);
            ctx.insert("notes", json!({ "text": "after" })).map_err(uncaught)?;
            let seen = ctx.run("query", "n:list", json!({})).map_err(uncaught)?;
            Ok(json!({
                "message": error.message, "data": error.data, "seen": seen.as_array().unwrap().len(),
            }))
        })
        .mutation("n:keep", |ctx, _| {
            ctx.run("mutation", "n:insert", json!({ "text": "kept" })).map_err(uncaught)?;
            ctx.run("query", "n:list", json!({})).map_err(uncaught)
        })
        .mutation("n:stale", |ctx, _| {
            ctx.insert("notes", json!({ "text": "mine" })).map_err(uncaught)?;
            let stale = ctx.run("snapshotQuery", "n:list", json!({})).map_err(uncaught)?;
            let fresh = ctx.run("query", "n:list", json!({})).map_err(uncaught)?;
            Ok(json!([stale.as_array().unwrap().len(), fresh.as_array().unwrap().len()]))
        })
        .query("n:mutate", |ctx, _| ctx.run("mutation", "n:insert", json!({})).map_err(uncaught))
        .query("n:missing", |ctx, _| ctx.run("query", "n:nope", json!({})).map_err(uncaught))
        .query("n:forever", |ctx, args| {
            let depth = args["depth"].as_f64().unwrap();
            match ctx.run("query", "n:forever", json!({ "depth": depth + 1.0 })) {
                Ok(deepest) => Ok(deepest),
                Err(error) => Ok(json!({ "depth": depth, "message": error.message })),
            }
        })
        .mutation("n:budget", |ctx, _| {
            for n in 0..3 {
                ctx.insert("notes", json!({ "n": n })).map_err(uncaught)?;
            }
            let error = ctx
                .run_with(json!({
                    "udfType": "query", "name": "n:list", "args": {},
                    "transactionLimits": { "documentsRead": 2 },
                }))
                .unwrap_err();
            ctx.run("query", "n:list", json!({})).map_err(uncaught)?;
            Ok(json!(error.message))
        })
}

#[tokio::test]
async fn a_caught_failure_of_a_nested_mutation_undoes_its_writes_alone() {
    let deployment = Deployment::start(app());
    let reply = deployment.mutation("n:catch", json!({ "callee": "n:insert_then_throw" })).await.unwrap();
    assert_eq!(reply["message"], "Uncaught Error: nested\n");
    assert_eq!(reply["data"], "{\"kind\":\"x\"}");
    assert_eq!(reply["seen"], 2);
    let left = deployment.mutation("n:keep", json!({})).await.unwrap();
    let texts: Vec<_> = left.as_array().unwrap().iter().map(|note| note["text"].clone()).collect();
    assert_eq!(texts, [json!("before"), json!("after"), json!("kept")]);
}

#[tokio::test]
async fn a_nested_mutation_whose_result_is_invalid_is_undone_too() {
    let deployment = Deployment::start(app());
    let reply =
        deployment.mutation("n:catch", json!({ "callee": "n:insert_then_return_nonsense" })).await.unwrap();
    assert_eq!(
        reply["message"],
        "ReturnsValidationError: Value does not match validator.\n\nValue: \"text\"\nValidator: v.float64()"
    );
    assert_eq!(reply["seen"], 2);
}

#[tokio::test]
async fn a_stale_snapshot_does_not_show_the_callers_own_writes() {
    let deployment = Deployment::start(app());
    assert_eq!(deployment.mutation("n:stale", json!({})).await, Ok(json!([0, 1])));
}

#[tokio::test]
async fn a_query_cannot_call_a_mutation() {
    let deployment = Deployment::start(app());
    let error = deployment.query("n:mutate", json!({})).await.unwrap_err();
    assert_eq!(error, "Uncaught Error: Cannot call a Mutation function from a Query function\n");
}

#[tokio::test]
async fn a_missing_callee_has_the_text_of_a_missing_public_function() {
    let deployment = Deployment::start(app());
    let error = deployment.query("n:missing", json!({})).await.unwrap_err();
    assert_eq!(error, "Uncaught Error: Could not find public function for 'n:nope'.\n");
}

#[tokio::test]
async fn nesting_ends_at_eight() {
    let deployment = Deployment::start(app());
    let reply = deployment.query("n:forever", json!({ "depth": 0 })).await.unwrap();
    assert_eq!(reply["depth"].as_f64(), Some(8.0));
    assert_eq!(
        reply["message"],
        "Cross component call depth limit exceeded. Do you have an infinite loop in your app?"
    );
}

#[tokio::test]
async fn a_budget_binds_the_nested_call_alone() {
    let deployment = Deployment::start(app());
    let message = deployment.mutation("n:budget", json!({})).await.unwrap();
    assert!(
        message
            .as_str()
            .unwrap()
            .contains("Too many documents read in a single function execution (limit: 2)."),
        "{message}"
    );
}
