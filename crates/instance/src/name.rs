//! The name of an instance: the readable half of an admin key.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Longest accepted name, in bytes. Admin keys travel in HTTP headers, so the name has to stay short.
const NAME_BYTES_MAX: usize = 64;

/// A name that is safe in front of the `|` of an admin key: letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstanceName(String);

/// Why a text is not an instance name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InstanceNameError {
    /// The text is empty or longer than 64 bytes.
    #[error("an instance name has 1 to {NAME_BYTES_MAX} characters, this one has {0}")]
    Length(usize),
    /// The text holds a character that could not stand in an admin key.
    #[error("an instance name consists of letters, digits, '-' and '_', not {0:?}")]
    Character(char),
}

impl InstanceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for InstanceName {
    fn default() -> Self {
        Self("freshet".to_owned())
    }
}

impl FromStr for InstanceName {
    type Err = InstanceNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            return Err(InstanceNameError::Length(text.len()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        match text.chars().find(|&c| !allowed(c)) {
            Some(c) => Err(InstanceNameError::Character(c)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_characters_that_an_admin_key_can_carry() {
        assert!("convex-self-hosted".parse::<InstanceName>().is_ok());
        assert_eq!("a|b".parse::<InstanceName>(), Err(InstanceNameError::Character('|')));
        assert_eq!("prod:a".parse::<InstanceName>(), Err(InstanceNameError::Character(':')));
        assert_eq!("".parse::<InstanceName>(), Err(InstanceNameError::Length(0)));
        assert_eq!("a".repeat(65).parse::<InstanceName>(), Err(InstanceNameError::Length(65)));
    }
}
