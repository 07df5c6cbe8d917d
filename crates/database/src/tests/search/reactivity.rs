//! Searches are woken by the writes that concern them, and by few others.

use super::*;
use crate::{CommitError, Subscription};

fn watch(fixture: &Fixture, query: &Query) -> Subscription {
    let mut transaction = fixture.database.begin().unwrap();
    transaction.user(Namespace::ROOT).collect(query).unwrap();
    let reads = Arc::new(transaction.read_set().clone());
    fixture.database.subscribe(reads, transaction.snapshot_ts(), Arc::new(|| {}))
}

#[test]
fn only_writes_that_match_the_words_and_all_conditions_wake() {
    let fixture = messages();
    let here = fixture.insert("m", message_in("x", "fish and chips"));
    let there = fixture.insert("m", message_in("y", "fish and chips"));
    let kind = |kind: &str| ("kind".to_owned(), Some(text(kind)));
    fixture.run(|transaction| {
        transaction.user(Namespace::ROOT).patch(&here, None, [kind("a")].into()).unwrap();
    });
    let in_x = || watch(&fixture, &search("fish", &[("ch", "x")]));
    // By the second field alone, and by both: compared entry by entry and found by their place.
    let of_a = || watch(&fixture, &search("chips fis", &[("kind", "a")]));
    let both = || watch(&fixture, &search("fish", &[("ch", "x"), ("kind", "a")]));
    let untouched = [in_x(), both()];
    fixture.insert("m", message_in("y", "fish"));
    fixture.insert("m", message_in("x", "bird"));
    fixture.insert("m", message_in("x", "afish"));
    fixture.run(|transaction| {
        transaction.user(Namespace::ROOT).patch(&there, None, [kind("b")].into()).unwrap();
    });
    assert!(untouched.iter().all(Subscription::is_valid));
    let prefix = watch(&fixture, &search("fi", &[("kind", "a")]));
    fixture.insert("m", object([("body", text("fiddle")), ("kind", text("b"))]));
    assert!(prefix.is_valid());
    fixture.insert("m", object([("body", text("fiddle")), ("kind", text("a"))]));
    assert!(!prefix.is_valid());

    // Another field of a document that was found.
    let watches = [in_x(), of_a(), both()];
    fixture.run(|transaction| {
        let fields = [("likes".to_owned(), Some(num(1.0)))].into();
        transaction.user(Namespace::ROOT).patch(&here, None, fields).unwrap();
    });
    assert!(watches.iter().all(|watch| !watch.is_valid()));
    // It leaves the channel: the version before matters.
    let (watches, elsewhere) = ([in_x(), both()], watch(&fixture, &search("fish", &[("ch", "z")])));
    fixture.run(|transaction| {
        let fields = [("ch".to_owned(), Some(text("z")))].into();
        transaction.user(Namespace::ROOT).patch(&here, None, fields).unwrap();
    });
    assert!(watches.iter().all(|watch| !watch.is_valid()) && !elsewhere.is_valid());
    let of_a = of_a();
    fixture.run(|transaction| transaction.user(Namespace::ROOT).delete(&here, None).map(|_| ()).unwrap());
    assert!(!of_a.is_valid());
}

#[test]
fn how_common_a_word_is_matters_only_beside_another_word_and_when_it_changes_much() {
    let fixture = messages();
    fixture.run(|transaction| {
        insert(transaction, "m", message_in("y", "common rare"));
        for n in 0..40 {
            insert(transaction, "m", message_in("x", if n < 20 { "common word" } else { "rare" }));
        }
    });
    let two_words = watch(&fixture, &search("common rare", &[("ch", "y")]));
    let one_word = watch(&fixture, &search("rare", &[("ch", "y")]));
    // 21 documents have it: one class reaches from 16 to 22.
    fixture.insert("m", message_in("x", "common"));
    assert!(two_words.is_valid());
    fixture.insert("m", message_in("x", "common"));
    assert!(!two_words.is_valid());
    fixture.run(|transaction| {
        for _ in 0..60 {
            insert(transaction, "m", message_in("x", "rare"));
        }
    });
    assert!(one_word.is_valid());
}

#[test]
fn a_mutation_that_searched_conflicts_with_what_it_would_have_found() {
    let fixture = messages();
    let race = |body: &str, channel: &str| {
        let mut mutation = fixture.database.begin().unwrap();
        assert_eq!(bodies(&mut mutation, &search("fish", &[("ch", "x")])).len(), 0);
        insert(&mut mutation, "log", object([("n", num(1.0))]));
        fixture.insert("m", message_in(channel, body));
        fixture.database.commit(mutation)
    };
    assert!(race("fish", "y").is_ok());
    assert!(race("bird", "x").is_ok());
    assert!(matches!(race("fishes", "x"), Err(CommitError::Conflict { .. })));
}
