//! Files: bytes and rows stay together, whatever fails between them.

use std::time::Duration;

use bytes::Bytes;
use freshet_functions::{FileHead, FileUpload, Scheduler};
use freshet_store::StoreError;
use futures::TryStreamExt;
use serde_json::{Value as Json, json};

use crate::support::{App, Deployment, eventually, uncaught};

fn app() -> App {
    App::default()
        .query("f:metadata", |ctx, args| ctx.call("1.0/storageGetMetadata", args).map_err(uncaught))
        .query("f:url", |ctx, args| ctx.call("1.0/storageGetUrl", args).map_err(uncaught))
        .mutation("f:delete", |ctx, args| ctx.call("1.0/storageDelete", args).map_err(uncaught))
}

async fn begin(deployment: &Deployment, bytes: &'static [u8]) -> FileUpload {
    let mut upload = deployment.functions.begin_upload(FileHead::default()).await.unwrap();
    upload.write(Bytes::from_static(bytes)).await.unwrap();
    upload
}

async fn upload(deployment: &Deployment, bytes: &'static [u8]) -> String {
    begin(deployment, bytes).await.finish().await.unwrap()
}

async fn metadata(deployment: &Deployment, id: &str) -> Json {
    deployment.query("f:metadata", json!({ "storageId": id })).await.unwrap()
}

async fn read(deployment: &Deployment, id: &str) -> Vec<u8> {
    let storage_id = metadata(deployment, id).await["storageId"].as_str().unwrap().parse().unwrap();
    let file = deployment.functions.find_file(storage_id).await.unwrap().unwrap();
    let pieces: Vec<Bytes> = file.read(0..file.info().size).await.unwrap().try_collect().await.unwrap();
    pieces.concat()
}

/// Waits until a started collector has done what it does.
async fn collected(deployment: &Deployment, files: usize) {
    eventually(|| async { deployment.files.keys().len() == files }).await;
}

#[tokio::test]
async fn an_acknowledged_file_survives_a_crash_and_the_collector() {
    let first = Deployment::start(app());
    let id = upload(&first, b"precious").await;
    let broken_off = begin(&first, b"half").await;
    let second = first.after_crash(app());
    drop(broken_off);
    let scheduler = Scheduler::start(&second.functions);
    // Collected after everything else that is due.
    let deleted = upload(&second, b"gone").await;
    second.mutation("f:delete", json!({ "storageId": deleted })).await.unwrap();
    collected(&second, 1).await;
    assert_eq!(read(&second, &id).await, b"precious");
    scheduler.stop().await;
}

#[tokio::test]
async fn bytes_without_a_row_go_after_the_row_could_not_be_stored() {
    let first = Deployment::start(app());
    let kept = upload(&first, b"kept").await;
    // A whole batch: what has to be noted before its bytes are written is noted now.
    static LOST: [u8; 1 << 20] = [b'x'; 1 << 20];
    let lost = begin(&first, &LOST).await;
    // The claim comes first.
    let commits = first.store.faults().commits_begun();
    upload(&first, b"also kept").await;
    assert!(first.store.faults().commits_begun() > commits);
    first.store.faults().fail_commits(StoreError::DiskFull("no space left".into()));
    assert_eq!(lost.finish().await.unwrap_err().code, "DatabaseReadOnly");
    assert_eq!(first.files.keys().len(), 3);
    let second = first.after_crash(app());
    let scheduler = Scheduler::start(&second.functions);
    collected(&second, 2).await;
    assert_eq!(read(&second, &kept).await, b"kept");
    scheduler.stop().await;
}

#[tokio::test]
async fn bytes_stay_until_the_deletion_of_their_row_is_durable() {
    let first = Deployment::start(app());
    let id = upload(&first, b"nearly gone").await;
    let scheduler = Scheduler::start(&first.functions);
    first.store.faults().hold_commits(true);
    let functions = first.functions.clone();
    let call = crate::support::call("f:delete", json!({ "storageId": id }));
    let deletion = tokio::spawn(async move { functions.mutation(call, None).await.map(drop) });
    // The collector sees the deletion, which a crash can still take back, and gets all the time that it wants.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(first.files.keys().len(), 1);
    let second = first.after_crash(app());
    assert_eq!(read(&second, &id).await, b"nearly gone");
    first.store.faults().hold_commits(false);
    deletion.await.unwrap().unwrap();
    collected(&first, 0).await;
    scheduler.stop().await;
}

#[tokio::test]
async fn an_upload_that_is_dropped_leaves_neither_bytes_nor_parts() {
    let deployment = Deployment::start(app());
    let scheduler = Scheduler::start(&deployment.functions);
    let mut large = deployment.functions.begin_upload(FileHead::default()).await.unwrap();
    large.write(vec![1; 2 << 20].into()).await.unwrap();
    assert_eq!(deployment.files.unfinished().len(), 1);
    drop(large);
    eventually(|| async { deployment.files.unfinished().is_empty() }).await;
    let wrong = FileHead { sha256: Some([0; 32]), ..FileHead::default() };
    let upload = deployment.functions.begin_upload(wrong).await.unwrap();
    assert_eq!(upload.finish().await.unwrap_err().code, "Sha256Mismatch");
    assert!(deployment.files.keys().is_empty());
    scheduler.stop().await;
}

#[tokio::test]
async fn uploads_are_bounded() {
    let deployment = Deployment::start_with(
        app(),
        1,
        freshet_functions::CallLimits {
            queue_wait_max: Duration::from_millis(50),
            ..freshet_functions::CallLimits::default()
        },
    );
    let mut uploads = Vec::new();
    for _ in 0..4 {
        uploads.push(begin(&deployment, b"x").await);
    }
    let refused = deployment.functions.begin_upload(FileHead::default()).await.map(drop).unwrap_err();
    assert_eq!((refused.code, refused.class.status()), ("TooManyConcurrentRequests", 429));
    uploads.pop();
    begin(&deployment, b"x").await;
}

#[tokio::test]
async fn a_deleted_file_has_no_address() {
    let deployment = Deployment::start(app());
    let id = upload(&deployment, b"x").await;
    let url = deployment.query("f:url", json!({ "storageId": id })).await.unwrap();
    assert!(url.as_str().unwrap().starts_with("http://127.0.0.1:3210/api/storage/"), "{url}");
    deployment.mutation("f:delete", json!({ "storageId": id })).await.unwrap();
    assert_eq!(deployment.query("f:url", json!({ "storageId": id })).await.unwrap(), Json::Null);
    let again = deployment.mutation("f:delete", json!({ "storageId": id })).await.unwrap_err();
    assert!(again.contains(&format!("storage id {id} not found")), "{again}");
}
