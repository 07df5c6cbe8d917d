//! Keeps the engine running: starts it, tells when it listens, starts it again when it dies.
//!
//! Invariants: at most one engine runs at a time; an engine that ended leaves no process behind; an engine whose
//! configuration is at fault is not started again.

mod backoff;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use freshet_engine::launch::{self, EngineConfig, ReadyReport};
use tokio::process::Command;
use tokio::sync::mpsc;

use self::backoff::Backoff;
use crate::child::{Child, Stream, describe};
use crate::console;
use crate::failure::misconfigured;
use crate::shutdown::Shutdown;

/// Name of the engine's lines in the log where other children write, too.
const ENGINE_NAME: &str = "freshet";
/// Deaths before the first readiness after which the engine counts as unable to start on this machine.
const FAILED_STARTS_MAX: u32 = 8;

/// Everything it takes to start an engine. Not printable: the configuration holds the instance's secret.
#[derive(Clone)]
pub(crate) struct EngineLaunch {
    pub(crate) node: PathBuf,
    pub(crate) addon: PathBuf,
    pub(crate) config: EngineConfig,
    /// Whether the engine's lines carry its name, because other children write as well.
    pub(crate) mark_lines: bool,
}

impl EngineLaunch {
    fn command(&self) -> Result<Command> {
        let folder = &self.config.data_dir;
        let bootstrap = launch::write_bootstrap(folder)
            .with_context(|| format!("cannot write the runtime below {}", folder.display()))?;
        let config = serde_json::to_string(&self.config).context("the engine's configuration")?;
        let mut command = Command::new(&self.node);
        command
            .args(launch::node_flags(self.config.function_memory_mb))
            .arg(bootstrap)
            .env(launch::ADDON_ENV, &self.addon)
            .env(launch::CONFIG_ENV, config)
            // The secret is in the configuration, which the engine takes out of its environment; a copy here would
            // stay readable for functions and whatever else the engine starts.
            .env_remove("INSTANCE_SECRET")
            // Of colours it cannot judge by itself: what it writes to is a pipe to us, wherever we write to.
            .envs((!console::is_interactive()).then_some(("NO_COLOR", "1")))
            // The engine notices our death, however sudden, by the end of this pipe.
            .stdin(Stdio::piped());
        Ok(command)
    }
}

/// How one life of the engine ended.
enum End {
    /// It was asked to.
    Stopped,
    /// Its configuration cannot work.
    Misconfigured,
    /// Nobody asked for it.
    Died(String),
}

/// Runs the engine until `shutdown` is requested. `on_first_ready` is called once, when the first engine listens.
///
/// # Errors
/// When the engine's configuration cannot work, when Node.js cannot be started, or when no engine ever got ready in
/// [`FAILED_STARTS_MAX`] attempts.
pub(crate) async fn supervise(
    launch: &EngineLaunch,
    shutdown: &Shutdown,
    on_first_ready: impl FnOnce(&ReadyReport),
) -> Result<()> {
    let mut backoff = Backoff::default();
    let mut on_first_ready = Some(on_first_ready);
    let mut failed_starts = 0;
    loop {
        let started = Instant::now();
        let end = run_once(launch, shutdown, |report| match on_first_ready.take() {
            Some(first) => first(report),
            None => console::log(&format!("freshet: the engine is back after {} ms", millis(started))),
        })
        .await?;
        let cause = match end {
            End::Stopped => return Ok(()),
            End::Misconfigured => {
                return Err(misconfigured("the engine cannot run like this; its message above says why"));
            }
            End::Died(cause) => cause,
        };
        if on_first_ready.is_some() {
            failed_starts += 1;
            if failed_starts >= FAILED_STARTS_MAX {
                bail!(
                    "the engine ended {failed_starts} times before it was ready (at last: {cause}); giving up"
                );
            }
        }
        let life = started.elapsed();
        let pause = backoff.after_life_of(life);
        console::log(&format!(
            "freshet: the engine ended unexpectedly after {:.1} s ({cause}); starting it again in {} ms",
            life.as_secs_f64(),
            pause.as_millis()
        ));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.requested() => return Ok(()),
        }
    }
}

async fn run_once(
    launch: &EngineLaunch,
    shutdown: &Shutdown,
    mut on_ready: impl FnMut(&ReadyReport),
) -> Result<End> {
    let name = if launch.mark_lines { ENGINE_NAME } else { "" };
    // One report in each life; more would be a fault of the engine and are dropped.
    let (report, mut reports) = mpsc::channel(1);
    let mut engine =
        Child::spawn(launch.command()?, move |stream, line: &[u8]| match ready_report(stream, line) {
            Some(ready) => drop(report.try_send(ready)),
            None => console::log_bytes(name, line),
        })
        .with_context(|| format!("cannot start {}", launch.node.display()))?;
    let mut awaiting_report = true;
    loop {
        tokio::select! {
            biased;
            ready = reports.recv(), if awaiting_report => {
                awaiting_report = false;
                if let Some(ready) = ready {
                    on_ready(&ready);
                }
            }
            // Before the engine's own end: a service manager may have asked both of us.
            () = shutdown.requested() => {
                let asked = Instant::now();
                let status = engine.stop(shutdown).await.context("stopping the engine")?;
                if !status.success() {
                    console::log(&format!(
                        "freshet: the engine did not end cleanly ({} after {} ms); committed data is safe",
                        describe(status),
                        millis(asked)
                    ));
                }
                return Ok(End::Stopped);
            }
            status = engine.wait() => {
                let status = status.context("waiting for the engine")?;
                if status.code() == Some(launch::EXIT_CONFIGURATION) {
                    return Ok(End::Misconfigured);
                }
                return Ok(End::Died(describe(status)));
            }
        }
    }
}

/// The report in a line of the engine's output, if it is one.
fn ready_report(stream: Stream, line: &[u8]) -> Option<ReadyReport> {
    if stream != Stream::Stdout {
        return None;
    }
    let json = line.strip_prefix(launch::READY_PREFIX.as_bytes())?;
    serde_json::from_slice(json).ok()
}

fn millis(since: Instant) -> u128 {
    Duration::as_millis(&since.elapsed())
}
