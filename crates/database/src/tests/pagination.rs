//! Pages: stable cursors, live boundaries, limits.

use super::*;
use crate::{Page, PageRequest, PageStatus, TransactionLimits};

fn request(query: Query, cursor: Option<&str>, page_size: u64) -> PageRequest {
    PageRequest {
        query,
        cursor: cursor.map(str::to_owned),
        end_cursor: None,
        journal: None,
        page_size,
        rows_read_max: None,
        bytes_read_max: None,
    }
}

fn page(fixture: &Fixture, request: &PageRequest) -> Page {
    fixture.database.begin().unwrap().user(Namespace::ROOT).paginate(request).unwrap()
}

fn numbers(page: &Page) -> Vec<i64> {
    page.rows.iter().map(|row| field(row, "n").as_f64().unwrap() as i64).collect()
}

fn filled(rows: i64) -> Fixture {
    let fixture = fixture();
    fixture.run(|transaction| {
        for n in 0..rows {
            insert(transaction, "t", object([("n", num(n as f64))]));
        }
    });
    fixture
}

fn all(order: &str) -> Query {
    scan("t", order, serde_json::json!([]))
}

#[test]
fn pages_follow_each_other_in_both_directions() {
    let fixture = filled(7);
    for (order, expected) in [("asc", vec![0, 1, 2, 3, 4, 5, 6]), ("desc", vec![6, 5, 4, 3, 2, 1, 0])] {
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = page(&fixture, &request(all(order), cursor.as_deref(), 3));
            seen.extend(numbers(&page));
            cursor = Some(page.continue_cursor.clone());
            if page.is_done {
                break;
            }
            assert_eq!(page.rows.len(), 3);
        }
        assert_eq!(seen, expected);
        let past_the_end = page(&fixture, &request(all(order), cursor.as_deref(), 3));
        assert!(past_the_end.rows.is_empty() && past_the_end.is_done);
        assert_eq!(Some(past_the_end.continue_cursor), cursor);
    }
}

#[test]
fn a_journal_or_end_cursor_keeps_the_boundaries_of_a_page() {
    let fixture = filled(6);
    let first = page(&fixture, &request(all("desc"), None, 3));
    assert_eq!(numbers(&first), [5, 4, 3]);
    fixture.insert("t", object([("n", num(6.0))]));
    let live = PageRequest { journal: Some(first.continue_cursor.clone()), ..request(all("desc"), None, 3) };
    let again = page(&fixture, &live);
    assert_eq!(numbers(&again), [6, 5, 4, 3]);
    assert_eq!(again.continue_cursor, first.continue_cursor);
    // An explicit end wins.
    let second = page(&fixture, &request(all("desc"), Some(&first.continue_cursor), 2));
    let both = PageRequest { end_cursor: Some(second.continue_cursor), ..live };
    assert_eq!(numbers(&page(&fixture, &both)), [6, 5, 4, 3, 2, 1]);
}

#[test]
fn a_split_page_has_the_same_rows_in_two_parts() {
    let fixture = filled(8);
    let whole = page(&fixture, &request(all("asc"), None, 6));
    let middle = whole.split_cursor.clone().unwrap();
    let part = |begin: Option<&str>, end: &str| {
        let request = PageRequest { end_cursor: Some(end.to_owned()), ..request(all("asc"), begin, 1) };
        numbers(&page(&fixture, &request))
    };
    let mut parts = part(None, &middle);
    assert_eq!(parts, [0, 1, 2, 3]);
    parts.extend(part(Some(&middle), &whole.continue_cursor));
    assert_eq!(parts, numbers(&whole));
    assert!(page(&fixture, &request(all("asc"), None, 2)).split_cursor.is_none());
}

