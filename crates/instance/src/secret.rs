//! The instance secret: 32 random bytes from which every key of the instance is derived.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::Sha256;
use thiserror::Error;

/// Length of a secret in bytes; its text form has twice as many hexadecimal characters.
const SECRET_BYTES: usize = 32;

/// The secret of an instance. It never shows up in `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct InstanceSecret([u8; SECRET_BYTES]);

/// Why a secret could not be read or made.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The text is not 64 hexadecimal characters. The text itself is not repeated, for it may be a mistyped secret.
    #[error(
        "an instance secret is 64 hexadecimal characters (32 bytes), for example from `openssl rand -hex 32`"
    )]
    Malformed,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for the instance secret: {0}")]
    NoRandomness(#[from] rand::rand_core::OsError),
}

impl InstanceSecret {
    /// Draws a new secret from the operating system's generator.
    ///
    /// # Errors
    /// [`SecretError::NoRandomness`] when that generator fails; there is no weaker fallback.
    pub fn generate() -> Result<Self, SecretError> {
        let mut bytes = [0; SECRET_BYTES];
        OsRng.try_fill_bytes(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The secret as 64 lower-case hexadecimal characters.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Derives an independent 32-byte key for one purpose, so that no two uses of the secret share a key.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(b"freshet derived key\0");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl FromStr for InstanceSecret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; SECRET_BYTES];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| SecretError::Malformed)?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for InstanceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstanceSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_secrets_differ_and_survive_their_text_form() {
        let first = InstanceSecret::generate().unwrap();
        let second = InstanceSecret::generate().unwrap();
        assert_ne!(first, second);
        assert_eq!(first.to_hex().len(), 64);
        assert_eq!(first.to_hex().parse::<InstanceSecret>().unwrap(), first);
    }

    #[test]
    fn short_long_and_non_hexadecimal_secrets_are_refused() {
        for text in ["", "abcd", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
            assert!(text.parse::<InstanceSecret>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let secret = InstanceSecret::generate().unwrap();
        assert!(!format!("{secret:?}").contains(&secret.to_hex()[..8]));
    }

    #[test]
    fn each_purpose_has_a_key_of_its_own() {
        let secret: InstanceSecret = "11".repeat(32).parse().unwrap();
        assert_ne!(secret.derive("a"), secret.derive("b"));
        assert_eq!(secret.derive("a"), secret.derive("a"));
    }
}
