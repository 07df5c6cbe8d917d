//! Cron jobs. The rows are written as a push writes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use freshet_database::Namespace;
use freshet_functions::host::Outcome;
use freshet_functions::{CallLimits, Scheduler};
use freshet_values::{Object, TableName, Value};
use futures::FutureExt;
use serde_json::{Value as Json, json};

use crate::support::{App, Deployment, eventually, thrown, uncaught};

const SECOND: i64 = 1_000_000_000;

fn app() -> App {
    App::default()
        .mutation("c:tick", |ctx, args| Ok(json!(ctx.insert("ticks", args).map_err(uncaught)?)))
        .mutation("c:throw", |ctx, _| {
            ctx.insert("ticks", json!({})).map_err(uncaught)?;
            Err(thrown("tick"))
        })
        .query("c:ticks", |ctx, _| Ok(json!(ctx.collect("ticks").map_err(uncaught)?)))
}

fn now_ns() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64
}

fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

/// Declares a job that runs every `seconds` and is due at `due_ns`.
fn declare(deployment: &Deployment, function: &str, seconds: i64, due_ns: i64) {
    let fields = |json: Json| -> Object {
        match Value::from_json(&json).unwrap() {
            Value::Object(fields) => fields,
            _ => unreachable!(),
        }
    };
    let int = |number: i64| Value::Int64(number).to_json();
    let args = Value::Bytes(b"[{\"a\":1}]".to_vec()).to_json();
    let spec = json!({"udfPath": function, "udfArgs": args,
                      "cronSchedule": {"type": "interval", "seconds": int(seconds)}});
    let mut transaction = deployment.functions.database().begin().unwrap();
    let mut system = transaction.system(Namespace::ROOT);
    let job = system.insert(&table("_cron_jobs"), fields(json!({"name": "job", "cronSpec": spec}))).unwrap();
    let next = json!({"cronJobId": job.to_string(), "state": {"type": "pending"}, "prevTs": null, "nextTs": int(due_ns)});
    system.insert(&table("_cron_next_run"), fields(next)).unwrap();
    let commit = deployment.functions.database().commit(transaction).unwrap();
    deployment.functions.database().wait_durable_blocking(commit.ts).unwrap();
}

fn rows(deployment: &Deployment, name: &str) -> Vec<Json> {
    let mut transaction = deployment.functions.database().begin().unwrap();
    let documents = transaction.system(Namespace::ROOT).all(&table(name)).unwrap();
    documents.iter().map(|row| serde_json::from_str(row.json()).unwrap()).collect()
}

fn statuses(deployment: &Deployment) -> Vec<String> {
    rows(deployment, "_cron_job_logs")
        .iter()
        .map(|log| log["status"]["type"].as_str().unwrap().to_owned())
        .collect()
}

