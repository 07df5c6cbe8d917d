//! The steps of the demonstration: each says what it does, shows that it is still at it, and when it fails shows what
//! the tool said and what to do.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tokio::process::Command;

use crate::child::{Child, describe};
use crate::console;
use crate::shutdown::Shutdown;

/// How much of a failed tool's output is shown.
const TRANSCRIPT_LINES_MAX: usize = 100;
/// How often a log that nobody watches hears that a long step is still at it.
const REMINDER: Duration = Duration::from_secs(15);

/// The user wished to stop in the middle of a step. Not a failure.
#[derive(Debug)]
pub(super) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Interrupted {}

/// Runs steps one after another.
pub(super) struct Steps {
    shutdown: Shutdown,
}

impl Steps {
    pub(super) fn new(shutdown: Shutdown) -> Self {
        Self { shutdown }
    }

    /// Says that a step was not needed.
    pub(super) fn skip(&self, title: &str, reason: &str) {
        console::log(&format!("- {title}: {reason}"));
    }

    /// Runs a step, showing the time it takes.
    ///
    /// # Errors
    /// What the step returns, or [`Interrupted`].
    pub(super) async fn run<T>(&self, title: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let started = Instant::now();
        let _status = StatusLine;
        let shown = async {
            if !console::is_interactive() {
                console::log(&format!("- {title} ..."));
            }
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            let mut reminded = Duration::ZERO;
            loop {
                tick.tick().await;
                let elapsed = started.elapsed();
                console::set_status(Some(format!("- {title} ... {} s", elapsed.as_secs())));
                if !console::is_interactive() && elapsed >= reminded + REMINDER {
                    reminded = elapsed;
                    console::log(&format!("- {title} ... still at it after {} s", elapsed.as_secs()));
                }
            }
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = shown => Err(anyhow!("the clock stopped")),
            () = self.shutdown.requested() => return Err(Interrupted.into()),
        };
        console::set_status(None);
        match &outcome {
            Ok(_) => console::log(&format!("- {title}: done in {:.1} s", started.elapsed().as_secs_f64())),
            Err(_) => console::log(&format!("- {title}: failed")),
        }
        outcome
    }

    /// Runs a tool as a step. Its output is shown only when it fails.
    ///
    /// # Errors
    /// When the tool cannot be started or fails; the error ends with `advice`.
    pub(super) async fn command(&self, title: &str, command: Command, advice: &str) -> Result<()> {
        let transcript = Arc::new(Mutex::new(VecDeque::new()));
        let sink = transcript.clone();
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let work = async {
            let mut child = Child::spawn(command, move |_, line: &[u8]| {
                let mut lines = sink.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() == TRANSCRIPT_LINES_MAX {
                    lines.pop_front();
                }
                lines.push_back(line.to_vec());
            })
            .with_context(|| format!("cannot start {program}"))?;
            let status = child.wait().await?;
            if status.success() { Ok(()) } else { Err(anyhow!(describe(status))) }
        };
        let outcome = self.run(title, work).await;
        let Err(error) = outcome else { return Ok(()) };
        if error.is::<Interrupted>() {
            return Err(error);
        }
        for line in transcript.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            console::log_bytes("", &[b"    ", line.as_slice()].concat());
        }
        Err(anyhow!("{title} failed ({error:#}); its output is above. What may help: {advice}"))
    }
}

/// Takes the progress line away, however the step ends.
struct StatusLine;

impl Drop for StatusLine {
    fn drop(&mut self) {
        console::set_status(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(std::process::Stdio::null());
        command
    }

    #[tokio::test]
    async fn a_failed_tool_is_an_error_that_names_the_step_and_the_way_out() {
        let steps = Steps::new(Shutdown::default());
        let error = steps.command("Baking", shell("exit 3"), "more flour").await.unwrap_err().to_string();
        assert!(error.starts_with("Baking failed (exit code 3)") && error.ends_with("more flour"), "{error}");
        steps.command("Baking", shell("exit 0"), "").await.unwrap();
    }

    #[tokio::test]
    async fn the_wish_to_stop_ends_a_step_without_a_complaint() {
        let shutdown = Shutdown::default();
        let steps = Steps::new(shutdown.clone());
        let (outcome, ()) = tokio::join!(steps.command("Baking", shell("sleep 60"), ""), async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            shutdown.request();
        });
        assert!(outcome.unwrap_err().is::<Interrupted>());
    }
}
