//! How users' tokens become identities: [`Authenticator`] is what every door asks, [`ProviderAuthenticator`] answers with
//! the providers that are deployed.
//!
//! Whether a token is genuine is decided in `freshet-auth`; this file knows which providers count at the moment.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use freshet_auth::{Fetch, Provider, SystemClock, Verifier, VerifyError};
use freshet_database::{Database, ReadSet, Transaction};
use freshet_values::Timestamp;
use serde_json::Value as Json;
use tokio::sync::{Notify, watch};

use crate::call_error::CallError;
use crate::deployment::Deployment;
use crate::identity::UserIdentity;
use crate::remembered::Remembered;
use crate::syscalls::system_failure;

/// Pause before another look at a database that could not be read.
const LOOK_AGAIN_PAUSE: Duration = Duration::from_secs(1);

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
    /// The token itself, or the app's configuration, is at fault: 401, or an `AuthError` on a WebSocket.
    #[error("{message}")]
    Rejected {
        /// `NoAuthProvider`, `InvalidAuthHeader`, `Unauthenticated`, `TokenExpired` or `AuthProviderDiscoveryFailed`.
        code: &'static str,
        /// Text for people.
        message: String,
    },
    /// It could not be decided; the same token may be accepted later.
    #[error("{message}")]
    Unavailable {
        /// Text for people.
        message: String,
    },
}

/// Verifies users' tokens.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// The user that a token stands for.
    ///
    /// # Errors
    /// [`AuthenticationError`].
    async fn verify(&self, token: &str) -> Result<VerifiedUser, AuthenticationError>;

    /// Changes whenever tokens that were accepted may not be any more, or the other way round.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// Verifies tokens against the providers of the deployed `auth.config.ts`.
pub struct ProviderAuthenticator {
    database: Database,
    providers: Arc<Remembered<Arc<[Provider]>>>,
    verifier: Verifier,
    changes: watch::Receiver<u64>,
}

impl ProviderAuthenticator {
    /// An authenticator over the configuration in `database`, which it follows on the current tokio runtime. Providers'
    /// keys come through `fetch`, which is not used before there is a provider and a token of it.
    pub fn new(database: Database, fetch: Arc<dyn Fetch>) -> Self {
        let (sender, changes) = watch::channel(0);
        tokio::spawn(follow(database.clone(), look_at(&database), sender));
        let verifier = Verifier::new(fetch, Arc::new(SystemClock::default()));
        Self { database, providers: Arc::default(), verifier, changes }
    }

    /// The providers that count at this moment.
    async fn providers(&self) -> Result<Arc<[Provider]>, CallError> {
        let (database, remembered) = (self.database.clone(), Arc::clone(&self.providers));
        tokio::task::spawn_blocking(move || {
            let mut transaction = database.begin().map_err(system_failure)?;
            remembered.get(&database, &mut transaction, |reading| {
                Ok(Deployment::auth_providers(reading)?.iter().filter_map(stored_provider).collect())
            })
        })
        .await
        .map_err(|error| CallError::internal(&error))?
    }
}

#[async_trait]
impl Authenticator for ProviderAuthenticator {
    async fn verify(&self, token: &str) -> Result<VerifiedUser, AuthenticationError> {
        let providers = self.providers().await.map_err(|error| {
            tracing::error!(%error, "the auth providers cannot be read");
            AuthenticationError::Unavailable { message: error.message }
        })?;
        let verified = self.verifier.verify(token, &providers).await.map_err(|error| match error {
            VerifyError::Rejected(rejection) => {
                AuthenticationError::Rejected { code: rejection.code(), message: rejection.to_string() }
            }
            unavailable @ VerifyError::Unavailable { .. } => {
                AuthenticationError::Unavailable { message: unavailable.to_string() }
            }
        })?;
        let identity = UserIdentity::from_attributes(verified.attributes).map_err(|error| {
            AuthenticationError::Rejected { code: "Unauthenticated", message: error.to_string() }
        })?;
        Ok(VerifiedUser { identity, expires_at: UNIX_EPOCH + verified.expires_at })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

/// What another version of this server stored may not be understood; the other providers work all the same.
fn stored_provider(json: &Json) -> Option<Provider> {
    match Provider::from_json(json) {
        Ok(provider) => Some(provider),
        Err(error) => {
            tracing::error!(%error, "a deployed auth provider cannot be used; deploy the app again");
            None
        }
    }
}

/// What to compare with, and how to hear that it is worth it.
type Look = (Vec<Json>, Arc<ReadSet>, Timestamp);

/// Counts the changes of the configuration since `first`, for as long as somebody wants to know.
async fn follow(database: Database, first: Result<Look, CallError>, changes: watch::Sender<u64>) {
    let mut known = first.as_ref().ok().map(|(providers, ..)| providers.clone());
    let mut look = first;
    loop {
        match look {
            Ok((providers, reads, ts)) => {
                if known.as_ref() != Some(&providers) {
                    changes.send_modify(|count| *count += 1);
                    known = Some(providers);
                }
                let woken = Arc::new(Notify::new());
                let notify = Arc::clone(&woken);
                let subscription = database.subscribe(reads, ts, Arc::new(move || notify.notify_one()));
                // Of what was written since the look nobody is woken.
                if subscription.is_valid() {
                    tokio::select! {
                        () = woken.notified() => {}
                        () = changes.closed() => return,
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the auth providers cannot be read");
                tokio::select! {
                    () = tokio::time::sleep(LOOK_AGAIN_PAUSE) => {}
                    () = changes.closed() => return,
                }
            }
        }
        let reading = database.clone();
        look = tokio::task::spawn_blocking(move || look_at(&reading))
            .await
            .unwrap_or_else(|error| Err(CallError::internal(&error)));
    }
}

fn look_at(database: &Database) -> Result<Look, CallError> {
    let mut transaction: Transaction = database.begin().map_err(system_failure)?;
    let providers = Deployment::auth_providers(&mut transaction)?;
    Ok((providers, Arc::new(transaction.read_set().clone()), transaction.snapshot_ts()))
}
