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
