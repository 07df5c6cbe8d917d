//! [`Timestamp`]: the time of a commit, and its wire form.
//!
//! Never reads a clock: whoever commits decides what time it is.

use std::fmt::{self, Display, Formatter};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Nanoseconds since the Unix epoch, at most [`Timestamp::MAX`]. Serde uses the wire form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(
    /// Nanoseconds since the Unix epoch.
    pub u64,
);

/// Why a text is no timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not standard base64 with padding, or not exactly eight bytes.
    #[error("Timestamp must be exactly eight bytes in base64")]
    NotEightBytes,
    /// Above 2^63 - 1, so that it would not fit an int64 value.
    #[error("Timestamp is out of range")]
    OutOfRange,
}

impl Timestamp {
    /// Before everything.
    pub const ZERO: Timestamp = Timestamp(0);
    /// The largest timestamp, 2^63 - 1 ns.
    pub const MAX: Timestamp = Timestamp(i64::MAX as u64);

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds since the Unix epoch as an int64 value holds them; saturates at [`Timestamp::MAX`].
    pub fn as_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// The next timestamp (1 ns later); stays at [`Timestamp::MAX`].
    pub fn succ(self) -> Timestamp {
        Timestamp(self.0.saturating_add(1)).min(Timestamp::MAX)
    }

    /// The previous timestamp (1 ns earlier), or `None` before zero.
    pub fn pred(self) -> Option<Timestamp> {
        self.0.checked_sub(1).map(Timestamp)
    }

    /// Eight little-endian bytes in standard base64: always 12 characters.
    pub fn to_wire(self) -> String {
        STANDARD.encode(self.0.to_le_bytes())
    }

    /// Reads the form of [`Timestamp::to_wire`].
    ///
    /// # Errors
    /// The text is not exactly eight bytes of base64, or the number is above [`Timestamp::MAX`].
    pub fn from_wire(text: &str) -> Result<Timestamp, TimestampError> {
        let bytes = crate::json::eight_bytes(text).map_err(|_| TimestampError::NotEightBytes)?;
        let timestamp = Timestamp(u64::from_le_bytes(bytes));
        if timestamp > Timestamp::MAX {
            return Err(TimestampError::OutOfRange);
        }
        Ok(timestamp)
    }
}

impl Display for Timestamp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_wire())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Timestamp::from_wire(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_is_eight_little_endian_bytes_in_base64() {
        let cases = [
            (0, "AAAAAAAAAAA="),
            (1, "AQAAAAAAAAA="),
            (256, "AAEAAAAAAAA="),
            (1_720_000_000_000_000_000, "AACsFeOq3hc="),
            (1_720_000_000_123_456_789, "Fc0HHeOq3hc="),
            (1_720_000_000_000_000_001, "AQCsFeOq3hc="),
        ];
        for (nanos, wire) in cases {
            assert_eq!(Timestamp(nanos).to_wire(), wire);
            assert_eq!(Timestamp::from_wire(wire), Ok(Timestamp(nanos)));
            assert_eq!(serde_json::to_string(&Timestamp(nanos)).unwrap(), format!("\"{wire}\""));
            assert_eq!(serde_json::from_str::<Timestamp>(&format!("\"{wire}\"")).unwrap(), Timestamp(nanos));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "AAAA", "AAAAAAAAAAAA", "AAAAAAAAAAA", "AAAAAAAAAAB=", "!!!!!!!!!!!=", "AAAAAAAAAAAAAAA="]
        {
            assert_eq!(Timestamp::from_wire(text), Err(TimestampError::NotEightBytes), "{text}");
        }
        assert_eq!(Timestamp::from_wire("AAAAAAAAAIA="), Err(TimestampError::OutOfRange));
        assert_eq!(Timestamp::from_wire("/////////38="), Ok(Timestamp::MAX));
    }

    #[test]
    fn succ_is_the_least_later_one() {
        assert_eq!(Timestamp::ZERO.succ(), Timestamp(1));
        assert_eq!(Timestamp::MAX.succ(), Timestamp::MAX);
        assert_eq!(Timestamp(1).pred(), Some(Timestamp::ZERO));
        assert_eq!(Timestamp::ZERO.pred(), None);
    }
}
