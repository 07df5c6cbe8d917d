//! The rule for one component of a module path or of a component path: ASCII letters, digits, `_` and `.`, at
//! most 64 characters, at least one letter or digit.

use crate::excerpt::excerpt_text;

/// Longest component, in characters.
pub const LENGTH_MAX: usize = 64;

/// Why a text is no path component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathComponentError {
    /// The empty text: a leading, trailing or doubled slash, or no path at all.
    #[error("Path component cannot be empty")]
    Empty,
    /// A character that paths do not have.
    #[error(
        "Path component {} has invalid character '{invalid}': Path components can only contain alphanumeric \
         characters, underscores, or periods",
        excerpt_text(text)
    )]
    Character {
        /// The offending character.
        invalid: char,
        /// The whole component.
        text: String,
    },
    /// More than 64 characters; holds their number.
    #[error("Path component is too long ({0} > maximum {LENGTH_MAX})")]
    TooLong(usize),
    /// Nothing but dots and underscores.
    #[error("Path component {0} must have at least one alphanumeric character")]
    NotAlphanumeric(String),
}

/// Checks one component.
///
/// # Errors
/// The first rule broken, in the order: not empty, characters, length, a letter or digit.
pub fn check(text: &str) -> Result<(), PathComponentError> {
    if text.is_empty() {
        return Err(PathComponentError::Empty);
    }
    if let Some(invalid) = text.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '_' && *c != '.') {
        return Err(PathComponentError::Character { invalid, text: text.to_owned() });
    }
    if text.len() > LENGTH_MAX {
        return Err(PathComponentError::TooLong(text.len()));
    }
    if !text.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return Err(PathComponentError::NotAlphanumeric(text.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_letters_digits_underscores_and_dots() {
        for text in ["a", "_deps", "a.b", ".a", "1", &"x".repeat(64)] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in ["", "..", ".", "_", "a-b", "a b", "é", "a:b", &"x".repeat(65)] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
