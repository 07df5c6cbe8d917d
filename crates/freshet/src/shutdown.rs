//! The wish to stop: the first signal asks everything to end, a later one ends it at once.
//!
//! Signals come in bursts without anybody being impatient: `timeout`, npm and service managers signal this process and
//! then its whole group. So what follows the first within [`BURST`] is the same wish.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long one wish may take to arrive completely.
const BURST: Duration = Duration::from_millis(500);

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
        let mut signals = Signals::listen()?;
        let wish = shutdown.clone();
        tokio::spawn(async move {
            signals.next().await;
            let first = Instant::now();
            wish.request();
            loop {
                signals.next().await;
                if first.elapsed() >= BURST {
                    return wish.forced.cancel();
                }
            }
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

/// The signals that mean "stop", apart from those that whoever started us has switched off.
struct Signals {
    terminate: Signal,
    interrupt: Option<Signal>,
    hangup: Option<Signal>,
}

impl Signals {
    fn listen() -> Result<Self> {
        // `nohup` and shells that start something in the background rely on these staying ignored.
        let ignored = ignored_signals();
        let unless_ignored = |kind: SignalKind| {
            let bit = 1_u64 << (kind.as_raw_value() - 1);
            if ignored & bit == 0 { signal(kind).map(Some) } else { Ok(None) }
        };
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: unless_ignored(SignalKind::interrupt())?,
            hangup: unless_ignored(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            () = next_of(self.interrupt.as_mut()) => {}
            () = next_of(self.hangup.as_mut()) => {}
        }
    }
}

async fn next_of(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// The signals that were ignored when this process started, lowest bit first; none where the system does not tell.
fn ignored_signals() -> u64 {
    fs::read_to_string("/proc/self/status").map_or(0, |status| parse_ignored(&status))
}

fn parse_ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal as Number, getpid, kill_process};

    use super::*;

    async fn is_resolved(wish: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(Duration::from_millis(100), wish).await.is_ok()
    }

    #[tokio::test]
    async fn a_burst_of_signals_is_one_wish_and_a_later_one_insists() {
        let shutdown = Shutdown::on_signals().unwrap();
        assert!(!is_resolved(shutdown.requested()).await);
        // What `timeout` does: the process, then its group.
        for number in [Number::TERM, Number::TERM, Number::INT] {
            kill_process(getpid(), number).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(is_resolved(shutdown.requested()).await);
        assert!(!is_resolved(shutdown.forced()).await);
        tokio::time::sleep(BURST).await;
        kill_process(getpid(), Number::TERM).unwrap();
        assert!(is_resolved(shutdown.forced()).await);
    }

    #[test]
    fn what_the_parent_switched_off_is_read_from_the_process_status() {
        let status = "Name:\tfreshet\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(parse_ignored(status), 1 | 1 << 12);
        assert_eq!(parse_ignored("Name:\tfreshet\n"), 0);
    }
}
