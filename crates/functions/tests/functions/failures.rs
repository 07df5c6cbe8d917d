//! Failures that are not the function's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use freshet_functions::host::LaneFailure;
use freshet_functions::{CallLimits, ErrorClass};
use freshet_store::StoreError;
use serde_json::json;

use crate::support::{App, Deployment, call, uncaught};

fn app() -> App {
    App::default()
        .mutation("f:insert", |ctx, args| Ok(json!(ctx.insert("notes", args).map_err(uncaught)?)))
        .query("f:list", |ctx, _| Ok(json!(ctx.collect("notes").map_err(uncaught)?)))
        .mutation("f:time_out", |ctx, _| {
            ctx.insert("notes", json!({})).map_err(uncaught)?;
            ctx.lane.abandon(LaneFailure::UserTimeout);
            let error = ctx.insert("notes", json!({})).unwrap_err();
            assert!(!error.catchable);
            Ok(json!(null))
        })
        .mutation("f:start_over", |ctx, _| {
            let attempt = ctx.lane.clock().unwrap().attempt;
            ctx.insert("notes", json!({ "attempt": attempt })).map_err(uncaught)?;
            if attempt == 1 {
                ctx.lane.start_over();
                assert_eq!(ctx.lane.clock(), None);
            }
            Ok(json!(attempt))
        })
        .mutation("f:crash", |ctx, _| {
            ctx.lane.abandon(LaneFailure::Crashed);
            Ok(json!(null))
        })
        .query("f:sleep", |ctx, _| {
            std::thread::sleep(Duration::from_millis(60));
            ctx.collect("notes").map_err(uncaught)?;
            let clock = ctx.lane.clock().unwrap();
            assert!(clock.user >= Duration::from_millis(50) && clock.total >= clock.user);
            Ok(json!(null))
        })
}

#[tokio::test]
async fn a_call_that_ran_too_long_fails_and_writes_nothing() {
    let deployment = Deployment::start(app());
    assert_eq!(
        deployment.mutation("f:time_out", json!({})).await,
        Err("Function execution timed out (maximum duration: 1s)\n".into())
    );
    assert_eq!(deployment.query("f:list", json!({})).await, Ok(json!([])));
}

#[tokio::test]
async fn a_call_that_lost_its_thread_without_guilt_runs_again_and_writes_once() {
    let deployment = Deployment::start_with(app(), 1, CallLimits::default());
    assert_eq!(deployment.mutation("f:start_over", json!({})).await, Ok(json!(2)));
    let rows = deployment.query("f:list", json!({})).await.unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1);
}

/// An app whose `f:lose` loses its lane's thread on its second run, and ends that one only when it has begun elsewhere.
fn losing_app() -> App {
    let runs = Arc::new(AtomicUsize::new(0));
    app().query("f:lose", move |ctx, _| {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        if run == 1 {
            ctx.lane.thread_lost("test");
            ctx.lane.hand_over();
            while runs.load(Ordering::SeqCst) < 3 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(json!(run))
    })
}

#[tokio::test]
async fn a_call_that_lost_its_thread_without_guilt_need_not_wait_for_another_one() {
    let deployment = Deployment::start_with(losing_app(), 2, CallLimits::default());
    assert_eq!(deployment.query("f:lose", json!({})).await, Ok(json!(0)));
    assert_eq!(deployment.query("f:lose", json!({})).await, Ok(json!(2)));
}

#[tokio::test]
async fn a_lane_that_does_not_come_back_keeps_unknown_functions_waiting_for_a_moment_only() {
    let deployment = Deployment::start_with(app(), 1, CallLimits::default());
    let lane = deployment.functions.lane_queue().lane();
    lane.thread_lost("test");
    assert_eq!(deployment.query("f:list", json!({})).await, Ok(json!([])));
}

#[tokio::test]
async fn a_call_whose_lane_died_is_a_failure_of_the_server() {
    let deployment = Deployment::start(app());
    let error = deployment.functions.mutation(call("f:crash", json!({})), None).await.unwrap_err();
    assert_eq!((error.class, error.code), (ErrorClass::Internal, "InternalServerError"));
}

#[tokio::test]
async fn a_mutation_that_cannot_be_stored_is_not_acknowledged() {
    let deployment = Deployment::start(app());
    deployment.store.faults().fail_commits(StoreError::DiskFull("out of disk".into()));
    let result = deployment.functions.mutation(call("f:insert", json!({})), None).await;
    let error = result.unwrap_err();
    // Clients may try again: 503, with what is wrong and what to do.
    assert_eq!((error.class, error.code), (ErrorClass::Overloaded, "DatabaseReadOnly"));
    assert!(error.message.contains("the disk is full (out of disk): free some space"), "{}", error.message);
    let refused = deployment.functions.mutation(call("f:insert", json!({})), None).await.unwrap_err();
    assert_eq!((refused.class, refused.code), (ErrorClass::Overloaded, "DatabaseReadOnly"));
    assert_eq!(deployment.query("f:list", json!({})).await, Ok(json!([])));
    let after = deployment.after_crash(app());
    assert_eq!(after.query("f:list", json!({})).await, Ok(json!([])));
}

#[tokio::test]
async fn nothing_is_shown_before_it_is_durable() {
    let deployment = Deployment::start(app());
    deployment.store.faults().hold_commits(true);
    let mut write = Box::pin(deployment.functions.mutation(call("f:insert", json!({})), None));
    let mut read = Box::pin(async {
        // Begins after the write is visible.
        tokio::time::sleep(Duration::from_millis(100)).await;
        deployment.functions.query(call("f:list", json!({})), Default::default()).await
    });
    let pause = tokio::time::sleep(Duration::from_millis(300));
    let early = tokio::select! {
        _ = &mut write => Some("acknowledged before it was durable"),
        _ = &mut read => Some("shown before it was durable"),
        () = pause => None,
    };
    deployment.store.faults().hold_commits(false);
    assert_eq!(early, None);
    let (write, read) = futures::future::join(write, read).await;
    assert!(write.unwrap().result.is_ok());
    assert_ne!(read.unwrap().result.unwrap(), "[]");
}

#[tokio::test]
async fn a_watchdog_sees_how_long_a_call_takes() {
    let deployment = Deployment::start(app());
    assert_eq!(deployment.query("f:sleep", json!({})).await, Ok(json!(null)));
}

#[tokio::test]
async fn calls_after_closing_are_refused() {
    let deployment = Deployment::start_with(app(), 0, CallLimits::default());
    let waiting = deployment.functions.query(call("f:list", json!({})), Default::default());
    let close = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        deployment.functions.close();
    };
    let (waited, ()) = futures::future::join(waiting, close).await;
    assert_eq!(waited.unwrap_err().code, "ShuttingDown");
    let late = deployment.functions.query(call("f:list", json!({})), Default::default()).await;
    assert_eq!(late.unwrap_err().code, "ShuttingDown");
}
