//! Writing values as JSON text, in each [`Format`], into a string of the caller's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::json::Format;
use crate::object::Object;
use crate::value::Value;

/// Below this, every integral float is exactly its decimal digits, and prints shortest without an exponent.
const PLAIN_INTEGRAL_MAX: f64 = 1e16;

impl Value {
    /// Appends the encoded form.
    pub fn encode(&self, out: &mut String) {
        self.write(Format::Encoded, out);
    }

    /// The encoded form.
    pub fn to_json_string(&self) -> String {
        self.to_format(Format::Encoded)
    }

    /// The value's JSON text in `format`.
    pub fn to_format(&self, format: Format) -> String {
        let mut out = String::new();
        self.write(format, &mut out);
        out
    }

    /// Appends the value's JSON text in `format`.
    pub fn write(&self, format: Format, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Int64(number) => write_int64(*number, format, out),
            Value::Float64(number) => write_float64(*number, format, out),
            Value::Boolean(true) => out.push_str("true"),
            Value::Boolean(false) => out.push_str("false"),
            Value::String(text) => write_string(out, text),
            Value::Bytes(bytes) => match format {
                Format::Encoded | Format::Export => write_tagged("$bytes", bytes, out),
                Format::Clean => write_base64(bytes, out),
            },
            Value::Array(elements) => {
                out.push('[');
                for (i, element) in elements.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    element.write(format, out);
                }
                out.push(']');
            }
            Value::Object(object) => write_object(object, format, out),
            Value::CommitTs => out.push_str("{\"$commitTs\":null}"),
        }
    }

    /// The encoded form as a JSON tree, for embedding in other JSON.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a value has string keys and no failing parts")
    }
}

/// Appends the encoded form of an object.
pub fn encode_object(object: &Object, out: &mut String) {
    write_object(object, Format::Encoded, out);
}

/// Appends the encoded form of an operand; `None` is `undefined`.
pub fn encode_operand(operand: Option<&Value>, out: &mut String) {
    match operand {
        Some(value) => value.encode(out),
        None => out.push_str("{\"$undefined\":null}"),
    }
}

/// Appends `text` as a JSON string, in quotes.
pub fn write_string(out: &mut String, text: &str) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    out.push('"');
    // Nearly every text is written as it is. Without a way out the loop is one that compilers make vectors of.
    if text.bytes().fold(true, |plain, byte| plain & !is_escaped(byte)) {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut written = 0;
    for (i, byte) in text.bytes().enumerate() {
        if !is_escaped(byte) {
            continue;
        }
        out.push_str(&text[written..i]);
        written = i + 1;
        out.push('\\');
        match byte {
            b'"' | b'\\' => out.push(char::from(byte)),
            b'\n' => out.push('n'),
            b'\r' => out.push('r'),
            b'\t' => out.push('t'),
            0x08 => out.push('b'),
            0x0c => out.push('f'),
            _ => {
                out.push_str("u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.push_str(&text[written..]);
    out.push('"');
}

const fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_object(object: &Object, format: Format, out: &mut String) {
    out.push('{');
    for (i, (name, value)) in object.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_string(out, name);
        out.push(':');
        value.write(format, out);
    }
    out.push('}');
}

fn write_int64(number: i64, format: Format, out: &mut String) {
    match format {
        Format::Encoded => write_tagged("$integer", &number.to_le_bytes(), out),
        Format::Clean => {
            out.push('"');
            out.push_str(itoa::Buffer::new().format(number));
            out.push('"');
        }
        Format::Export => out.push_str(itoa::Buffer::new().format(number)),
    }
}

fn write_float64(number: f64, format: Format, out: &mut String) {
    let negative_zero = number == 0.0 && number.is_sign_negative();
    match format {
        Format::Encoded if !number.is_finite() || negative_zero => {
            write_tagged("$float", &number.to_le_bytes(), out);
        }
        Format::Export if !number.is_finite() => write_tagged("$float", &number.to_le_bytes(), out),
        Format::Clean if number.is_nan() => out.push_str("\"NaN\""),
        Format::Clean if number == f64::INFINITY => out.push_str("\"Infinity\""),
        Format::Clean if number == f64::NEG_INFINITY => out.push_str("\"-Infinity\""),
        Format::Encoded | Format::Clean
            if !negative_zero && number.fract() == 0.0 && number.abs() < PLAIN_INTEGRAL_MAX =>
        {
            out.push_str(itoa::Buffer::new().format(number as i64));
        }
        // The shortest digits that round-trip, always with a fraction or an exponent.
        _ => out.push_str(zmij::Buffer::new().format_finite(number)),
    }
}

fn write_tagged(tag: &str, payload: &[u8], out: &mut String) {
    out.push_str("{\"");
    out.push_str(tag);
    out.push_str("\":");
    write_base64(payload, out);
    out.push('}');
}

fn write_base64(bytes: &[u8], out: &mut String) {
    out.push('"');
    STANDARD.encode_string(bytes, out);
    out.push('"');
}

impl Serialize for Value {
    /// The encoded form. (Integral floats keep their `.0` here; both spellings mean the same number.)
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn tagged<S: Serializer>(serializer: S, tag: &str, payload: &[u8]) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(tag, &STANDARD.encode(payload))?;
            map.end()
        }
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Int64(number) => tagged(serializer, "$integer", &number.to_le_bytes()),
            Value::Float64(number) if number.is_finite() && (*number != 0.0 || number.is_sign_positive()) => {
                serializer.serialize_f64(*number)
            }
            Value::Float64(number) => tagged(serializer, "$float", &number.to_le_bytes()),
            Value::Boolean(truth) => serializer.serialize_bool(*truth),
            Value::String(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => tagged(serializer, "$bytes", bytes),
            Value::Array(elements) => {
                let mut seq = serializer.serialize_seq(Some(elements.len()))?;
                for element in elements {
                    seq.serialize_element(element)?;
                }
                seq.end()
            }
            Value::Object(object) => serializer.collect_map(object),
            Value::CommitTs => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("$commitTs", &())?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
