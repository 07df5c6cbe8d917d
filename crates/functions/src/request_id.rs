//! The number by which a user's error message and the server's log find each other.

use std::fmt;

use rand::RngCore;
use sha2::{Digest, Sha256};

/// Sixteen lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId([u8; 8]);

impl RequestId {
    /// A new random id.
    pub fn random() -> Self {
        let mut bytes = [0; 8];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The id that a caller chose: sixteen lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let mut bytes = [0; 8];
        (text.bytes().all(is_lower_hex) && hex::decode_to_slice(text, &mut bytes).is_ok())
            .then_some(Self(bytes))
    }

    /// The id of a request of a WebSocket session, so that tools can compute it from what the client knows.
    /// `session_id` is the session's UUID in its hyphenated lower-case form.
    pub fn of_session_request(session_id: &str, request: u64) -> Self {
        let digest = Sha256::digest(format!("{session_id}|{request}"));
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        Self(bytes)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_request_has_the_id_that_tools_compute() {
        let id = RequestId::of_session_request("2f1c9a54-6f0e-4b7d-9a3e-5d1c0b8e7f21", 0);
        assert_eq!(id.to_string(), "3f5173bf47e24113");
    }

    #[test]
    fn only_the_form_that_is_printed_is_parsed() {
        let id = RequestId::random();
        assert_eq!(RequestId::parse(&id.to_string()), Some(id));
        for bad in ["", "3f5173bf47e2411", "3F5173BF47E24113", "3f5173bf47e24113\n"] {
            assert_eq!(RequestId::parse(bad), None);
        }
    }

    #[test]
    fn random_ids_differ() {
        assert_ne!(RequestId::random(), RequestId::random());
    }
}
