//! [`DocumentId`]: base32 text of table number, internal id and checksum, as users hold it.
//!
//! Decoding is strict: one id has exactly one text. It never asks whether the table or the document exists.
//!
//! ```text
//! bytes = varint(table number)  1 to 5 bytes, LEB128
//!       | internal id           16 bytes: 14 random, then the day since 1970 as 2 big-endian bytes
//!       | checksum              2 bytes: Fletcher-16 with modulus 256 over all before, little-endian, xor version
//! text  = Crockford base32, lower case, most significant bits first, last symbol padded with zero bits
//! ```

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const INTERNAL_LENGTH: usize = 16;
const CHECKSUM_LENGTH: usize = 2;
const VARINT_LENGTH_MAX: usize = 5;
const BYTES_MAX: usize = VARINT_LENGTH_MAX + INTERNAL_LENGTH + CHECKSUM_LENGTH;
const TEXT_LENGTH_MIN: usize = 31;
const TEXT_LENGTH_MAX: usize = 37;
const VERSION: u16 = 0;
const NOT_IN_ALPHABET: u8 = 0xff;

/// Value of each ASCII character in the alphabet.
const SYMBOL_VALUES: [u8; 128] = {
    let mut values = [NOT_IN_ALPHABET; 128];
    let mut i = 0;
    while i < ALPHABET.len() {
        values[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    values
};

/// The number of a table within its namespace. Zero is no table's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableNumber(
    /// The number, at least 1.
    pub u32,
);

/// The part of an id that tells the documents of a table apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InternalId(
    /// 14 random bytes, then the day since 1970-01-01 UTC in big-endian.
    pub [u8; INTERNAL_LENGTH],
);

/// A document's id. Ids of one table order as their texts do. Serde uses the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// The number of the document's table.
    pub table: TableNumber,
    /// Which document of the table.
    pub internal: InternalId,
}

/// Why a text is no id. The messages reach users as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is not 31 to 37 bytes long, or its length does not fit its contents, or it is not the one text
    /// of the id that it would mean. Holds the length in bytes.
    #[error("Unable to decode ID: Invalid ID length {0}")]
    Length(usize),
    /// A character outside the alphabet (upper case included).
    #[error("Unable to decode ID: ID wasn't valid base32")]
    Base32,
    /// Table number zero, or more than 32 bits.
    #[error("Unable to decode ID: Invalid table number")]
    TableNumber,
    /// The checksum does not fit; holds what it says the version is.
    #[error("Unable to decode ID: Invalid ID version {0} (expected {VERSION})")]
    Version(u16),
}

impl Display for TableNumber {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl InternalId {
    /// A new id: 6 bytes of milliseconds since the Unix epoch, 8 random bytes, and 2 bytes of days since the epoch, which is
    /// where others expect them.
    ///
    /// The time comes first so that documents made at about the same time lie together, as with UUIDs of version 7 (RFC
    /// 9562). With random bytes first, each insert into a large table writes to another page of the file.
    pub fn generate(now: Timestamp, random: [u8; 8]) -> InternalId {
        let millis = now.as_nanos() / 1_000_000;
        let day = u16::try_from(millis / (24 * 3600 * 1000)).unwrap_or(u16::MAX);
        let mut bytes = [0; INTERNAL_LENGTH];
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[6..14].copy_from_slice(&random);
        bytes[14..].copy_from_slice(&day.to_be_bytes());
        InternalId(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; INTERNAL_LENGTH] {
        &self.0
    }
}

impl DocumentId {
    /// The id of document `internal` of table `table`.
    pub fn new(table: TableNumber, internal: InternalId) -> DocumentId {
        DocumentId { table, internal }
    }

