//! Any sequence of transactions behaves as it would on a plain map, whatever part of it the store has so far.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u8),
    Patch(usize, u8),
    Replace(usize, u8),
    Delete(usize),
    BeginSub,
    CommitSub,
    RollbackSub,
    Check,
    Commit,
    Drop,
    /// Lets the store catch up, or keeps it from doing so.
    Hold(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..6).prop_map(Step::Insert),
        3 => (any::<usize>(), 0u8..6).prop_map(|(row, x)| Step::Patch(row, x)),
        1 => (any::<usize>(), 0u8..6).prop_map(|(row, x)| Step::Replace(row, x)),
        2 => any::<usize>().prop_map(Step::Delete),
        1 => Just(Step::BeginSub),
        1 => Just(Step::CommitSub),
        1 => Just(Step::RollbackSub),
        2 => Just(Step::Check),
        2 => Just(Step::Commit),
        1 => Just(Step::Drop),
        1 => any::<bool>().prop_map(Step::Hold),
    ]
}

type Rows = BTreeMap<String, Object>;

fn full(document: &Document) -> (String, Object) {
    (document.id().to_string(), document.object().unwrap().clone())
}

/// Compares every way of reading with the model.
fn check(transaction: &mut Transaction, model: &Rows) {
    let by = |key: &dyn Fn(&Object) -> (u64, u64)| {
        let mut rows: Vec<(String, Object)> = model.clone().into_iter().collect();
        rows.sort_by_key(|(_, row)| key(row));
        rows
    };
    let bits = |row: &Object, field: &str| row[field].as_f64().unwrap().to_bits();
    let by_time = by(&|row| (bits(row, "_creationTime"), 0));
    let by_x = by(&|row| (bits(row, "x"), bits(row, "_creationTime")));
    let rows = |transaction: &mut Transaction, query: &Query| -> Vec<(String, Object)> {
        collect(transaction, query).iter().map(|document| full(document)).collect()
    };
    assert_eq!(rows(transaction, &scan("t", "asc", serde_json::json!([]))), by_time);
    let mut reversed = rows(transaction, &scan("t", "desc", serde_json::json!([])));
    reversed.reverse();
    assert_eq!(reversed, by_time);
    let middle = serde_json::json!([
        {"type": "Gte", "fieldPath": "x", "value": 2}, {"type": "Lt", "fieldPath": "x", "value": 4},
    ]);
    let expected: Vec<_> =
        by_x.iter().filter(|(_, row)| (2.0..4.0).contains(&row["x"].as_f64().unwrap())).cloned().collect();
    assert_eq!(rows(transaction, &range("t.by_x", "asc", middle.clone())), expected);
    let mut reversed = rows(transaction, &range("t.by_x", "desc", middle));
    reversed.reverse();
    assert_eq!(reversed, expected);
    let by_id: Vec<_> = model.clone().into_iter().collect();
    assert_eq!(rows(transaction, &range("t.by_id", "asc", serde_json::json!([]))), by_id);
    assert_eq!(transaction.user(Namespace::ROOT).count("t").unwrap(), model.len() as u64);
    if let Some((id, row)) = model.iter().next() {
        let found = transaction.user(Namespace::ROOT).get(id, Some("t"), false).unwrap().unwrap();
        assert_eq!(found.object().unwrap(), row);
    }
}

fn pick(model: &Rows, row: usize) -> Option<String> {
    (!model.is_empty()).then(|| model.keys().nth(row % model.len()).unwrap().clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn transactions_behave_as_on_a_plain_map(steps in prop::collection::vec(step(), 1..60)) {
        let fixture = fixture();
        // The limit on writes counts all operations, so that rolled back ones can be told from kept ones below.
        insert(&mut fixture.database.begin().unwrap(), "t", object([]));
        fixture.insert("t", object([("x", num(0.0))]));
        add_index(&fixture, "t", "by_x", &["x"]);
        let mut committed: Rows =
            collect(&mut fixture.database.begin().unwrap(), &scan("t", "asc", serde_json::json!([])))
                .iter()
                .map(|document| full(document))
                .collect();
        let mut model = committed.clone();
        let mut outer: Vec<Rows> = Vec::new();
        let mut transaction = fixture.database.begin().unwrap();
        for step in steps {
            let mut user = transaction.user(Namespace::ROOT);
            match step {
                Step::Insert(x) => {
                    let id = user.insert("t", object([("x", num(f64::from(x)))])).unwrap().to_string();
                    let row = user.get(&id, None, false).unwrap().unwrap();
                    model.insert(id, row.object().unwrap().clone());
                }
                Step::Patch(row, x) => {
                    if let Some(id) = pick(&model, row) {
                        let fields = BTreeMap::from([("x".to_owned(), Some(num(f64::from(x))))]);
                        user.patch(&id, None, fields).unwrap();
                        model.get_mut(&id).unwrap().insert("x".to_owned(), num(f64::from(x)));
                    }
                }
                Step::Replace(row, x) => {
                    if let Some(id) = pick(&model, row) {
                        let new = object([("x", num(f64::from(x))), ("y", Value::Null)]);
                        let new = user.replace(&id, None, new).unwrap();
                        model.insert(id, new.object().unwrap().clone());
                    }
                }
                Step::Delete(row) => {
                    if let Some(id) = pick(&model, row) {
                        user.delete(&id, None).unwrap();
                        model.remove(&id);
                        prop_assert!(user.delete(&id, None).is_err());
                    }
                }
                Step::BeginSub => {
                    transaction.begin_sub(None);
                    outer.push(model.clone());
                }
                Step::CommitSub => {
                    if outer.pop().is_some() {
                        transaction.commit_sub().unwrap();
                    }
                }
                Step::RollbackSub => {
                    if let Some(before) = outer.pop() {
                        transaction.rollback_sub().unwrap();
                        model = before;
                    }
                }
                Step::Check => check(&mut transaction, &model),
                Step::Commit | Step::Drop => {
                    while outer.pop().is_some() {
                        transaction.commit_sub().unwrap();
                    }
                    if matches!(step, Step::Commit) {
                        fixture.database.commit(transaction).unwrap();
                        committed = model.clone();
                    }
                    model = committed.clone();
                    transaction = fixture.database.begin().unwrap();
                }
                Step::Hold(hold) => fixture.store.faults().hold_commits(hold),
            }
        }
        check(&mut transaction, &model);
        drop(transaction);
        // What the store has in the end is what was committed.
        fixture.store.faults().hold_commits(false);
        fixture.settle();
        check(&mut fixture.database.begin().unwrap(), &committed);
        let store = Arc::new(fixture.store.after_crash());
        let reopened = open_on(store, DatabaseOptions::default(), &fixture.clock);
        check(&mut reopened.begin().unwrap(), &committed);
    }
}
