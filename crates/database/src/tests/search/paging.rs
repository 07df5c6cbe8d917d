//! Pages of a search.

use super::*;
use crate::PageRequest;

fn request(cursor: Option<String>, page_size: u64) -> PageRequest {
    PageRequest {
        query: search("word", &[]),
        cursor,
        end_cursor: None,
        journal: None,
        page_size,
        rows_read_max: None,
        bytes_read_max: None,
    }
}

fn page(fixture: &Fixture, request: &PageRequest) -> crate::Page {
    fixture.database.begin().unwrap().user(Namespace::ROOT).paginate(request).unwrap()
}

fn in_pages(fixture: &Fixture, page_size: u64) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = page(fixture, &request(cursor, page_size));
        assert!(page.split_cursor.is_none());
        all.extend(page.rows.iter().map(|row| row.id().to_string()));
        if page.is_done {
            return all;
        }
        cursor = Some(page.continue_cursor);
    }
}

#[test]
fn pages_follow_each_other_in_order_and_end_after_the_best_1024() {
    let fixture = messages();
    for n in 0..10 {
        fixture.insert("m", message_in("x", &"word ".repeat(n % 3 + 1)));
    }
    let mut transaction = fixture.database.begin().unwrap();
    let whole: Vec<String> =
        collect(&mut transaction, &search("word", &[])).iter().map(|row| row.id().to_string()).collect();
    for page_size in [1, 3, 10, 50] {
        assert_eq!(in_pages(&fixture, page_size), whole);
    }
    fixture.run(|transaction| {
        for _ in 0..1100 {
            insert(transaction, "m", message_in("x", "word"));
        }
    });
    assert_eq!(in_pages(&fixture, 400).len(), 1024);
}

#[test]
fn a_page_keeps_its_end_while_documents_come_and_cursors_belong_to_their_query() {
    let fixture = messages();
    for body in ["word word word", "word word", "word"] {
        fixture.insert("m", message_in("x", body));
    }
    let first = page(&fixture, &request(None, 2));
    fixture.insert("m", message_in("x", "word word word word"));
    let live = PageRequest { journal: Some(first.continue_cursor.clone()), ..request(None, 2) };
    let again = page(&fixture, &live);
    assert_eq!((again.rows.len(), &again.continue_cursor), (3, &first.continue_cursor));
    assert_eq!(page(&fixture, &request(Some(first.continue_cursor.clone()), 9)).rows.len(), 1);
    let other = PageRequest { query: search("other", &[]), ..request(Some(first.continue_cursor), 2) };
    let mut transaction = fixture.database.begin().unwrap();
    let refused = message(transaction.user(Namespace::ROOT).paginate(&other));
    assert!(refused.starts_with("InvalidCursor: Tried to run a query starting from a cursor"), "{refused}");
}
