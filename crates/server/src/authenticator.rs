//! How user tokens become identities.
//!
//! The server only knows this trait. An implementation that verifies tokens against the deployed providers stands
//! behind it; [`NoAuthProviders`] is for deployments that have none.

use std::time::SystemTime;

use async_trait::async_trait;
use freshet_functions::UserIdentity;

/// A user whose token was accepted.
#[derive(Clone, Debug)]
pub struct VerifiedUser {
    /// Who it is.
    pub identity: UserIdentity,
    /// When the token expires; nothing may be delivered under it later.
    pub expires_at: SystemTime,
}

/// Why a token was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// The token itself is at fault: 401, or an `AuthError` on a WebSocket.
    #[error("{message}")]
    Rejected {
        /// `NoAuthProvider`, `InvalidAuthHeader`, `Unauthenticated` or `TokenExpired`.
        code: &'static str,
        /// Text for people.
        message: String,
    },
    /// The provider could not be asked; the same token may be accepted later.
    #[error("{message}")]
    Unavailable {
        /// Text for people.
        message: String,
    },
}

/// Verifies user tokens.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// The user that a token stands for.
    ///
    /// # Errors
    /// [`AuthenticationError`].
    async fn verify(&self, token: &str) -> Result<VerifiedUser, AuthenticationError>;
}

/// Accepts no token, since there is nobody to vouch for one.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuthProviders;

#[async_trait]
impl Authenticator for NoAuthProviders {
    async fn verify(&self, _token: &str) -> Result<VerifiedUser, AuthenticationError> {
        Err(AuthenticationError::Rejected {
            code: "NoAuthProvider",
            message: "No auth provider found matching the given token (no providers configured). Check that \
                      convex/auth.config.ts names the provider that issued it and that it has been deployed."
                .into(),
        })
    }
}
