//! What a token says, once its signature was found right: whether it is valid now, and who its user is.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value as Json};

use crate::provider::Provider;
use crate::token::Token;

/// How far the clocks of this server and of a provider may be apart.
const LEEWAY: Duration = Duration::from_secs(5);
/// Tokens from the future are forged, or one of the clocks is badly wrong; this far may be neither.
const ISSUED_AHEAD_MAX: Duration = Duration::from_secs(5 * 60);
/// The end of the year 9999. Whatever is later is as good as this.
const EXPIRY_MAX_S: f64 = 253_402_300_799.0;

/// Claims about the token rather than the user, and those that differ between two tokens of one user: functions do not see
/// them, because a refreshed token must not change results.
const CLAIMS_OF_TOKEN: [&str; 13] = [
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "nbf",
    "iat",
    "jti",
    "auth_time",
    "nonce",
    "at_hash",
    "c_hash",
    "fva",
];
/// Those of tokens that do not follow OpenID Connect.
const CLAIMS_OF_CUSTOM_TOKEN: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "fva"];
/// Claims of OpenID Connect that are text, and what functions know them as.
const TEXTS: [(&str, &str); 14] = [
    ("name", "name"),
    ("given_name", "givenName"),
    ("family_name", "familyName"),
    ("nickname", "nickname"),
    ("preferred_username", "preferredUsername"),
    ("profile", "profileUrl"),
    ("picture", "pictureUrl"),
    ("website", "websiteUrl"),
    ("email", "email"),
    ("gender", "gender"),
    ("birthdate", "birthday"),
    ("zoneinfo", "timezone"),
    ("locale", "language"),
    ("phone_number", "phoneNumber"),
];
const FLAGS: [(&str, &str); 2] =
    [("email_verified", "emailVerified"), ("phone_number_verified", "phoneNumberVerified")];
/// Objects in claims are taken apart this deep; JSON is not read any deeper either.
const DEPTH_MAX: usize = 128;

/// Why the claims were not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("it has expired")]
    Expired,
    #[error("{0}")]
    Invalid(String),
}

/// When a token ends, as time since the Unix epoch, if it is valid at `now`.
///
/// # Errors
/// [`ClaimError`].
pub(crate) fn check(token: &Token<'_>, provider: &Provider, now: Duration) -> Result<Duration, ClaimError> {
    let invalid = |reason: &str| Err(ClaimError::Invalid(reason.to_owned()));
    if token.claims.get("sub").and_then(Json::as_str).is_none_or(str::is_empty) {
        return invalid("it does not say who its user is (claim `sub`)");
    }
    // That the right audience is among them was decided when the provider was chosen.
    if provider.is_open_id() && token.audiences().len() != 1 {
        return invalid("it is for several audiences (claim `aud`); exactly one is accepted");
    }
    // OpenID Connect knows no leeway, and a session must not outlive its token.
    let leeway = if provider.is_open_id() { Duration::ZERO } else { LEEWAY };
    let Some(expiry) = time(token, "exp")? else {
        return invalid("it does not say when it expires (claim `exp`)");
    };
    let expires_at = expiry.saturating_add(leeway);
    if now >= expires_at {
        return Err(ClaimError::Expired);
    }
    if time(token, "nbf")?.is_some_and(|begins| begins > now.saturating_add(LEEWAY)) {
        return invalid("it is not valid yet (claim `nbf`)");
    }
    if time(token, "iat")?.is_some_and(|issued| issued > now.saturating_add(ISSUED_AHEAD_MAX)) {
        return invalid(
            "it was issued in the future (claim `iat`); compare the clocks of server and provider",
        );
    }
    Ok(expires_at)
}

/// A claim in seconds since the Unix epoch, fractions allowed.
fn time(token: &Token<'_>, name: &str) -> Result<Option<Duration>, ClaimError> {
    match token.claims.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(seconds) if seconds >= 0.0 => Ok(Some(Duration::from_secs_f64(seconds.min(EXPIRY_MAX_S)))),
            _ => Err(ClaimError::Invalid(format!("its claim `{name}` is not a time"))),
        },
    }
}

/// The user as functions see them.
pub(crate) fn attributes(token: &Token<'_>, provider: &Provider) -> Map<String, Json> {
    let claims = &token.claims;
    let mut attributes =
        if provider.is_open_id() { open_id_attributes(claims) } else { custom_attributes(claims) };
    // Last: nothing that a token says besides may take their place.
    let text = |name: &str| claims.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let (issuer, subject) = (text("iss"), text("sub"));
    attributes.insert("tokenIdentifier".to_owned(), Json::String(format!("{issuer}|{subject}")));
    attributes.insert("issuer".to_owned(), Json::String(issuer));
    attributes.insert("subject".to_owned(), Json::String(subject));
    attributes
}

fn open_id_attributes(claims: &Map<String, Json>) -> Map<String, Json> {
    let is_standard = |name: &str| {
        CLAIMS_OF_TOKEN.contains(&name)
            || TEXTS.iter().chain(&FLAGS).any(|(claim, _)| *claim == name)
            || matches!(name, "address" | "updated_at")
    };
    let mut attributes: Map<String, Json> = claims
        .iter()
        .filter(|(name, _)| !is_standard(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (claim, attribute) in TEXTS {
        if let Some(text @ Json::String(_)) = claims.get(claim) {
            attributes.insert(attribute.to_owned(), text.clone());
        }
    }
    for (claim, attribute) in FLAGS {
        if let Some(flag) = claims.get(claim).and_then(flag) {
            attributes.insert(attribute.to_owned(), Json::Bool(flag));
        }
    }
    if let Some(address) = claims.get("address").and_then(|address| address["formatted"].as_str()) {
        attributes.insert("address".to_owned(), address.into());
    }
    if let Some(updated_at) = claims.get("updated_at").and_then(rfc3339) {
        attributes.insert("updatedAt".to_owned(), Json::String(updated_at));
    }
    attributes
}

/// Some providers write truth as text.
fn flag(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(flag) => Some(*flag),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Seconds since the Unix epoch, or what some providers send instead: the text already.
fn rfc3339(value: &Json) -> Option<String> {
    let time = match value {
        Json::String(text) => DateTime::parse_from_rfc3339(text).ok()?.to_utc(),
        value => {
            let seconds = value.as_f64().filter(|seconds| seconds.abs() <= EXPIRY_MAX_S)?;
            DateTime::from_timestamp_millis((seconds * 1000.0) as i64)?
        }
    };
    Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, false))
}

/// Claims under their own names, objects flattened with dots.
fn custom_attributes(claims: &Map<String, Json>) -> Map<String, Json> {
    let mut attributes = Map::new();
    for (name, value) in claims.iter().filter(|(name, _)| !CLAIMS_OF_CUSTOM_TOKEN.contains(&name.as_str())) {
        flatten(name, value, DEPTH_MAX, &mut attributes);
    }
    attributes
}

fn flatten(name: &str, value: &Json, depth: usize, into: &mut Map<String, Json>) {
    match value {
        Json::Object(fields) if depth > 0 => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, depth - 1, into);
            }
        }
        value => {
            into.insert(name.to_owned(), value.clone());
        }
    }
}
