//! Starting an action host: its flags, its environment, its channel, and what it prints.
//!
//! The channel is a socket of its own, so that whatever user code and native libraries print does not get into it. What
//! they print goes to the engine's standard error, line by line.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// Where a process finds its channel; the same in `runtime/src/action-host.ts`.
const CHANNEL_FD: i32 = 3;
/// Longer lines are passed on in pieces.
const LINE_BYTES_MAX: u64 = 8192;
/// How long the last lines of a process that has ended are waited for.
const LAST_LINES_MAX: Duration = Duration::from_millis(200);
/// Part of what V8 prints before it ends a process whose heap is exhausted.
const OUT_OF_MEMORY_NOTICE: &[u8] = b"out of memory";

/// Which runtime a process offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostKind {
    Isolate,
    Node,
}

/// How to start processes.
#[derive(Clone, Debug)]
pub(crate) struct HostProgram {
    pub(crate) node: PathBuf,
    pub(crate) script: PathBuf,
    pub(crate) isolate_flags: Vec<String>,
    pub(crate) heap_megabytes: usize,
    /// Where processes keep files; each has a folder of its own in it, which goes when the process does.
    pub(crate) scratch: PathBuf,
}

/// A process that was started.
pub(crate) struct Spawned {
    pub(crate) child: Child,
    pub(crate) channel: Option<UnixStream>,
    /// Whether V8 has said that there is no memory.
    ran_out_of_memory: Arc<AtomicBool>,
    printing: Option<JoinHandle<()>>,
}

/// Starts a process.
pub(crate) fn spawn(
    program: &HostProgram,
    kind: HostKind,
    env: &BTreeMap<String, String>,
    folder: &Path,
) -> std::io::Result<Spawned> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = Command::new(&program.node);
    command.arg(format!("--max-old-space-size={}", program.heap_megabytes));
    match kind {
        HostKind::Isolate => {
            command.args(&program.isolate_flags).arg(&program.script).arg("isolate");
        }
        HostKind::Node => {
            // `"use node"` code sees the whole of Node, so nothing of it is switched off.
            command.arg(&program.script).arg("node").arg(folder);
        }
    }
    // The engine's own environment holds the instance secret; a host gets only what it needs.
    command.env_clear();
    for name in ["PATH", "LANG", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("TZ", "UTC");
    if kind == HostKind::Node {
        command.envs(env);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
        .fd_mappings(vec![FdMapping { parent_fd: theirs.into(), child_fd: CHANNEL_FD }])
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    let mut child = command.spawn()?;
    // The mapping keeps their end of the channel open, which would hide that they have closed it.
    drop(command);
    let ran_out_of_memory = Arc::new(AtomicBool::new(false));
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    tokio::spawn(pass_on(stdout, Arc::new(AtomicBool::new(false))));
    let printing = tokio::spawn(pass_on(stderr, ran_out_of_memory.clone()));
    Ok(Spawned {
        child,
        channel: Some(UnixStream::from_std(ours)?),
        ran_out_of_memory,
        printing: Some(printing),
    })
}

/// Passes on what a process prints until it has closed the stream.
async fn pass_on(stream: impl AsyncRead + Unpin, ran_out_of_memory: Arc<AtomicBool>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if line.starts_with(b"FATAL ERROR")
            && line.windows(OUT_OF_MEMORY_NOTICE.len()).any(|part| part == OUT_OF_MEMORY_NOTICE)
        {
            ran_out_of_memory.store(true, Ordering::Release);
        }
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        // Nobody reads the log: nothing to be done about it here.
        let _ = std::io::stderr().lock().write_all(&[b"[action] ", line.as_slice()].concat());
    }
}

/// Whether a process ended because its heap was exhausted: V8 then aborts it, as `process.abort()` does.
pub(crate) async fn is_out_of_memory(status: ExitStatus, spawned: &mut Spawned) -> bool {
    if !matches!(status.signal(), Some(libc::SIGABRT | libc::SIGTRAP | libc::SIGILL)) {
        return false;
    }
    if let Some(printing) = spawned.printing.take() {
        // Children of its own may hold its standard error open.
        let _ = tokio::time::timeout(LAST_LINES_MAX, printing).await;
    }
    spawned.ran_out_of_memory.load(Ordering::Acquire)
}

/// How a process ended, in words that continue "its process".
pub(crate) fn describe_exit(status: ExitStatus) -> String {
    let name = |signal| match signal {
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGILL => " (SIGILL)",
        libc::SIGTRAP => " (SIGTRAP)",
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGTERM => " (SIGTERM)",
        _ => "",
    };
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}{}", name(signal)),
        (None, Some(code)) => format!("ended with exit code {code}, as after process.exit()"),
        (None, None) => format!("ended with {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_process_is_told_in_words() {
        assert_eq!(
            describe_exit(ExitStatus::from_raw(3 << 8)),
            "ended with exit code 3, as after process.exit()"
        );
        assert_eq!(describe_exit(ExitStatus::from_raw(11)), "was ended by signal 11 (SIGSEGV)");
    }

    #[tokio::test]
    async fn what_is_printed_is_searched_for_v8_s_last_words() {
        let found = |text: &'static str| async move {
            let flag = Arc::new(AtomicBool::new(false));
            pass_on(text.as_bytes(), flag.clone()).await;
            flag.load(Ordering::Acquire)
        };
        assert!(
            found("\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n")
                .await
        );
        assert!(!found("I am out of memory\nFATAL ERROR: something else").await);
    }
}
