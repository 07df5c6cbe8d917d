//! What the tests of the crates.io client share: where the server is, short ways to write calls, and connections to cut.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use convex::{FunctionResult, Value};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const PATIENCE: Duration = Duration::from_secs(30);

/// Where a server with `tests/apps/basic` is.
///
/// # Panics
/// If `FRESHET_URL` does not say so.
#[must_use]
pub fn url() -> String {
    std::env::var("FRESHET_URL").expect("FRESHET_URL names a running server; run `cargo xtask test`")
}

/// Arguments of a function.
#[must_use]
pub fn args<const N: usize>(pairs: [(&str, Value); N]) -> BTreeMap<String, Value> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The value of a call that went well.
///
/// # Errors
/// If it did not.
pub fn value(result: FunctionResult) -> Result<Value> {
    match result {
        FunctionResult::Value(value) => Ok(value),
        other => bail!("it failed: {other:?}"),
    }
}

/// What is to happen within half a minute.
///
/// # Errors
/// If it does not.
pub async fn soon<T>(what: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, what).await.context("it takes too long")
}

/// A proxy to the server of which all connections can be cut at once; later ones are let through.
pub struct Scissors {
    address: SocketAddr,
    cuts: watch::Sender<()>,
}

impl Scissors {
    /// Listens on a free port.
    ///
    /// # Errors
    /// If there is none.
    pub async fn start() -> Result<Self> {
        let target = url().strip_prefix("http://").context("http")?.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (cuts, watched) = watch::channel(());
        tokio::spawn(async move {
            while let Ok((mut inbound, _)) = listener.accept().await {
                let (mut watched, target) = (watched.clone(), target.clone());
                tokio::spawn(async move {
                    watched.mark_unchanged();
                    let mut outbound = TcpStream::connect(target).await?;
                    tokio::select! {
                        copied = copy_bidirectional(&mut inbound, &mut outbound) => copied.map(drop),
                        _ = watched.changed() => Ok(()),
                    }
                });
            }
        });
        Ok(Self { address, cuts })
    }

    /// Where to connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts what is connected.
    pub fn cut(&self) {
        self.cuts.send_replace(());
    }
}
