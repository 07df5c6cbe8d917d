//! The app's authentication providers, read from what `auth.config.js` exports.
//!
//! Says which tokens would be accepted; verifying tokens happens elsewhere.

use freshet_auth::{Provider, ProviderError};
use serde_json::Value as Json;

use super::error::PushError;

/// Providers of an app.
const PROVIDERS_MAX: usize = 256;

/// Reads the JSON text of the module's default export, `{"providers": [...]}`, into providers of one of the two
/// documented shapes.
///
/// # Errors
/// What is wrong with the first bad provider.
pub(super) fn parse(export: &str) -> Result<Vec<Json>, PushError> {
    let mismatch = || {
        PushError::bad_request(
            "AuthConfigNotMatchingSchemaError",
            "auth config file must export an object with a list of `providers`.",
        )
    };
    let config: Json = serde_json::from_str(export).map_err(|_| mismatch())?;
    let providers = config["providers"].as_array().ok_or_else(mismatch)?;
    if providers.len() > PROVIDERS_MAX {
        return Err(PushError::bad_request(
            "AuthConfigNotMatchingSchemaError",
            format!("auth config file lists {} providers; {PROVIDERS_MAX} are allowed.", providers.len()),
        ));
    }
    let read = |provider| Ok(Provider::from_json(provider)?.to_json());
    providers.iter().map(read).collect()
}

impl From<ProviderError> for PushError {
    fn from(error: ProviderError) -> Self {
        PushError::bad_request(error.code, error.message)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn providers_are_listed_in_order() {
        let config = json!({"providers": [
            {"domain": "b.example.com", "applicationID": "b"}, {"domain": "https://a.example.com", "applicationID": "a"}
        ]});
        assert_eq!(
            parse(&config.to_string()).unwrap(),
            [
                json!({"applicationID": "b", "domain": "https://b.example.com"}),
                json!({"applicationID": "a", "domain": "https://a.example.com"})
            ]
        );
    }

    #[test]
    fn anything_else_does_not_match() {
        for bad in ["[]", "{}", "null", "7", r#"{"providers":{}}"#, r#"{"providers":[{}]}"#] {
            assert_eq!(parse(bad).unwrap_err().code, "AuthConfigNotMatchingSchemaError", "{bad}");
        }
        let many = json!({"providers": vec![json!({"domain": "https://a.com", "applicationID": "a"}); 257]});
        assert_eq!(parse(&many.to_string()).unwrap_err().code, "AuthConfigNotMatchingSchemaError");
    }
}
