//! Tokens in upload addresses: permission to upload, for an hour.
//!
//! ```text
//! token = base64url(version (1) || issue time, ms since 1970 (u64 BE) || HMAC-SHA256 of what precedes (32))
//! ```
//!
//! The key belongs to one deployment, so a token fits no other. Nothing is stored, and a token is good for any number of
//! uploads: whoever may upload once may ask for another address anyway.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const VERSION: u8 = 1;
const SIGNED_BYTES: usize = 9;
const TOKEN_BYTES: usize = SIGNED_BYTES + 32;
/// Validity in milliseconds.
const VALID_MS: u64 = 60 * 60 * 1000;
/// Clocks of two engines of one deployment may differ by this much.
const FUTURE_MS_MAX: u64 = 60 * 1000;

/// Why an upload is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not made by this deployment.
    #[error(
        "The upload URL is not one of this deployment. Call `storage.generateUploadUrl()` for a valid one."
    )]
    Invalid,
    /// Older than an hour.
    #[error(
        "The upload URL has expired: it is valid for an hour. Call `storage.generateUploadUrl()` for a new one."
    )]
    Expired,
}

impl TokenError {
    /// The code that clients see.
    pub fn code(self) -> &'static str {
        match self {
            TokenError::Invalid => "StorageTokenInvalid",
            TokenError::Expired => "StorageTokenExpired",
        }
    }
}

/// Makes and checks tokens.
pub(crate) struct UploadTokens {
    mac: Hmac<Sha256>,
}

impl UploadTokens {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self { mac: Hmac::new_from_slice(key).expect("HMAC takes keys of any length") }
    }

    /// The token of this moment.
    pub(crate) fn issue(&self, now_ms: u64) -> String {
        let mut token = vec![VERSION];
        token.extend_from_slice(&now_ms.to_be_bytes());
        let mut mac = self.mac.clone();
        mac.update(&token);
        token.extend_from_slice(&mac.finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(token)
    }

    pub(crate) fn check(&self, token: &str, now_ms: u64) -> Result<(), TokenError> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenError::Invalid)?;
        if bytes.len() != TOKEN_BYTES || bytes[0] != VERSION {
            return Err(TokenError::Invalid);
        }
        let (signed, signature) = bytes.split_at(SIGNED_BYTES);
        let mut mac = self.mac.clone();
        mac.update(signed);
        mac.verify_slice(signature).map_err(|_| TokenError::Invalid)?;
        let issued_ms = u64::from_be_bytes(signed[1..].try_into().expect("eight bytes follow the version"));
        if issued_ms > now_ms.saturating_add(FUTURE_MS_MAX) {
            return Err(TokenError::Invalid);
        }
        if now_ms.saturating_sub(issued_ms) > VALID_MS { Err(TokenError::Expired) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    #[test]
    fn a_token_is_good_for_an_hour() {
        let tokens = UploadTokens::new(&[7; 32]);
        let token = tokens.issue(NOW_MS);
        assert_eq!(tokens.check(&token, NOW_MS), Ok(()));
        assert_eq!(tokens.check(&token, NOW_MS + VALID_MS), Ok(()));
        assert_eq!(tokens.check(&token, NOW_MS + VALID_MS + 1), Err(TokenError::Expired));
        assert_eq!(tokens.check(&token, NOW_MS - 1000), Ok(()));
        assert_eq!(tokens.check(&token, NOW_MS - 2 * FUTURE_MS_MAX), Err(TokenError::Invalid));
    }

    #[test]
    fn no_changed_bit_and_no_other_deployment_passes() {
        let tokens = UploadTokens::new(&[7; 32]);
        let token = URL_SAFE_NO_PAD.decode(tokens.issue(NOW_MS)).unwrap();
        for bit in 0..token.len() * 8 {
            let mut forged = token.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let forged = URL_SAFE_NO_PAD.encode(forged);
            assert_eq!(tokens.check(&forged, NOW_MS), Err(TokenError::Invalid), "bit {bit}");
        }
        let other = UploadTokens::new(&[8; 32]).issue(NOW_MS);
        for text in ["", "x", "é", &other] {
            assert_eq!(tokens.check(text, NOW_MS), Err(TokenError::Invalid), "{text}");
        }
    }
}
