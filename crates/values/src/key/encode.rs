//! Writing values as keys.

use crate::value::Value;

const END: u8 = 0x00;
const ESCAPE: u8 = 0x01;
const FIELD: u8 = 0x01;
const UNDEFINED: u8 = 1;
const INT64: u8 = 3;
const FLOAT64: u8 = 4;
const STRING: u8 = 6;
const SIGN_BIT: u64 = 1 << 63;

/// Appends the key of `value`; `None` is `undefined`.
pub fn encode(out: &mut Vec<u8>, value: Option<&Value>) {
    match value {
        None => out.push(UNDEFINED),
        Some(value) => encode_value(out, value),
    }
}

/// Appends the keys of `values` in turn: the key of the tuple.
pub fn encode_tuple<'a>(out: &mut Vec<u8>, values: impl IntoIterator<Item = Option<&'a Value>>) {
    for value in values {
        encode(out, value);
    }
}

/// Appends the key of an int64 value.
pub fn encode_int64(out: &mut Vec<u8>, number: i64) {
    out.push(INT64);
    out.extend_from_slice(&(number as u64 ^ SIGN_BIT).to_be_bytes());
}

/// Appends the key of a float64 value.
pub fn encode_float64(out: &mut Vec<u8>, number: f64) {
    let bits = number.to_bits();
    let ordered = if bits & SIGN_BIT == 0 { bits ^ SIGN_BIT } else { !bits };
    out.push(FLOAT64);
    out.extend_from_slice(&ordered.to_be_bytes());
}

/// Appends the key of a string value.
pub fn encode_string(out: &mut Vec<u8>, text: &str) {
    out.push(STRING);
    encode_bytes(out, text.as_bytes());
}

fn encode_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Int64(number) => return encode_int64(out, *number),
        Value::CommitTs => return encode_int64(out, i64::MAX),
        Value::Float64(number) => return encode_float64(out, *number),
        Value::String(text) => return encode_string(out, text),
        Value::Null | Value::Boolean(_) | Value::Bytes(_) | Value::Array(_) | Value::Object(_) => {}
    }
    // The tags are the ranks of the types.
    out.push(value.type_rank());
    match value {
        Value::Boolean(truth) => out.push(u8::from(*truth)),
        Value::Bytes(bytes) => encode_bytes(out, bytes),
        Value::Array(elements) => {
            for element in elements {
                encode_value(out, element);
            }
            out.push(END);
        }
        Value::Object(object) => {
            for (name, value) in object {
                out.push(FIELD);
                encode_bytes(out, name.as_bytes());
                encode_value(out, value);
            }
            out.push(END);
        }
        _ => {}
    }
}

fn encode_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut written = 0;
    for (i, byte) in bytes.iter().enumerate() {
        if *byte <= ESCAPE {
            out.extend_from_slice(&bytes[written..i]);
            out.extend_from_slice(&[ESCAPE, byte + 1]);
            written = i + 1;
        }
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(END);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{any_operand, any_value, ascending};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn key(value: Option<&Value>) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, value);
        out
    }

    fn tuple_key(values: &[Option<Value>]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_tuple(&mut out, values.iter().map(Option::as_ref));
        out
    }

    #[test]
    fn the_documented_sample_ascends_as_keys() {
        let keys: Vec<_> = ascending().iter().map(|value| key(value.as_ref())).collect();
        for pair in keys.windows(2) {
            assert!(pair[0] < pair[1], "{:?} against {:?}", pair[0], pair[1]);
        }
    }

    #[test]
    fn the_format_is_the_drawn_one() {
        let hex = |value: Option<&Value>| {
            key(value).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(hex(None), "01");
        assert_eq!(hex(Some(&Value::Null)), "02");
        assert_eq!(hex(Some(&Value::Int64(1))), "03 80 00 00 00 00 00 00 01");
        assert_eq!(hex(Some(&Value::CommitTs)), "03 ff ff ff ff ff ff ff ff");
        assert_eq!(hex(Some(&Value::Float64(1.0))), "04 bf f0 00 00 00 00 00 00");
        assert_eq!(hex(Some(&Value::Float64(-0.0))), "04 7f ff ff ff ff ff ff ff");
        assert_eq!(hex(Some(&Value::Boolean(true))), "05 01");
        assert_eq!(hex(Some(&Value::from("a\0\u{1}"))), "06 61 01 01 01 02 00");
        assert_eq!(hex(Some(&Value::Bytes(vec![0, 255]))), "07 01 01 ff 00");
        assert_eq!(hex(Some(&Value::Array(vec![Value::Null]))), "08 02 00");
        assert_eq!(
            hex(Some(&Value::object([("", Value::Null), ("a", Value::Null)]))),
            "09 01 00 02 01 61 00 02 00"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn keys_order_as_values(a in any_operand(), b in any_operand()) {
            prop_assert_eq!(key(a.as_ref()).cmp(&key(b.as_ref())), a.cmp(&b));
        }

        #[test]
        fn joined_keys_order_as_tuples(a in vec(any_operand(), 2), b in vec(any_operand(), 2), shared in any_operand()) {
            prop_assert_eq!(tuple_key(&a).cmp(&tuple_key(&b)), a.cmp(&b));
            let (a, b) = ([shared.clone(), a[0].clone()], [shared, b[0].clone()]);
            prop_assert_eq!(tuple_key(&a).cmp(&tuple_key(&b)), a.cmp(&b));
        }

        #[test]
        fn no_key_is_a_prefix_of_another(a in any_value(), b in any_value()) {
            let (key_a, key_b) = (key(Some(&a)), key(Some(&b)));
            prop_assert_eq!(key_a.starts_with(&key_b), a == b);
        }

        #[test]
        fn the_order_of_strings_is_that_of_their_bytes(a in "[\\x00-\\x03aé\u{fffd}😀]{0,4}", b in "[\\x00-\\x03aé\u{fffd}😀]{0,4}") {
            let (mut key_a, mut key_b) = (Vec::new(), Vec::new());
            encode_string(&mut key_a, &a);
            encode_string(&mut key_b, &b);
            prop_assert_eq!(key_a.cmp(&key_b), a.as_bytes().cmp(b.as_bytes()));
        }
    }
}
