//! A child process in a process group of its own, whose end is the end of everything it started.
//!
//! The group keeps the terminal's Ctrl-C away from the child: this program hears it and asks the child to stop, once
//! and in order.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::AsyncRead;
use tokio::process::{ChildStdin, Command};
use tokio::task::JoinHandle;

use crate::lines;
use crate::shutdown::Shutdown;

/// How long a child may take to end after it was asked to.
pub(crate) const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How long output may keep coming after the child's end; a process that left the group could hold the pipe open.
const DRAIN_PATIENCE: Duration = Duration::from_millis(500);

/// Where a line of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// A running child. Dropping it kills its group.
pub(crate) struct Child {
    process: tokio::process::Child,
    group: Pid,
    stdin: Option<ChildStdin>,
    readers: Vec<JoinHandle<()>>,
    reaped: bool,
}

impl Child {
    /// Starts the command, with pipes for its output, whose lines go to `each`. Standard input is as the command
    /// has it; a pipe is held open for as long as the child lives, so that the child notices when we are gone.
    pub(crate) fn spawn(
        mut command: Command,
        each: impl FnMut(Stream, &[u8]) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        let mut process = command.spawn()?;
        let group = process
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .expect("a child that was just started has a process id");
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().expect("standard output was piped above");
        let stderr = process.stderr.take().expect("standard error was piped above");
        let readers = vec![
            tokio::spawn(pump(stdout, Stream::Stdout, each.clone())),
            tokio::spawn(pump(stderr, Stream::Stderr, each)),
        ];
        Ok(Self { process, group, stdin, readers, reaped: false })
    }

    /// Waits for the end, kills what the child left behind, and waits for the last of its output.
    /// May be dropped and called again.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.process.wait().await?;
        self.stdin = None;
        if !self.reaped {
            self.reaped = true;
            // Fails when nothing is left of the group, which is the usual case.
            let _ = kill_process_group(self.group, Signal::KILL);
        }
        let drained = async {
            for reader in &mut self.readers {
                let _ = reader.await;
            }
        };
        let _ = tokio::time::timeout(DRAIN_PATIENCE, drained).await;
        self.readers.drain(..).for_each(|reader| reader.abort());
        Ok(status)
    }

    /// Asks the child to end and waits; kills its whole group after [`STOP_PATIENCE`] or when the user insists.
    pub(crate) async fn stop(&mut self, shutdown: &Shutdown) -> io::Result<ExitStatus> {
        if self.process.id().is_some() {
            // Only the child itself: it knows in which order its own children should go.
            let _ = kill_process(self.group, Signal::TERM);
        }
        tokio::select! {
            status = self.wait() => return status,
            () = tokio::time::sleep(STOP_PATIENCE) => {}
            () = shutdown.forced() => {}
        }
        self.kill();
        self.wait().await
    }

    fn kill(&self) {
        if !self.reaped {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn pump(source: impl AsyncRead + Unpin, stream: Stream, mut each: impl FnMut(Stream, &[u8])) {
    lines::pump(source, |line| each(stream, line)).await;
}

/// How a child ended, in words.
pub(crate) fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "unknown cause".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command
    }

    type Collected = Arc<Mutex<Vec<String>>>;

    fn collector() -> (Collected, impl FnMut(Stream, &[u8]) + Clone + Send + 'static) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        let each = move |stream, line: &[u8]| {
            sink.lock().unwrap().push(format!("{stream:?} {}", String::from_utf8_lossy(line)));
        };
        (lines, each)
    }

    #[tokio::test]
    async fn all_output_has_arrived_when_wait_returns() {
        let (lines, each) = collector();
        let mut child = Child::spawn(shell("echo one; echo two >&2; exit 3"), each).unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(3));
        let mut lines = lines.lock().unwrap().clone();
        lines.sort();
        assert_eq!(lines, ["Stderr two", "Stdout one"]);
    }

    #[tokio::test]
    async fn a_grandchild_does_not_outlive_the_child() {
        let (lines, each) = collector();
        let mut child = Child::spawn(shell("sleep 60 & echo $!"), each).unwrap();
        child.wait().await.unwrap();
        let id: i32 = lines.lock().unwrap()[0].trim_start_matches("Stdout ").parse().unwrap();
        let gone = || match std::fs::read_to_string(format!("/proc/{id}/stat")) {
            // A zombie waits for somebody else to reap it; it runs no more.
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        while !gone() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(gone(), "process {id} is still running");
    }
}
