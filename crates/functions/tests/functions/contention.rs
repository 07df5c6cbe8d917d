//! Many writers of one document.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_writer_among_quick_ones_runs_alone_at_most_once_and_nobody_fails() {
    // Slower than its rivals by far, and slower than what anybody would call a moment.
    const SLOW: Duration = Duration::from_millis(1200);
    let app = app().mutation("counter:slow", |ctx, args| {
        let counter = ctx.call("1.0/get", json!({ "id": args["id"] })).map_err(uncaught)?;
        std::thread::sleep(SLOW);
        let n = counter["n"].as_f64().unwrap() + 1000.0;
        ctx.call("1.0/shallowMerge", json!({ "id": args["id"], "value": { "n": n } })).map_err(uncaught)
    });
    let deployment = Deployment::start_with(app, 8, CallLimits::default());
    let id = deployment.mutation("counter:create", json!({})).await.unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (functions, id, is_done) = (deployment.functions.clone(), id.clone(), Arc::clone(&is_done));
        writers.spawn(async move {
            let mut written = 0;
            while !is_done.load(Ordering::Relaxed) {
                let outcome =
                    functions.mutation(call("counter:add", json!({ "id": id })), None).await.unwrap();
                outcome.result.unwrap();
                written += 1;
            }
            written
        });
    }
    deployment.mutation("counter:slow", json!({ "id": id })).await.unwrap();
    is_done.store(true, Ordering::Relaxed);
    let mut written = 0;
    while let Some(ended) = writers.join_next().await {
        written += ended.unwrap();
    }
    let counter = deployment.query("counter:get", json!({ "id": id })).await.unwrap();
    assert_eq!(counter["n"].as_f64(), Some(1000.0 + f64::from(written)));
    let records = deployment.records.0.lock();
    let slow = records.iter().find(|record| record.identifier == "counter:slow").unwrap();
    // Fewer if its rivals were kept from running for so long.
    assert!(slow.conflicts <= CallLimits::default().conflicts_before_exclusive, "{}", slow.conflicts);
}
