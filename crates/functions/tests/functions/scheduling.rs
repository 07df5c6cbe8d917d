//! Scheduled functions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use freshet_functions::Scheduler;
use freshet_functions::host::Outcome;
use futures::FutureExt;
use serde_json::{Value as Json, json};

use crate::support::{App, Ctx, Deployment, eventually, thrown, uncaught};

fn schedule(ctx: &Ctx<'_>, name: &str, delay_s: f64, args: &Json) -> Json {
    let ts = ctx.invocation.now_ms / 1000.0 + delay_s;
    ctx.call("1.0/schedule", json!({ "name": name, "ts": ts, "args": args })).unwrap()
}

fn app() -> App {
    App::default()
        .mutation("j:schedule", |ctx, args| {
            let name = args["name"].as_str().unwrap();
            Ok(schedule(ctx, name, args["delay"].as_f64().unwrap_or(0.0), &args["args"]))
        })
        .mutation("j:schedule_many", |ctx, _| {
            for n in 0..5 {
                schedule(ctx, "j:note", 0.0, &json!({ "n": n }));
            }
            Ok(json!(null))
        })
        .mutation("j:schedule_then_throw", |ctx, _| {
            schedule(ctx, "j:note", 0.0, &json!({}));
            Err(thrown("no"))
        })
        .mutation("j:try", |ctx, args| Ok(json!(ctx.call("1.0/schedule", args).unwrap_err().message)))
        .mutation("j:cancel", |ctx, args| ctx.call("1.0/cancel_job", args).map_err(uncaught))
        .mutation("j:note", |ctx, args| Ok(json!(ctx.insert("notes", args).map_err(uncaught)?)))
        .internal("j:note")
        .mutation("j:throw", |ctx, _| {
            ctx.insert("notes", json!({})).map_err(uncaught)?;
            Err(thrown("job"))
        })
        .query("j:notes", |ctx, _| Ok(json!(ctx.collect("notes").map_err(uncaught)?)))
        .query("j:jobs", |ctx, _| Ok(json!(ctx.collect("_scheduled_functions").map_err(uncaught)?)))
        .query("j:query", |_, _| Ok(json!(null)))
}

async fn jobs(deployment: &Deployment) -> Vec<Json> {
    deployment.query("j:jobs", json!({})).await.unwrap().as_array().unwrap().clone()
}

