use super::*;
use crate::json::Decoder;
use crate::samples::any_value;
use proptest::prelude::*;

fn encoded(value: &Value) -> String {
    value.to_json_string()
}

#[test]
fn the_encoded_form_is_the_documented_one() {
    let cases = [
        (Value::Null, "null"),
        (Value::Boolean(false), "false"),
        (Value::Int64(1), r#"{"$integer":"AQAAAAAAAAA="}"#),
        (Value::Int64(-1), r#"{"$integer":"//////////8="}"#),
        (Value::Int64(i64::MAX), r#"{"$integer":"/////////38="}"#),
        (Value::Int64(i64::MIN), r#"{"$integer":"AAAAAAAAAIA="}"#),
        (Value::Float64(-0.0), r#"{"$float":"AAAAAAAAAIA="}"#),
        (Value::Float64(f64::NAN), r#"{"$float":"AAAAAAAA+H8="}"#),
        (Value::Float64(f64::INFINITY), r#"{"$float":"AAAAAAAA8H8="}"#),
        (Value::Float64(f64::NEG_INFINITY), r#"{"$float":"AAAAAAAA8P8="}"#),
        (Value::Bytes(vec![1, 2, 255]), r#"{"$bytes":"AQL/"}"#),
        (Value::Bytes(vec![0, 0, 0]), r#"{"$bytes":"AAAA"}"#),
        (Value::CommitTs, r#"{"$commitTs":null}"#),
        (Value::from("héllo"), "\"héllo\""),
        (Value::Array(vec![Value::Null, Value::Float64(1.5)]), "[null,1.5]"),
        (Value::object([("b", Value::Null), ("a", Value::Array(vec![]))]), r#"{"a":[],"b":null}"#),
    ];
    for (value, json) in cases {
        assert_eq!(encoded(&value), json);
        assert_eq!(Decoder::WITH_COMMIT_TS.value(json).unwrap(), value);
    }
}

#[test]
fn integral_floats_print_shortest() {
    let cases = [
        (0.0, "0"),
        (5.0, "5"),
        (-7.0, "-7"),
        (0.1, "0.1"),
        (1e15, "1000000000000000"),
        (9_007_199_254_740_993.0, "9007199254740992"),
        (-9_999_999_999_999_998.0, "-9999999999999998"),
        (1e16, "1e+16"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (1700000000000.25, "1700000000000.25"),
    ];
    for (number, text) in cases {
        assert_eq!(encoded(&Value::Float64(number)), text);
        assert_eq!(text.parse::<f64>().unwrap(), number);
    }
}

#[test]
fn strings_are_escaped_as_json_wants() {
    let all: String = ('\0'..'\u{a0}').chain(['\u{2028}', '😀', '\u{fffd}']).collect();
    let json = encoded(&Value::from(all.as_str()));
    assert_eq!(json, serde_json::to_string(&all).unwrap());
    assert!(
        json.contains(r"\u0001")
            && json.contains(r"\u001f")
            && json.contains(r"\n")
            && json.contains(r#"\""#)
    );
}

#[test]
fn encoding_appends() {
    let mut out = "[".to_owned();
    Value::from("x").encode(&mut out);
    out.push(',');
    encode_operand(None, &mut out);
    out.push(',');
    encode_object(Value::object([("a", Value::Null)]).as_object().unwrap(), &mut out);
    assert_eq!(out, r#"["x",{"$undefined":null},{"a":null}"#);
}

#[test]
fn the_clean_form_is_plain_json() {
    let clean = |value: Value| value.to_format(Format::Clean);
    assert_eq!(clean(Value::Int64(-5)), "\"-5\"");
    assert_eq!(clean(Value::Float64(3.0)), "3");
    assert_eq!(clean(Value::Float64(-0.0)), "-0.0");
    assert_eq!(clean(Value::Float64(f64::NAN)), "\"NaN\"");
    assert_eq!(clean(Value::Float64(f64::INFINITY)), "\"Infinity\"");
    assert_eq!(clean(Value::Float64(f64::NEG_INFINITY)), "\"-Infinity\"");
    assert_eq!(clean(Value::Bytes(vec![1, 2])), "\"AQI=\"");
    assert_eq!(clean(Value::object([("a", Value::Array(vec![Value::Int64(1)]))])), r#"{"a":["1"]}"#);
}

#[test]
fn the_export_form_tells_integers_from_floats() {
    let export = |value: Value| value.to_format(Format::Export);
    assert_eq!(export(Value::Int64(123)), "123");
    assert_eq!(export(Value::Float64(123.0)), "123.0");
    assert_eq!(export(Value::Float64(-0.0)), "-0.0");
    assert_eq!(export(Value::Float64(0.5)), "0.5");
    assert_eq!(export(Value::Float64(1e300)), "1e+300");
    assert_eq!(export(Value::Float64(f64::NAN)), r#"{"$float":"AAAAAAAA+H8="}"#);
    assert_eq!(export(Value::Bytes(vec![1, 2])), r#"{"$bytes":"AQI="}"#);
}

#[test]
fn the_json_tree_means_the_same_value() {
    let value =
        Value::object([("a", Value::Int64(7)), ("b", Value::Float64(-0.0)), ("c", Value::Float64(2.0))]);
    let tree = value.to_json();
    assert_eq!(tree["a"], serde_json::json!({"$integer": "BwAAAAAAAAA="}));
    assert_eq!(Value::from_json(&tree).unwrap(), value);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_value_survives_the_encoded_form(value in any_value()) {
        prop_assert_eq!(&Value::decode(&value.to_json_string()).unwrap(), &value);
        prop_assert_eq!(&Value::from_json(&value.to_json()).unwrap(), &value);
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(&Value::decode(&text).unwrap(), &value);
    }

    #[test]
    fn every_value_survives_the_export_form(value in any_value()) {
        prop_assert_eq!(&Decoder::EXPORT.value(&value.to_format(Format::Export)).unwrap(), &value);
    }

    #[test]
    fn every_form_is_json(value in any_value()) {
        for format in [Format::Encoded, Format::Clean, Format::Export] {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&value.to_format(format)).is_ok());
        }
    }

    #[test]
    fn every_float_survives(bits in any::<u64>()) {
        let value = Value::Float64(f64::from_bits(bits));
        prop_assert_eq!(&Value::decode(&value.to_json_string()).unwrap(), &value);
    }
}
