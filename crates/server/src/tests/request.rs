//! Requests as tests write them, and answers as tests read them.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value as Json;

use crate::dispatch::{Dispatcher, Door};

/// A request under construction.
pub(super) struct TestRequest {
    dispatcher: Dispatcher,
    door: Door,
    builder: axum::http::request::Builder,
    body: Vec<u8>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl TestRequest {
    pub(super) fn new(dispatcher: Dispatcher, door: Door, method: Method, path: &str) -> Self {
        let builder = Request::builder().method(method).uri(path).header("host", "test.example");
        Self { dispatcher, door, builder, body: Vec::new() }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    pub(super) fn admin(self, key: &str) -> Self {
        self.header("authorization", &format!("Convex {key}"))
    }

    pub(super) fn json(self, body: &str) -> Self {
        self.header("content-type", "application/json").body(body.as_bytes().to_vec())
    }

    pub(super) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    pub(super) async fn send(self) -> Answer {
        let request = self.builder.body(Body::from(self.body)).unwrap();
        let peer = "127.0.0.1:9".parse().unwrap();
        let response = self.dispatcher.dispatch(self.door, peer, request).await;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(super) fn json(&self) -> Json {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text()))
    }

    pub(super) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}
