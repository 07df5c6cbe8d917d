//! The ends of the threads: by closing, and by a defect.

use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn closing_does_not_leave_an_index_build_waiting_for_a_committer_that_has_gone() {
    let Fixture { database, store, clock } = fixture();
    let fixture = Fixture { database, store: Arc::clone(&store), clock };
    for _ in 0..3 {
        fixture.insert("t", object([]));
    }
    // From now on the maintenance thread, and nobody else, stops at its next step.
    let (reached, waiting) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    store.faults().on_snapshot(move || {
        if std::thread::current().name() == Some("freshet-maintenance") {
            let _ = reached.send(());
            let _ = released.lock().recv_timeout(PATIENCE);
        }
    });
    let spec = crate::IndexSpec::Database { fields: vec!["x".parse().unwrap()] };
    fixture.run(|transaction| {
        let index = "by_x".parse().unwrap();
        transaction.create_index(Namespace::ROOT, &name("t"), &index, spec, false).unwrap()
    });
    fixture.settle();
    waiting.recv_timeout(PATIENCE).unwrap();
    let (closed, closing) = mpsc::channel();
    std::thread::spawn(move || {
        drop(fixture);
        closed.send(()).unwrap();
    });
    // Long enough for a committer to end that does not wait for the others.
    std::thread::sleep(Duration::from_millis(100));
    drop(release);
    closing.recv_timeout(PATIENCE).expect("closing ends");
}

#[test]
fn a_panic_while_storing_stops_writes_instead_of_leaving_everybody_waiting() {
    let fixture = fixture();
    fixture.insert("t", object([]));
    fixture.settle();
    fixture.store.faults().on_commit(|| panic!("a defect, made by a test"));
    let (_, commit) = fixture.run(|transaction| insert(transaction, "t", object([])));
    let (told, tell) = mpsc::channel();
    let database = fixture.database.clone();
    std::thread::spawn(move || told.send(database.wait_durable_blocking(commit.ts)));
    assert!(tell.recv_timeout(PATIENCE).expect("whoever waits is told").is_err());
    assert!(fixture.database.failure().is_some());
    let rows = collect(&mut fixture.database.begin().unwrap(), &scan("t", "asc", serde_json::json!([])));
    assert_eq!(rows.len(), 1);
}
