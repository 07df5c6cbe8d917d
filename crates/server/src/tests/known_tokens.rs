//! Users' tokens without signatures: a list of texts, each with a user, which tests may change.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use freshet_functions::{AuthenticationError, Authenticator, UserIdentity, VerifiedUser};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::watch;

/// Accepts the tokens that it was told of.
pub(super) struct KnownTokens {
    tokens: Mutex<HashMap<String, VerifiedUser>>,
    changes: watch::Sender<u64>,
}

impl Default for KnownTokens {
    fn default() -> Self {
        Self { tokens: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl KnownTokens {
    /// A token of this user, good for an hour.
    pub(super) fn add(&self, token: &str, subject: &str) {
        self.add_until(token, subject, SystemTime::now() + Duration::from_secs(3600));
    }

    pub(super) fn add_until(&self, token: &str, subject: &str, expires_at: SystemTime) {
        let attributes = json!({"issuer": "https://i", "subject": subject}).as_object().unwrap().clone();
        let identity = UserIdentity::from_attributes(attributes).unwrap();
        self.tokens.lock().insert(token.to_owned(), VerifiedUser { identity, expires_at });
    }

    /// The providers change: this token is not accepted any more.
    pub(super) fn forget(&self, token: &str) {
        self.tokens.lock().remove(token);
        self.changes.send_modify(|count| *count += 1);
    }
}

#[async_trait]
impl Authenticator for KnownTokens {
    async fn verify(&self, token: &str) -> Result<VerifiedUser, AuthenticationError> {
        if token == "later" {
            return Err(AuthenticationError::Unavailable { message: "the provider is down".into() });
        }
        let known = self.tokens.lock().get(token).cloned();
        let user = known.ok_or_else(|| AuthenticationError::Rejected {
            code: "NoAuthProvider",
            message: "No auth provider found matching the given token".into(),
        })?;
        if user.expires_at <= SystemTime::now() {
            let message = "it has expired".into();
            return Err(AuthenticationError::Rejected { code: "TokenExpired", message });
        }
        Ok(user)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
