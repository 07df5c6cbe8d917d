//! Who a call is made by.
//!
//! This module holds identities; it verifies nothing. Tokens are verified by an [`crate::Authenticator`].

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

/// Who a call is made by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Nobody in particular.
    Anonymous,
    /// A user whose token was verified.
    User(UserIdentity),
    /// Somebody who presented a token that could not be verified. Calls are anonymous, except that asking for the
    /// identity fails with this text.
    Unverified(Arc<str>),
    /// A holder of an admin key.
    Admin {
        /// The user that the admin asked to be seen as.
        acting_as: Option<UserIdentity>,
    },
    /// The server itself: scheduled functions and crons.
    System,
}

impl Identity {
    /// Whether internal functions, functions of components and the server's own functions may be called.
    pub fn may_call_internal(&self) -> bool {
        matches!(self, Identity::Admin { .. } | Identity::System)
    }

    /// Whether the server's own functions (`_system/...`) may be called.
    pub fn is_admin(&self) -> bool {
        self.may_call_internal()
    }

    /// The user that functions see.
    pub fn user(&self) -> Option<&UserIdentity> {
        match self {
            Identity::User(user) | Identity::Admin { acting_as: Some(user) } => Some(user),
            _ => None,
        }
    }

    /// The word used in the log stream.
    pub fn log_name(&self) -> &'static str {
        match self {
            Identity::Anonymous | Identity::Unverified(_) => "unknown",
            Identity::User(_) => "user",
            Identity::Admin { acting_as: None } => "instance_admin",
            Identity::Admin { acting_as: Some(_) } => "member_acting_user",
            Identity::System => "system",
        }
    }
}

/// Attributes of a user as functions see them. Two tokens of one user with the same attributes are equal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UserIdentity {
    token_identifier: Arc<str>,
    /// JSON text of all attributes, keys sorted: the reply of `getUserIdentity`, and what equality means.
    attributes: Arc<str>,
}

impl UserIdentity {
    /// Takes attributes as they are to appear: `tokenIdentifier`, `issuer`, `subject`, `name`, ...
    ///
    /// # Errors
    /// When there is neither a `tokenIdentifier` nor both `issuer` and `subject`.
    pub fn from_attributes(mut attributes: Map<String, Json>) -> Result<Self, IdentityError> {
        let text = |attributes: &Map<String, Json>, key: &str| {
            attributes.get(key).and_then(Json::as_str).map(str::to_owned)
        };
        let token_identifier = match text(&attributes, "tokenIdentifier") {
            Some(token_identifier) => token_identifier,
            None => match (text(&attributes, "issuer"), text(&attributes, "subject")) {
                (Some(issuer), Some(subject)) => format!("{issuer}|{subject}"),
                _ => return Err(IdentityError),
            },
        };
        // The documented pair is always present, also when only the combined form was given.
        if let Some((issuer, subject)) = token_identifier.split_once('|') {
            let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
            attributes.entry("issuer").or_insert(Json::String(issuer));
            attributes.entry("subject").or_insert(Json::String(subject));
        }
        attributes.insert("tokenIdentifier".into(), Json::String(token_identifier.clone()));
        attributes.retain(|_, value| !value.is_null());
        Ok(Self {
            token_identifier: token_identifier.into(),
            attributes: Json::Object(attributes).to_string().into(),
        })
    }

    /// `issuer|subject`.
    pub fn token_identifier(&self) -> &str {
        &self.token_identifier
    }

    /// JSON text of all attributes with sorted keys.
    pub fn attributes_json(&self) -> &str {
        &self.attributes
    }
}

impl fmt::Debug for UserIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Attributes are personal data: they do not belong in logs.
        f.debug_tuple("UserIdentity").field(&self.token_identifier).finish()
    }
}

/// Identity attributes that identify nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user identity needs `tokenIdentifier`, or both `issuer` and `subject`")]
pub struct IdentityError;

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(json: &str) -> Map<String, Json> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn issuer_and_subject_make_the_token_identifier() {
        let user =
            UserIdentity::from_attributes(attributes(r#"{"subject":"s","issuer":"https://i"}"#)).unwrap();
        assert_eq!(user.token_identifier(), "https://i|s");
        assert_eq!(
            user.attributes_json(),
            r#"{"issuer":"https://i","subject":"s","tokenIdentifier":"https://i|s"}"#
        );
    }

    #[test]
    fn attributes_that_name_nobody_are_refused() {
        assert_eq!(UserIdentity::from_attributes(attributes(r#"{"issuer":"i"}"#)), Err(IdentityError));
    }
}
