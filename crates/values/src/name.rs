//! [`TableName`] and [`IndexName`]: identifiers that are cheap to clone.

use std::borrow::{Borrow, Cow};
use std::fmt::{self, Display, Formatter};
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::identifier::{self, IdentifierError};

/// Two names with the same behaviour and different meanings.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and keeps `text`.
            ///
            /// # Errors
            /// The text is no identifier.
            pub fn new(text: &str) -> Result<$name, IdentifierError> {
                identifier::check(text)?;
                Ok($name(text.into()))
            }

            /// The name's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdentifierError;

            fn from_str(text: &str) -> Result<$name, IdentifierError> {
                $name::new(text)
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                $name::new(&text).map_err(de::Error::custom)
            }
        }
    };
}

name! {
    /// The name of a table: an identifier. Names of system tables start with an underscore.
    TableName
}

name! {
    /// The name of an index within its table: an identifier.
    IndexName
}

impl TableName {
    /// Whether this names a system table (a leading underscore).
    pub fn is_system(&self) -> bool {
        self.0.starts_with('_')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_identifiers() {
        assert_eq!(TableName::new("users").unwrap(), "users");
        assert!(TableName::new("_storage").unwrap().is_system());
        assert!(!TableName::new("users").unwrap().is_system());
        assert_eq!("a b".parse::<IndexName>().unwrap_err(), identifier::check("a b").unwrap_err());
        assert!(serde_json::from_str::<TableName>("\"1a\"").is_err());
        assert_eq!(serde_json::from_str::<TableName>("\"a\"").unwrap(), "a");
    }
}
