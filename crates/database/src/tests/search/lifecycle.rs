//! Building, replacing and dropping search indexes.

use std::collections::BTreeMap;

use freshet_search::text::Corpus;

use super::*;

fn corpora(fixture: &Fixture) -> Vec<Corpus> {
    fixture.database.shared().state.lock().corpora.values().copied().collect()
}

#[test]
fn an_index_built_while_writes_go_on_is_exact_and_so_are_its_statistics() {
    let options = DatabaseOptions { backfill_chunk: 7, ..DatabaseOptions::default() };
    let fixture = fixture_on(Arc::new(MemoryStore::new()), options);
    let body = |n: usize| (0..n % 5 + 1).map(|k| format!("w{}", (n + k) % 11)).collect::<Vec<_>>().join(" ");
    let ids: Vec<String> = (0..150).map(|n| fixture.insert("m", message_in("x", &body(n)))).collect();
    let spec = IndexSpec::Search {
        search_field: "body".parse().unwrap(),
        filter_fields: vec!["ch".parse().unwrap()],
    };
    let index = fixture
        .run(|transaction| {
            let (table, index) = (name("m"), "s".parse().unwrap());
            transaction.create_index(Namespace::ROOT, &table, &index, spec, false).unwrap()
        })
        .0;
    let mut step = 0;
    while fixture.database.catalog().index(index).unwrap().state == IndexState::Backfilling || step < 100 {
        step += 1;
        let id = &ids[(step * 37) % ids.len()];
        let mut transaction = fixture.database.begin().unwrap();
        let mut user = transaction.user(Namespace::ROOT);
        if user.get(id, None, false).unwrap().is_none() {
            continue;
        }
        if step % 5 == 0 {
            user.delete(id, None).unwrap();
        } else {
            let change = BTreeMap::from([("body".to_owned(), Some(text(&body(step * 7))))]);
            user.patch(id, None, change).unwrap();
        }
        match fixture.database.commit(transaction) {
            // The change of the index's state is a conflict for whoever writes to the table just then.
            Ok(_) | Err(crate::CommitError::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    fixture.run(|transaction| transaction.enable_index(index).unwrap());
    for _ in 0..2 {
        let mut transaction = fixture.database.begin().unwrap();
        let all = collect(&mut transaction, &scan("m", "asc", serde_json::json!([])));
        let texts: Vec<String> =
            all.iter().map(|row| field(row, "body").as_str().unwrap().to_owned()).collect();
        for word in ["w0", "w3", "w10"] {
            let expected = texts.iter().filter(|text| text.split(' ').any(|w| w == word)).count();
            assert_eq!(bodies(&mut transaction, &search(&format!("{word} nothing"), &[])).len(), expected);
        }
        let tokens = texts.iter().map(|text| text.split(' ').count() as u64).sum();
        assert_eq!(corpora(&fixture), [Corpus { documents: texts.len() as u64, tokens }]);
        fixture.settle();
    }
    // They are read back when the store is opened again.
    let before = corpora(&fixture);
    let reopened = fixture_on(Arc::new(fixture.store.after_crash()), DatabaseOptions::default());
    assert_eq!(corpora(&reopened), before);
    assert_eq!(found(&reopened, "w3 w4", &[]), found(&fixture, "w3 w4", &[]));
}

#[test]
fn an_index_that_is_staged_or_not_complete_cannot_be_searched_and_a_dropped_one_leaves_nothing() {
    let fixture = fixture();
    fixture.insert("m", message_in("x", "word"));
    let spec = || IndexSpec::Search { search_field: "body".parse().unwrap(), filter_fields: Vec::new() };
    let create = |staged| {
        let (table, index) = (name("m"), "s".parse().unwrap());
        fixture.run(|tx| tx.create_index(Namespace::ROOT, &table, &index, spec(), staged).unwrap()).0
    };
    let refused =
        || message(fixture.database.begin().unwrap().user(Namespace::ROOT).collect(&search("word", &[])));
    let state = |id| fixture.database.catalog().index(id).map(|index| index.state);
    let id = create(true);
    wait_until(|| state(id) == Some(IndexState::Backfilled));
    assert_eq!(refused(), "Index m.s is currently staged and not available to query until it is enabled.");
    fixture.run(|transaction| transaction.set_index_staged(id, false).unwrap());
    assert_eq!(refused(), "Index m.s is currently backfilling and not available to query yet.");
    fixture.run(|transaction| transaction.enable_index(id).unwrap());
    assert_eq!(found(&fixture, "word", &[]), ["word"]);
    fixture.run(|transaction| transaction.drop_index(id).unwrap());
    assert_eq!(refused(), "Index m.s not found.");
    // What went lies in the past once the window has passed.
    fixture.settle();
    fixture.clock.advance(120_000_000_000);
    fixture.insert("other", object([]));
    fixture.settle();
    wait_until(|| {
        fixture.database.shared().maintenance.wake();
        state(id).is_none()
    });
    fixture.settle();
    let snapshot = fixture.store.snapshot().unwrap();
    assert_eq!(snapshot.count_keys(id, &freshet_values::KeyInterval::all()).unwrap(), 0);
    assert_eq!(fixture.store.meta(&format!("corpus.{id}")).unwrap(), None);
}

#[test]
fn an_index_from_before_there_were_entries_is_built_and_stays_in_use() {
    let fixture = messages();
    fixture.insert("m", message_in("x", "word"));
    // Its row as it was written then.
    fixture.run(|transaction| {
        let table = transaction.catalog().table(crate::catalog::system_tables::INDEX).unwrap().clone();
        let all = Query::full_table_scan(table.name.clone(), crate::Order::Asc);
        let rows = transaction.system(Namespace::ROOT).collect(&all).unwrap();
        let row = rows.iter().find(|row| field(row, "name") == text("s")).unwrap();
        let mut object = fields_of(row);
        let Some(Value::Object(config)) = object.get_mut("config") else { panic!("no config") };
        config.remove("entries");
        let fields = object.into_iter().collect();
        transaction.system(Namespace::ROOT).replace(&table.name, row.id(), fields).unwrap();
    });
    let state = || {
        let catalog = fixture.database.catalog();
        let table = catalog.table_by_name(Namespace::ROOT, &name("m")).unwrap().id;
        catalog.index_by_name(table, &"s".parse().unwrap()).unwrap().state
    };
    wait_until(|| state() == IndexState::Enabled);
    assert_eq!(found(&fixture, "word", &[]), ["word"]);
}
