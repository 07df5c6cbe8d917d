//! The keys of a text index.
//!
//! ```text
//! word       term bytes, 00, filter digests (8 bytes each), creation time (8), id (16), frequency, length
//! document   00, filter digests, creation time, id, 0, length
//! ```
//!
//! Frequency and length are numbers of variable length (7 bits a byte, lowest first). No term contains 00, so all
//! entries of a term are one interval, and so are those of all terms with a prefix. Within a term documents
//! stand in the same order for every term, whatever the term: words are merged without sorting. Digests come first, so that
//! a search with a condition on the first filter field reads no more than what meets it. This is a storage format.

/// Bytes of the digest of a filter value.
pub const FILTER_BYTES: usize = 8;
const TIME_BYTES: usize = 8;
const ID_BYTES: usize = 16;

/// Not an entry: stands for the statistics of an index where dependencies are recorded.
pub const STATISTICS_KEY: &[u8] = &[0];

/// What an entry says of its document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posting<'a> {
    /// Digests, creation time and id: orders documents, the same for all entries of a document.
    pub document: &'a [u8],
    /// How often the term occurs.
    pub frequency: u32,
    /// Tokens of the document's field.
    pub length: u32,
}

impl<'a> Posting<'a> {
    /// Reads an entry, given where its term ends; `None` if it is none.
    #[must_use]
    pub fn read(key: &'a [u8], term_bytes: usize, filter_fields: usize) -> Option<Posting<'a>> {
        let rest = key.get(term_bytes + 1..)?;
        let (document, mut numbers) =
            rest.split_at_checked(filter_fields * FILTER_BYTES + TIME_BYTES + ID_BYTES)?;
        let frequency = read_number(&mut numbers)?;
        let length = read_number(&mut numbers)?;
        Some(Posting { document, frequency, length })
    }

    /// The id of the document.
    #[must_use]
    pub fn id(&self) -> [u8; ID_BYTES] {
        id_of(self.document)
    }

    /// When the document was created, in milliseconds since the epoch.
    #[must_use]
    pub fn creation_time(&self) -> f64 {
        let at = self.document.len() - ID_BYTES - TIME_BYTES;
        let mut bytes = [0; TIME_BYTES];
        bytes.copy_from_slice(&self.document[at..at + TIME_BYTES]);
        let bits = u64::from_be_bytes(bytes);
        f64::from_bits(if bits >> 63 == 1 { bits ^ (1 << 63) } else { !bits })
    }
}

fn id_of(document: &[u8]) -> [u8; ID_BYTES] {
    let mut id = [0; ID_BYTES];
    id.copy_from_slice(&document[document.len() - ID_BYTES..]);
    id
}

/// The term of an entry; empty for that of a document.
#[must_use]
pub fn term_of(key: &[u8]) -> &[u8] {
    let end = key.iter().position(|byte| *byte == 0).unwrap_or(key.len());
    &key[..end]
}

/// The part of a document's keys that orders documents.
#[must_use]
pub fn encode_documents(filters: &[[u8; FILTER_BYTES]], creation_time: f64, id: [u8; ID_BYTES]) -> Vec<u8> {
    let mut document = filters.concat();
    let bits = creation_time.to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits ^ (1 << 63) };
    document.extend(ordered.to_be_bytes());
    document.extend(id);
    document
}

/// The key of one term of a document, or with an empty term that of the document itself.
#[must_use]
pub fn encode_term(term: &str, document: &[u8], frequency: u32, length: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(term.len() + 1 + document.len() + 4);
    key.extend_from_slice(term.as_bytes());
    key.push(0);
    key.extend_from_slice(document);
    write_number(&mut key, frequency);
    write_number(&mut key, length);
    key
}

/// The number of tokens of the document that has this entry.
#[must_use]
pub fn document_length(key: &[u8], filter_fields: usize) -> Option<u32> {
    Posting::read(key, term_of(key).len(), filter_fields).map(|posting| posting.length)
}

/// From where, and up to where exclusively, the entries of a term are whose documents begin with these digests.
#[must_use]
pub fn term_bounds(term: &str, leading: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut start = term.as_bytes().to_vec();
    start.push(0);
    start.extend_from_slice(leading);
    let end = successor(&start);
    (start, end)
}

/// From where, and up to where exclusively, the entries of all terms with a prefix are.
#[must_use]
pub fn prefix_bounds(prefix: &str) -> (Vec<u8>, Vec<u8>) {
    let start = prefix.as_bytes().to_vec();
    let end = successor(&start);
    (start, end)
}

/// The least key that is greater than all keys with a prefix. Terms are UTF-8, so there always is one.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; 64]
}

