//! A server to ask: the real floors below it, with a small app in place of JavaScript.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use axum::http::Method;
use freshet_database::{Database, DatabaseOptions, Randomness, SystemClock};
use freshet_files::NoFiles;
use freshet_functions::deployment::{Deployment, DeploymentConfig};
use freshet_functions::log_stream::LogStream;
use freshet_functions::{
    CallLimits, FilesConfig, Functions, FunctionsConfig, FunctionsSettings, NoNativeFunctions,
};
use freshet_instance::{AdminKeyClaims, AdminKeys, InstanceSecret};
use freshet_store::MemoryStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::app::{App, AppCode, AppHost};
use super::known_tokens::KnownTokens;
use super::request::{Answer, TestRequest};
use crate::dispatch::{Dispatcher, Door};
use crate::state::State;
use crate::{EdgeLimits, Server, ServerConfig, ServerHandle, Services, SocketCompression, StartError};

const LANES: usize = 2;

/// A server. It listens only when asked to.
pub(super) struct Fixture {
    config: ServerConfig,
    services: Services,
    dispatcher: Dispatcher,
    keys: AdminKeys,
    handle: Option<ServerHandle>,
    app: Arc<App>,
    lanes: Vec<JoinHandle<()>>,
    /// The users' tokens that are accepted.
    pub(super) tokens: Arc<KnownTokens>,
    /// Hears when the client of the endless HTTP action has left.
    pub(super) left: mpsc::UnboundedReceiver<()>,
}

fn keys(secret: &str) -> AdminKeys {
    let secret: InstanceSecret = secret.repeat(32).parse().unwrap();
    AdminKeys::new("test-instance".parse().unwrap(), &secret)
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A server with another configuration than usual.
    pub(super) async fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let keys = keys("ab");
        let mut config = ServerConfig {
            api_addr: "127.0.0.1:0".parse().unwrap(),
            site_addr: Some("127.0.0.1:0".parse().unwrap()),
            watch_addr: None,
            metrics_endpoint: true,
            api_origin: "http://127.0.0.1:3210".into(),
            site_origin: "http://127.0.0.1:3211".into(),
            instance_name: "test-instance".parse().unwrap(),
            redact: false,
            compression: SocketCompression::default(),
            client_ip_header: None,
            rate_limit: None,
            limits: EdgeLimits::default(),
        };
        change(&mut config);
        let database = Database::open(
            Arc::new(MemoryStore::new()),
            DatabaseOptions::default(),
            Arc::new(SystemClock),
            Randomness::from_os(),
        )
        .unwrap();
        let (sender, left) = mpsc::unbounded_channel();
        let host = Arc::new(AppHost { left: sender });
        let logs = Arc::new(LogStream::new());
        let tokens = Arc::new(KnownTokens::default());
        let functions = Functions::new(FunctionsConfig {
            database: database.clone(),
            code: Arc::new(AppCode),
            native: Arc::new(NoNativeFunctions),
            host: host.clone(),
            authenticator: tokens.clone(),
            log_sink: logs.clone(),
            files: FilesConfig {
                store: Arc::new(NoFiles),
                upload_key: [7; 32],
                deleted_kept: std::time::Duration::ZERO,
            },
            settings: FunctionsSettings {
                limits: CallLimits::default(),
                cloud_url: config.api_origin.clone(),
                site_url: config.site_origin.clone(),
                deployment_name: "test-instance".into(),
                redact_errors: config.redact,
            },
        });
        let app = Arc::new(App::default());
        let lanes = (0..LANES)
            .map(|_| {
                let (lane, app) = (functions.lane_queue().lane(), Arc::clone(&app));
                std::thread::spawn(move || app.run_lane(&lane))
            })
            .collect();
        let deployment = Deployment::new(DeploymentConfig {
            database: database.clone(),
            host,
            cloud_url: config.api_origin.clone(),
            site_url: config.site_origin.clone(),
        });
        let services = Services { database, functions, deployment, logs, admin_keys: keys.clone() };
        let dispatcher =
            Dispatcher::new(config.clone(), services.clone(), CancellationToken::new(), TaskTracker::new());
        Self { config, services, dispatcher, keys, handle: None, app, lanes, tokens, left }
    }

    /// As [`Self::new`], and on real ports.
    pub(super) async fn listening() -> Self {
        Self::listening_with(|_| {}).await
    }

    /// As [`Self::with`], and on real ports.
    pub(super) async fn listening_with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut fixture = Self::with(change).await;
        let started = Server::start(fixture.config.clone(), fixture.services.clone()).await;
        fixture.handle = Some(started.unwrap());
        fixture
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.handle.as_ref().unwrap().api_addr()
    }

    pub(super) fn site_addr(&self) -> SocketAddr {
        self.handle.as_ref().unwrap().site_addr().unwrap()
    }

    pub(super) async fn shutdown(&mut self) {
        self.handle.take().unwrap().shutdown().await;
    }

    pub(super) async fn start_another_on_the_same_port(&self) -> StartError {
        let config = ServerConfig { api_addr: self.addr(), ..self.config.clone() };
        Server::start(config, self.services.clone()).await.unwrap_err()
    }

    /// Executions of queries so far.
    pub(super) fn queries_run(&self) -> usize {
        self.app.queries.load(Ordering::Relaxed)
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

    pub(super) fn watch_request(&self, path: &str) -> TestRequest {
        TestRequest::new(self.dispatcher.clone(), Door::Watch, Method::GET, path)
    }

    /// The state behind requests that do not come over the network.
    pub(super) fn state(&self) -> &State {
        self.dispatcher.state()
    }

    /// The state behind requests that come over the network.
    pub(super) fn listening_state(&self) -> &State {
        self.handle.as_ref().unwrap().state()
    }

    /// `POST /api/query` over the network.
    pub(super) async fn http_query(&self, body: &str) -> serde_json::Value {
        let mut stream = tokio::net::TcpStream::connect(self.addr()).await.unwrap();
        let request = format!(
            "POST /api/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send().await
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Answer {
        self.request(Method::POST, path).json(body).send().await
    }

    pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    pub(super) fn brotli(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 4, 20);
        encoder.write_all(bytes).unwrap();
        encoder.into_inner()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.services.functions.close();
        for lane in self.lanes.drain(..) {
            lane.join().unwrap();
        }
    }
}
