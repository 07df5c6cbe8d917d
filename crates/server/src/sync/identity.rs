//! Who a WebSocket acts for.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use freshet_functions::{AuthenticationError, Identity, UserIdentity};
use freshet_sync::CloseReason;
use freshet_sync::session::{AuthOutcome, Credentials as SocketCredentials};
use serde_json::{Map, Value as Json};

use crate::access::{Operation, Visitor};
use crate::edge::credentials::Credentials;
use crate::state::State;

/// A [`Visitor`], shared by the session and the calls it started.
#[derive(Clone, Debug)]
pub(super) struct SocketIdentity(pub(super) Arc<Visitor>);

impl SocketIdentity {
    /// Where every socket starts.
    pub(super) fn anonymous() -> Self {
        Self(Arc::new(Visitor::anonymous()))
    }

    /// Whether both came from the same presentation of credentials.
    pub(super) fn is_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl freshet_sync::session::Identity for SocketIdentity {
    fn expires_at(&self) -> Option<Duration> {
        let expires_at: SystemTime = self.0.expires_at?;
        Some(expires_at.duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn is_same_caller(&self, other: &Self) -> bool {
        let read_only = |visitor: &Visitor| visitor.admin.is_some_and(|admin| admin.is_read_only());
        self.0.identity == other.0.identity && read_only(&self.0) == read_only(&other.0)
    }
}

/// Why the token that an identity came from is not accepted any more. `None` while it is, for identities without a token,
/// and when that cannot be found out now.
pub(super) async fn revoked(state: &State, identity: &SocketIdentity) -> Option<String> {
    match state.services.functions.authenticate(identity.0.token.as_deref()?).await {
        Err(AuthenticationError::Rejected { message, .. }) => Some(message),
        Ok(_) | Err(AuthenticationError::Unavailable { .. }) => None,
    }
}

/// Judges what the client presented.
pub(super) async fn authenticate(state: &State, presented: SocketCredentials) -> AuthOutcome<SocketIdentity> {
    let accepted = |visitor| AuthOutcome::Accepted(SocketIdentity(Arc::new(visitor)));
    match presented {
        SocketCredentials::User { token } => match state.services.functions.authenticate(&token).await {
            Ok(user) => accepted(Visitor {
                identity: Identity::User(user.identity),
                admin: None,
                expires_at: Some(user.expires_at),
                token: Some(token.to_string().into()),
            }),
            Err(AuthenticationError::Rejected { message, .. }) => AuthOutcome::Rejected(message),
            Err(AuthenticationError::Unavailable { message }) => {
                tracing::warn!(message, "a token could not be verified");
                AuthOutcome::Failed(CloseReason::AuthProviderDiscoveryFailed)
            }
        },
        SocketCredentials::Admin { key, acting_as } => match admin(state, &key, acting_as.as_deref()) {
            Ok(visitor) => accepted(visitor),
            Err(message) => AuthOutcome::Rejected(message),
        },
    }
}

fn admin(state: &State, key: &str, acting_as: Option<&str>) -> Result<Visitor, String> {
    // A key may carry the acting user by itself, as in the `Authorization` header.
    let credentials = Credentials::from_admin_key(key).map_err(|error| error.message.into_owned())?;
    let Credentials::AdminKey { key, acting_as: in_key } = credentials else {
        return Err("Invalid admin key".to_owned());
    };
    let access = state.verify_admin_key(&key).map_err(|error| error.message.into_owned())?;
    let acting_as = match acting_as {
        Some(attributes) => Some(parse_user(attributes)?),
        None => in_key,
    };
    if acting_as.is_some() {
        access.require(Operation::ACT_AS_USER).map_err(|error| error.message.into_owned())?;
    }
    Ok(Visitor {
        identity: Identity::Admin { acting_as },
        admin: Some(access),
        expires_at: None,
        token: None,
    })
}

fn parse_user(attributes: &str) -> Result<UserIdentity, String> {
    let attributes: Map<String, Json> = serde_json::from_str(attributes)
        .map_err(|error| format!("The impersonated user is not a JSON object: {error}"))?;
    UserIdentity::from_attributes(attributes).map_err(|error| error.to_string())
}
