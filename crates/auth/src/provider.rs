//! The authentication providers of an app, as `auth.config.ts` names them.

use std::sync::Arc;

use data_url::DataUrl;
use serde_json::{Value as Json, json};
use url::Url;

use crate::key_set::KeySet;
use crate::signature::Algorithm;
use crate::token::Token;

/// An issuer that WorkOS shares between all its customers: accepting it without an audience accepts everybody.
const SHARED_WORKOS_ISSUER: &str = "https://api.workos.com";
/// Bytes of a URL.
const URL_BYTES_MAX: usize = 8 << 10;
/// Bytes of a key set that is written into the configuration.
const DATA_BYTES_MAX: usize = 256 << 10;

/// Somebody whose tokens the app accepts.
#[derive(Clone, Debug)]
pub struct Provider {
    /// As configured, with a scheme.
    issuer: String,
    /// The audience that tokens must be for.
    application_id: Option<String>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Publishes what it does by OpenID Connect Discovery.
    OpenId,
    /// Says where its keys are, and how it signs.
    CustomJwt { keys: KeyPlace, algorithm: Algorithm },
}

/// Where a [`Kind::CustomJwt`] has its keys.
#[derive(Clone, Debug)]
enum KeyPlace {
    Url(Url),
    /// Written into the configuration, as a `data:` URI.
    Inline {
        uri: String,
        keys: Arc<KeySet>,
    },
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyLocation {
    /// From what this issuer's discovery document names.
    Discovery { issuer: String },
    /// From here.
    Jwks { url: Url },
}

/// Where a provider's keys are to be found.
#[derive(Debug)]
pub(crate) enum Keys<'a> {
    Inline(&'a Arc<KeySet>),
    Fetched(KeyLocation),
}

/// What is wrong with the configuration of a provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// The code that the command line client prints.
    pub code: &'static str,
    /// Text for people.
    pub message: String,
}

impl Provider {
    /// Reads one element of the configuration's `providers`.
    ///
    /// # Errors
    /// `AuthConfigNotMatchingSchemaError`, `InvalidProviderDomainUrl` or `InsecureConfiguration`.
    pub fn from_json(provider: &Json) -> Result<Self, ProviderError> {
        let text = |name: &str| provider[name].as_str();
        match provider.get("type").map(Json::as_str) {
            Some(Some("customJwt")) => {
                let (Some(issuer), Some(jwks), Some(algorithm)) =
                    (text("issuer"), text("jwks"), text("algorithm").and_then(custom_algorithm))
                else {
                    return Err(mismatch());
                };
                let application_id = match &provider["applicationID"] {
                    Json::Null => None,
                    Json::String(id) => Some(id.clone()),
                    _ => return Err(mismatch()),
                };
                let issuer = with_scheme(issuer)?;
                if application_id.is_none() && issuer.trim_end_matches('/') == SHARED_WORKOS_ISSUER {
                    return Err(ProviderError {
                        code: "InsecureConfiguration",
                        message: format!(
                            "The issuer {SHARED_WORKOS_ISSUER} is shared by all WorkOS applications. Set \
                             `applicationID` for this provider, or tokens of other applications would be accepted."
                        ),
                    });
                }
                let keys = KeyPlace::parse(jwks)?;
                Ok(Self { issuer, application_id, kind: Kind::CustomJwt { keys, algorithm } })
            }
            None | Some(Some("oidc")) => {
                let (Some(domain), Some(application_id)) = (text("domain"), text("applicationID")) else {
                    return Err(mismatch());
                };
                Ok(Self {
                    issuer: with_scheme(domain)?,
                    application_id: Some(application_id.to_owned()),
                    kind: Kind::OpenId,
                })
            }
            Some(_) => Err(mismatch()),
        }
    }

    /// The provider in the shape that clients and the command line know, from which it can be read again.
    pub fn to_json(&self) -> Json {
        match &self.kind {
            Kind::OpenId => json!({ "applicationID": self.application_id, "domain": self.issuer }),
            Kind::CustomJwt { keys, algorithm } => json!({
                "type": "customJwt",
                "applicationID": self.application_id,
                "issuer": self.issuer,
                "jwks": keys.as_str(),
                "algorithm": algorithm.name(),
            }),
        }
    }

