use super::*;
use proptest::prelude::*;

fn error(json: &str) -> DecodeError {
    Value::decode(json).unwrap_err()
}

fn message(json: &str) -> String {
    error(json).to_string()
}

fn nested_arrays(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn numbers_are_always_float64() {
    let cases = [
        ("3", 3.0),
        ("3.0", 3.0),
        ("-0", -0.0),
        ("-0.0", -0.0),
        ("0", 0.0),
        ("9007199254740993", 9_007_199_254_740_992.0),
        ("18446744073709551615", 1.8446744073709552e19),
        ("-9223372036854775808", -9.223_372_036_854_776e18),
        ("123456789012345678901234567890", 1.2345678901234568e29),
        ("1e21", 1e21),
        ("0.1", 0.1),
    ];
    for (json, number) in cases {
        assert_eq!(Value::decode(json), Ok(Value::Float64(number)), "{json}");
    }
}

#[test]
fn tagged_objects_are_strict() {
    assert_eq!(message(r#"{"$integer":"AQ=="}"#), "Int64 must be exactly eight bytes");
    assert_eq!(message(r#"{"$integer":"AAAAAAAAAAAA"}"#), "Int64 must be exactly eight bytes");
    assert_eq!(message(r#"{"$float":"AAAA"}"#), "Float64 must be exactly eight bytes");
    assert_eq!(message(r#"{"$float":"AAAAAAAA8D8="}"#), "Float64 1.0 should be encoded as a number");
    // Positive zero is let through, though never written.
    assert_eq!(Value::decode(r#"{"$float":"AAAAAAAAAAA="}"#), Ok(Value::Float64(0.0)));
    for json in [
        r#"{"$integer":5}"#,
        r#"{"$integer":null}"#,
        r#"{"$integer":["AQAAAAAAAAA="]}"#,
        r#"{"$integer":{"$integer":"AQAAAAAAAAA="}}"#,
        r#"{"$bytes":true}"#,
        r#"{"$float":1.5}"#,
    ] {
        assert!(matches!(error(json), DecodeError::PayloadType { .. }), "{json}");
    }
    for json in [
        r#"{"$bytes":"AQI"}"#,
        r#"{"$bytes":"AQJ="}"#,
        r#"{"$bytes":"A-_/"}"#,
        r#"{"$integer":"!!!!!!!!!!!="}"#,
        r#"{"$float":"x"}"#,
        r#"{"$integer":"AQAAAAAAAAA"}"#,
    ] {
        assert!(matches!(error(json), DecodeError::Base64(_)), "{json}");
    }
}

#[test]
fn nan_keeps_its_payload() {
    let Value::Float64(number) = Value::decode(r#"{"$float":"AQAAAAAA+P8="}"#).unwrap() else {
        panic!("not a float")
    };
    assert_eq!(number.to_bits(), 0xfff8_0000_0000_0001);
}

#[test]
fn other_dollar_keys_are_reserved() {
    for json in [
        r#"{"$set":[]}"#,
        r#"{"$map":[]}"#,
        r#"{"$id":"x"}"#,
        r#"{"$":1}"#,
        r#"{"$integer":"AQAAAAAAAAA=","a":1}"#,
        r#"{"a":1,"$integer":"AQAAAAAAAAA="}"#,
        r#"{"$integer":"AQAAAAAAAAA=","$float":"AAAAAAAAAIA="}"#,
        r#"[{"b":{"a":1,"$b":2}}]"#,
    ] {
        assert!(matches!(error(json), DecodeError::ReservedField(_)), "{json}");
    }
    assert_eq!(message(r#"{"x":{"$a":1}}"#), "Field name $a starts with '$', which is reserved.");
}

#[test]
fn of_a_repeated_key_the_last_one_wins() {
    assert_eq!(Value::decode(r#"{"a":1,"b":2,"a":3}"#), Value::decode(r#"{"a":3,"b":2}"#));
    let twice = r#"{"$integer":"AQAAAAAAAAA=","$integer":"AgAAAAAAAAA="}"#;
    assert_eq!(Value::decode(twice), Ok(Value::Int64(2)));
}

#[test]
fn lone_surrogates_are_syntax_errors() {
    for json in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\u0041""#, r#"{"\ud800":1}"#, r#"["\udfff"]"#] {
        assert!(error(json).is_syntax(), "{json}");
    }
    assert_eq!(Value::decode(r#""\ud83d\ude00""#), Ok(Value::from("😀")));
}

#[test]
fn malformed_json_is_a_syntax_error() {
    for json in
        ["", "nul", "[1,]", "{\"a\":1,}", "{'a':1}", "[1] 2", "NaN", "01", "+1", "\"\n\"", "1e999", "//\n1"]
    {
        assert!(error(json).is_syntax(), "{json}");
    }
}

#[test]
fn undefined_is_an_operand_and_nothing_else() {
    let undefined = r#"{"$undefined":null}"#;
    assert_eq!(Value::decode_operand(undefined), Ok(None));
    assert_eq!(Value::decode_operand("null"), Ok(Some(Value::Null)));
    assert_eq!(error(undefined), DecodeError::Undefined);
    for json in [format!("[{undefined}]"), format!("{{\"a\":{undefined}}}")] {
        assert_eq!(Value::decode_operand(&json), Err(DecodeError::Undefined), "{json}");
        assert_eq!(error(&json), DecodeError::Undefined, "{json}");
    }
    assert!(matches!(Value::decode_operand(r#"{"$undefined":1}"#), Err(DecodeError::PayloadType { .. })));
}

#[test]
fn the_commit_timestamp_placeholder_must_be_allowed() {
    let json = r#"{"a":[{"$commitTs":null}]}"#;
    assert_eq!(error(json), DecodeError::CommitTs);
    let expected = Value::object([("a", Value::Array(vec![Value::CommitTs]))]);
    let decoded = Decoder::WITH_COMMIT_TS.value(json).unwrap();
    assert_eq!(decoded, expected);
    assert!(decoded.contains_commit_ts());
}

#[test]
fn patches_are_objects_with_removable_fields() {
    let patch = Value::decode_patch(r#"{"a":1,"b":{"$undefined":null},"c":{"$commitTs":null}}"#).unwrap();
    let expected = BTreeMap::from([
        ("a".to_owned(), Some(Value::Float64(1.0))),
        ("b".to_owned(), None),
        ("c".to_owned(), Some(Value::CommitTs)),
    ]);
    assert_eq!(patch, expected);
    assert_eq!(Value::decode_patch("{}"), Ok(BTreeMap::new()));
    let deeper = r#"{"a":{"b":{"$undefined":null}}}"#;
    assert_eq!(Value::decode_patch(deeper), Err(DecodeError::Undefined));
    let not_objects = [
        "null",
        "true",
        "1",
        "-1",
        "1.5",
        "\"x\"",
        "[]",
        "[{}]",
        r#"{"$undefined":null}"#,
        r#"{"$integer":"AQAAAAAAAAA="}"#,
    ];
    for json in not_objects {
        assert_eq!(Value::decode_patch(json), Err(DecodeError::NotAnObject), "{json}");
    }
    assert_eq!(DecodeError::NotAnObject.to_string(), "Value must be an Object");
    assert!(matches!(Value::decode_patch(r#"{"a":1,"$b":1}"#), Err(DecodeError::ReservedField(_))));
    assert!(matches!(Value::decode_patch(r#"{"$b":1}"#), Err(DecodeError::ReservedField(_))));
    // The patch itself is one level.
    let patch = |levels| Value::decode_patch(&format!("{{\"a\":{}}}", nested_arrays(levels)));
    assert!(patch(63).is_ok());
    assert_eq!(patch(64), Err(DecodeError::TooNested(65)));
}

#[test]
fn field_names_are_checked() {
    assert_eq!(
        message(r#"{"é":1}"#),
        "Field name é has invalid character é: Field names can only contain non-control ASCII characters"
    );
    assert!(matches!(error("{\"a\\u0000\":1}"), DecodeError::FieldCharacter { .. }));
    assert_eq!(
        message(&format!("{{\"{}\":1}}", "x".repeat(1025))),
        "Field name is too long (1025 > maximum 1024)"
    );
    assert!(Value::decode(&format!("{{\"{}\":1}}", "x".repeat(1024))).is_ok());
    assert!(Value::decode(r#"{"":1,"_x":2,"a b":3}"#).is_ok());
}

#[test]
fn nesting_is_limited() {
    assert!(Value::decode(&nested_arrays(64)).is_ok());
    let text = "Value is too nested (nested 65 levels deep > maximum nesting 64)";
    assert_eq!(message(&nested_arrays(65)), text);
    assert_eq!(message(&nested_arrays(100_000)), text);
    assert_eq!(message(&"[".repeat(1_000_000)), text);
    assert_eq!(message(&r#"{"a":"#.repeat(1_000_000)), text);
    // A tagged value is a scalar.
    let json = format!("{}{}{}", "[".repeat(64), r#"{"$bytes":""}"#, "]".repeat(64));
    assert_eq!(Value::decode(&json).unwrap().nesting(), 64);
    // Hostile payloads go no deeper either.
    assert!(Value::decode(&format!(r#"{{"$bytes":{}}}"#, "[".repeat(1_000_000))).is_err());
    assert_eq!(error(&nested_arrays(65)).code(), Some("TooNestedError"));
}

#[test]
fn arrays_are_limited() {
    let array = |length: usize| format!("[{}]", vec!["0"; length].join(","));
    assert!(Value::decode(&array(8192)).is_ok());
    assert_eq!(message(&array(8193)), "Array length is too long (8193 > maximum length 8192)");
    assert_eq!(message(&array(10_000)), "Array length is too long (10000 > maximum length 8192)");
    assert_eq!(error(&array(8193)).code(), Some("ArrayTooLong"));
    // What follows the limit must still be JSON.
    assert!(error(&array(9000).replace(']', "")).is_syntax());
}

#[test]
fn objects_are_limited() {
    let fields = |count: usize| (0..count).map(|i| format!("\"f{i}\":0")).collect::<Vec<_>>().join(",");
    assert!(Value::decode(&format!("{{{}}}", fields(1024))).is_ok());
    let text = message(&format!("{{{}}}", fields(1025)));
    assert_eq!(text, "Object has too many fields (1025 > maximum number 1024)");
    let text = message(&format!("{{{}}}", fields(3000)));
    assert_eq!(text, "Object has too many fields (3000 > maximum number 1024)");
    // Repeated names count once.
    assert!(Value::decode(&format!("{{{},{}}}", fields(1024), fields(1024))).is_ok());
    assert_eq!(error(&format!("{{{}}}", fields(1025))).code(), Some("TooManyFieldsError"));
}

#[test]
fn the_size_is_limited() {
    // 8191 strings of 4096 - 2 characters, and one that fills up to 2^25 with the array's own 2 bytes.
    let json = |last: usize| {
        let full = format!("\"{}\"", "x".repeat(4094));
        format!("[{},\"{}\"]", vec![full; 8191].join(","), "x".repeat(last))
    };
    let most = Value::decode(&json(4092)).unwrap();
    assert_eq!(most.size(), 1 << 25);
    let error = error(&json(4093));
    assert_eq!(error, DecodeError::TooLarge((1 << 25) + 1));
    assert_eq!(error.code(), Some("ValueTooLargeError"));
    assert_eq!(
        DecodeError::TooLarge(40 << 20).to_string(),
        "Value is too large (40 MiB > maximum size 32 MiB)"
    );
    let tree: serde_json::Value = serde_json::from_str(&json(4093)).unwrap();
    assert_eq!(Value::from_json(&tree), Err(error));
}

#[test]
fn short_texts_of_large_values_are_measured_too() {
    // The densest text: a digit and a comma for 9 bytes.
    let row = format!("[{}]", vec!["0"; 8192].join(","));
    let json = format!("[{}]", vec![row; 460].join(","));
    assert!(json.len() < 8 << 20);
    assert!(matches!(error(&json), DecodeError::TooLarge(_)));
}

#[test]
fn the_export_form_reads_integers_as_int64() {
    let export = |json| Decoder::EXPORT.value(json);
    assert_eq!(export("123"), Ok(Value::Int64(123)));
    assert_eq!(export("-9223372036854775808"), Ok(Value::Int64(i64::MIN)));
    assert_eq!(export("123.0"), Ok(Value::Float64(123.0)));
    assert_eq!(export("1e2"), Ok(Value::Float64(100.0)));
    assert_eq!(export(r#"{"$integer":"AQAAAAAAAAA="}"#), Ok(Value::Int64(1)));
    assert_eq!(export("9223372036854775808"), Err(DecodeError::IntegerRange(1 << 63)));
}

#[test]
fn a_tree_decodes_as_its_text() {
    for json in [
        "null",
        "[1,-0.0,true,\"x\"]",
        r#"{"a":{"$integer":"AQAAAAAAAAA="},"b":[{}]}"#,
        r#"{"a":1,"$b":2}"#,
        r#"{"a":{"$undefined":null}}"#,
        r#"{"é":1}"#,
        r#"{"$float":"AAAAAAAA8D8="}"#,
    ] {
        let tree: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(Value::from_json(&tree), Value::decode(json), "{json}");
        assert_eq!(Decoder::WITH_COMMIT_TS.patch_from_json(&tree), Value::decode_patch(json), "{json}");
        assert_eq!(Decoder::STRICT.operand_from_json(&tree), Decoder::STRICT.operand(json), "{json}");
    }
}

/// JSON texts with the awkward parts of the format in them.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("-0".to_owned()),
        Just("1e400".to_owned()),
        Just("\"AQAAAAAAAAA=\"".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        "\\PC{0,4}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let key = prop_oneof![
        Just("$integer"),
        Just("$float"),
        Just("$bytes"),
        Just("$undefined"),
        Just("$commitTs"),
        Just("$set"),
        Just("a"),
        Just("é"),
        Just("")
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec((key.clone(), inner), 0..3).prop_map(|fields| {
                let fields = fields.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decoding_never_panics(json in "\\PC{0,40}") {
        let _ = Decoder::WITH_COMMIT_TS.operand(&json);
        let _ = Value::decode_patch(&json);
    }

    #[test]
    fn what_decodes_encodes_to_what_decodes_the_same(json in any_json()) {
        let _ = Value::decode_patch(&json);
        if let Ok(Some(value)) = Decoder::WITH_COMMIT_TS.operand(&json) {
            let again = Decoder::WITH_COMMIT_TS.value(&value.to_json_string());
            prop_assert_eq!(again, Ok(value));
        }
    }
}
