//! The app's authentication providers, read from what `auth.config.js` exports.
//!
//! Says which tokens would be accepted; verifying tokens happens elsewhere.

use serde_json::{Value as Json, json};

use super::error::PushError;

/// An issuer that WorkOS shares between all its customers: accepting it without an audience accepts everybody.
const SHARED_WORKOS_ISSUER: &str = "https://api.workos.com";

/// Reads the JSON text of the module's default export, `{"providers": [...]}`, into providers of one of the two
/// documented shapes.
///
/// # Errors
/// What is wrong with the first bad provider.
pub(super) fn parse(export: &str) -> Result<Vec<Json>, PushError> {
    let mismatch = || {
        PushError::bad_request(
            "AuthConfigNotMatchingSchemaError",
            "auth config file must export an object with a list of providers, each with `domain` and \
             `applicationID`, or with `type: \"customJwt\"`, `issuer`, `jwks` and `algorithm`.",
        )
    };
    let config: Json = serde_json::from_str(export).map_err(|_| mismatch())?;
    let providers = config["providers"].as_array().ok_or_else(mismatch)?;
    providers.iter().map(|provider| parse_provider(provider)?.ok_or_else(mismatch)).collect()
}

/// `None` when the shape is wrong.
fn parse_provider(provider: &Json) -> Result<Option<Json>, PushError> {
    let text = |name: &str| provider[name].as_str();
    if !provider.is_object() {
        return Ok(None);
    }
    match provider.get("type").map(Json::as_str) {
        Some(Some("customJwt")) => {
            let (Some(issuer), Some(jwks), Some(algorithm @ ("RS256" | "ES256"))) =
                (text("issuer"), text("jwks"), text("algorithm"))
            else {
                return Ok(None);
            };
            let application_id = &provider["applicationID"];
            if !(application_id.is_null() || application_id.is_string()) {
                return Ok(None);
            }
            let issuer = with_scheme(issuer)?;
            if application_id.is_null() && issuer.trim_end_matches('/') == SHARED_WORKOS_ISSUER {
                return Err(PushError::bad_request(
                    "InsecureConfiguration",
                    format!(
                        "The issuer {SHARED_WORKOS_ISSUER} is shared by all WorkOS applications. Set \
                         `applicationID` for this provider, or tokens of other applications would be accepted."
                    ),
                ));
            }
            let jwks = if jwks.starts_with("data:") { jwks.to_owned() } else { with_scheme(jwks)? };
            Ok(Some(json!({
                "type": "customJwt", "applicationID": application_id, "issuer": issuer, "jwks": jwks,
                "algorithm": algorithm
            })))
        }
        None | Some(Some("oidc")) => {
            let (Some(domain), Some(application_id)) = (text("domain"), text("applicationID")) else {
                return Ok(None);
            };
            Ok(Some(json!({"applicationID": application_id, "domain": with_scheme(domain)?})))
        }
        Some(_) => Ok(None),
    }
}

/// A provider's URL; `https` is meant where it says nothing.
fn with_scheme(url: &str) -> Result<String, PushError> {
    let invalid = || {
        PushError::bad_request(
            "InvalidProviderDomainUrl",
            format!("Invalid provider domain URL \"{url}\": it must be the http(s) URL of the issuer."),
        )
    };
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (Some(scheme), rest),
        Some(_) => return Err(invalid()),
        None => (None, url),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        Some((_, _)) if !authority.ends_with(']') => return Err(invalid()),
        _ => authority,
    };
    let plausible = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    if host.is_empty() || !host.chars().all(plausible) || url.chars().any(char::is_whitespace) {
        return Err(invalid());
    }
    match scheme {
        Some(_) => Ok(url.to_owned()),
        None if host == "localhost" || host.trim_matches('.').contains('.') => Ok(format!("https://{url}")),
        None => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn providers(json: &Json) -> Result<Vec<Json>, String> {
        parse(&json!({"providers": json}).to_string()).map_err(|error| error.code)
    }

    #[test]
    fn both_shapes_are_read() {
        let read = providers(&json!([
            {"domain": "https://issuer.example.com", "applicationID": "a"},
            {"type": "customJwt", "issuer": "https://i", "jwks": "data:application/json,{}", "algorithm": "ES256"}
        ]));
        assert_eq!(
            read.unwrap(),
            [
                json!({"applicationID": "a", "domain": "https://issuer.example.com"}),
                json!({"type": "customJwt", "applicationID": null, "issuer": "https://i",
                       "jwks": "data:application/json,{}", "algorithm": "ES256"}),
            ]
        );
    }

    #[test]
    fn a_domain_without_a_scheme_is_meant_with_https() {
        let domain = |domain: &str| {
            providers(&json!([{"domain": domain, "applicationID": "a"}]))
                .map(|read| read[0]["domain"].clone())
        };
        assert_eq!(domain("issuer.example.com/").unwrap(), "https://issuer.example.com/");
        assert_eq!(domain("localhost:3211").unwrap(), "https://localhost:3211");
        assert_eq!(domain("http://127.0.0.1:3211").unwrap(), "http://127.0.0.1:3211");
        for bad in ["issuer", "ftp://x.com", "", "https://", "a b.com"] {
            assert_eq!(domain(bad).unwrap_err(), "InvalidProviderDomainUrl", "{bad}");
        }
    }

    #[test]
    fn anything_else_does_not_match() {
        for bad in [
            json!({}),
            json!([{}]),
            json!([{"type": "x"}]),
            json!([{"domain": 1, "applicationID": "a"}]),
            json!([
                {"type": "customJwt", "issuer": "https://i", "jwks": "https://j", "algorithm": "HS256"}
            ]),
        ] {
            assert_eq!(providers(&bad).unwrap_err(), "AuthConfigNotMatchingSchemaError", "{bad}");
        }
        assert_eq!(parse("[]").unwrap_err().code, "AuthConfigNotMatchingSchemaError");
    }

    #[test]
    fn the_shared_workos_issuer_needs_an_audience() {
        let provider = json!({"type": "customJwt", "issuer": "https://api.workos.com/", "jwks": "https://j",
                              "algorithm": "RS256"});
        assert_eq!(providers(&json!([provider])).unwrap_err(), "InsecureConfiguration");
    }
}
