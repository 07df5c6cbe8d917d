//! What a test case does, as a strategy.

use freshet_values::Value;
use proptest::prelude::*;

use super::rows::{Asked, INDEXES, Operand};

#[derive(Clone, Debug)]
pub(super) enum Step {
    Insert(Fields),
    Patch(usize, Fields),
    Replace(usize, Fields),
    Delete(usize),
    BeginSub,
    CommitSub,
    RollbackSub,
    /// Runs a query to its end, with a limit or without.
    Collect(Asked, Option<u64>),
    /// Takes some rows, writes nothing, leaves the rest.
    Partly(Asked, usize),
    /// Reads all pages, and then each again between its cursors and cut in two.
    Pages(Asked, u64),
    /// Reads a page and keeps its cursors.
    KeepPage(Asked, u64),
    /// Reads the kept page again, whatever has been written since.
    ReadKeptPage,
    Everything,
    Commit,
    Drop,
    /// Reads an earlier state.
    Past(usize, Asked),
    Store,
    MakeIndex,
    Maintain,
}

/// What a document is made of: fields, some missing.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub(super) a: Operand,
    pub(super) b: Operand,
    pub(super) n: Operand,
}

/// Values of all types, few enough to meet each other.
fn value() -> impl Strategy<Value = Value> {
    let object = |value: Value| Value::object([("x", value)]);
    prop_oneof![
        Just(Value::Null),
        prop_oneof![Just(i64::MIN), -1..2i64, Just(i64::MAX)].prop_map(Value::Int64),
        prop_oneof![
            Just(-f64::NAN),
            Just(f64::NEG_INFINITY),
            Just(-1.0),
            Just(-0.0),
            Just(0.0),
            Just(1.0),
            Just(f64::INFINITY),
            Just(f64::NAN),
        ]
        .prop_map(Value::Float64),
        any::<bool>().prop_map(Value::Boolean),
        prop_oneof![Just(""), Just("\0"), Just("a"), Just("a\0"), Just("aa"), Just("\u{1}"), Just("😀")]
            .prop_map(Value::from),
        prop_oneof![Just(vec![]), Just(vec![0u8]), Just(vec![0, 0]), Just(vec![1]), Just(vec![255])]
            .prop_map(Value::Bytes),
        prop_oneof![Just(vec![]), Just(vec![Value::Null]), Just(vec![Value::Null, Value::Float64(0.0)])]
            .prop_map(Value::Array),
        prop_oneof![Just(Value::Null), Just(Value::Float64(-0.0))].prop_map(object),
        Just(Value::Object(Default::default())),
    ]
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![1 => Just(None), 7 => value().prop_map(Some)]
}

fn fields() -> impl Strategy<Value = Fields> {
    let nested = prop_oneof![
        1 => Just(None),
        1 => value().prop_map(Some),
        5 => value().prop_map(|value| Some(Value::object([("x", value)]))),
    ];
    (operand(), prop_oneof![Just(None), Just(Some(Value::Null)), Just(Some(Value::Float64(1.0)))], nested)
        .prop_map(|(a, b, n)| Fields { a, b, n })
}

fn asked() -> impl Strategy<Value = Asked> {
    let bound = || prop::option::of((any::<bool>(), operand()));
    (
        0..INDEXES.len(),
        prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(operand(), 1..=2)],
        bound(),
        bound(),
        any::<bool>(),
        prop_oneof![4 => Just(None), 1 => operand().prop_map(Some)],
    )
        .prop_map(|(index, mut equal, lower, upper, descending, filter)| {
            equal.truncate(INDEXES[index].1.len());
            Asked { index, equal, lower, upper, descending, filter }
        })
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        7 => fields().prop_map(Step::Insert),
        3 => (any::<usize>(), fields()).prop_map(|(row, fields)| Step::Patch(row, fields)),
        1 => (any::<usize>(), fields()).prop_map(|(row, fields)| Step::Replace(row, fields)),
        2 => any::<usize>().prop_map(Step::Delete),
        1 => Just(Step::BeginSub),
        1 => Just(Step::CommitSub),
        1 => Just(Step::RollbackSub),
        4 => (asked(), prop::option::of(0..4u64)).prop_map(|(asked, limit)| Step::Collect(asked, limit)),
        2 => (asked(), 0..4usize).prop_map(|(asked, count)| Step::Partly(asked, count)),
        2 => (asked(), 1..4u64).prop_map(|(asked, size)| Step::Pages(asked, size)),
        1 => (asked(), 1..4u64).prop_map(|(asked, size)| Step::KeepPage(asked, size)),
        2 => Just(Step::ReadKeptPage),
        1 => Just(Step::Everything),
        4 => Just(Step::Commit),
        1 => Just(Step::Drop),
        2 => (0..4usize, asked()).prop_map(|(ago, asked)| Step::Past(ago, asked)),
        2 => Just(Step::Store),
        1 => Just(Step::MakeIndex),
        2 => Just(Step::Maintain),
    ]
}