    /// Whether a token with such claims is this provider's to judge.
    pub(crate) fn is_of(&self, token: &Token<'_>) -> bool {
        let is_for_app = self.application_id.as_deref().is_none_or(|id| token.audiences().contains(&id));
        is_for_app && normalized(token.issuer()) == normalized(&self.issuer)
    }

    /// The issuer, as configured.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn application_id(&self) -> Option<&str> {
        self.application_id.as_deref()
    }

    /// The ways of signing that are accepted.
    pub(crate) fn algorithms(&self) -> &[Algorithm] {
        match &self.kind {
            Kind::OpenId => &[Algorithm::Rs256, Algorithm::EdDsa],
            Kind::CustomJwt { algorithm, .. } => std::slice::from_ref(algorithm),
        }
    }

    /// Whether claims are those of OpenID Connect, with names that are translated.
    pub(crate) fn is_open_id(&self) -> bool {
        matches!(self.kind, Kind::OpenId)
    }

    pub(crate) fn keys(&self) -> Keys<'_> {
        match &self.kind {
            Kind::OpenId => Keys::Fetched(KeyLocation::Discovery { issuer: normalized(&self.issuer) }),
            Kind::CustomJwt { keys: KeyPlace::Url(url), .. } => {
                Keys::Fetched(KeyLocation::Jwks { url: url.clone() })
            }
            Kind::CustomJwt { keys: KeyPlace::Inline { keys, .. }, .. } => Keys::Inline(keys),
        }
    }
}

impl KeyPlace {
    fn parse(jwks: &str) -> Result<Self, ProviderError> {
        if !jwks.starts_with("data:") {
            let text = with_scheme(jwks)?;
            return match Url::parse(&text) {
                Ok(url) => Ok(KeyPlace::Url(url)),
                Err(_) => Err(invalid_url(jwks)),
            };
        }
        let bad = |reason: &dyn std::fmt::Display| ProviderError {
            code: "AuthConfigNotMatchingSchemaError",
            message: format!("The `data:` URI of a provider's `jwks` cannot be used: {reason}."),
        };
        if jwks.len() > DATA_BYTES_MAX {
            return Err(bad(&format_args!("it is longer than {DATA_BYTES_MAX} bytes")));
        }
        let url = DataUrl::process(jwks).map_err(|_| bad(&"it is malformed"))?;
        let (body, _) = url.decode_to_vec().map_err(|_| bad(&"its base64 is malformed"))?;
        let keys = KeySet::parse(&body).map_err(|error| bad(&error))?;
        Ok(KeyPlace::Inline { uri: jwks.to_owned(), keys: Arc::new(keys) })
    }

    fn as_str(&self) -> &str {
        match self {
            KeyPlace::Url(url) => url.as_str(),
            KeyPlace::Inline { uri, .. } => uri,
        }
    }
}

fn custom_algorithm(name: &str) -> Option<Algorithm> {
    Algorithm::from_name(name).filter(|algorithm| matches!(algorithm, Algorithm::Rs256 | Algorithm::Es256))
}

/// An issuer as it is compared: with a scheme and without slashes at its end.
pub(crate) fn normalized(issuer: &str) -> String {
    let issuer = issuer.trim_end_matches('/');
    if issuer.starts_with("https://") || issuer.starts_with("http://") {
        issuer.to_owned()
    } else {
        format!("https://{issuer}")
    }
}

/// The URL of a provider; `https` is meant where it says nothing.
fn with_scheme(text: &str) -> Result<String, ProviderError> {
    let invalid = || invalid_url(text);
    if text.len() > URL_BYTES_MAX || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(invalid());
    }
    let has_scheme = text.contains("://");
    let full = if has_scheme { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&full).map_err(|_| invalid())?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let is_host = has_scheme || host == "localhost" || host.trim_matches('.').contains('.');
    if matches!(url.scheme(), "http" | "https") && is_plain && is_host { Ok(full) } else { Err(invalid()) }
}

fn invalid_url(text: &str) -> ProviderError {
    ProviderError {
        code: "InvalidProviderDomainUrl",
        message: format!(
            "Invalid provider domain URL \"{}\": it must be the http(s) URL of the issuer.",
            crate::error::excerpt(text)
        ),
    }
}

