//! Checking a token's signature. The algorithm is the provider's and the key's to decide, never the token's alone.

use jsonwebtoken::crypto;

use crate::key_set::KeySet;
use crate::token::Token;

/// Keys of one name that are tried; more are a mistake of the provider.
const CANDIDATES_MAX: usize = 8;

/// A way of signing. Only those with a public key exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Algorithm {
    /// RSA with PKCS #1 v1.5 and SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The name in a token's or a key's `alg`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Algorithm::Rs256),
            "ES256" => Some(Algorithm::Es256),
            "EdDSA" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    fn of_library(self) -> jsonwebtoken::Algorithm {
        match self {
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// Why a signature was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("it is signed with {found}; this provider's tokens have to be signed with {allowed}")]
    Algorithm { found: String, allowed: String },
    /// The provider may have published the key meanwhile.
    #[error("it was signed with a key (`kid` \"{0}\") that the provider does not publish for this algorithm")]
    UnknownKey(String),
    #[error("it does not name its key (`kid`), and the provider publishes {0} keys for this algorithm")]
    NoKeyId(usize),
    #[error("its signature is wrong")]
    Wrong,
}

/// The algorithm of a token, if it is one of those that its provider uses.
///
/// # Errors
/// When it is another one, such as `none`.
pub(crate) fn algorithm(token: &Token<'_>, allowed: &[Algorithm]) -> Result<Algorithm, SignatureError> {
    Algorithm::from_name(&token.algorithm).filter(|algorithm| allowed.contains(algorithm)).ok_or_else(|| {
        let names: Vec<&str> = allowed.iter().map(|algorithm| algorithm.name()).collect();
        SignatureError::Algorithm {
            found: crate::error::excerpt(&token.algorithm),
            allowed: names.join(" or "),
        }
    })
}

/// Checks the signature with the key that the token names, among those that are for `algorithm`.
///
/// # Errors
/// [`SignatureError::UnknownKey`] when another look at the provider's keys may help.
pub(crate) fn check(token: &Token<'_>, algorithm: Algorithm, keys: &KeySet) -> Result<(), SignatureError> {
    let candidates: Vec<_> = match &token.key_id {
        Some(key_id) => {
            keys.of(algorithm).filter(|key| key.id.as_deref() == Some(key_id)).take(CANDIDATES_MAX).collect()
        }
        None => keys.of(algorithm).collect(),
    };
    match &token.key_id {
        Some(key_id) if candidates.is_empty() => {
            return Err(SignatureError::UnknownKey(crate::error::excerpt(key_id)));
        }
        // Which one is meant must not be a matter of trying.
        None if candidates.len() != 1 => return Err(SignatureError::NoKeyId(candidates.len())),
        _ => {}
    }
    let is_right = candidates.iter().any(|key| {
        crypto::verify(token.signature, token.signed.as_bytes(), &key.decoding, algorithm.of_library())
            .unwrap_or(false)
    });
    if is_right { Ok(()) } else { Err(SignatureError::Wrong) }
}
