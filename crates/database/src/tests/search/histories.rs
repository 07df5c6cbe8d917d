//! Random histories: every search finds what the model finds, and a subscription that is valid still has its answer.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::model::{self, Text, Texts};
use super::*;
use crate::Subscription;

const WORDS: [&str; 12] =
    ["fish", "fishes", "fishing", "bird", "cat", "catalog", "a", "東京都", "東京に住む", "é", "x1", "x2"];

struct Watch {
    query: Asked,
    subscription: Subscription,
    answer: Vec<[u8; 16]>,
}

#[derive(Clone, Debug)]
struct Asked {
    words: String,
    filters: [Option<String>; 2],
}

impl Asked {
    fn any(rng: &mut ChaCha8Rng) -> Asked {
        let count = rng.random_range(1..4);
        let word = |rng: &mut ChaCha8Rng| {
            let word = WORDS[rng.random_range(0..WORDS.len())];
            let end = rng.random_range(1..=word.chars().count());
            if rng.random_bool(0.5) { word.to_owned() } else { word.chars().take(end).collect() }
        };
        let words: Vec<String> = (0..count).map(|_| word(rng)).collect();
        let filter = |rng: &mut ChaCha8Rng| rng.random_bool(0.4).then(|| rng.random_range(0..3).to_string());
        Asked { words: words.join(" "), filters: [filter(rng), filter(rng)] }
    }

    fn ask(&self, transaction: &mut Transaction) -> Vec<[u8; 16]> {
        let fields = ["ch", "kind"].into_iter().zip(&self.filters);
        let equal: Vec<(&str, &str)> =
            fields.filter_map(|(field, value)| Some((field, value.as_deref()?))).collect();
        let query = search(&self.words, &equal);
        collect(transaction, &query).iter().map(|row| row.id().internal.0).collect()
    }

    fn expect(&self, snapshot: &Texts, now: &Texts) -> Vec<[u8; 16]> {
        let filters: Vec<Option<&str>> = self.filters.iter().map(Option::as_deref).collect();
        model::search(snapshot, now, &self.words, &filters)
    }
}

fn body(rng: &mut ChaCha8Rng) -> String {
    let count = rng.random_range(0..8);
    let words = (0..count).map(|_| WORDS[rng.random_range(0..WORDS.len())].to_owned());
    words.collect::<Vec<_>>().join(" ")
}

fn filters(rng: &mut ChaCha8Rng) -> Vec<Option<String>> {
    (0..2).map(|_| rng.random_bool(0.8).then(|| rng.random_range(0..3).to_string())).collect()
}

/// Writes something, in the database and in the model.
fn write(transaction: &mut Transaction, texts: &mut Texts, rng: &mut ChaCha8Rng) {
    let known = texts.keys().nth(rng.random_range(0..=texts.len())).copied();
    let id = |internal: [u8; 16], transaction: &Transaction| {
        let table = transaction.catalog().table_by_name(Namespace::ROOT, &name("m")).unwrap().number;
        freshet_values::DocumentId::new(table, freshet_values::InternalId(internal)).to_string()
    };
    match known {
        Some(internal) if rng.random_bool(0.3) => {
            let id = id(internal, transaction);
            transaction.user(Namespace::ROOT).delete(&id, None).unwrap();
            texts.remove(&internal);
        }
        Some(internal) if rng.random_bool(0.6) => {
            let id = id(internal, transaction);
            let text = texts.get_mut(&internal).unwrap();
            let mut fields = BTreeMap::new();
            match rng.random_range(0..3) {
                0 => {
                    text.body = body(rng);
                    fields.insert("body".to_owned(), Some(Value::from(text.body.as_str())));
                }
                1 => {
                    text.filters = filters(rng);
                    for (field, value) in ["ch", "kind"].into_iter().zip(&text.filters) {
                        fields.insert(field.to_owned(), value.as_deref().map(Value::from));
                    }
                }
                _ => {
                    fields.insert("likes".to_owned(), Some(num(rng.random_range(0..9).into())));
                }
            }
            transaction.user(Namespace::ROOT).patch(&id, None, fields).unwrap();
        }
        _ => {
            let (body, filters) = (body(rng), filters(rng));
            let mut fields = BTreeMap::from([("body".to_owned(), Value::from(body.as_str()))]);
            for (field, value) in ["ch", "kind"].into_iter().zip(&filters) {
                if let Some(value) = value {
                    fields.insert(field.to_owned(), Value::from(value.as_str()));
                }
            }
            let inserted = insert(transaction, "m", Value::Object(fields.into_iter().collect()));
            let document = transaction.user(Namespace::ROOT).get(&inserted, None, false).unwrap().unwrap();
            let creation_time = field(&document, "_creationTime").as_f64().unwrap();
            texts.insert(document.id().internal.0, Text { body, filters, creation_time });
        }
    }
}

fn history(seed: u64, steps: usize, batch: usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let fixture = messages();
    let mut texts = Texts::new();
    let mut watches: Vec<Watch> = Vec::new();
    for step in 0..steps {
        fixture.run(|transaction| {
            let mut now = texts.clone();
            for _ in 0..rng.random_range(0..batch) {
                if rng.random_bool(0.2) {
                    transaction.begin_sub(None);
                    let before = now.clone();
                    write(transaction, &mut now, &mut rng);
                    if rng.random_bool(0.5) {
                        transaction.commit_sub().unwrap();
                    } else {
                        transaction.rollback_sub().unwrap();
                        now = before;
                    }
                } else {
                    write(transaction, &mut now, &mut rng);
                }
                if batch < 10 || rng.random_bool(0.02) {
                    let asked = Asked::any(&mut rng);
                    assert_eq!(asked.ask(transaction), asked.expect(&texts, &now), "seed {seed}: {asked:?}");
                }
            }
            texts = now;
        });
        if rng.random_bool(0.3) {
            fixture.settle();
        }
        for watch in &watches {
            if watch.subscription.is_valid() {
                let now = watch.query.expect(&texts, &texts);
                assert_eq!(watch.answer, now, "seed {seed}, step {step}: {:?} was not woken", watch.query);
            }
        }
        watches.retain(|watch| watch.subscription.is_valid());
        while watches.len() < 6 {
            let query = Asked::any(&mut rng);
            let mut transaction = fixture.database.begin().unwrap();
            let answer = query.ask(&mut transaction);
            assert_eq!(answer, query.expect(&texts, &texts), "seed {seed}: {query:?}");
            let reads = Arc::new(transaction.read_set().clone());
            let subscription = fixture.database.subscribe(reads, transaction.snapshot_ts(), Arc::new(|| {}));
            watches.push(Watch { query, subscription, answer });
        }
    }
}

fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let first = rand::random::<u64>() >> 16;
    println!("seeds from {first}");
    first..first + count
}

#[test]
fn searches_find_what_the_model_finds_whatever_was_written() {
    seeds(40).for_each(|seed| history(seed, 25, 6));
}

#[test]
fn the_same_holds_while_a_corpus_grows_through_classes() {
    seeds(2).for_each(|seed| history(seed, 14, 120));
}