#[test]
fn soft_limits_cut_a_page_short() {
    let fixture = filled(10);
    let odd = scan(
        "t",
        "asc",
        serde_json::json!([
            {"filter": {"$eq": [{"$mod": [{"$field": "n"}, {"$literal": 2}]}, {"$literal": 1}]}},
        ]),
    );
    let some = PageRequest { rows_read_max: Some(4), ..request(odd.clone(), None, 10) };
    let cut = page(&fixture, &some);
    assert_eq!(
        (numbers(&cut), cut.status, cut.is_done),
        (vec![1, 3], Some(PageStatus::SplitRequired), false)
    );
    let next = page(&fixture, &request(odd, Some(&cut.continue_cursor), 10));
    assert_eq!((numbers(&next), next.status, next.is_done), (vec![5, 7, 9], None, true));
    let bytes = PageRequest { bytes_read_max: Some(1), ..request(all("asc"), None, 10) };
    assert_eq!(numbers(&page(&fixture, &bytes)), [0]);
}

#[test]
fn a_hard_read_limit_ends_the_page_instead_of_failing() {
    let limits = crate::TransactionLimits { documents_read: 4, ..Default::default() };
    let fixture =
        fixture_on(Arc::new(MemoryStore::new()), DatabaseOptions { limits, ..DatabaseOptions::default() });
    fixture.run(|transaction| {
        for n in 0..8 {
            insert(transaction, "t", object([("n", num(f64::from(n)))]));
        }
    });
    let cut = page(&fixture, &request(all("asc"), None, 10));
    assert_eq!((numbers(&cut), cut.status), (vec![0, 1, 2, 3], Some(PageStatus::SplitRequired)));
    let mut transaction = fixture.database.begin().unwrap();
    let mut user = transaction.user(Namespace::ROOT);
    user.paginate(&request(all("asc"), None, 4)).unwrap();
    assert!(message(user.paginate(&request(all("asc"), None, 4))).starts_with("Too many documents read"));
}