fn mismatch() -> ProviderError {
    ProviderError {
        code: "AuthConfigNotMatchingSchemaError",
        message: "auth config file must export an object with a list of providers, each with `domain` and \
                  `applicationID`, or with `type: \"customJwt\"`, `issuer`, `jwks` and `algorithm` (RS256 or ES256)."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &Json) -> Result<Json, &'static str> {
        Provider::from_json(json).map(|provider| provider.to_json()).map_err(|error| error.code)
    }

    fn custom(jwks: &str) -> Json {
        json!({"type": "customJwt", "issuer": "https://i", "jwks": jwks, "algorithm": "ES256"})
    }

    #[test]
    fn both_shapes_are_read() {
        let oidc = json!({"applicationID": "a", "domain": "https://issuer.example.com"});
        assert_eq!(read(&oidc), Ok(oidc.clone()));
        let custom = custom("https://i/jwks?v=1");
        assert_eq!(
            read(&custom),
            Ok(json!({"type": "customJwt", "applicationID": null, "issuer": "https://i",
                      "jwks": "https://i/jwks?v=1", "algorithm": "ES256"}))
        );
    }

    #[test]
    fn a_domain_without_a_scheme_is_meant_with_https() {
        let domain = |domain: &str| {
            read(&json!({"domain": domain, "applicationID": "a"})).map(|read| read["domain"].clone())
        };
        assert_eq!(domain("issuer.example.com/").unwrap(), "https://issuer.example.com/");
        assert_eq!(domain("localhost:3211").unwrap(), "https://localhost:3211");
        assert_eq!(domain("http://127.0.0.1:3211").unwrap(), "http://127.0.0.1:3211");
        assert_eq!(domain("http://issuer").unwrap(), "http://issuer");
        for bad in [
            "issuer",
            "ftp://x.com",
            "",
            "https://",
            "a b.com",
            "https://a b",
            "x.com:99999",
            "https://u:p@x.com",
            "https://x.com/#f",
            "javascript:alert(1)",
        ] {
            assert_eq!(domain(bad).unwrap_err(), "InvalidProviderDomainUrl", "{bad}");
        }
    }

    #[test]
    fn anything_else_does_not_match() {
        for bad in [
            json!({}),
            json!(null),
            json!("https://issuer.example.com"),
            json!({"type": "x"}),
            json!({"type": 1, "domain": "https://x.com", "applicationID": "a"}),
            json!({"domain": 1, "applicationID": "a"}),
            json!({"domain": "https://x.com"}),
            json!({"type": "customJwt", "issuer": "https://i", "jwks": "https://j", "algorithm": "HS256"}),
            json!({"type": "customJwt", "issuer": "https://i", "jwks": "https://j", "algorithm": "EdDSA"}),
            json!({"type": "customJwt", "issuer": "https://i", "jwks": "https://j", "algorithm": "RS256",
                   "applicationID": 1}),
        ] {
            assert_eq!(read(&bad).unwrap_err(), "AuthConfigNotMatchingSchemaError", "{bad}");
        }
    }

    #[test]
    fn the_shared_workos_issuer_needs_an_audience() {
        let provider = json!({"type": "customJwt", "issuer": "https://api.workos.com/", "jwks": "https://j",
                              "algorithm": "RS256"});
        assert_eq!(read(&provider).unwrap_err(), "InsecureConfiguration");
    }

    #[test]
    fn keys_may_be_written_into_the_configuration() {
        for good in [
            r#"data:application/json,{"keys":[]}"#,
            "data:text/plain;charset=utf-8;base64,eyJrZXlzIjpbXX0=",
            "data:application/json,%7B%22keys%22%3A%5B%5D%7D",
        ] {
            assert_eq!(read(&custom(good)).unwrap()["jwks"], good);
        }
        for bad in ["data:", "data:application/json,{}", "data:;base64,%%%", "data:application/json,nothing"]
        {
            assert_eq!(read(&custom(bad)).unwrap_err(), "AuthConfigNotMatchingSchemaError", "{bad}");
        }
    }

    #[test]
    fn issuers_are_compared_without_slashes_at_the_end() {
        assert_eq!(normalized("accounts.example.com"), "https://accounts.example.com");
        assert_eq!(normalized("https://x.example.com/"), normalized("https://x.example.com"));
        assert_ne!(normalized("http://x.example.com"), normalized("https://x.example.com"));
        assert_ne!(normalized("https://x.example.com/a"), normalized("https://x.example.com"));
    }
}
