//! Subscriptions are woken by exactly the writes that matter.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::Subscription;

struct Watched {
    subscription: Subscription,
    woken: Arc<AtomicUsize>,
}

impl Watched {
    fn woken(&self) -> usize {
        self.woken.load(Ordering::SeqCst)
    }
}

fn watch(fixture: &Fixture, read: impl FnOnce(&mut Transaction)) -> Watched {
    let mut transaction = fixture.database.begin().unwrap();
    read(&mut transaction);
    watch_at(fixture, &transaction)
}

fn watch_at(fixture: &Fixture, transaction: &Transaction) -> Watched {
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    let waker = Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let reads = Arc::new(transaction.read_set().clone());
    Watched { subscription: fixture.database.subscribe(reads, transaction.snapshot_ts(), waker), woken }
}

fn eq(value: f64) -> serde_json::Value {
    serde_json::json!([{"type": "Eq", "fieldPath": "room", "value": value}])
}

#[test]
fn only_writes_inside_what_was_read_wake() {
    let fixture = fixture();
    let in_one = fixture.insert("m", object([("room", num(1.0))]));
    let in_two = fixture.insert("m", object([("room", num(2.0))]));
    add_index(&fixture, "m", "by_room", &["room"]);
    let room = watch(&fixture, |transaction| {
        collect(transaction, &range("m.by_room", "asc", eq(1.0)));
    });
    let point = watch(&fixture, |transaction| {
        transaction.user(Namespace::ROOT).get(&in_two, None, false).unwrap();
    });
    let first = watch(&fixture, |transaction| {
        collect(transaction, &scan("m", "asc", serde_json::json!([{"limit": 1}])));
    });
    let missing = watch(&fixture, |transaction| {
        collect(transaction, &scan("nothing", "asc", serde_json::json!([])));
    });
    fixture.insert("m", object([("room", num(2.0))]));
    fixture.insert("other", object([("room", num(1.0))]));
    assert!([&room, &point, &first, &missing].iter().all(|watched| watched.subscription.is_valid()));

    let before = fixture.database.visible_ts();
    let (_, commit) = fixture.run(|transaction| {
        // Moves out of room 1: the old key matters, though the new one does not.
        let fields = [("room".to_owned(), Some(num(3.0)))].into();
        transaction.user(Namespace::ROOT).patch(&in_one, None, fields).unwrap();
    });
    assert_eq!((room.woken(), first.woken(), point.woken(), missing.woken()), (1, 1, 0, 0));
    assert_eq!(room.subscription.invalidated_at(), Some(commit.ts));
    assert!(room.subscription.valid_through(before) && !room.subscription.valid_through(commit.ts));

    fixture.run(|transaction| transaction.user(Namespace::ROOT).delete(&in_two, None).map(|_| ()).unwrap());
    fixture.insert("nothing", object([]));
    fixture.insert("m", object([("room", num(1.0))]));
    assert_eq!((room.woken(), point.woken(), missing.woken()), (1, 1, 1));
}

#[test]
fn writes_between_reading_and_subscribing_count() {
    let fixture = fixture();
    fixture.insert("m", object([]));
    let mut transaction = fixture.database.begin().unwrap();
    collect(&mut transaction, &scan("m", "asc", serde_json::json!([])));
    fixture.insert("m", object([]));
    let late = watch_at(&fixture, &transaction);
    assert!(!late.subscription.is_valid());
    assert_eq!(late.woken(), 0);
}

#[test]
fn rows_loaded_ahead_are_not_watched() {
    let fixture = fixture();
    let ids: Vec<String> = (0..5).map(|n| fixture.insert("m", object([("n", num(f64::from(n)))]))).collect();
    let some = watch(&fixture, |transaction| {
        let id =
            transaction.user(Namespace::ROOT).open_query(&scan("m", "asc", serde_json::json!([]))).unwrap();
        transaction.next(id).unwrap();
        transaction.next(id).unwrap();
        assert_eq!(transaction.usage().documents_read, 2);
    });
    let delete = |id: &String| {
        fixture.run(|transaction| transaction.user(Namespace::ROOT).delete(id, None).map(|_| ()).unwrap());
    };
    delete(&ids[2]);
    assert!(some.subscription.is_valid());
    delete(&ids[1]);
    assert!(!some.subscription.is_valid());
}

#[test]
fn dropped_subscriptions_leave_nothing_behind() {
    let fixture = fixture();
    fixture.insert("m", object([]));
    let all: Vec<Watched> = (0..10)
        .map(|_| {
            watch(&fixture, |transaction| {
                collect(transaction, &scan("m", "asc", serde_json::json!([])));
            })
        })
        .collect();
    fixture.insert("m", object([]));
    assert!(all.iter().all(|watched| watched.woken() == 1));
    drop(all);
    assert_eq!(fixture.database.shared().subscriptions.watched_indexes(), 0);
}

#[test]
fn a_watch_over_any_query_misses_no_change_of_its_result() {
    // Against many random writes: whenever the result differs, the subscription is invalid.
    let fixture = fixture();
    let mut ids: Vec<String> =
        (0..6).map(|n| fixture.insert("m", object([("room", num(f64::from(n % 3)))]))).collect();
    add_index(&fixture, "m", "by_room", &["room"]);
    let queries = [
        range("m.by_room", "asc", eq(1.0)),
        range("m.by_room", "desc", serde_json::json!([{"type": "Gt", "fieldPath": "room", "value": 0}])),
        scan("m", "desc", serde_json::json!([{"limit": 2}])),
        scan(
            "m",
            "asc",
            serde_json::json!([{"filter": {"$eq": [{"$field": "room"}, {"$literal": 2}]}}, {"limit": 1}]),
        ),
    ];
    let results = |transaction: &mut Transaction, query: &Query| -> Vec<String> {
        collect(transaction, query).iter().map(|row| row.json().to_string()).collect()
    };
    for step in 0..120u32 {
        let watched: Vec<(Vec<String>, Watched)> = queries
            .iter()
            .map(|query| {
                let mut transaction = fixture.database.begin().unwrap();
                let before = results(&mut transaction, query);
                (before, watch_at(&fixture, &transaction))
            })
            .collect();
        let victim = (step as usize * 7) % ids.len();
        fixture.run(|transaction| {
            let mut user = transaction.user(Namespace::ROOT);
            match step % 4 {
                0 => ids.push(
                    user.insert("m", object([("room", num(f64::from(step % 5)))])).unwrap().to_string(),
                ),
                1 => {
                    user.delete(&ids.remove(victim), None).unwrap();
                }
                _ => {
                    let fields = [("room".to_owned(), Some(num(f64::from(step % 3))))].into();
                    user.patch(&ids[victim], None, fields).unwrap();
                }
            }
        });
        for (query, (before, watched)) in queries.iter().zip(watched) {
            let after = results(&mut fixture.database.begin().unwrap(), query);
            assert!(before == after || !watched.subscription.is_valid(), "step {step}: {query:?}");
        }
    }
}
