//! The rule for field names of objects: ASCII 0x20 to 0x7E, at most 1024 characters, not starting with `$`.
//!
//! Document fields are held to more (no leading underscore) by whoever writes documents.

use crate::json::DecodeError;
use crate::limits::FIELD_NAME_LENGTH_MAX;

/// Checks that `name` may name a field of an object. The empty name may.
///
/// # Errors
/// `ReservedField`, `FieldCharacter` or `FieldTooLong`, in this order.
pub fn check(name: &str) -> Result<(), DecodeError> {
    if name.starts_with('$') {
        return Err(DecodeError::ReservedField(name.to_owned()));
    }
    if !name.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        let invalid = name
            .chars()
            .find(|c| !(' '..='~').contains(c))
            .expect("a byte outside the range belongs to a character outside the range");
        return Err(DecodeError::FieldCharacter { name: name.to_owned(), invalid });
    }
    if name.len() > FIELD_NAME_LENGTH_MAX {
        return Err(DecodeError::FieldTooLong(name.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_ascii_is_a_field_name() {
        for name in ["", " ", "~", "a b", "_x", "a$", "1", "'\"\\", &"x".repeat(1024)] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn other_names_are_refused_with_their_reason() {
        let message = |name: &str| check(name).unwrap_err().to_string();
        assert_eq!(message("$a"), "Field name $a starts with '$', which is reserved.");
        assert_eq!(
            message("é"),
            "Field name é has invalid character é: Field names can only contain non-control ASCII characters"
        );
        assert_eq!(
            message("a\u{7f}"),
            "Field name a\u{7f} has invalid character \u{7f}: Field names can only contain non-control ASCII \
             characters"
        );
        assert_eq!(message(&"x".repeat(1025)), "Field name is too long (1025 > maximum 1024)");
    }
}
