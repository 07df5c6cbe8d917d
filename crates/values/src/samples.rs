//! Values for tests: the documented ascending sample, and arbitrary ones.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::value::Value;

/// The documented ascending sample.
pub(crate) fn ascending() -> Vec<Option<Value>> {
    let float = Value::Float64;
    let text = |text: &str| Value::from(text);
    let values = vec![
        Value::Null,
        Value::Int64(-5),
        Value::Int64(0),
        Value::Int64(7),
        float(f64::NEG_INFINITY),
        float(-1.5),
        float(-0.0),
        float(0.0),
        float(1e-300),
        float(2.0),
        float(f64::INFINITY),
        float(f64::NAN),
        Value::Boolean(false),
        Value::Boolean(true),
        text(""),
        text("A"),
        text("Z"),
        text("a"),
        text("aa"),
        text("b"),
        text("é"),
        text("\u{FFFD}"),
        text("😀"),
        Value::Bytes(vec![]),
        Value::Bytes(vec![1]),
        Value::Array(vec![]),
        Value::Array(vec![Value::Null]),
        Value::Array(vec![Value::Null, Value::Null]),
        Value::Array(vec![float(1.0)]),
        Value::Array(vec![float(1.0), float(2.0)]),
        Value::Object(Default::default()),
        Value::object([("a", float(1.0))]),
        Value::object([("a", float(1.0)), ("b", float(0.0))]),
        Value::object([("a", float(2.0))]),
        Value::object([("b", float(0.0))]),
    ];
    std::iter::once(None).chain(values.into_iter().map(Some)).collect()
}

/// Arbitrary values that often agree in part: few distinct scalars, awkward bytes, nested containers.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    any_scalar().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            btree_map("[ab _~]{0,2}", inner, 0..4).prop_map(Value::object),
        ]
    })
}

/// As [`any_value`], or undefined.
pub(crate) fn any_operand() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![1 => Just(None), 9 => any_value().prop_map(Some)]
}

fn any_scalar() -> impl Strategy<Value = Value> {
    let awkward_float = prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(1.0),
        Just(-1.5),
        Just(f64::NAN),
        Just(-f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MIN_POSITIVE),
        Just(9_007_199_254_740_993.0),
        Just(1e16),
        Just(1e21),
        any::<u64>().prop_map(f64::from_bits),
        any::<i64>().prop_map(|number| number as f64),
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        prop_oneof![any::<i64>(), -2..3i64, Just(i64::MAX), Just(i64::MIN)].prop_map(Value::Int64),
        awkward_float.prop_map(Value::Float64),
        vec(
            prop_oneof![
                Just('\0'),
                Just('\u{1}'),
                Just('\u{2}'),
                Just('a'),
                Just('"'),
                Just('\\'),
                any::<char>()
            ],
            0..4
        )
        .prop_map(|chars| Value::String(chars.into_iter().collect())),
        vec(prop_oneof![Just(0u8), Just(1), Just(2), Just(0xff), any::<u8>()], 0..4).prop_map(Value::Bytes),
    ]
}
