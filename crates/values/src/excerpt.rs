//! Values and texts as error messages show them: whole when they are short, else their beginning, a mark and their
//! size.
//!
//! Messages go to clients, logs and consoles, often many times; a value of megabytes has no place in them. Everything
//! that a message repeats of what a caller sent goes through here.

use std::borrow::Cow;
use std::fmt::{self, Write};

use crate::display::byte_size_text;
use crate::object::Object;
use crate::value::Value;

/// Most bytes of a printed value or text that a message shows.
pub const EXCERPT_BYTES_MAX: usize = 8192;

/// A value as it prints, shortened if need be.
pub fn excerpt(value: &Value) -> String {
    excerpt_of(value, || value.size())
}

/// An object as it prints, shortened if need be.
pub fn excerpt_object(object: &Object) -> String {
    excerpt_of(&crate::display::ObjectText(object), || crate::value::object_size(object))
}

/// Values as an array of them prints, shortened if need be.
pub fn excerpt_array(elements: &[Value]) -> String {
    excerpt_of(&crate::display::ArrayText(elements), || 2 + elements.iter().map(Value::size).sum::<usize>())
}

/// A text as it is, shortened if need be.
pub fn excerpt_text(text: &str) -> Cow<'_, str> {
    if text.len() <= EXCERPT_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let mut beginning = text[..text.floor_char_boundary(EXCERPT_BYTES_MAX)].to_owned();
    mark(&mut beginning, text.len());
    Cow::Owned(beginning)
}

fn excerpt_of(printed: &dyn fmt::Display, size: impl FnOnce() -> usize) -> String {
    let mut beginning = Beginning(String::new());
    // Printing stops at the first error, so that a large value costs no more than a small one.
    if write!(beginning, "{printed}").is_err() {
        mark(&mut beginning.0, size());
    }
    beginning.0
}

fn mark(beginning: &mut String, bytes: usize) {
    beginning.push_str("… (shortened, ");
    beginning.push_str(&byte_size_text(bytes));
    beginning.push_str(" in all)");
}

/// Takes the beginning of what is written to it and refuses the rest.
struct Beginning(String);

impl Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = EXCERPT_BYTES_MAX - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_and_texts_are_shown_whole() {
        let value = Value::object([("a", Value::Array(vec![Value::Float64(1.0), Value::from("x")]))]);
        assert_eq!(excerpt(&value), value.to_string());
        assert_eq!(excerpt_object(value.as_object().unwrap()), value.to_string());
        assert_eq!(excerpt_array(&[Value::Null, Value::Boolean(true)]), "[null, true]");
        let longest = "x".repeat(EXCERPT_BYTES_MAX);
        assert_eq!(excerpt_text(&longest), longest);
        let quoted = "x".repeat(EXCERPT_BYTES_MAX - 2);
        assert_eq!(excerpt(&Value::from(quoted.as_str())), format!("\"{quoted}\""));
    }

    #[test]
    fn long_ones_are_cut_between_characters_and_marked_with_their_size() {
        let text = "é".repeat(EXCERPT_BYTES_MAX);
        let mark = "… (shortened, 16 KiB in all)";
        assert_eq!(excerpt_text(&text), format!("{}{mark}", "é".repeat(EXCERPT_BYTES_MAX / 2)));
        // One byte goes to the quote before it, and half a character is none.
        assert_eq!(
            excerpt(&Value::from(text.as_str())),
            format!("\"{}{mark}", "é".repeat(EXCERPT_BYTES_MAX / 2 - 1))
        );
        let bytes = excerpt(&Value::Bytes(vec![0; 1 << 20]));
        assert!(bytes.starts_with("b\"AAAA") && bytes.ends_with("A… (shortened, 1 MiB in all)"));
        assert!(bytes.len() < EXCERPT_BYTES_MAX + 40);
        let many = vec![Value::Null; EXCERPT_BYTES_MAX];
        assert!(excerpt_array(&many).ends_with("… (shortened, 8 KiB in all)"));
        let object = Value::object([("a", Value::Array(many))]);
        assert!(excerpt_object(object.as_object().unwrap()).starts_with("{a: [null, null"));
    }
}