    /// Reads an id's text.
    ///
    /// # Errors
    /// The first rule broken, in the order: length, alphabet, table number, checksum, nothing left over.
    pub fn decode(text: &str) -> Result<DocumentId, IdError> {
        let length_error = IdError::Length(text.len());
        if !(TEXT_LENGTH_MIN..=TEXT_LENGTH_MAX).contains(&text.len()) {
            return Err(length_error);
        }
        let mut buffer = [0; BYTES_MAX];
        let bytes = decode_base32(text, &mut buffer)?;
        let (table, varint_length) = decode_varint(bytes).ok_or(IdError::TableNumber)?;
        let checksum_at = varint_length + INTERNAL_LENGTH;
        let Some(&[low, high]) = bytes.get(checksum_at..checksum_at + CHECKSUM_LENGTH) else {
            return Err(length_error);
        };
        let version = u16::from_le_bytes([low, high]) ^ fletcher16(&bytes[..checksum_at]);
        if version != VERSION {
            return Err(IdError::Version(version));
        }
        let mut internal = [0; INTERNAL_LENGTH];
        internal.copy_from_slice(&bytes[varint_length..checksum_at]);
        let id = DocumentId { table, internal: InternalId(internal) };
        // Left-over bytes, padding bits that are not zero and overlong varints all fail this.
        if id.encode(&mut [0; TEXT_LENGTH_MAX]) != text {
            return Err(length_error);
        }
        Ok(id)
    }

    /// Writes the text into `buffer`, without allocating.
    pub fn encode<'a>(&self, buffer: &'a mut [u8; TEXT_LENGTH_MAX]) -> &'a str {
        let mut bytes = [0; BYTES_MAX];
        let varint_length = encode_varint(self.table, &mut bytes);
        let checksum_at = varint_length + INTERNAL_LENGTH;
        bytes[varint_length..checksum_at].copy_from_slice(&self.internal.0);
        let checksum = fletcher16(&bytes[..checksum_at]) ^ VERSION;
        let end = checksum_at + CHECKSUM_LENGTH;
        bytes[checksum_at..end].copy_from_slice(&checksum.to_le_bytes());
        encode_base32(&bytes[..end], buffer)
    }
}

impl Display for DocumentId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; TEXT_LENGTH_MAX]))
    }
}

impl FromStr for DocumentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<DocumentId, IdError> {
        DocumentId::decode(text)
    }
}

impl Serialize for DocumentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.encode(&mut [0; TEXT_LENGTH_MAX]))
    }
}

impl<'de> Deserialize<'de> for DocumentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DocumentId, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        DocumentId::decode(&text).map_err(de::Error::custom)
    }
}

fn encode_varint(table: TableNumber, bytes: &mut [u8; BYTES_MAX]) -> usize {
    let mut rest = table.0;
    let mut length = 0;
    loop {
        let low = (rest & 0x7f) as u8;
        rest >>= 7;
        bytes[length] = if rest == 0 { low } else { low | 0x80 };
        length += 1;
        if rest == 0 {
            return length;
        }
    }
}

/// The table number and how many bytes it took; `None` for zero, over 32 bits, or no end in sight.
fn decode_varint(bytes: &[u8]) -> Option<(TableNumber, usize)> {
    let mut number: u64 = 0;
    for (i, byte) in bytes.iter().take(VARINT_LENGTH_MAX).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let number = u32::try_from(number).ok().filter(|number| *number != 0)?;
            return Some((TableNumber(number), i + 1));
        }
    }
    None
}

fn fletcher16(bytes: &[u8]) -> u16 {
    let (mut sum, mut sum_of_sums) = (0u8, 0u8);
    for byte in bytes {
        sum = sum.wrapping_add(*byte);
        sum_of_sums = sum_of_sums.wrapping_add(sum);
    }
    u16::from_le_bytes([sum, sum_of_sums])
}

fn encode_base32<'a>(bytes: &[u8], text: &'a mut [u8; TEXT_LENGTH_MAX]) -> &'a str {
    let length = (bytes.len() * 8).div_ceil(5);
    let (mut bits, mut bit_count, mut next) = (0u32, 0, bytes.iter());
    for symbol in &mut text[..length] {
        if bit_count < 5 {
            bits = bits << 8 | u32::from(next.next().copied().unwrap_or(0));
            bit_count += 8;
        }
        bit_count -= 5;
        *symbol = ALPHABET[(bits >> bit_count & 31) as usize];
    }
    std::str::from_utf8(&text[..length]).expect("the alphabet is ASCII")
}

