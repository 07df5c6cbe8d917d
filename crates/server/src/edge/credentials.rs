//! What a request says about who is asking. Nothing here checks a key or a token.

use axum::http::{HeaderMap, header};
use base64::Engine;
use freshet_functions::UserIdentity;
use freshet_instance::split_acting_user;
use serde_json::{Map, Value as Json};

use super::error::ApiError;

/// Credentials as presented.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// None at all.
    None,
    /// An admin key.
    AdminKey {
        /// The key without the acting-user part.
        key: String,
        /// The user that the admin wants to be seen as.
        acting_as: Option<UserIdentity>,
    },
    /// A user's token.
    Bearer(String),
}

/// Not printed: keys and tokens do not belong in logs.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::AdminKey { .. } => "AdminKey",
            Credentials::Bearer(_) => "Bearer",
        })
    }
}

/// Shorter headers cannot hold a scheme and anything after it.
const HEADER_CHARS_MIN: usize = 7;

impl Credentials {
    /// Reads the `Authorization` header, or else `adminKey` of the query string.
    ///
    /// # Errors
    /// 400 `InvalidHeaderFailure`, `InvalidAdminKey` (another scheme) or `HeaderParseFailure` (bad acting user).
    pub(crate) fn from_request(headers: &HeaderMap, query: Option<&str>) -> Result<Self, ApiError> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let text = value.to_str().map_err(|_| {
                ApiError::bad_request("InvalidHeaderFailure", "The Authorization header must be ASCII text.")
            })?;
            return Self::from_header(text.trim());
        }
        match admin_key_of_query(query) {
            Some(key) => Self::from_admin_key(&key),
            None => Ok(Credentials::None),
        }
    }

    fn from_header(text: &str) -> Result<Self, ApiError> {
        if text.len() < HEADER_CHARS_MIN {
            return Err(ApiError::bad_request(
                "InvalidHeaderFailure",
                "The Authorization header is too short. Expected 'Convex <admin key>' or 'Bearer <token>'.",
            ));
        }
        let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("convex") {
            Self::from_admin_key(rest)
        } else if scheme.eq_ignore_ascii_case("bearer") {
            Ok(Credentials::Bearer(rest.to_owned()))
        } else {
            Err(ApiError::bad_request("InvalidAdminKey", "Invalid admin key"))
        }
    }

    /// Splits `<key>` or `<key>:<base64 JSON of the acting user>`.
    ///
    /// # Errors
    /// 400 `HeaderParseFailure` when the acting user cannot be read.
    pub(crate) fn from_admin_key(text: &str) -> Result<Self, ApiError> {
        let (key, blob) = split_acting_user(text);
        let acting_as = blob.map(decode_acting_user).transpose()?;
        Ok(Credentials::AdminKey { key: key.to_owned(), acting_as })
    }
}

fn admin_key_of_query(query: Option<&str>) -> Option<String> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query?).ok()?;
    pairs.into_iter().find(|(name, _)| name == "adminKey").map(|(_, value)| value)
}

fn decode_acting_user(blob: &str) -> Result<UserIdentity, ApiError> {
    let failure = |reason: String| {
        ApiError::bad_request("HeaderParseFailure", format!("The acting user could not be read: {reason}"))
    };
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(blob)
        .map_err(|error| failure(format!("it is not base64 ({error})")))?;
    let attributes: Map<String, Json> = serde_json::from_slice(&bytes)
        .map_err(|error| failure(format!("it is not a JSON object ({error})")))?;
    UserIdentity::from_attributes(attributes).map_err(|error| failure(error.to_string()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(header: &'static str) -> Result<Credentials, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(header));
        Credentials::from_request(&headers, None)
    }

    fn code(header: &'static str) -> String {
        read(header).expect_err("is refused").code.into_owned()
    }

    #[test]
    fn schemes_are_case_insensitive() {
        let admin = Credentials::AdminKey { key: "me|ab12".into(), acting_as: None };
        assert_eq!(read("Convex me|ab12"), Ok(admin.clone()));
        assert_eq!(read("cONVEX me|ab12"), Ok(admin));
        assert_eq!(read("bearer a.b.c"), Ok(Credentials::Bearer("a.b.c".into())));
    }

    #[test]
    fn unusable_headers_have_their_own_codes() {
        assert_eq!(code("Convex"), "InvalidHeaderFailure");
        assert_eq!(code("Basic dTpw"), "InvalidAdminKey");
        assert_eq!(code("Convex me|ab12:%%%"), "HeaderParseFailure");
        assert_eq!(code("Convex me|ab12:W10="), "HeaderParseFailure");
    }

    #[test]
    fn an_acting_user_is_what_the_command_line_sends() {
        let credentials = read(
            "Convex prod:me|ab12:eyJuYW1lIjoiWm8iLCJzdWJqZWN0IjoidTEiLCJpc3N1ZXIiOiJodHRwczovL2NvbnZleC50ZXN0Iiw\
             idG9rZW5JZGVudGlmaWVyIjoiaHR0cHM6Ly9jb252ZXgudGVzdHx1MSJ9",
        );
        let Ok(Credentials::AdminKey { key, acting_as: Some(user) }) = credentials else {
            panic!("no acting user")
        };
        assert_eq!(key, "prod:me|ab12");
        assert_eq!(user.token_identifier(), "https://convex.test|u1");
    }

    #[test]
    fn the_query_string_is_asked_only_without_a_header() {
        let none = HeaderMap::new();
        let key = Credentials::AdminKey { key: "me|ab".into(), acting_as: None };
        assert_eq!(Credentials::from_request(&none, Some("x=1&adminKey=me%7Cab")), Ok(key));
        assert_eq!(Credentials::from_request(&none, Some("x=1")), Ok(Credentials::None));
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer token"));
        let bearer = Credentials::Bearer("token".into());
        assert_eq!(Credentials::from_request(&headers, Some("adminKey=me%7Cab")), Ok(bearer));
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Credentials::Bearer("secret".into())), "Bearer");
    }
}
