//! Why a token was not accepted, with the text that developers read.

/// A token that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The token, or the configuration, is at fault: the same token will not be accepted later.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The provider could not be asked. The same token may be accepted later.
    #[error("The keys of the auth provider {provider} cannot be fetched now: {reason}")]
    Unavailable {
        /// Issuer of the provider.
        provider: String,
        /// What went wrong.
        reason: String,
    },
}

/// What is wrong with a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It is not a JSON Web Token.
    #[error("Could not parse the token as a JSON Web Token: {0}")]
    Malformed(String),
    /// Nobody who is trusted has issued it.
    #[error(
        "No auth provider found matching the given token ({token}). {configured} Check that convex/auth.config.ts names the \
         provider that issued it, with the token's audience as `applicationID`, and that it has been deployed."
    )]
    NoProvider {
        /// Issuer and audience of the token.
        token: String,
        /// What is configured.
        configured: String,
    },
    /// It cannot be trusted.
    #[error("Could not verify the token of {issuer}: {reason}")]
    Invalid {
        /// Who should have issued it.
        issuer: String,
        /// What is wrong.
        reason: String,
    },
    /// Its time is over.
    #[error("Could not verify the token of {issuer}: it has expired. Get a new one.")]
    Expired {
        /// Who issued it.
        issuer: String,
    },
    /// The provider exists but does not publish its keys as it should.
    #[error("The auth provider {provider} does not publish its keys as it should: {reason}")]
    Discovery {
        /// Issuer of the provider.
        provider: String,
        /// What is wrong.
        reason: String,
    },
}

impl Rejection {
    /// The code that HTTP clients see.
    pub fn code(&self) -> &'static str {
        match self {
            Rejection::Malformed(_) => "InvalidAuthHeader",
            Rejection::NoProvider { .. } => "NoAuthProvider",
            Rejection::Invalid { .. } => "Unauthenticated",
            Rejection::Expired { .. } => "TokenExpired",
            Rejection::Discovery { .. } => "AuthProviderDiscoveryFailed",
        }
    }
}

/// Text of a stranger, shortened, for messages.
pub(crate) fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    let mut shown: String =
        text.chars().take(CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
