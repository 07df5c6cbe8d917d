//! Transactions that overlap in time commit only if they could have run one after the other.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use super::*;
use crate::CommitError;

/// Rows of the table: `k` is fixed, `v` changes, `open` moves rows in and out of an index range.
const ROWS: usize = 4;
/// Transactions under way at one time.
const LANES: usize = 3;

#[derive(Clone, Debug)]
enum Action {
    Read(usize),
    /// The sum of all open rows.
    SumOpen,
    /// Writes a value made from all that was read so far.
    Write(usize),
    /// Opens or closes a row, if what was read so far is even.
    Toggle(usize),
    Commit,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (0..ROWS).prop_map(Action::Read),
        2 => Just(Action::SumOpen),
        3 => (0..ROWS).prop_map(Action::Write),
        2 => (0..ROWS).prop_map(Action::Toggle),
        3 => Just(Action::Commit),
    ]
}

/// The state that the transactions work on: value and openness of every row.
type Model = BTreeMap<usize, (i64, bool)>;

/// Runs one action on the model; what it reads goes into `seen`.
fn on_model(model: &mut Model, action: &Action, seen: &mut i64, reads: &mut Vec<i64>) {
    let mut note = |value: i64| {
        reads.push(value);
        *seen = seen.wrapping_mul(31).wrapping_add(value);
    };
    match action {
        Action::Read(row) => note(model[row].0),
        Action::SumOpen => note(model.values().filter(|(_, open)| *open).map(|(value, _)| value).sum()),
        Action::Write(row) => model.get_mut(row).unwrap().0 = *seen % 1000,
        Action::Toggle(row) => {
            if *seen % 2 == 0 {
                let open = &mut model.get_mut(row).unwrap().1;
                *open = !*open;
            }
        }
        Action::Commit => {}
    }
}

/// Runs one action in a transaction.
fn on_database(
    transaction: &mut Transaction,
    ids: &[String],
    action: &Action,
    seen: &mut i64,
    reads: &mut Vec<i64>,
) {
    let mut note = |value: i64| {
        reads.push(value);
        *seen = seen.wrapping_mul(31).wrapping_add(value);
    };
    let mut user = transaction.user(Namespace::ROOT);
    let mut set = |id: &str, name: &str, value: Value| {
        user.patch(id, None, BTreeMap::from([(name.to_owned(), Some(value))])).unwrap();
    };
    match action {
        Action::Read(row) => {
            let row = user.get(&ids[*row], None, false).unwrap().unwrap();
            note(field(&row, "v").as_i64().unwrap());
        }
        Action::SumOpen => {
            let open = range(
                "t.by_open",
                "asc",
                serde_json::json!([{"type": "Eq", "fieldPath": "open", "value": true}]),
            );
            let rows = user.collect(&open).unwrap();
            note(rows.iter().map(|row| field(row, "v").as_i64().unwrap()).sum());
        }
        Action::Write(row) => set(&ids[*row], "v", Value::Int64(*seen % 1000)),
        Action::Toggle(row) => {
            if *seen % 2 == 0 {
                let now = user.get(&ids[*row], None, false).unwrap().unwrap();
                let open = field(&now, "open").as_bool().unwrap();
                user.patch(
                    &ids[*row],
                    None,
                    BTreeMap::from([("open".to_owned(), Some(Value::Boolean(!open)))]),
                )
                .unwrap();
            }
        }
        Action::Commit => {}
    }
}

struct Lane {
    transaction: Transaction,
    actions: Vec<Action>,
    seen: i64,
    reads: Vec<i64>,
}

impl Lane {
    fn begin(database: &Database) -> Lane {
        Lane { transaction: database.begin().unwrap(), actions: Vec::new(), seen: 1, reads: Vec::new() }
    }
}

/// Runs the schedule, then replays what committed one after the other, in the order of timestamps.
fn explain(schedule: &[(usize, Action)], check_conflicts: bool) -> Result<(), String> {
    let fixture = fixture();
    let ids: Vec<String> = (0..ROWS)
        .map(|row| {
            let row = i64::try_from(row).unwrap();
            fixture.insert("t", object([("v", Value::Int64(row)), ("open", Value::Boolean(row % 2 == 0))]))
        })
        .collect();
    add_index(&fixture, "t", "by_open", &["open"]);
    if !check_conflicts {
        fixture.database.disable_conflict_check();
    }
    let mut lanes: Vec<Lane> = (0..LANES).map(|_| Lane::begin(&fixture.database)).collect();
    let mut history = Vec::new();
    for (lane, action) in schedule {
        let lane = &mut lanes[*lane];
        if !matches!(action, Action::Commit) {
            on_database(&mut lane.transaction, &ids, action, &mut lane.seen, &mut lane.reads);
            lane.actions.push(action.clone());
            continue;
        }
        let done = std::mem::replace(lane, Lane::begin(&fixture.database));
        let wrote = done.transaction.has_writes();
        match fixture.database.commit(done.transaction) {
            // A reader stands just after the commit that its snapshot shows.
            Ok(commit) => history.push(((commit.ts, !wrote), done.actions, done.reads)),
            Err(CommitError::Conflict { .. }) => {}
            Err(other) => return Err(other.to_string()),
        }
    }
    history.sort_by_key(|(position, _, _)| *position);
    let mut model: Model = (0..ROWS).map(|row| (row, (i64::try_from(row).unwrap(), row % 2 == 0))).collect();
    for (position, actions, reads) in history {
        let (mut seen, mut expected) = (1, Vec::new());
        for action in &actions {
            on_model(&mut model, action, &mut seen, &mut expected);
        }
        if expected != reads {
            return Err(format!(
                "the transaction at {position:?} read {reads:?}; alone it reads {expected:?}"
            ));
        }
    }
    Ok(())
}

fn schedules() -> impl Strategy<Value = Vec<(usize, Action)>> {
    prop::collection::vec((0..LANES, action()), 10..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_history_has_a_serial_explanation(schedule in schedules()) {
        if let Err(violation) = explain(&schedule, true) {
            prop_assert!(false, "{violation}");
        }
    }
}

#[test]
fn without_the_conflict_check_the_test_above_finds_a_violation() {
    let config =
        ProptestConfig { cases: 60, max_shrink_iters: 0, failure_persistence: None, ..Default::default() };
    let result = TestRunner::new(config)
        .run(&schedules(), |schedule| explain(&schedule, false).map_err(TestCaseError::fail));
    assert!(
        matches!(result, Err(TestError::Fail(..))),
        "histories without a conflict check cannot all be serial"
    );
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
