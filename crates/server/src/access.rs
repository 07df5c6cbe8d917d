//! From credentials to identities, and which identities may use the administrative part of the API.

use std::sync::Arc;
use std::time::SystemTime;

use axum::http::StatusCode;
use freshet_functions::{AuthenticationError, Identity};
use freshet_instance::AdminKeyClaims;

use crate::edge::credentials::Credentials;
use crate::edge::error::ApiError;
use crate::state::State;

/// A holder of a valid admin key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdminAccess {
    claims: AdminKeyClaims,
}

/// What an administrative endpoint does, for keys that may not do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// The name in the refusal.
    pub(crate) name: &'static str,
    /// Whether read-only keys may do it.
    pub(crate) read_only: bool,
}

impl Operation {
    const fn read(name: &'static str) -> Self {
        Self { name, read_only: true }
    }
    const fn write(name: &'static str) -> Self {
        Self { name, read_only: false }
    }

    pub(crate) const DEPLOY: Self = Self::write("deployment:deploy");
    pub(crate) const ENV_VIEW: Self = Self::read("env:view");
    pub(crate) const ENV_WRITE: Self = Self::write("env:write");
    pub(crate) const LOGS_VIEW: Self = Self::read("logs:view");
    pub(crate) const METRICS_VIEW: Self = Self::read("metrics:view");
    pub(crate) const DATA_VIEW: Self = Self::read("data:view");
    pub(crate) const DATA_WRITE: Self = Self::write("data:write");
    pub(crate) const RUN_MUTATIONS: Self = Self::write("runInternalMutations");
    pub(crate) const ACT_AS_USER: Self = Self::write("functions:actAsUser");
    pub(crate) const RUN_ACTIONS: Self = Self::write("runInternalActions");
}

impl AdminAccess {
    /// # Errors
    /// 403 `OperationNotPermitted`, whose text the command line recognises by its beginning.
    pub(crate) fn require(self, operation: Operation) -> Result<(), ApiError> {
        if self.claims.read_only && !operation.read_only {
            return Err(ApiError::forbidden(
                "OperationNotPermitted",
                format!("You do not have permission to perform this operation ({}).", operation.name),
            ));
        }
        Ok(())
    }

    /// Whether the key may only look.
    pub(crate) fn is_read_only(self) -> bool {
        self.claims.read_only
    }
}

/// Who is calling a function.
#[derive(Clone)]
pub(crate) struct Visitor {
    /// As functions see it.
    pub(crate) identity: Identity,
    /// Present for holders of an admin key.
    pub(crate) admin: Option<AdminAccess>,
    /// When a user's token expires.
    pub(crate) expires_at: Option<SystemTime>,
    /// The user's token as presented, for functions that pass it on.
    pub(crate) token: Option<Arc<str>>,
}

/// The token is left out: it does not belong in logs.
impl std::fmt::Debug for Visitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { identity, admin, expires_at, token: _ } = self;
        f.debug_struct("Visitor")
            .field("identity", identity)
            .field("admin", admin)
            .field("expires_at", expires_at)
            .finish_non_exhaustive()
    }
}

impl Visitor {
    /// Nobody in particular.
    pub(crate) fn anonymous() -> Self {
        Self { identity: Identity::Anonymous, admin: None, expires_at: None, token: None }
    }
}

impl State {
    /// Checks an admin key.
    ///
    /// # Errors
    /// 401 `BadAdminKey`.
    pub(crate) fn verify_admin_key(&self, key: &str) -> Result<AdminAccess, ApiError> {
        match self.services.admin_keys.verify(key) {
            Ok(claims) => Ok(AdminAccess { claims }),
            Err(error) => Err(ApiError::unauthenticated("BadAdminKey", error.to_string())),
        }
    }

    /// Identifies the caller of a function.
    ///
    /// # Errors
    /// 401 `BadAdminKey`; 403 `OperationNotPermitted` for a read-only key that wants to act as a user; 401 with the
    /// authenticator's code for a rejected token; 503 when tokens cannot be verified now.
    pub(crate) async fn identify(&self, credentials: Credentials) -> Result<Visitor, ApiError> {
        match credentials {
            Credentials::None => Ok(Visitor::anonymous()),
            Credentials::AdminKey { key, acting_as } => {
                let access = self.verify_admin_key(&key)?;
                if acting_as.is_some() {
                    access.require(Operation::ACT_AS_USER)?;
                }
                Ok(Visitor {
                    identity: Identity::Admin { acting_as },
                    admin: Some(access),
                    expires_at: None,
                    token: None,
                })
            }
            Credentials::Bearer(token) => match self.services.functions.authenticate(&token).await {
                Ok(user) => Ok(Visitor {
                    identity: Identity::User(user.identity),
                    admin: None,
                    expires_at: Some(user.expires_at),
                    token: Some(token.into()),
                }),
                Err(AuthenticationError::Rejected { code, message }) => {
                    Err(ApiError::unauthenticated(code, message))
                }
                Err(AuthenticationError::Unavailable { message }) => Err(ApiError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "AuthProviderDiscoveryFailed",
                    message,
                )),
            },
        }
    }

    /// Lets holders of an admin key pass.
    ///
    /// # Errors
    /// 401 `BadAdminKey` for a key that is not ours, 403 `BadDeployKey` for anybody else, 403
    /// `OperationNotPermitted` for a key that may not do this.
    pub(crate) fn require_admin(
        &self,
        credentials: &Credentials,
        operation: Operation,
    ) -> Result<AdminAccess, ApiError> {
        let access = self.require_any_admin(credentials)?;
        access.require(operation)?;
        Ok(access)
    }

    /// As [`State::require_admin`], whatever the key may do.
    pub(crate) fn require_any_admin(&self, credentials: &Credentials) -> Result<AdminAccess, ApiError> {
        match credentials {
            Credentials::AdminKey { key, .. } => self.verify_admin_key(key),
            Credentials::Bearer(_) => {
                Err(bad_deploy_key(&format!("deployment '{}'", self.config.instance_name)))
            }
            Credentials::None => Err(bad_deploy_key("this deployment")),
        }
    }
}

fn bad_deploy_key(deployment: &str) -> ApiError {
    ApiError::forbidden(
        "BadDeployKey",
        format!(
            "The provided deploy key was invalid for {deployment}. Check that the key is the admin key of this \
             very instance and environment."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_printed() {
        let visitor = Visitor { token: Some("secret".into()), ..Visitor::anonymous() };
        assert!(!format!("{visitor:?}").contains("secret"));
    }
}
