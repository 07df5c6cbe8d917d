//! Taking a token apart. Nothing that comes out of here is to be believed before the signature was checked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::error::Rejection;

/// Longer ones are not looked at. Real tokens have one or two KiB, those with many roles ten.
pub(crate) const TOKEN_BYTES_MAX: usize = 64 << 10;

/// A token's parts, none of them checked.
#[derive(Clone, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) algorithm: String,
    /// Names the key that signed it.
    pub(crate) key_id: Option<String>,
    /// What the signature is over.
    pub(crate) signed: &'a str,
    /// As it is written in the token.
    pub(crate) signature: &'a str,
    pub(crate) claims: Map<String, Json>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that must be understood.
    #[serde(default)]
    crit: Option<Json>,
}

impl<'a> Token<'a> {
    /// # Errors
    /// What makes it no token.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Rejection> {
        let malformed = |reason: &str| Rejection::Malformed(reason.to_owned());
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Rejection::Malformed(format!(
                "it has {} bytes, {TOKEN_BYTES_MAX} are allowed",
                text.len()
            )));
        }
        let parts: Vec<&str> = text.split('.').collect();
        let &[header, claims, signature] = parts.as_slice() else {
            return Err(malformed(match parts.len() {
                5 => "it is encrypted; signed tokens are accepted only",
                _ => "it does not have three parts, separated by dots",
            }));
        };
        let decode = |part: &str, name: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|error| Rejection::Malformed(format!("its {name} is not base64url ({error})")))
        };
        let header: Header = serde_json::from_slice(&decode(header, "header")?)
            .map_err(|error| Rejection::Malformed(format!("its header cannot be read ({error})")))?;
        if header.crit.is_some() {
            return Err(malformed("it demands extensions (`crit`) that are not supported"));
        }
        let claims: Map<String, Json> = serde_json::from_slice(&decode(claims, "payload")?)
            .map_err(|error| Rejection::Malformed(format!("its payload is not a JSON object ({error})")))?;
        if !claims.get("iss").is_some_and(Json::is_string) {
            return Err(malformed("it does not say who issued it (claim `iss`)"));
        }
        let signed_bytes = text.len() - signature.len() - 1;
        Ok(Self {
            algorithm: header.alg,
            key_id: header.kid,
            signed: &text[..signed_bytes],
            signature,
            claims,
        })
    }

    /// Who it says has issued it.
    pub(crate) fn issuer(&self) -> &str {
        self.claims.get("iss").and_then(Json::as_str).unwrap_or_default()
    }

    /// Whom it says it is for.
    pub(crate) fn audiences(&self) -> Vec<&str> {
        match self.claims.get("aud") {
            Some(Json::String(audience)) => vec![audience],
            Some(Json::Array(audiences)) => audiences.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    fn refused(text: &str) -> String {
        let error = Token::parse(text).expect_err("is refused");
        assert_eq!(error.code(), "InvalidAuthHeader");
        error.to_string()
    }

    #[test]
    fn the_signature_is_over_header_and_payload_as_they_are_written() {
        let text = token(r#"{"alg":"RS256","kid":"1"}"#, r#"{"iss":"i","aud":["a","b"]}"#);
        let token = Token::parse(&text).unwrap();
        assert_eq!(format!("{}.{}", token.signed, token.signature), text);
        assert_eq!((token.issuer(), token.audiences()), ("i", vec!["a", "b"]));
        assert_eq!((token.algorithm.as_str(), token.key_id.as_deref()), ("RS256", Some("1")));
    }

    #[test]
    fn hostile_texts_are_refused_with_a_reason() {
        for text in
            ["", ".", "..", "...", "a.b", "Bearer x", "\u{0}.\u{0}.\u{0}", "é.é.é", "e30.e30.", "a.b.c.d.e"]
        {
            refused(text);
        }
        assert!(refused(&"x".repeat(1 << 20)).contains("1048576 bytes"));
        assert!(refused(&token(r#"{"alg":"RS256"}"#, "{}")).contains("`iss`"));
        assert!(refused(&token(r#"{"alg":"RS256"}"#, r#"{"iss":5}"#)).contains("`iss`"));
        assert!(refused(&token(r#"{"alg":"RS256"}"#, "[]")).contains("not a JSON object"));
        assert!(refused(&token(r#"{"alg":7}"#, r#"{"iss":"i"}"#)).contains("header"));
        assert!(refused(&token(r#"{"alg":"RS256","kid":{}}"#, r#"{"iss":"i"}"#)).contains("header"));
        assert!(refused(&token(r#"{"alg":"RS256","crit":["b64"]}"#, r#"{"iss":"i"}"#)).contains("crit"));
        let deep = format!(r#"{{"iss":"i","a":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
        assert!(refused(&token(r#"{"alg":"RS256"}"#, &deep)).contains("recursion limit"));
    }
}
