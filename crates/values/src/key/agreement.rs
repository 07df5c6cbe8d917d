//! Tests over many pairs: keys, prefixes and intervals say of tuples what a comparison of their values says.

use std::cmp::Ordering;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::{KeyInterval, encode_tuple, key_after, successor_of_prefix};
use crate::samples::{any_operand, ascending};
use crate::value::Value;

/// Tuples to be compared in pairs: more than 100,000.
const TUPLES: usize = 400;

type Tuple = Vec<Option<Value>>;

fn key(tuple: &[Option<Value>]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_tuple(&mut out, tuple.iter().map(Option::as_ref));
    out
}

/// Tuples of up to three values, the same in every run; many share a beginning, and some nest one value in another.
fn tuples() -> Vec<(Tuple, Vec<u8>)> {
    let mut runner = TestRunner::deterministic();
    let mut sample = |strategy: &BoxedStrategy<Tuple>| strategy.new_tree(&mut runner).unwrap().current();
    let fresh = vec(any_operand(), 1..4).boxed();
    let mut tuples: Vec<Tuple> = ascending().into_iter().map(|value| vec![value]).collect();
    tuples.push(vec![Some(Value::CommitTs)]);
    while tuples.len() < TUPLES {
        let mut tuple = sample(&fresh);
        let other = &tuples[tuple.len() * 31 % tuples.len()];
        match tuples.len() % 4 {
            0 => tuple.splice(..1, other.iter().cloned()).for_each(drop),
            1 => tuple[0] = Some(Value::Array(other.iter().flatten().cloned().collect())),
            2 => tuple[0] = other[0].clone().map(|inner| Value::object([("a", inner)])),
            _ => {}
        }
        tuple.truncate(3);
        tuples.push(tuple);
    }
    tuples
        .into_iter()
        .map(|tuple| {
            let key = key(&tuple);
            (tuple, key)
        })
        .collect()
}

#[test]
fn keys_of_all_pairs_of_tuples_order_as_their_values() {
    let tuples = tuples();
    for (a, key_a) in &tuples {
        for (b, key_b) in &tuples {
            assert_eq!(key_a.cmp(key_b), a.cmp(b), "{a:?} against {b:?}");
        }
    }
}

#[test]
fn prefixes_and_bounds_hold_exactly_the_tuples_that_a_comparison_of_values_says() {
    let tuples = tuples();
    for (bound, bound_key) in &tuples {
        let prefix = KeyInterval::prefix(bound_key);
        let behind = successor_of_prefix(bound_key).expect("a key begins with a tag below 0xff");
        let from = KeyInterval { start: bound_key.clone(), end: None };
        let after_all = KeyInterval { start: behind.clone(), end: None };
        let up_to = KeyInterval { start: Vec::new(), end: Some(behind) };
        let before = KeyInterval { start: Vec::new(), end: Some(bound_key.clone()) };
        for (tuple, key) in &tuples {
            // How the first fields compare with the bound; a shorter tuple comes before what it begins.
            let first = &tuple[..bound.len().min(tuple.len())];
            let order = first.cmp(bound.as_slice());
            let context = || format!("{tuple:?} against {bound:?}");
            assert_eq!(prefix.contains(key), order == Ordering::Equal, "eq: {}", context());
            assert_eq!(from.contains(key), order != Ordering::Less, "gte: {}", context());
            assert_eq!(after_all.contains(key), order == Ordering::Greater, "gt: {}", context());
            assert_eq!(up_to.contains(key), order != Ordering::Greater, "lte: {}", context());
            assert_eq!(before.contains(key), order == Ordering::Less, "lt: {}", context());
            assert_eq!(key_after(bound_key) <= *key, tuple > bound, "after: {}", context());
        }
    }
}
