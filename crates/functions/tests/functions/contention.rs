//! Many writers of one document.

use serde_json::json;

use crate::support::{App, Deployment, call, uncaught};
use freshet_functions::CallLimits;

fn app() -> App {
    App::default()
        .mutation("counter:create", |ctx, _| {
            Ok(json!(ctx.insert("counters", json!({ "n": 0 })).map_err(uncaught)?))
        })
        .mutation("counter:add", |ctx, args| {
            let counter = ctx.call("1.0/get", json!({ "id": args["id"] })).map_err(uncaught)?;
            let n = counter["n"].as_f64().unwrap() + 1.0;
            ctx.log("attempt");
            ctx.call("1.0/shallowMerge", json!({ "id": args["id"], "value": { "n": n } }))
                .map_err(uncaught)?;
            Ok(json!(n))
        })
        .query("counter:get", |ctx, args| ctx.call("1.0/get", json!({ "id": args["id"] })).map_err(uncaught))
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_of_one_counter_all_succeed_exactly_once() {
    const EACH: usize = 40;
    let deployment = Deployment::start_with(app(), 16, CallLimits::default());
    let id = deployment.mutation("counter:create", json!({})).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (functions, id) = (deployment.functions.clone(), id.clone());
        tasks.spawn(async move {
            for _ in 0..EACH {
                let outcome =
                    functions.mutation(call("counter:add", json!({ "id": id })), None).await.unwrap();
                outcome.result.unwrap();
                // Lines of attempts that a conflict took back are not shown.
                assert_eq!(outcome.log_lines.len(), 1);
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let counter = deployment.query("counter:get", json!({ "id": id })).await.unwrap();
    assert_eq!(counter["n"].as_f64(), Some((16 * EACH) as f64));
    let conflicts: u32 = deployment.records.0.lock().iter().map(|record| record.conflicts).sum();
    assert!(conflicts > 0, "the writers never met, so this test shows nothing");
}
