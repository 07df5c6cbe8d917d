//! The wish to stop: the first signal asks everything to end, a second one ends it at once.

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cheap to clone; all clones speak of the same wish.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    requested: CancellationToken,
    forced: CancellationToken,
}

impl Shutdown {
    /// Starts listening to SIGINT, SIGTERM and SIGHUP. Must be called inside the runtime.
    pub(crate) fn on_signals() -> Result<Self> {
        let shutdown = Self::default();
        let mut signals = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ];
        let wish = shutdown.clone();
        tokio::spawn(async move {
            next_of(&mut signals).await;
            wish.request();
            next_of(&mut signals).await;
            wish.forced.cancel();
        });
        Ok(shutdown)
    }

    /// Asks everything to end.
    pub(crate) fn request(&self) {
        self.requested.cancel();
    }

    /// Resolves when the end is asked for.
    pub(crate) async fn requested(&self) {
        self.requested.cancelled().await;
    }

    /// Resolves when waiting for a clean end is no longer wanted.
    pub(crate) async fn forced(&self) {
        self.forced.cancelled().await;
    }
}

async fn next_of(signals: &mut [Signal; 3]) {
    let [interrupt, terminate, hangup] = signals;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
