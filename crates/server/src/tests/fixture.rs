//! A server to ask.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::Method;
use freshet_instance::{AdminKeyClaims, AdminKeys, InstanceSecret};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::request::{Answer, TestRequest};
use crate::dispatch::{Dispatcher, Door};
use crate::{EdgeLimits, NoAuthProviders, Server, ServerConfig, ServerHandle, Services, StartError};

/// A server without sockets.
pub(super) struct Fixture {
    config: ServerConfig,
    services: Services,
    dispatcher: Dispatcher,
    keys: AdminKeys,
    handle: Option<ServerHandle>,
}

fn keys(secret: &str) -> AdminKeys {
    let secret: InstanceSecret = secret.repeat(32).parse().unwrap();
    AdminKeys::new("test-instance".parse().unwrap(), &secret)
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let keys = keys("ab");
        let config = ServerConfig {
            api_addr: "127.0.0.1:0".parse().unwrap(),
            site_addr: Some("127.0.0.1:0".parse().unwrap()),
            api_origin: "http://127.0.0.1:3210".into(),
            site_origin: "http://127.0.0.1:3211".into(),
            instance_name: "test-instance".parse().unwrap(),
            redact: false,
            limits: EdgeLimits::default(),
        };
        let services = Services {
            database: freshet_database::Database,
            functions: freshet_functions::Functions,
            deployment: freshet_functions::deployment::Deployment,
            logs: Arc::new(freshet_functions::log_stream::LogStream::new()),
            admin_keys: keys.clone(),
            authenticator: Arc::new(NoAuthProviders),
        };
        let dispatcher = Dispatcher::new(
            config.clone(),
            services.clone(),
            CancellationToken::new(),
            TaskTracker::new(),
        );
        Self { config, services, dispatcher, keys, handle: None }
    }

    /// As [`Self::new`], and on real ports.
    pub(super) async fn listening() -> Self {
        let mut fixture = Self::new().await;
        let started = Server::start(fixture.config.clone(), fixture.services.clone()).await;
        fixture.handle = Some(started.unwrap());
        fixture
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.handle.as_ref().unwrap().api_addr()
    }

    pub(super) async fn shutdown(&mut self) {
        self.handle.take().unwrap().shutdown().await;
    }

    pub(super) async fn start_another_on_the_same_port(&self) -> StartError {
        let config = ServerConfig { api_addr: self.addr(), ..self.config.clone() };
        Server::start(config, self.services.clone()).await.unwrap_err()
    }

    pub(super) fn admin_key(&self) -> String {
        self.keys.standing_key()
    }

    pub(super) fn issue(&self, claims: &AdminKeyClaims) -> String {
        self.keys.issue(claims)
    }

    pub(super) fn key_of_another_instance(&self) -> String {
        keys("cd").standing_key()
    }

    pub(super) fn request(&self, method: Method, path: &str) -> TestRequest {
        TestRequest::new(self.dispatcher.clone(), Door::Api, method, path)
    }

    pub(super) fn site_request(&self, method: Method, path: &str) -> TestRequest {
        TestRequest::new(self.dispatcher.clone(), Door::Site, method, path)
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send().await
    }

    pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    pub(super) fn brotli(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 4, 20);
        encoder.write_all(bytes).unwrap();
        encoder.into_inner()
    }
}
