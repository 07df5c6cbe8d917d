//! Cursors of paginated queries: sealed positions.
//!
//! A cursor holds a position in an index and a fingerprint of the query. It must not show other rows' keys, must
//! not be forgeable, and must be the same text for the same position (else every re-run of a reactive page would look
//! changed). So it is sealed with a synthetic initialization vector, the construction of RFC 5297: the
//! authentication tag of the plain text is also the nonce of the cipher (here HMAC-SHA-256 and ChaCha20).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};

use super::Query;
use crate::error::DeveloperError;

const TAG_LENGTH: usize = 16;
const FINGERPRINT_LENGTH: usize = 16;

/// Where a page ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// After this index key.
    After(Vec<u8>),
    /// After everything.
    End,
}

/// Tells queries apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; FINGERPRINT_LENGTH]);

impl Fingerprint {
    /// The fingerprint of a query over an index with these fields in a namespace.
    pub(crate) fn of(query: &Query, namespace: u32, index_fields: &[impl ToString]) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(namespace.to_be_bytes());
        for field in index_fields {
            hash.update(field.to_string());
            hash.update([0]);
        }
        hash.update([0]);
        hash.update(query.canonical());
        let mut fingerprint = [0; FINGERPRINT_LENGTH];
        fingerprint.copy_from_slice(&hash.finalize()[..FINGERPRINT_LENGTH]);
        Fingerprint(fingerprint)
    }
}

/// The secret with which one database seals its cursors.
#[derive(Clone)]
pub(crate) struct CursorKey {
    authentication: [u8; 32],
    encryption: [u8; 32],
}

impl CursorKey {
    /// Derives the two keys from the secret that the database keeps.
    pub(crate) fn new(secret: &[u8; 32]) -> CursorKey {
        CursorKey {
            authentication: hmac(secret, &[b"cursor authentication"]),
            encryption: hmac(secret, &[b"cursor encryption"]),
        }
    }

    pub(crate) fn seal(&self, position: &Position, fingerprint: Fingerprint) -> String {
        let mut plain = fingerprint.0.to_vec();
        match position {
            Position::End => plain.push(0),
            Position::After(key) => {
                plain.push(1);
                plain.extend_from_slice(key);
            }
        }
        let tag = self.tag(&plain);
        self.apply_keystream(&tag, &mut plain);
        let mut sealed = tag.to_vec();
        sealed.extend_from_slice(&plain);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The position, if the text was sealed with this key for a query with this fingerprint.
    ///
    /// # Errors
    /// `InvalidCursor`, in the form in which client libraries recover by starting from the first page.
    pub(crate) fn open(&self, text: &str, fingerprint: Fingerprint) -> Result<Position, DeveloperError> {
        self.try_open(text)
            .filter(|(_, found)| *found == fingerprint)
            .map(|(position, _)| position)
            .ok_or_else(invalid_cursor)
    }

    fn try_open(&self, text: &str) -> Option<(Position, Fingerprint)> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (tag, sealed) = sealed.split_first_chunk::<TAG_LENGTH>()?;
        let mut plain = sealed.to_vec();
        self.apply_keystream(tag, &mut plain);
        // Comparing in variable time tells nothing: the tag compared with depends on the forged text as a whole.
        if self.tag(&plain) != *tag {
            return None;
        }
        let (fingerprint, rest) = plain.split_first_chunk::<FINGERPRINT_LENGTH>()?;
        let position = match rest.split_first()? {
            (0, []) => Position::End,
            (1, key) => Position::After(key.to_vec()),
            _ => return None,
        };
        Some((position, Fingerprint(*fingerprint)))
    }

    fn tag(&self, plain: &[u8]) -> [u8; TAG_LENGTH] {
        let full = hmac(&self.authentication, &[plain]);
        let mut tag = [0; TAG_LENGTH];
        tag.copy_from_slice(&full[..TAG_LENGTH]);
        tag
    }

    fn apply_keystream(&self, tag: &[u8; TAG_LENGTH], text: &mut [u8]) {
        let mut stream = vec![0; text.len()];
        ChaCha20Rng::from_seed(hmac(&self.encryption, &[tag])).fill_bytes(&mut stream);
        for (byte, key) in text.iter_mut().zip(stream) {
            *byte ^= key;
        }
    }
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn invalid_cursor() -> DeveloperError {
    DeveloperError {
        code: "InvalidCursor",
        message: "InvalidCursor: Tried to run a query starting from a cursor, but it looks like this cursor is from a \
                  different query."
            .to_owned(),
        data: Some(r#"{"isConvexSystemError":true,"paginationError":"InvalidCursor"}"#.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use freshet_store::Order;

    use super::*;

    fn fingerprint(table: &str) -> Fingerprint {
        Fingerprint::of(&Query::full_table_scan(table.parse().unwrap(), Order::Asc), 0, &["_creationTime"])
    }

    #[test]
    fn a_cursor_is_deterministic_and_opens_only_for_its_query() {
        let key = CursorKey::new(&[7; 32]);
        for position in [Position::End, Position::After(vec![1, 2, 3])] {
            let text = key.seal(&position, fingerprint("a"));
            assert_eq!(text, key.seal(&position, fingerprint("a")));
            assert_eq!(key.open(&text, fingerprint("a")).unwrap(), position);
            let error = key.open(&text, fingerprint("b")).unwrap_err();
            assert!(error.message.starts_with("InvalidCursor: Tried to run"));
            assert!(error.data.unwrap().contains("\"paginationError\":\"InvalidCursor\""));
            assert!(CursorKey::new(&[8; 32]).open(&text, fingerprint("a")).is_err());
        }
    }

    #[test]
    fn a_changed_cursor_is_refused_and_its_key_does_not_show() {
        let key = CursorKey::new(&[7; 32]);
        let text = key.seal(&Position::After(b"secret secret secret".to_vec()), fingerprint("a"));
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"secret"));
        for position in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[position] ^= 1;
            assert!(key.open(&URL_SAFE_NO_PAD.encode(&forged), fingerprint("a")).is_err());
        }
        assert!(key.open("", fingerprint("a")).is_err());
        assert!(key.open("not a cursor!", fingerprint("a")).is_err());
    }
}