/// The digest that stands for a filter value, from a cryptographic hash of it.
#[must_use]
pub fn filter_digest_of(hash: &[u8; 32]) -> [u8; FILTER_BYTES] {
    let mut digest = [0; FILTER_BYTES];
    digest.copy_from_slice(&hash[..FILTER_BYTES]);
    digest
}

/// Digests that entries must have in some of the filter fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterPattern {
    /// Numbers of the fields, ascending.
    fields: Vec<u8>,
    /// Their digests, one after the other.
    digests: Vec<u8>,
}

impl FilterPattern {
    /// A pattern of fields in ascending order.
    #[must_use]
    pub fn new(filters: impl IntoIterator<Item = (u8, [u8; FILTER_BYTES])>) -> FilterPattern {
        let mut pattern = FilterPattern::default();
        for (field, digest) in filters {
            pattern.fields.push(field);
            pattern.digests.extend(digest);
        }
        pattern
    }

    /// Everything matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The numbers of the fields.
    #[must_use]
    pub fn fields(&self) -> &[u8] {
        &self.fields
    }

    /// What entries that match have in these fields.
    #[must_use]
    pub fn digests(&self) -> &[u8] {
        &self.digests
    }

    /// The digests of the first fields, as far as there is one for every field.
    #[must_use]
    pub fn leading(&self) -> &[u8] {
        let fields = self.fields.iter().zip(0u8..).take_while(|(field, at)| **field == *at).count();
        &self.digests[..fields * FILTER_BYTES]
    }

    /// Whether the leading fields are all that there are.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.leading().len() == self.digests.len()
    }

    /// Whether a document's part of a key matches.
    #[must_use]
    pub fn matches(&self, document: &[u8]) -> bool {
        self.fields.iter().zip(self.digests.chunks_exact(FILTER_BYTES)).all(|(field, digest)| {
            let at = usize::from(*field) * FILTER_BYTES;
            document.get(at..at + FILTER_BYTES) == Some(digest)
        })
    }

    /// What a key has in some fields, into a buffer; `false` if it is no entry.
    pub fn digests_of(fields: &[u8], key: &[u8], into: &mut Vec<u8>) -> bool {
        into.clear();
        let Some(document) = key.get(term_of(key).len() + 1..) else { return false };
        fields.iter().all(|field| {
            let at = usize::from(*field) * FILTER_BYTES;
            document.get(at..at + FILTER_BYTES).is_some_and(|digest| {
                into.extend_from_slice(digest);
                true
            })
        })
    }

    /// Whether a whole key matches.
    #[must_use]
    pub fn matches_key(&self, key: &[u8]) -> bool {
        key.get(term_of(key).len() + 1..).is_some_and(|document| self.matches(document))
    }
}

fn write_number(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn read_number(from: &mut &[u8]) -> Option<u32> {
    let mut number = 0u32;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_contains_its_terms_and_a_term_only_itself() {
        let key = |term: &str| encode_term(term, &encode_documents(&[[7; 8]], 5.0, [1; 16]), 3, 300);
        let within = |(start, end): &(Vec<u8>, Vec<u8>), key: &[u8]| key >= &start[..] && key < &end[..];
        let prefix = prefix_bounds("ca");
        assert!(within(&prefix, &key("cat")) && within(&prefix, &key("ca")) && !within(&prefix, &key("cb")));
        let term = term_bounds("ca", &[]);
        assert!(within(&term, &key("ca")) && !within(&term, &key("cat")));
        assert!(within(&term_bounds("ca", &[7; 8]), &key("ca")));
        assert!(!within(&term_bounds("ca", &[8; 8]), &key("ca")));
    }

    #[test]
    fn a_pattern_compares_just_its_fields() {
        let key = encode_term("a", &encode_documents(&[[1; 8], [2; 8]], 0.0, [0; 16]), 1, 1);
        assert!(FilterPattern::new([(1, [2; 8])]).matches_key(&key));
        assert!(!FilterPattern::new([(0, [1; 8]), (1, [1; 8])]).matches_key(&key));
        assert_eq!(FilterPattern::new([(0, [1; 8]), (2, [1; 8])]).leading(), [1; 8]);
        assert!(!FilterPattern::new([(0, [0; 8])]).matches_key(STATISTICS_KEY));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            term in "[a-zä]{0,9}", time in any::<f64>(), id in any::<[u8; 16]>(), frequency: u32, length: u32
        ) {
            let document = encode_documents(&[[0; 8]], time, id);
            let key = encode_term(&term, &document, frequency, length);
            prop_assert_eq!(term_of(&key), term.as_bytes());
            let posting = Posting::read(&key, term.len(), 1).unwrap();
            prop_assert_eq!((posting.frequency, posting.length, posting.id()), (frequency, length, id));
            prop_assert_eq!(posting.creation_time().to_bits(), time.to_bits());
            prop_assert_eq!(document_length(&key, 1), Some(length));
        }
    }
}
