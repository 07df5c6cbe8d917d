//! A provider's public keys (RFC 7517). Keys that cannot be used here are left out, not refused: providers publish keys for
//! other purposes beside those that sign tokens.

use std::fmt;

use jsonwebtoken::DecodingKey;
use serde_json::Value as Json;

use crate::signature::Algorithm;

/// Keys of a set; more are left out.
const KEYS_MAX: usize = 256;

/// The usable keys of a set.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

/// A public key that signs tokens in one way.
#[derive(Clone)]
pub(crate) struct Key {
    /// `kid`
    pub(crate) id: Option<String>,
    algorithm: Algorithm,
    pub(crate) decoding: DecodingKey,
}

/// A document that is no key set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a JSON Web Key Set ({0})")]
pub(crate) struct KeySetError(String);

impl KeySet {
    /// # Errors
    /// When the text is not a JSON object with a list of `keys`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        let set: Json = serde_json::from_slice(text).map_err(|error| KeySetError(error.to_string()))?;
        let keys =
            set["keys"].as_array().ok_or_else(|| KeySetError("there is no list of `keys`".to_owned()))?;
        Ok(Self { keys: keys.iter().filter_map(Key::parse).take(KEYS_MAX).collect() })
    }

    /// The keys that sign in this way.
    pub(crate) fn of(&self, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.algorithm == algorithm)
    }

    /// Whether a key of this name signs in this way.
    pub(crate) fn contains(&self, algorithm: Algorithm, id: &str) -> bool {
        self.of(algorithm).any(|key| key.id.as_deref() == Some(id))
    }
}

impl Key {
    /// `None` for keys that sign no tokens, or in a way that nobody accepts.
    fn parse(key: &Json) -> Option<Self> {
        let text = |name: &str| key[name].as_str();
        let is_for_signing = text("use").is_none_or(|usage| usage == "sig");
        let may_verify = match key.get("key_ops") {
            Some(Json::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
            _ => true,
        };
        if !is_for_signing || !may_verify {
            return None;
        }
        let (algorithm, decoding) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (Algorithm::Rs256, DecodingKey::from_rsa_components(text("n")?, text("e")?)),
            ("EC", Some("P-256")) => {
                (Algorithm::Es256, DecodingKey::from_ec_components(text("x")?, text("y")?))
            }
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, DecodingKey::from_ed_components(text("x")?)),
            _ => return None,
        };
        // A key that says how it is used is used in that way only, whatever a token asks for.
        let is_meant_so = match text("alg") {
            None => true,
            Some("Ed25519") => algorithm == Algorithm::EdDsa,
            Some(name) => name == algorithm.name(),
        };
        if !is_meant_so {
            return None;
        }
        Some(Self { id: text("kid").map(str::to_owned), algorithm, decoding: decoding.ok()? })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ids(keys: &Json, algorithm: Algorithm) -> Vec<String> {
        let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        set.of(algorithm).filter_map(|key| key.id.clone()).collect()
    }

    fn rsa(id: &str, extra: &Json) -> Json {
        let mut key = json!({"kty": "RSA", "kid": id, "n": "AQAB", "e": "AQAB"});
        for (name, value) in extra.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    }

    #[test]
    fn keys_for_other_purposes_are_left_out() {
        let keys = json!([
            rsa("plain", &json!({})),
            rsa("sig", &json!({"use": "sig", "alg": "RS256", "key_ops": ["verify"]})),
            rsa("encrypts", &json!({"use": "enc"})),
            rsa("signs", &json!({"key_ops": ["sign"]})),
            rsa("other algorithm", &json!({"alg": "RS512"})),
            rsa("confusing", &json!({"alg": "HS256"})),
            {"kty": "oct", "kid": "secret", "k": "AQAB"},
            {"kty": "EC", "kid": "other curve", "crv": "P-384", "x": "AQ", "y": "AQ"},
            {"kty": "EC", "kid": "curve", "crv": "P-256", "x": "AQ", "y": "AQ"},
            {"kty": "OKP", "kid": "agreement", "crv": "X25519", "x": "AQ"},
            {"kty": "OKP", "kid": "edwards", "crv": "Ed25519", "x": "AQ", "alg": "EdDSA"},
            {"kty": "RSA", "kid": "broken", "n": "%%%", "e": "AQAB"},
            {"kid": 5}, null, 7
        ]);
        assert_eq!(ids(&keys, Algorithm::Rs256), ["plain", "sig"]);
        assert_eq!(ids(&keys, Algorithm::Es256), ["curve"]);
        assert_eq!(ids(&keys, Algorithm::EdDsa), ["edwards"]);
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>", &"[".repeat(10_000)] {
            assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
