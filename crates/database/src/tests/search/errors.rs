//! What a wrong search is told.

use super::*;

#[test]
fn wrong_searches_say_what_is_wrong() {
    let fixture = messages();
    fixture.insert("m", message_in("x", "word"));
    add_index(&fixture, "m", "by_ch", &["ch"]);
    let ask = |index: &str, filters: serde_json::Value| {
        let source = serde_json::json!({"type": "Search", "indexName": index, "filters": filters});
        let query = query(serde_json::json!({"source": source, "operators": []}));
        message(fixture.database.begin().unwrap().user(Namespace::ROOT).collect(&query))
    };
    let words = serde_json::json!({"type": "Search", "fieldPath": "body", "value": "word"});
    let eq = |field: &str| serde_json::json!({"type": "Eq", "fieldPath": field, "value": "x"});
    assert_eq!(ask("m.t", serde_json::json!([words])), "Index m.t not found.");
    assert_eq!(ask("n.s", serde_json::json!([words])), "Index n.s not found.");
    for system in ["_storage.by_id", "_scheduled_functions.s", "_modules.by_path"] {
        assert_eq!(ask(system, serde_json::json!([words])), format!("Index {system} not found."));
    }
    assert_eq!(ask("m.by_ch", serde_json::json!([words])), "Index m.by_ch is not a search index");
    assert_eq!(
        ask("m.s", serde_json::json!([eq("ch")])),
        "Search query against m.s does not contain any search filters. You must include a search filter like \
         `q.search(\"field\", searchText)`."
    );
    assert_eq!(
        ask("m.s", serde_json::json!([{"type": "Search", "fieldPath": "x", "value": "word"}])),
        "Search query against m.s contains a search filter against \"x\", which doesn't match the indexed \
         `searchField` \"body\"."
    );
    assert_eq!(
        ask("m.s", serde_json::json!([words, words])),
        "Search query against m.s contains multiple search filters against \"body\". Only one is allowed."
    );
    assert_eq!(
        ask("m.s", serde_json::json!([words, eq("x")])),
        "Search query against m.s contains an equality filter on \"x\" but that field isn't indexed for filtering in \
         `filterFields`."
    );
    let nine: Vec<_> = std::iter::repeat_n(eq("ch"), 9).collect();
    let all: Vec<_> = nine.into_iter().chain([words]).collect();
    assert_eq!(
        ask("m.s", serde_json::json!(all)),
        "Search query against m.s has too many filter conditions. Max: 8 Actual: 9"
    );
    // Without a text, the conditions are not looked at.
    let nothing = serde_json::json!({"type": "Search", "fieldPath": "body", "value": ""});
    let source =
        serde_json::json!({"type": "Search", "indexName": "m.s", "filters": [nothing, eq("unknown")]});
    let empty = query(serde_json::json!({"source": source, "operators": []}));
    assert!(collect(&mut fixture.database.begin().unwrap(), &empty).is_empty());
}

#[test]
fn more_than_1024_results_are_refused_unless_fewer_are_asked_for() {
    let fixture = messages();
    fixture.run(|transaction| {
        for _ in 0..1023 {
            insert(transaction, "m", message_in("x", "word"));
        }
    });
    assert_eq!(found(&fixture, "word", &[]).len(), 1023);
    fixture.insert("m", message_in("y", "word"));
    fixture.insert("m", message_in("y", "word"));
    let mut transaction = fixture.database.begin().unwrap();
    let refused = message(transaction.user(Namespace::ROOT).collect(&search("word", &[])));
    assert_eq!(
        refused,
        "Search query scanned too many documents (fetched 1024). Consider using a smaller limit, paginating the query, or \
         using a filter field to limit the number of documents pulled from the search index."
    );
    let limited = search_with("word", &[], serde_json::json!([{"limit": 1024}]));
    assert_eq!(collect(&mut transaction, &limited).len(), 1024);
    assert_eq!(bodies(&mut transaction, &search("word", &[("ch", "y")])).len(), 2);
    // A filter on top may look through all of them in vain.
    let reject = serde_json::json!([
        {"filter": {"$eq": [{"$field": "ch"}, {"$literal": "z"}]}}, {"limit": 1},
    ]);
    let rejected = message(transaction.user(Namespace::ROOT).collect(&search_with("word", &[], reject)));
    assert_eq!(rejected, refused);
    // Only what is handed out counts as read.
    let mut fresh = fixture.database.begin().unwrap();
    collect(&mut fresh, &search_with("word", &[], serde_json::json!([{"limit": 3}])));
    assert_eq!(fresh.usage().documents_read, 3);
}
