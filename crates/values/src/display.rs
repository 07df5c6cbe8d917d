//! How values and sizes print in messages to people: `1.0`, `7`, `"x"`, `{a: 1.0}`, `1.05 MiB`.
//!
//! This is no JSON and is never parsed back. Messages show values through [`crate::excerpt`], which bounds them.

use std::fmt::{self, Display, Formatter, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use crate::object::Object;
use crate::value::Value;

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Int64(number) => write!(f, "{number}"),
            Value::Float64(number) => FloatText(*number).fmt(f),
            Value::Boolean(truth) => write!(f, "{truth}"),
            Value::String(text) => Quoted(text).fmt(f),
            Value::Bytes(bytes) => write!(f, "b\"{}\"", Base64Display::new(bytes, &STANDARD)),
            Value::Array(elements) => ArrayText(elements).fmt(f),
            Value::Object(object) => ObjectText(object).fmt(f),
            Value::CommitTs => f.write_str("commitTs"),
        }
    }
}

/// Values as an array of them shows.
pub(crate) struct ArrayText<'a>(pub(crate) &'a [Value]);

impl Display for ArrayText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        for (i, element) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            element.fmt(f)?;
        }
        f.write_char(']')
    }
}

/// An object: field names bare, in their order.
pub(crate) struct ObjectText<'a>(pub(crate) &'a Object);

impl Display for ObjectText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        for (i, (name, value)) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{name}: {value}")?;
        }
        f.write_char('}')
    }
}

/// A float as messages show it: always with a point or an exponent, shortest digits that round-trip.
pub(crate) struct FloatText(pub(crate) f64);

impl Display for FloatText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // The debug form of floats has the documented thresholds: exponents from 1e16 up and below 1e-4.
        write!(f, "{:?}", self.0)
    }
}

/// A string in double quotes with escapes.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                // Two characters where the standard escapes differ from ours.
                '\'' => f.write_char(c)?,
                '\0' => f.write_str("\\u{0}")?,
                _ => write!(f, "{}", c.escape_debug())?,
            }
        }
        f.write_char('"')
    }
}

/// A number of bytes in binary units with up to two decimals: `512 B`, `1.05 MiB`, `16 MiB`.
pub fn byte_size_text(bytes: usize) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    let digits = format!("{amount:.2}");
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_as_documented() {
        let cases = [
            (Value::Null, "null"),
            (Value::Boolean(true), "true"),
            (Value::Int64(1), "1"),
            (Value::Int64(-7), "-7"),
            (Value::Float64(1.0), "1.0"),
            (Value::Float64(-0.0), "-0.0"),
            (Value::Float64(0.1), "0.1"),
            (Value::Float64(1e16), "1e16"),
            (Value::Float64(1e15), "1000000000000000.0"),
            (Value::Float64(1e-7), "1e-7"),
            (Value::Float64(0.0001), "0.0001"),
            (Value::Float64(0.00001), "1e-5"),
            (Value::Float64(f64::NAN), "NaN"),
            (Value::Float64(f64::INFINITY), "inf"),
            (Value::Float64(f64::NEG_INFINITY), "-inf"),
            (Value::from("x"), "\"x\""),
            (Value::from("a\"b\\c\nd\re\tf'é😀"), r#""a\"b\\c\nd\re\tf'é😀""#),
            (Value::from("\u{1}\0"), r#""\u{1}\u{0}""#),
            (Value::Bytes(vec![1, 2]), "b\"AQI=\""),
            (Value::Array(vec![Value::Float64(1.0), Value::from("x")]), "[1.0, \"x\"]"),
            (Value::Array(vec![]), "[]"),
            (Value::object([("b", Value::from("x")), ("a", Value::Float64(1.0))]), "{a: 1.0, b: \"x\"}"),
            (Value::Object(Default::default()), "{}"),
        ];
        for (value, text) in cases {
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn byte_sizes_print_in_binary_units() {
        assert_eq!(byte_size_text(0), "0 B");
        assert_eq!(byte_size_text(512), "512 B");
        assert_eq!(byte_size_text(1024), "1 KiB");
        assert_eq!(byte_size_text(1536), "1.5 KiB");
        assert_eq!(byte_size_text(1 << 20), "1 MiB");
        assert_eq!(byte_size_text(1_101_005), "1.05 MiB");
        assert_eq!(byte_size_text(16 << 20), "16 MiB");
        assert_eq!(byte_size_text(16_997_417), "16.21 MiB");
        assert_eq!(byte_size_text(100 << 20), "100 MiB");
        assert_eq!(byte_size_text(3 << 30), "3 GiB");
    }
}
