//! Exactly once for requests of client sessions.

use freshet_functions::SessionRequest;
use serde_json::json;

use crate::support::{App, Deployment, call, thrown, uncaught};

fn app() -> App {
    App::default()
        .mutation("s:insert", |ctx, args| {
            ctx.log("ran");
            Ok(json!(ctx.insert("notes", args).map_err(uncaught)?))
        })
        .mutation("s:throw", |_, _| Err(thrown("no")))
        .query("s:count", |ctx, _| Ok(json!(ctx.collect("notes").map_err(uncaught)?.len())))
        .mutation("s:commit_ts", |_, _| Ok(json!({ "$commitTs": null })))
}

fn request(number: u64) -> Option<SessionRequest> {
    Some(SessionRequest { session_id: "2f1c9a54-6f0e-4b7d-9a3e-5d1c0b8e7f21".into(), request_id: number })
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_does_not_run_again() {
    let deployment = Deployment::start(app());
    let first = deployment.functions.mutation(call("s:insert", json!({ "a": 1 })), request(0)).await.unwrap();
    let deployment = deployment.after_crash(app());
    let second =
        deployment.functions.mutation(call("s:insert", json!({ "a": 1 })), request(0)).await.unwrap();
    assert_eq!(second.result, first.result);
    assert_eq!(second.ts, first.ts);
    assert_eq!(second.log_lines, first.log_lines);
    assert_eq!(deployment.query("s:count", json!({})).await, Ok(json!(1)));
    deployment.functions.mutation(call("s:insert", json!({ "a": 1 })), request(1)).await.unwrap();
    assert_eq!(deployment.query("s:count", json!({})).await, Ok(json!(2)));
}

#[tokio::test]
async fn requests_sent_again_in_a_row_after_a_restart_are_all_answered_from_their_records() {
    let deployment = Deployment::start(app());
    let mut first = Vec::new();
    for number in 3..6 {
        let outcome = deployment.functions.mutation(call("s:insert", json!({})), request(number)).await;
        first.push(outcome.unwrap().result);
    }
    let deployment = deployment.after_crash(app());
    for (number, result) in (3..6).zip(first) {
        let again =
            deployment.functions.mutation(call("s:insert", json!({})), request(number)).await.unwrap();
        assert_eq!(again.result, result);
    }
    assert_eq!(deployment.query("s:count", json!({})).await, Ok(json!(3)));
    deployment.functions.mutation(call("s:insert", json!({})), request(6)).await.unwrap();
    assert_eq!(deployment.query("s:count", json!({})).await, Ok(json!(4)));
}

#[tokio::test]
async fn numbers_need_not_ascend() {
    let deployment = Deployment::start(app());
    for number in [9, 2, 9, 2, u64::MAX, u64::MAX] {
        deployment.functions.mutation(call("s:insert", json!({})), request(number)).await.unwrap();
    }
    assert_eq!(deployment.query("s:count", json!({})).await, Ok(json!(3)));
}

#[tokio::test]
async fn a_failed_request_leaves_no_record() {
    let deployment = Deployment::start(app());
    for _ in 0..2 {
        let outcome = deployment.functions.mutation(call("s:throw", json!({})), request(0)).await.unwrap();
        assert!(outcome.result.is_err());
        assert_eq!(outcome.ts, None);
    }
    let outcome = deployment.functions.mutation(call("s:insert", json!({})), request(0)).await.unwrap();
    assert!(outcome.ts.is_some());
}

#[tokio::test]
async fn racing_repetitions_run_once() {
    let deployment = Deployment::start_with(app(), 8, Default::default());
    let runs = (0..8).map(|_| deployment.functions.mutation(call("s:insert", json!({})), request(7)));
    let outcomes = futures::future::join_all(runs).await;
    let first = outcomes[0].as_ref().unwrap();
    for outcome in &outcomes {
        let outcome = outcome.as_ref().unwrap();
        assert_eq!((&outcome.result, outcome.ts), (&first.result, first.ts));
    }
    assert_eq!(deployment.query("s:count", json!({})).await, Ok(json!(1)));
}

#[tokio::test]
async fn a_repeated_commit_timestamp_is_the_original_one() {
    let deployment = Deployment::start(app());
    let first = deployment.functions.mutation(call("s:commit_ts", json!({})), request(0)).await.unwrap();
    let second = deployment.functions.mutation(call("s:commit_ts", json!({})), request(0)).await.unwrap();
    assert!(first.result.as_ref().unwrap().contains("$integer"));
    assert_eq!(first.result, second.result);
}
