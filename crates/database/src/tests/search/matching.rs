//! Which documents a search finds, and in which order.

use super::*;

#[test]
fn any_term_matches_the_last_one_by_prefix_and_better_matches_come_first() {
    let fixture = messages();
    for body in ["a red fish", "blue fish", "a red, red car", "carpet", "nothing here"] {
        fixture.insert("m", message_in("x", body));
    }
    assert_eq!(found(&fixture, "RED", &[]), ["a red, red car", "a red fish"]);
    assert_eq!(found(&fixture, "car", &[]), ["a red, red car", "carpet"]);
    assert_eq!(found(&fixture, "fis", &[]).len(), 2);
    assert!(found(&fixture, "fis red", &[]).iter().all(|body| body.contains("red")));
    // The rarer word counts more.
    let ranked = found(&fixture, "blue red", &[]);
    let place = |body: &str| ranked.iter().position(|other| other == body).unwrap();
    assert!(ranked.len() == 3 && place("blue fish") < place("a red fish"));
    assert!(found(&fixture, "!? ", &[]).is_empty() && found(&fixture, "", &[]).is_empty());
    // Without a field to search in, or with another type in it, a document is never found.
    fixture.insert("m", object([("body", num(1.0))]));
    fixture.insert("m", object([("ch", text("red"))]));
    assert_eq!(found(&fixture, "red", &[]).len(), 2);
}

#[test]
fn equal_scores_come_newest_first() {
    let fixture = messages();
    for n in 0..5 {
        fixture.insert("m", object([("body", text("same words")), ("n", num(f64::from(n)))]));
    }
    let mut transaction = fixture.database.begin().unwrap();
    let numbers: Vec<f64> = collect(&mut transaction, &search("words", &[]))
        .iter()
        .map(|row| field(row, "n").as_f64().unwrap())
        .collect();
    assert_eq!(numbers, [4.0, 3.0, 2.0, 1.0, 0.0]);
}

#[test]
fn all_conditions_have_to_hold_by_value_and_type() {
    let fixture = messages();
    let put = |ch: Option<Value>, body: &str| {
        let mut fields = vec![("body", text(body)), ("kind", num(0.0))];
        fields.extend(ch.map(|ch| ("ch", ch)));
        let object = fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
        fixture.insert("m", Value::Object(object));
    };
    put(Some(text("x")), "word one");
    put(Some(text("y")), "word two");
    put(None, "word three");
    put(Some(Value::Null), "word four");
    assert_eq!(found(&fixture, "word", &[("ch", "y")]), ["word two"]);
    assert!(found(&fixture, "word", &[("ch", "y"), ("ch", "x")]).is_empty());
    let ask = |filters: serde_json::Value| {
        let mut all = vec![serde_json::json!({"type": "Search", "fieldPath": "body", "value": "wor"})];
        all.extend(filters.as_array().unwrap().clone());
        let source = serde_json::json!({"type": "Search", "indexName": "m.s", "filters": all});
        let query = query(serde_json::json!({"source": source, "operators": []}));
        bodies(&mut fixture.database.begin().unwrap(), &query)
    };
    let eq = |field: &str, value: serde_json::Value| serde_json::json!([{"type": "Eq", "fieldPath": field, "value": value}]);
    assert_eq!(ask(eq("ch", serde_json::json!({"$undefined": null}))), ["word three"]);
    assert_eq!(ask(eq("ch", serde_json::Value::Null)), ["word four"]);
    assert_eq!(ask(eq("kind", serde_json::json!(0))).len(), 4);
    assert!(ask(eq("kind", serde_json::json!({"$integer": "AAAAAAAAAAA="}))).is_empty());
}

#[test]
fn a_word_inside_a_run_without_spaces_is_found() {
    let fixture = messages();
    for body in ["私は東京に住んでいます", "京都は東にある", "ฉันรักแมวมาก", "我喜欢吃苹果"]
    {
        fixture.insert("m", message_in("x", body));
    }
    assert_eq!(found(&fixture, "東京", &[]), ["私は東京に住んでいます"]);
    assert_eq!(found(&fixture, "แมว", &[]), ["ฉันรักแมวมาก"]);
    assert_eq!(found(&fixture, "苹果", &[]), ["我喜欢吃苹果"]);
    assert_eq!(found(&fixture, "京", &[]).len(), 2);
}

#[test]
fn a_mutation_finds_what_it_wrote_and_not_what_it_deleted_or_undid() {
    let fixture = messages();
    let gone = fixture.insert("m", message_in("x", "fish one"));
    let moved = fixture.insert("m", message_in("x", "fish two"));
    fixture.run(|transaction| {
        insert(transaction, "m", message_in("x", "fish three"));
        let mut user = transaction.user(Namespace::ROOT);
        user.delete(&gone, None).unwrap();
        user.patch(&moved, None, [("body".to_owned(), Some(text("bird two")))].into()).unwrap();
        assert_eq!(bodies(transaction, &search("fish", &[])), ["fish three"]);
        assert_eq!(bodies(transaction, &search("bird", &[("ch", "x")])), ["bird two"]);
        transaction.begin_sub(None);
        insert(transaction, "m", message_in("x", "fish four"));
        assert_eq!(bodies(transaction, &search("fish", &[])).len(), 2);
        transaction.rollback_sub().unwrap();
        assert_eq!(bodies(transaction, &search("fish", &[])), ["fish three"]);
        transaction.begin_stale_sub(None);
        assert_eq!(bodies(transaction, &search("fish", &[])).len(), 2);
        transaction.commit_sub().unwrap();
    });
    assert_eq!(found(&fixture, "fish", &[]), ["fish three"]);
}

#[test]
fn the_past_is_searched_as_it_was() {
    let fixture = messages();
    let id = fixture.insert("m", message_in("x", "fish"));
    let before = fixture.database.visible_ts();
    fixture.run(|transaction| transaction.user(Namespace::ROOT).delete(&id, None).map(|_| ()).unwrap());
    fixture.insert("m", message_in("x", "fishes"));
    fixture.settle();
    let mut past = fixture.database.begin_at(before).unwrap();
    assert_eq!(bodies(&mut past, &search("fish", &[])), ["fish"]);
    assert_eq!(found(&fixture, "fish", &[]), ["fishes"]);
}
