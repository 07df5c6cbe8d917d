//! Cross-origin headers of the API: any web page may call it, because credentials travel in `Authorization` and
//! never in cookies.
//!
//! Never used for HTTP actions: apps define their own rules there.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::{IntoResponse, Response};

const METHODS: HeaderValue = HeaderValue::from_static("GET,POST,OPTIONS,PATCH,DELETE,PUT");
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("86400");

/// What a request says about its origin; taken before the request is consumed.
pub(crate) struct Cors {
    origin: Option<HeaderValue>,
    requested_headers: Option<HeaderValue>,
    preflight: bool,
}

impl Cors {
    /// Reads the request's headers.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        Self {
            origin: headers.get(ORIGIN).cloned(),
            requested_headers: headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned(),
            preflight: method == Method::OPTIONS
                && headers.contains_key(ORIGIN)
                && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD),
        }
    }

    /// The whole answer to a preflight request; `None` when the request is not one.
    pub(crate) fn preflight(&self) -> Option<Response> {
        if !self.preflight {
            return None;
        }
        let mut response = ().into_response();
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
        if let Some(requested) = &self.requested_headers {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, requested.clone());
        }
        self.decorate(&mut response);
        Some(response)
    }

    /// Adds what lets the page read this response.
    pub(crate) fn decorate(&self, response: &mut Response) {
        let headers = response.headers_mut();
        // Caches must not hand one origin's answer to another.
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = &self.origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}