async fn ticks(deployment: &Deployment) -> Vec<Json> {
    deployment.query("c:ticks", json!({})).await.unwrap().as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_runs_again_and_again() {
    let deployment = Deployment::start(app());
    let _scheduler = Scheduler::start(&deployment.functions);
    tokio::time::sleep(Duration::from_millis(50)).await;
    declare(&deployment, "c.js:tick", 1, now_ns());
    eventually(|| async { ticks(&deployment).await.len() >= 3 }).await;
    assert_eq!(ticks(&deployment).await[0]["a"], 1);
    let logs = rows(&deployment, "_cron_job_logs");
    assert_eq!(logs[0]["name"], "job");
    assert_eq!(logs[0]["status"]["result"]["type"], "default");
    assert!(logs.iter().all(|log| log["status"]["type"] == "success"));
    let due = |log: &Json| match Value::from_json(&log["ts"]).unwrap() {
        Value::Int64(ns) => ns,
        other => panic!("{other}"),
    };
    assert_eq!(due(&logs[1]) - due(&logs[0]), SECOND, "the next time counts from the time that was due");
}

#[tokio::test(flavor = "multi_thread")]
async fn occurrences_that_passed_meanwhile_are_skipped() {
    let deployment = Deployment::start(app());
    declare(&deployment, "c.js:tick", 60, now_ns() - 200 * SECOND);
    let _scheduler = Scheduler::start(&deployment.functions);
    eventually(|| async { statuses(&deployment).len() == 2 }).await;
    assert_eq!(statuses(&deployment), ["success", "canceled"]);
    let canceled =
        Value::from_json(&rows(&deployment, "_cron_job_logs")[1]["status"]["num_canceled"]).unwrap();
    assert_eq!(canceled, Value::Int64(3));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ticks(&deployment).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_throws_is_recorded_and_goes_on() {
    let deployment = Deployment::start(app());
    declare(&deployment, "c.js:throw", 1, now_ns());
    let _scheduler = Scheduler::start(&deployment.functions);
    eventually(|| async { statuses(&deployment).len() >= 2 }).await;
    let logs = rows(&deployment, "_cron_job_logs");
    assert_eq!(logs[0]["status"], json!({"type": "err", "error": "Uncaught Error: tick\n"}));
    assert_eq!(ticks(&deployment).await, Vec::<Json>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_gone_is_recorded() {
    let deployment = Deployment::start(app());
    declare(&deployment, "c.js:gone", 60, now_ns());
    let _scheduler = Scheduler::start(&deployment.functions);
    eventually(|| async { statuses(&deployment) == ["err"] }).await;
    let error = rows(&deployment, "_cron_job_logs")[0]["status"]["error"].clone();
    assert!(error.as_str().unwrap().starts_with("Couldn't find \"gone\" in module"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_occurrence_runs_exactly_once_although_the_server_dies() {
    let mut deployment = Deployment::start(app());
    declare(&deployment, "c.js:tick", 3600, now_ns());
    for pause_ms in [0, 1, 2, 4, 8] {
        let _scheduler = Scheduler::start(&deployment.functions);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        deployment = deployment.after_crash(app());
    }
    let _scheduler = Scheduler::start(&deployment.functions);
    eventually(|| async { !ticks(&deployment).await.is_empty() }).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((ticks(&deployment).await.len(), statuses(&deployment)), (1, vec!["success".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_the_server_died_under_is_not_repeated() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let app = app().action("c:hang", move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::pending().boxed()
    });
    let deployment = Deployment::start(app.clone());
    declare(&deployment, "c.js:hang", 3600, now_ns());
    let _scheduler = Scheduler::start(&deployment.functions);
    eventually(|| async { runs.load(Ordering::SeqCst) == 1 }).await;
    let deployment = deployment.after_crash(app);
    let _scheduler = Scheduler::start(&deployment.functions);
    eventually(|| async { statuses(&deployment) == ["err"] }).await;
    assert_eq!(
        rows(&deployment, "_cron_job_logs")[0]["status"]["error"],
        "Transient error while executing action"
    );
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(rows(&deployment, "_cron_next_run")[0]["state"]["type"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_runs_are_kept() {
    let deployment = Deployment::start(app());
    declare(&deployment, "c.js:tick", 1, now_ns());
    let _scheduler = Scheduler::start(&deployment.functions);
    eventually(|| async { ticks(&deployment).await.len() >= 7 }).await;
    assert_eq!(statuses(&deployment).len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_finds_no_room_is_run_when_there_is_some() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let opened = gate.clone();
    let app = app()
        .action("c:once", move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Outcome::Returned("null".into()) }.boxed()
        })
        .action("c:wait", move |_, _| {
            let opened = opened.clone();
            async move {
                drop(opened.acquire().await);
                Outcome::Returned("null".into())
            }
            .boxed()
        });
    let limits = CallLimits {
        isolate_actions_max: 1,
        queue_wait_max: Duration::from_millis(20),
        ..CallLimits::default()
    };
    let deployment = Arc::new(Deployment::start_with(app, 2, limits));
    let other = deployment.clone();
    let waiting = tokio::spawn(async move { other.action("c:wait", json!({})).await });
    eventually(|| async { deployment.functions.statistics().isolate_actions.running == 1 }).await;
    declare(&deployment, "c.js:once", 3600, now_ns());
    let _scheduler = Scheduler::start(&deployment.functions);
    eventually(|| async { deployment.functions.statistics().isolate_actions.refused > 0 }).await;
    gate.add_permits(1);
    waiting.await.unwrap().unwrap();
    eventually(|| async { statuses(&deployment) == ["success"] }).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}
