//! The rule that table, index and function names, validated fields and field path segments follow:
//! `[A-Za-z_][A-Za-z0-9_]*`, at most 64 characters, not only underscores.

use crate::excerpt::excerpt_text;
use crate::limits::IDENTIFIER_LENGTH_MAX;

/// Why a text is no identifier. The messages reach users as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// The empty text.
    #[error("Identifier cannot be empty")]
    Empty,
    /// The first character is neither a letter nor an underscore.
    #[error(
        "Invalid first character '{first}' in {}: Identifiers must start with an alphabetic character or \
         underscore",
        excerpt_text(text)
    )]
    FirstCharacter {
        /// The offending character.
        first: char,
        /// The whole text.
        text: String,
    },
    /// A later character is no letter, digit or underscore.
    #[error(
        "Identifier {} has invalid character '{invalid}': Identifiers can only contain alphanumeric characters \
         or underscores",
        excerpt_text(text)
    )]
    Character {
        /// The offending character.
        invalid: char,
        /// The whole text.
        text: String,
    },
    /// More than 64 characters; holds their number.
    #[error("Identifier is too long ({0} > maximum {IDENTIFIER_LENGTH_MAX})")]
    TooLong(usize),
    /// Nothing but underscores.
    #[error("Identifier {0} cannot have exclusively underscores")]
    OnlyUnderscores(String),
}

/// Checks that `text` is an identifier.
///
/// # Errors
/// The first rule broken, in the order: not empty, first character, other characters, length, not only
/// underscores.
pub fn check(text: &str) -> Result<(), IdentifierError> {
    let Some(first) = text.chars().next() else {
        return Err(IdentifierError::Empty);
    };
    if !first.is_ascii_alphabetic() && first != '_' {
        return Err(IdentifierError::FirstCharacter { first, text: text.to_owned() });
    }
    if let Some(invalid) = text.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '_') {
        return Err(IdentifierError::Character { invalid, text: text.to_owned() });
    }
    if text.len() > IDENTIFIER_LENGTH_MAX {
        return Err(IdentifierError::TooLong(text.len()));
    }
    if text.bytes().all(|byte| byte == b'_') {
        return Err(IdentifierError::OnlyUnderscores(text.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_accepted() {
        for text in ["a", "_a", "A1_b", "_1", &"x".repeat(64)] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let message = |text: &str| check(text).unwrap_err().to_string();
        assert_eq!(message(""), "Identifier cannot be empty");
        assert_eq!(
            message("1abc"),
            "Invalid first character '1' in 1abc: Identifiers must start with an alphabetic character or \
             underscore"
        );
        assert_eq!(
            message("a-b"),
            "Identifier a-b has invalid character '-': Identifiers can only contain alphanumeric characters or \
             underscores"
        );
        assert_eq!(message(&"x".repeat(65)), "Identifier is too long (65 > maximum 64)");
        assert_eq!(message("__"), "Identifier __ cannot have exclusively underscores");
        assert!(message("é").starts_with("Invalid first character 'é' in é"));
        assert!(message("aé").starts_with("Identifier aé has invalid character 'é'"));
    }
}