/// Whole bytes of `text`; bits left over at the end are dropped.
fn decode_base32<'a>(text: &str, bytes: &'a mut [u8; BYTES_MAX]) -> Result<&'a [u8], IdError> {
    let (mut bits, mut bit_count, mut length) = (0u32, 0, 0);
    for symbol in text.bytes() {
        let value = SYMBOL_VALUES.get(usize::from(symbol)).copied().unwrap_or(NOT_IN_ALPHABET);
        if value == NOT_IN_ALPHABET {
            return Err(IdError::Base32);
        }
        bits = bits << 5 | u32::from(value);
        bit_count += 5;
        if bit_count >= 8 {
            bit_count -= 8;
            bytes[length] = (bits >> bit_count) as u8;
            length += 1;
        }
    }
    Ok(&bytes[..length])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERNAL: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0x4e, 0x20];

    fn any_id() -> impl Strategy<Value = DocumentId> {
        let table = prop_oneof![1..=u32::MAX, 1..20000u32];
        (table, any::<[u8; 16]>())
            .prop_map(|(table, internal)| DocumentId::new(TableNumber(table), InternalId(internal)))
    }

    #[test]
    fn new_ids_ascend_with_time_and_end_in_the_day() {
        let at = |millis: u64| Timestamp(millis * 1_000_000 + 999);
        let day_20000 = 20_000 * 24 * 3600 * 1000;
        let ids = [day_20000 - 1, day_20000, day_20000 + 1]
            .map(|millis| InternalId::generate(at(millis), (millis ^ u64::MAX).to_be_bytes()));
        assert!(ids.is_sorted());
        assert_eq!(ids.map(|id| u16::from_be_bytes([id.0[14], id.0[15]])), [19_999, 20_000, 20_000]);
        assert_eq!(ids[1].0[6..14], (day_20000 ^ u64::MAX).to_be_bytes());
    }

    #[test]
    fn the_worked_examples_hold() {
        let internal = InternalId(INTERNAL);
        let cases = [
            (10001, "j57020g30g2gc1r81450p30d1s721dgy"),
            (10002, "j97020g30g2gc1r81450p30d1s721dsg"),
            (540, "kg2020g30g2gc1r81450p30d1s720xzt"),
            (539, "kc2020g30g2gc1r81450p30d1s720xq8"),
            (1, "040g40r40m30e209185gr38e9rgdhkr"),
            (16384, "g20020820c20a1g7104gm2rc1m74w86r9w"),
        ];
        for (table, text) in cases {
            let id = DocumentId::new(TableNumber(table), internal);
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse(), Ok(id));
        }
    }

    #[test]
    fn lengths_follow_the_table_number() {
        let length = |table| DocumentId::new(TableNumber(table), InternalId(INTERNAL)).to_string().len();
        assert_eq!(length(1), 31);
        assert_eq!(length(127), 31);
        assert_eq!(length(128), 32);
        assert_eq!(length(16383), 32);
        assert_eq!(length(16384), 34);
        assert_eq!(length(1 << 21), 36);
        assert_eq!(length(1 << 28), 37);
        assert_eq!(length(u32::MAX), 37);
    }

    #[test]
    fn refusals_come_in_the_documented_order() {
        let decode = |text: &str| text.parse::<DocumentId>().unwrap_err();
        let message = |text: &str| decode(text).to_string();
        assert_eq!(message("abc"), "Unable to decode ID: Invalid ID length 3");
        assert_eq!(decode(&"!".repeat(38)), IdError::Length(38));
        assert_eq!(decode(""), IdError::Length(0));
        // Upper case, aliases, non-ASCII.
        assert_eq!(
            message("J57020g30g2gc1r81450p30d1s721dgy"),
            "Unable to decode ID: ID wasn't valid base32"
        );
        for alias in ['i', 'l', 'o', 'u', 'A', ' ', '='] {
            assert_eq!(decode(&format!("j57020g30g2gc1r81450p30d1s721dg{alias}")), IdError::Base32);
        }
        assert_eq!(decode("j57020g30g2gc1r81450p30d1s721dé"), IdError::Base32);
        // Table number 0, and a varint without end.
        assert_eq!(message(&"0".repeat(31)), "Unable to decode ID: Invalid table number");
        assert_eq!(decode(&"z".repeat(32)), IdError::TableNumber);
        // One changed character.
        assert_eq!(
            message("j57020g30g2gc1r81450p30d1s721dgz"),
            "Unable to decode ID: Invalid ID version 256 (expected 0)"
        );
        // Padding bits: the last symbol of 31 carries two bits.
        assert_eq!(decode("040g40r40m30e209185gr38e9rgdhks"), IdError::Length(31));
        // A table number of two bytes in the length of one.
        assert!(matches!(decode("j57020g30g2gc1r81450p30d1s721dg"), IdError::Length(31)));
        // Left-over symbols.
        assert_eq!(decode("j57020g30g2gc1r81450p30d1s721dgy0"), IdError::Length(33));
        assert_eq!(decode("j57020g30g2gc1r81450p30d1s721dgy00"), IdError::Length(34));
    }

    #[test]
    fn a_table_number_with_needless_bytes_is_refused() {
        // 0x81 0x00 means 1 as 0x01 does.
        let mut bytes = [0; BYTES_MAX];
        bytes[0] = 0x81;
        bytes[2..18].copy_from_slice(&INTERNAL);
        let checksum = fletcher16(&bytes[..18]);
        bytes[18..20].copy_from_slice(&checksum.to_le_bytes());
        let mut buffer = [0; TEXT_LENGTH_MAX];
        let text = encode_base32(&bytes[..20], &mut buffer);
        assert_eq!(DocumentId::decode(text), Err(IdError::Length(32)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn every_id_survives_its_text(id in any_id()) {
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn one_changed_character_is_always_noticed(id in any_id(), at in any::<prop::sample::Index>(), by in 1..32usize) {
            let mut text = id.to_string().into_bytes();
            let at = at.index(text.len());
            let old = SYMBOL_VALUES[usize::from(text[at])] as usize;
            text[at] = ALPHABET[(old + by) % 32];
            let text = String::from_utf8(text).unwrap();
            prop_assert!(text.parse::<DocumentId>().is_err(), "{text}");
        }

        #[test]
        fn decoding_never_panics_and_accepts_only_canonical_text(text in "[0-9a-z]{30,38}|\\PC{0,40}") {
            if let Ok(id) = text.parse::<DocumentId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn a_right_checksum_does_not_make_up_for_another_spelling(
            varint in prop::collection::vec(prop_oneof![Just(0x80u8), Just(0x81), Just(0), Just(1), any::<u8>()], 1..=VARINT_LENGTH_MAX),
            internal in any::<[u8; 16]>(),
            padding in 0u8..32,
        ) {
            let mut bytes = [0; BYTES_MAX];
            let checksum_at = varint.len() + internal.len();
            bytes[..varint.len()].copy_from_slice(&varint);
            bytes[varint.len()..checksum_at].copy_from_slice(&internal);
            let checksum = fletcher16(&bytes[..checksum_at]);
            bytes[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_le_bytes());
            let mut buffer = [0; TEXT_LENGTH_MAX];
            let mut text = encode_base32(&bytes[..checksum_at + 2], &mut buffer).to_owned().into_bytes();
            // The last symbol may carry bits that belong to no byte.
            let last = text.len() - 1;
            let unused = text.len() * 5 - (checksum_at + 2) * 8;
            text[last] = ALPHABET[usize::from(SYMBOL_VALUES[usize::from(text[last])] | padding & ((1 << unused) - 1))];
            let text = String::from_utf8(text).unwrap();
            if let Ok(id) = text.parse::<DocumentId>() {
                prop_assert_eq!(id.to_string(), text);
                prop_assert_eq!(id.internal.0, internal);
            }
        }

        #[test]
        fn ids_of_one_table_order_as_their_texts(a in any_id(), b in any_id()) {
            let b = DocumentId { table: a.table, ..b };
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