async fn all_over(deployment: &Deployment) -> bool {
    jobs(deployment).await.iter().all(|job| job["completedTime"].is_number())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_mutation_runs_once_and_wakes_the_scheduler_at_once() {
    let deployment = Deployment::start(app());
    let scheduler = Scheduler::start(&deployment.functions);
    // The scheduler sleeps by now: nothing but the new row can wake it.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let id =
        deployment.mutation("j:schedule", json!({ "name": "j:note", "args": { "a": 1 } })).await.unwrap();
    eventually(|| all_over(&deployment)).await;
    let notes = deployment.query("j:notes", json!({})).await.unwrap();
    assert_eq!(notes.as_array().unwrap().len(), 1);
    let jobs = jobs(&deployment).await;
    assert_eq!(jobs[0]["_id"], id);
    assert_eq!(jobs[0]["name"], "j.js:note");
    assert_eq!(jobs[0]["args"], json!([{ "a": 1 }]));
    assert_eq!(jobs[0]["state"], json!({ "kind": "success" }));
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_exactly_once_although_the_server_dies() {
    let mut deployment = Deployment::start(app());
    for _ in 0..20 {
        deployment.mutation("j:schedule_many", json!({})).await.unwrap();
    }
    // Dies again and again, each time after some of the jobs.
    let mut left = Vec::new();
    for life in 1..=8 {
        let _scheduler = Scheduler::start(&deployment.functions);
        // Until some were run in this life, and a little longer, for however long that takes here.
        let enough = 100_usize.saturating_sub(life * 5);
        eventually(|| async {
            jobs(&deployment).await.iter().filter(|job| job["state"]["kind"] == "pending").count() <= enough
        })
        .await;
        deployment = deployment.after_crash(app());
        left.push(jobs(&deployment).await.iter().filter(|job| job["state"]["kind"] == "pending").count());
    }
    assert!(left.iter().any(|&left| 0 < left && left < 100), "never died half-way: {left:?}");
    let _scheduler = Scheduler::start(&deployment.functions);
    eventually(|| all_over(&deployment)).await;
    let notes = deployment.query("j:notes", json!({})).await.unwrap();
    assert_eq!(notes.as_array().unwrap().len(), 100);
    assert!(jobs(&deployment).await.iter().all(|job| job["state"]["kind"] == "success"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_the_server_died_under_is_failed_and_not_repeated() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let app = app().action("j:hang", move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::pending().boxed()
    });
    let deployment = Deployment::start(app.clone());
    let _scheduler = Scheduler::start(&deployment.functions);
    deployment.mutation("j:schedule", json!({ "name": "j:hang", "args": {} })).await.unwrap();
    eventually(|| async { runs.load(Ordering::SeqCst) == 1 }).await;
    assert_eq!(jobs(&deployment).await[0]["state"]["kind"], "inProgress");
    let deployment = deployment.after_crash(app);
    let _scheduler = Scheduler::start(&deployment.functions);
    eventually(|| all_over(&deployment)).await;
    assert_eq!(
        jobs(&deployment).await[0]["state"],
        json!({ "kind": "failed", "error": "Transient error while executing action" })
    );
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_action_runs_and_may_call_functions() {
    let app = app().action("j:act", |callbacks, _| {
        async move {
            let args = json!({ "name": "j:note", "args": {} }).to_string();
            callbacks.syscall("1.0/actions/mutation", &args).await.unwrap();
            Outcome::Returned("null".into())
        }
        .boxed()
    });
    let deployment = Deployment::start(app);
    let _scheduler = Scheduler::start(&deployment.functions);
    deployment.mutation("j:schedule", json!({ "name": "j:act", "args": {} })).await.unwrap();
    eventually(|| all_over(&deployment)).await;
    assert_eq!(jobs(&deployment).await[0]["state"]["kind"], "success");
    assert_eq!(deployment.query("j:notes", json!({})).await.unwrap().as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_throws_fails_with_its_text_and_writes_nothing() {
    let deployment = Deployment::start(app());
    let _scheduler = Scheduler::start(&deployment.functions);
    deployment.mutation("j:schedule", json!({ "name": "j:throw", "args": {} })).await.unwrap();
    deployment.mutation("j:schedule", json!({ "name": "j:query", "args": {} })).await.unwrap();
    eventually(|| all_over(&deployment)).await;
    let jobs = jobs(&deployment).await;
    assert_eq!(jobs[0]["state"], json!({ "kind": "failed", "error": "Uncaught Error: job\n" }));
    assert!(jobs[1]["state"]["error"].as_str().unwrap().starts_with("Unsupported function type."));
    assert_eq!(deployment.query("j:notes", json!({})).await, Ok(json!([])));
}

#[tokio::test]
async fn a_job_appears_with_the_commit_or_never() {
    let deployment = Deployment::start(app());
    deployment.mutation("j:schedule_then_throw", json!({})).await.unwrap_err();
    assert_eq!(jobs(&deployment).await, Vec::<Json>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canceled_job_never_runs() {
    let deployment = Deployment::start(app());
    let later = json!({ "name": "j:note", "args": {}, "delay": 0.3 });
    let id = deployment.mutation("j:schedule", later).await.unwrap();
    let _scheduler = Scheduler::start(&deployment.functions);
    for _ in 0..2 {
        assert_eq!(deployment.mutation("j:cancel", json!({ "id": id })).await, Ok(json!(null)));
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(jobs(&deployment).await[0]["state"], json!({ "kind": "canceled" }));
    assert_eq!(deployment.query("j:notes", json!({})).await, Ok(json!([])));
}

#[tokio::test]
async fn mistakes_of_the_scheduling_function_are_told() {
    let deployment = Deployment::start(app());
    let tried = |args: Json| async { deployment.mutation("j:try", args).await.unwrap() };
    assert_eq!(
        tried(json!({ "name": "a:b", "ts": 1e11, "args": {} })).await,
        "100000000000 is more than 5 years in the future"
    );
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert_eq!(
        tried(json!({ "name": "a:b", "ts": now_s, "args": {} })).await,
        "Attempted to schedule function at nonexistent path: a.js"
    );
    assert_eq!(
        tried(json!({ "name": "j:nope", "ts": now_s, "args": {} })).await,
        "Attempted to schedule function, but no exported function nope found in the file: j.js. Did you forget to \
         export it?"
    );
    assert_eq!(tried(json!({ "ts": now_s, "args": {} })).await, "Missing required argument 'name'");
    let message = tried(json!({ "name": "j:note", "ts": null, "args": {} })).await;
    assert!(message.as_str().unwrap().starts_with("Invalid arguments for `scheduler`: "), "{message}");
    let error = deployment.mutation("j:cancel", json!({ "id": "x" })).await.unwrap_err();
    assert!(
        error.starts_with("Uncaught Error: Invalid argument `id` for `db.cancel_job`: Unable to decode ID: "),
        "{error}"
    );
    let note = deployment.mutation("j:note", json!({})).await;
    assert!(note.unwrap_err().contains("Could not find public function"));
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_jobs_stay_visible_for_a_week() {
    const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
    let deployment = Deployment::start(app());
    let _scheduler = Scheduler::start(&deployment.functions);
    deployment.mutation("j:schedule", json!({ "name": "j:note", "args": {} })).await.unwrap();
    let next_month = json!({ "name": "j:note", "args": {}, "delay": 30.0 * DAY.as_secs_f64() });
    deployment.mutation("j:schedule", next_month).await.unwrap();
    eventually(|| async { jobs(&deployment).await[0]["completedTime"].is_number() }).await;

    let sixth_day = deployment.after_crash_and(6 * DAY, app());
    let _scheduler = Scheduler::start(&sixth_day.functions);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(jobs(&sixth_day).await.len(), 2);

    let eighth_day = deployment.after_crash_and(8 * DAY, app());
    let _scheduler = Scheduler::start(&eighth_day.functions);
    eventually(|| async { jobs(&eighth_day).await.len() == 1 }).await;
    assert_eq!(jobs(&eighth_day).await[0]["state"]["kind"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_that_cancels_itself_is_warned_or_fails_as_its_client_package_has_it() {
    let app = app().mutation("j:cancel_self", |ctx, _| {
        let request = ctx.call("1.0/getRequestMetadata", json!({})).map_err(uncaught)?;
        ctx.call("1.0/cancel_job", json!({ "id": request["scheduledFunctionId"] })).map_err(uncaught)
    });
    let refused = json!({ "kind": "failed", "error": "Uncaught Error: A mutation cannot cancel itself\n" });
    for (app, expected) in
        [(app.clone(), json!({ "kind": "success" })), (app.refusing_self_cancel(), refused)]
    {
        let deployment = Deployment::start(app);
        let _scheduler = Scheduler::start(&deployment.functions);
        deployment.mutation("j:schedule", json!({ "name": "j:cancel_self", "args": {} })).await.unwrap();
        eventually(|| all_over(&deployment)).await;
        assert_eq!(jobs(&deployment).await[0]["state"], expected);
    }
}
