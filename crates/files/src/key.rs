//! The name under which a file's bytes are kept. It is not the address by which clients know the file.

use std::fmt;
use std::str::FromStr;

/// Characters of a key.
const CHARS: usize = 32;

/// 32 lower-case hexadecimal characters: harmless as a file name and as an object's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileKey(String);

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of a file is {CHARS} lower-case hexadecimal characters")]
pub struct KeyError;

impl FileKey {
    /// The key made of these bytes, which must be random: no two files may share one.
    #[must_use]
    pub fn from_bytes(bytes: [u8; CHARS / 2]) -> Self {
        use fmt::Write;
        let mut text = String::with_capacity(CHARS);
        for byte in bytes {
            write!(text, "{byte:02x}").expect("strings take everything");
        }
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first characters: the folder that it belongs to.
    pub(crate) fn shard(&self) -> &str {
        &self.0[..2]
    }
}

impl FromStr for FileKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let fits = text.len() == CHARS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(Self(text.to_owned())) } else { Err(KeyError) }
    }
}

impl fmt::Display for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_leads_elsewhere_is_a_key() {
        let key = FileKey::from_bytes([0xA5; 16]);
        assert_eq!(key.as_str().parse(), Ok(key.clone()));
        for text in ["", "../../../../etc/passwd0000000000", &"A5".repeat(16), &"a5".repeat(17)] {
            assert_eq!(text.parse::<FileKey>(), Err(KeyError), "{text}");
        }
    }
}
