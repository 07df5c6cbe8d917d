//! Which write conflicts with which read: all that must, and none that need not.

use serde_json::{Value as Json, json};

use super::super::*;
use crate::query::Operator;
use crate::{CommitError, IndexSpec, PageRequest};

/// Rows with these values of `a`; `b` and `c` are 0.
const ROWS: [f64; 4] = [0.0, 10.0, 20.0, 30.0];

/// What the first transaction reads before the second one commits.
enum Read {
    Nothing,
    Row(usize),
    /// The id of a row that was deleted.
    MissingRow,
    /// Bounds in the index of `a`.
    Range(&'static str, Json),
    /// The same, but the loop over the rows stops after so many.
    Take(&'static str, Json, usize),
    /// The same, with the limit in the query.
    Limit(&'static str, Json, u64),
    /// Bounds in the index of `a` and `b`.
    Both(Json),
    Filtered(Json),
    Page(u64),
    Scan,
    Count,
    CountOther,
    MissingTable,
}

/// What the second one writes.
#[derive(Clone, Copy, Debug)]
enum Write {
    Insert(f64, f64),
    /// Moves a row in the indexes.
    Move(usize, f64),
    /// Changes a field of a row that no index has.
    Touch(usize),
    Delete(usize),
    OtherTable,
    NewTable,
    NewIndex,
}

fn eq(a: f64) -> Json {
    json!([{"type": "Eq", "fieldPath": "a", "value": a}])
}

fn between(above: &str, low: f64, below: &str, high: f64) -> Json {
    json!([
        {"type": above, "fieldPath": "a", "value": low}, {"type": below, "fieldPath": "a", "value": high},
    ])
}

fn open() -> (Fixture, Vec<String>, String) {
    let fixture = fixture();
    fixture.insert("other", object([]));
    fixture.insert("mine", object([]));
    let row = |a: f64| object([("a", num(a)), ("b", num(0.0)), ("c", num(0.0))]);
    let gone = fixture.insert("t", row(5.0));
    fixture.run(|transaction| transaction.user(Namespace::ROOT).delete(&gone, None).map(|_| ()).unwrap());
    let ids = ROWS.map(|a| fixture.insert("t", row(a))).to_vec();
    add_index(&fixture, "t", "by_a", &["a"]);
    add_index(&fixture, "t", "by_ab", &["a", "b"]);
    (fixture, ids, gone)
}

fn read(transaction: &mut Transaction, ids: &[String], gone: &str, what: &Read) {
    let mut user = transaction.user(Namespace::ROOT);
    match what {
        Read::Nothing => {}
        Read::Row(at) => assert!(user.get(&ids[*at], None, false).unwrap().is_some()),
        Read::MissingRow => assert!(user.get(gone, None, false).unwrap().is_none()),
        Read::Range(order, bounds) => {
            user.collect(&range("t.by_a", order, bounds.clone())).unwrap();
        }
        Read::Take(order, bounds, count) => {
            let stream = user.open_query(&range("t.by_a", order, bounds.clone())).unwrap();
            for _ in 0..*count {
                assert!(transaction.next(stream).unwrap().is_some());
            }
        }
        Read::Limit(order, bounds, count) => {
            let mut limited = range("t.by_a", order, bounds.clone());
            limited.operators.push(Operator::Limit(*count));
            assert_eq!(user.collect(&limited).unwrap().len() as u64, *count);
        }
        Read::Both(bounds) => {
            user.collect(&range("t.by_ab", "asc", bounds.clone())).unwrap();
        }
        Read::Filtered(bounds) => {
            let mut filtered = range("t.by_a", "asc", bounds.clone());
            let never = json!([{"filter": {"$eq": [{"$field": "c"}, {"$literal": 1.0}]}}]);
            filtered.operators = scan("t", "asc", never).operators;
            assert!(user.collect(&filtered).unwrap().is_empty());
        }
        Read::Page(page_size) => {
            let query = range("t.by_a", "asc", json!([]));
            let request = PageRequest {
                query,
                cursor: None,
                end_cursor: None,
                journal: None,
                page_size: *page_size,
                rows_read_max: None,
                bytes_read_max: None,
            };
            assert_eq!(user.paginate(&request).unwrap().rows.len() as u64, *page_size);
        }
        Read::Scan => assert_eq!(user.collect(&scan("t", "asc", json!([]))).unwrap().len(), ROWS.len()),
        Read::Count => assert_eq!(user.count("t").unwrap(), ROWS.len() as u64),
        Read::CountOther => assert_eq!(user.count("other").unwrap(), 1),
        Read::MissingTable => assert!(user.collect(&scan("new", "asc", json!([]))).unwrap().is_empty()),
    }
}

fn write(transaction: &mut Transaction, ids: &[String], what: Write) {
    let mut user = transaction.user(Namespace::ROOT);
    let set = |field: &str, value: f64| [(field.to_owned(), Some(num(value)))].into();
    match what {
        Write::Insert(a, b) => {
            user.insert("t", object([("a", num(a)), ("b", num(b)), ("c", num(0.0))])).unwrap();
        }
        Write::Move(at, a) => {
            user.patch(&ids[at], None, set("a", a)).unwrap();
        }
        Write::Touch(at) => {
            user.patch(&ids[at], None, set("c", 7.0)).unwrap();
        }
        Write::Delete(at) => {
            user.delete(&ids[at], None).unwrap();
        }
        Write::OtherTable => {
            user.insert("other", object([("a", num(10.0))])).unwrap();
        }
        Write::NewTable => {
            user.insert("new", object([("a", num(10.0))])).unwrap();
        }
        Write::NewIndex => {
            let spec = IndexSpec::Database { fields: vec!["c".parse().unwrap()] };
            let by_c = "by_c".parse().unwrap();
            transaction.create_index(Namespace::ROOT, &name("t"), &by_c, spec, false).unwrap();
        }
    }
}

#[test]
fn a_write_conflicts_with_what_was_read_and_with_nothing_else() {
    use Write::*;
    let all = || json!([]);
    // What is read; what must conflict with it; what must not.
    let cases: Vec<(Read, Vec<Write>, Vec<Write>)> = vec![
        (
            Read::Row(1),
            vec![Touch(1), Move(1, 11.0), Delete(1)],
            vec![Touch(0), Delete(2), Insert(10.0, 0.0), NewIndex],
        ),
        (Read::MissingRow, vec![], vec![Insert(5.0, 0.0), Touch(0), Delete(1)]),
        (
            Read::Range("asc", eq(10.0)),
            vec![Insert(10.0, 0.0), Touch(1), Move(1, 11.0), Move(2, 10.0), Delete(1)],
            vec![
                Insert(9.0, 0.0),
                Insert(11.0, 0.0),
                Touch(0),
                Touch(2),
                Move(2, 21.0),
                Delete(0),
                Delete(2),
            ],
        ),
        // A value that is not there: the neighbours are not read.
        (
            Read::Range("asc", eq(15.0)),
            vec![Insert(15.0, 0.0), Move(1, 15.0)],
            vec![Insert(14.0, 0.0), Touch(1), Delete(2)],
        ),
        (
            Read::Range("asc", between("Gt", 10.0, "Lt", 30.0)),
            vec![Insert(10.5, 0.0), Insert(29.5, 0.0), Touch(2), Move(0, 15.0), Move(2, 40.0)],
            vec![Insert(10.0, 0.0), Insert(30.0, 0.0), Touch(1), Touch(3), Move(1, 5.0), Move(3, 31.0)],
        ),
        (
            Read::Range("desc", between("Gte", 10.0, "Lte", 30.0)),
            vec![Insert(10.0, 0.0), Insert(30.0, 9.0), Touch(1), Touch(3), Delete(3), Move(0, 10.0)],
            vec![Insert(9.5, 0.0), Insert(30.5, 0.0), Touch(0), Move(0, 1.0)],
        ),
        // Stopping early: what comes after the last row was not read, not even another row with the same value.
        (
            Read::Take("asc", all(), 1),
            vec![Insert(-1.0, 0.0), Touch(0), Move(0, 50.0), Move(3, -5.0)],
            vec![Insert(0.0, 0.0), Insert(5.0, 0.0), Touch(1), Delete(1), Move(2, 1.0)],
        ),
        (
            Read::Take("asc", all(), 2),
            vec![Insert(5.0, 0.0), Insert(0.0, 0.0), Touch(1), Delete(0)],
            vec![Insert(10.0, 0.0), Insert(15.0, 0.0), Touch(2), Delete(3)],
        ),
        (
            Read::Limit("asc", all(), 2),
            vec![Insert(5.0, 0.0), Touch(1)],
            vec![Insert(15.0, 0.0), Touch(2), Delete(3)],
        ),
        (
            Read::Take("desc", all(), 1),
            vec![Insert(30.0, 0.0), Insert(31.0, 0.0), Touch(3), Move(0, 40.0)],
            vec![Insert(29.0, 0.0), Touch(2), Delete(0)],
        ),
        (
            Read::Limit("desc", between("Gt", 0.0, "Lt", 30.0), 1),
            vec![Insert(25.0, 0.0), Touch(2)],
            vec![Insert(30.0, 0.0), Touch(1), Touch(3), Insert(15.0, 0.0)],
        ),
        (
            Read::Both(json!([
                {"type": "Eq", "fieldPath": "a", "value": 10.0}, {"type": "Gt", "fieldPath": "b", "value": 0.0},
            ])),
            vec![Insert(10.0, 1.0)],
            vec![Insert(10.0, 0.0), Insert(11.0, 1.0), Touch(1), Delete(1)],
        ),
        // Read through one index, changed in no indexed field.
        (
            Read::Both(eq(10.0)),
            vec![Touch(1), Insert(10.0, 5.0)],
            vec![Touch(0), Touch(2), Insert(11.0, 5.0)],
        ),
        // Rows that a filter rejects were read nevertheless.
        (Read::Filtered(eq(10.0)), vec![Touch(1), Insert(10.0, 0.0)], vec![Touch(2), Insert(11.0, 0.0)]),
        (
            Read::Page(2),
            vec![Insert(5.0, 0.0), Touch(0), Touch(1)],
            vec![Insert(15.0, 0.0), Touch(2), Delete(3)],
        ),
        (Read::Scan, vec![Insert(99.0, 0.0), Touch(0), Delete(3)], vec![OtherTable, NewTable]),
        (Read::Count, vec![Insert(99.0, 0.0), Delete(3)], vec![OtherTable, NewTable]),
        (Read::CountOther, vec![OtherTable], vec![Insert(99.0, 0.0), Delete(3), NewTable]),
        (Read::MissingTable, vec![NewTable], vec![OtherTable, Insert(99.0, 0.0), Delete(3)]),
        (Read::Nothing, vec![], vec![Insert(99.0, 0.0), Delete(3), OtherTable, NewTable, NewIndex]),
    ];
    for (what, conflicting, harmless) in &cases {
        let writes = conflicting.iter().map(|write| (*write, true));
        for (second, conflicts) in writes.chain(harmless.iter().map(|write| (*write, false))) {
            let (fixture, ids, gone) = open();
            let mut first = fixture.database.begin().unwrap();
            read(&mut first, &ids, &gone, what);
            fixture.run(|transaction| write(transaction, &ids, second));
            insert(&mut first, "mine", object([]));
            let result = fixture.database.commit(first);
            let met = matches!(result, Err(CommitError::Conflict { .. }));
            assert!(met || result.is_ok(), "{result:?}");
            let read = cases.iter().position(|(other, ..)| std::ptr::eq(other, what)).unwrap();
            assert_eq!(met, conflicts, "case {read}: {second:?}");
        }
    }
}

#[test]
fn writers_of_a_table_conflict_with_new_indexes_on_it_and_with_nothing_else_that_they_did_not_read() {
    for (second, conflicts) in [
        (Write::NewIndex, true),
        (Write::Insert(10.0, 0.0), false),
        (Write::Delete(1), false),
        (Write::OtherTable, false),
    ] {
        let (fixture, ids, _) = open();
        let mut first = fixture.database.begin().unwrap();
        write(&mut first, &ids, Write::Insert(10.0, 0.0));
        fixture.run(|transaction| write(transaction, &ids, second));
        let result = fixture.database.commit(first);
        assert_eq!(matches!(result, Err(CommitError::Conflict { .. })), conflicts, "{second:?}: {result:?}");
    }
}
