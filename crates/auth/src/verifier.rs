//! From a token to a user: the one way in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Map, Value as Json};

use crate::claims::{self, ClaimError};
use crate::clock::Clock;
use crate::error::{Rejection, VerifyError, excerpt};
use crate::fetch::Fetch;
use crate::key_source::{FoundKeys, KeyError, KeySource};
use crate::provider::{KeyLocation, Keys, Provider};
use crate::signature::{self, Algorithm, SignatureError};
use crate::token::Token;

/// Providers that a message lists.
const PROVIDERS_LISTED_MAX: usize = 8;

/// A token that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedToken {
    /// The user as functions see it: `tokenIdentifier`, `issuer`, `subject`, `name`, ...
    pub attributes: Map<String, Json>,
    /// When the token expires, as time since the Unix epoch.
    pub expires_at: Duration,
}

/// Verifies tokens, and keeps the keys of the providers that it met.
pub struct Verifier {
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    /// Bounded by the number of configured providers.
    sources: Mutex<HashMap<KeyLocation, Arc<KeySource>>>,
}

impl Verifier {
    /// A verifier without any keys; it fetches them when the first token needs them.
    pub fn new(fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self { fetch, clock, sources: Mutex::default() }
    }

    /// The user that a token stands for, if one of `providers` has issued it.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub async fn verify(&self, token: &str, providers: &[Provider]) -> Result<VerifiedToken, VerifyError> {
        let token = Token::parse(token)?;
        let provider = providers
            .iter()
            .find(|provider| provider.is_of(&token))
            .ok_or_else(|| no_provider(&token, providers))?;
        let invalid = |reason: &dyn std::fmt::Display| Rejection::Invalid {
            issuer: provider.issuer().to_owned(),
            reason: reason.to_string(),
        };
        let algorithm =
            signature::algorithm(&token, provider.algorithms()).map_err(|error| invalid(&error))?;
        // Before the signature: no key has to be fetched for a token that is of no use anyway.
        let expires_at = claims::check(&token, provider, self.clock.unix()).map_err(|error| match error {
            ClaimError::Expired => Rejection::Expired { issuer: provider.issuer().to_owned() },
            ClaimError::Invalid(reason) => invalid(&reason),
        })?;
        let FoundKeys { keys, missed } = self.keys(provider, providers, algorithm, &token).await?;
        match (signature::check(&token, algorithm, &keys), missed) {
            (Ok(()), _) => {}
            // A newer set of keys, which could not be fetched, may have it.
            (Err(SignatureError::UnknownKey(_)), Some(error)) => return Err(key_error(provider, error)),
            (Err(error), _) => return Err(invalid(&error).into()),
        }
        Ok(VerifiedToken { attributes: claims::attributes(&token, provider), expires_at })
    }

    async fn keys(
        &self,
        provider: &Provider,
        providers: &[Provider],
        algorithm: Algorithm,
        token: &Token<'_>,
    ) -> Result<FoundKeys, VerifyError> {
        match provider.keys() {
            Keys::Inline(keys) => Ok(FoundKeys { keys: Arc::clone(keys), missed: None }),
            Keys::Fetched(location) => {
                let source = self.source(location, providers);
                let found = source.keys(algorithm, token.key_id.as_deref()).await;
                found.map_err(|error| key_error(provider, error))
            }
        }
    }

    /// The source at a location. Those of providers that are not configured any more are forgotten.
    fn source(&self, location: KeyLocation, providers: &[Provider]) -> Arc<KeySource> {
        let mut sources = self.sources.lock();
        if let Some(source) = sources.get(&location) {
            return Arc::clone(source);
        }
        let used = |location: &KeyLocation| {
            providers
                .iter()
                .any(|provider| matches!(provider.keys(), Keys::Fetched(used) if used == *location))
        };
        sources.retain(|location, _| used(location));
        let source =
            Arc::new(KeySource::new(location.clone(), Arc::clone(&self.fetch), Arc::clone(&self.clock)));
        sources.insert(location, Arc::clone(&source));
        source
    }
}

fn key_error(provider: &Provider, error: KeyError) -> VerifyError {
    let provider = provider.issuer().to_owned();
    match error {
        KeyError::Unavailable(reason) => VerifyError::Unavailable { provider, reason },
        KeyError::Broken(reason) => Rejection::Discovery { provider, reason }.into(),
    }
}

fn no_provider(token: &Token<'_>, providers: &[Provider]) -> Rejection {
    let audiences = token.audiences();
    let audience = match audiences.as_slice() {
        [] => "no audience".to_owned(),
        audiences => format!("audience \"{}\"", excerpt(&audiences.join("\", \""))),
    };
    let listed: Vec<String> = providers
        .iter()
        .take(PROVIDERS_LISTED_MAX)
        .map(|provider| match provider.application_id() {
            Some(id) => format!("{} for \"{id}\"", provider.issuer()),
            None => format!("{} for any audience", provider.issuer()),
        })
        .collect();
    let more = if providers.len() > PROVIDERS_LISTED_MAX { ", ..." } else { "" };
    let configured = match listed.as_slice() {
        [] => "No providers are configured.".to_owned(),
        listed => format!("Configured are: {}{more}.", listed.join(", ")),
    };
    Rejection::NoProvider { token: format!("issuer \"{}\", {audience}", excerpt(token.issuer())), configured }
}
