//! Transactions that overlap in time commit only if they could have run one after the other.
//!
//! Histories come from chance and from exhausting small cases. Two checkers judge each: one knows the order of
//! timestamps and replays it, the other infers what it can from what transactions saw. That both would notice a defect is
//! tested with defects.

mod dependencies;
mod exhaustive;
mod history;
mod precision;
mod random;
mod replay;
mod weaknesses;
mod world;

use std::collections::BTreeMap;

use super::*;
use crate::CommitError;

/// Seeds are split so that two cores share the work.
#[test]
fn every_random_history_has_a_serial_explanation() {
    random::check(0..50_000);
}

#[test]
fn every_other_random_history_has_a_serial_explanation() {
    random::check(1 << 40..(1 << 40) + 50_000);
}

#[test]
fn many_threads_increment_one_counter_without_losing_any_and_the_exclusive_token_ends_starvation() {
    let fixture = fixture();
    let id = fixture.insert("t", object([("n", Value::Int64(0))]));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let mut conflicts = 0;
                    loop {
                        let guard = (conflicts >= 3).then(|| fixture.database.exclusive().unwrap());
                        let alone = guard.is_some();
                        let mut transaction = fixture.database.begin().unwrap();
                        if let Some(guard) = guard {
                            transaction.hold(guard);
                        }
                        let mut user = transaction.user(Namespace::ROOT);
                        let now = field(&user.get(&id, None, false).unwrap().unwrap(), "n").as_i64().unwrap();
                        let next = BTreeMap::from([("n".to_owned(), Some(Value::Int64(now + 1)))]);
                        user.patch(&id, None, next).unwrap();
                        match fixture.database.commit(transaction) {
                            Ok(_) => break,
                            Err(CommitError::Conflict { table, .. }) => {
                                assert!(!alone, "alone there is no conflict");
                                assert_eq!(table, Some(name("t")));
                                conflicts += 1;
                            }
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
            });
        }
    });
    let mut transaction = fixture.database.begin().unwrap();
    let row = transaction.user(Namespace::ROOT).get(&id, None, false).unwrap().unwrap();
    assert_eq!(field(&row, "n"), Value::Int64(200));
}

#[test]
fn blind_inserts_do_not_conflict_but_creating_the_same_table_does() {
    let fixture = fixture();
    fixture.insert("t", object([]));
    let (mut first, mut second) = (fixture.database.begin().unwrap(), fixture.database.begin().unwrap());
    insert(&mut first, "t", object([]));
    insert(&mut second, "t", object([]));
    fixture.database.commit(first).unwrap();
    fixture.database.commit(second).unwrap();
    let (mut first, mut second) = (fixture.database.begin().unwrap(), fixture.database.begin().unwrap());
    insert(&mut first, "new", object([]));
    insert(&mut second, "new", object([]));
    fixture.database.commit(first).unwrap();
    assert!(matches!(fixture.database.commit(second), Err(CommitError::Conflict { .. })));
}