#[test]
fn wrong_cursors_and_sizes_are_refused() {
    let fixture = filled(3);
    let cursor = page(&fixture, &request(all("asc"), None, 1)).continue_cursor;
    let mut transaction = fixture.database.begin().unwrap();
    let mut user = transaction.user(Namespace::ROOT);
    for (query, cursor) in [(all("desc"), cursor.as_str()), (all("asc"), "garbage")] {
        match user.paginate(&request(query, Some(cursor), 1)) {
            Err(DatabaseError::Developer(error)) => {
                assert!(
                    error.message.starts_with("InvalidCursor: Tried to run a query starting from a cursor")
                );
                assert_eq!(
                    error.data.as_deref(),
                    Some(r#"{"isConvexSystemError":true,"paginationError":"InvalidCursor"}"#)
                );
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        message(user.paginate(&request(all("asc"), None, 0))),
        "Must request at least 1 document while paginating"
    );
    assert_eq!(message(user.paginate(&request(all("asc"), None, 32_001))), "Requested too many items: 32001");
    let zero = PageRequest { rows_read_max: Some(0), ..request(all("asc"), None, 1) };
    assert_eq!(message(user.paginate(&zero)), "maximumRowsRead and maximumBytesRead must be greater than 0");
}

#[test]
fn a_cursor_ends_with_the_index_that_it_was_made_in() {
    let fixture = filled(5);
    add_index(&fixture, "t", "i", &["n"]);
    let by_i = || range("t.i", "asc", serde_json::json!([]));
    let first = page(&fixture, &request(by_i(), None, 2));
    let next = request(by_i(), Some(&first.continue_cursor), 2);
    assert_eq!(numbers(&page(&fixture, &next)), [2, 3]);
    let drop_index = || {
        let catalog = fixture.database.catalog();
        let table = catalog.table_by_name(Namespace::ROOT, &name("t")).unwrap();
        let index = catalog.index_by_name(table.id, &"i".parse().unwrap()).unwrap().id;
        fixture.run(|transaction| transaction.drop_index(index).unwrap());
    };
    let refusal = || message(fixture.database.begin().unwrap().user(Namespace::ROOT).paginate(&next));
    drop_index();
    assert_eq!(refusal(), "Index t.i not found.");
    // Another one of the same name has the rows in another order.
    add_index(&fixture, "t", "i", &["other", "n"]);
    assert!(refusal().starts_with("InvalidCursor: "));
    // One that is built again as it was has them where they were.
    drop_index();
    add_index(&fixture, "t", "i", &["n"]);
    assert_eq!(numbers(&page(&fixture, &next)), [2, 3]);
}

#[test]
fn a_missing_table_has_one_empty_page() {
    let fixture = fixture();
    let empty = page(&fixture, &request(all("asc"), None, 3));
    assert!(empty.rows.is_empty() && empty.is_done);
    fixture.insert("t", object([("n", num(0.0))]));
    let after = page(&fixture, &request(all("asc"), Some(&empty.continue_cursor), 3));
    assert!(after.rows.is_empty() && after.is_done);
}

#[test]
fn a_journal_of_another_query_is_refused_like_a_cursor_unless_an_end_is_given() {
    let fixture = filled(8);
    let other = page(&fixture, &request(all("asc"), None, 1));
    for journal in [other.continue_cursor.as_str(), "garbage"] {
        let request = PageRequest { journal: Some(journal.to_owned()), ..request(all("desc"), None, 7) };
        let mut transaction = fixture.database.begin().unwrap();
        let refused = message(transaction.user(Namespace::ROOT).paginate(&request));
        assert!(
            refused.starts_with("InvalidCursor: Tried to run a query starting from a cursor"),
            "{refused}"
        );
        let end = page(&fixture, &self::request(all("desc"), None, 2)).continue_cursor;
        let with_end = PageRequest { end_cursor: Some(end), ..request };
        assert_eq!(numbers(&page(&fixture, &with_end)), [7, 6]);
    }
}

#[test]
fn splitting_is_recommended_from_more_than_three_quarters_of_a_limit() {
    let fixture = filled(10);
    for (rows_read_max, page_size, status) in [
        (3, 2, None),
        (3, 3, Some(PageStatus::SplitRecommended)),
        (10, 7, None),
        (10, 8, Some(PageStatus::SplitRecommended)),
    ] {
        let request =
            PageRequest { rows_read_max: Some(rows_read_max), ..request(all("asc"), None, page_size) };
        assert_eq!(page(&fixture, &request).status, status, "{page_size} of {rows_read_max}");
    }
}

#[test]
fn a_page_depends_on_the_row_that_did_not_fit_and_on_what_may_come_before_it() {
    let row = |n: f64, length: usize| object([("n", num(n)), ("text", Value::from("x".repeat(length)))]);
    let limits = TransactionLimits { bytes_read: 1000, ..TransactionLimits::default() };
    for (order, first, second, large, last) in [("asc", 1.0, 2.0, 4.0, 5.0), ("desc", 5.0, 4.0, 2.0, 1.0)] {
        for change in ["shrink", "delete", "insert", "nothing near"] {
            let options = DatabaseOptions { limits, ..DatabaseOptions::default() };
            let fixture = fixture_on(Arc::new(MemoryStore::new()), options);
            fixture.insert("mine", object([]));
            fixture.insert("t", row(first, 100));
            fixture.insert("t", row(second, 100));
            let large_id = fixture.insert("t", row(large, 900));
            let last_id = fixture.insert("t", row(last, 100));
            add_index(&fixture, "t", "by_n", &["n"]);
            let mut transaction = fixture.database.begin().unwrap();
            let query = range("t.by_n", order, serde_json::json!([]));
            let page = transaction.user(Namespace::ROOT).paginate(&request(query, None, 10)).unwrap();
            assert_eq!((page.rows.len(), page.status), (2, Some(PageStatus::SplitRequired)));
            insert(&mut transaction, "mine", object([("rows", num(page.rows.len() as f64))]));
            fixture.run(|transaction| {
                let mut user = transaction.user(Namespace::ROOT);
                let done = match change {
                    "shrink" => user.replace(&large_id, None, row(large, 1)).map(|_| ()),
                    "delete" => user.delete(&large_id, None).map(|_| ()),
                    "insert" => user.insert("t", row(3.0, 1)).map(|_| ()),
                    _ => user.delete(&last_id, None).map(|_| ()),
                };
                done.unwrap();
            });
            let committed = fixture.database.commit(transaction);
            let is_conflict = matches!(committed, Err(crate::CommitError::Conflict { .. }));
            assert_eq!(is_conflict, change != "nothing near", "{order}, {change}");
        }
    }
}
