//! One action host process: its start, its channel and its end.
//!
//! The process may die at any moment. Whoever waits for something from it then gets [`HostFailure::Crashed`].
//!
//! Whoever is about to use a process, or uses it, holds a [`Lease`]: a process without leases may lose its code or its
//! life.

use std::collections::{BTreeMap, HashSet};
use std::io::ErrorKind;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use freshet_functions::host::{CodePackage, HostFailure, JsError};
use futures::StreamExt as _;
use parking_lot::Mutex;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot, watch};

use super::end::{Cause, End};
use super::frame;
use super::invocations::{Piece, Table, Waiting};
use super::protocol::{PackageModule, ToHost};
use super::spawn::{self, HostKind, HostProgram, Spawned};
use super::suspects::Suspects;

/// A process that answers no ping for this long is stuck in user code and is killed.
const UNRESPONSIVE_MAX: Duration = Duration::from_secs(30);
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Frames that wait for the process to read; each is at most one message or one piece of a body.
const OUTGOING_FRAMES_MAX: usize = 1024;
/// How long a process that has ended may still be read from: what it sent last, unless it left children that hold on to the
/// channel.
const LAST_WORDS_MAX: Duration = Duration::from_millis(500);

/// A running action host.
pub(crate) struct HostProcess {
    pub(crate) kind: HostKind,
    pid: Option<u32>,
    outgoing: mpsc::Sender<Bytes>,
    pub(super) table: Mutex<Table>,
    /// Versions of code that the process has been sent.
    versions: Mutex<HashSet<u64>>,
    /// Number of leases.
    load: AtomicUsize,
    /// When the last lease ended.
    idle_since: Mutex<Instant>,
    pub(super) next_stream: AtomicU32,
    pub(super) last_pong: AtomicU64,
    /// Whether it has said that it is about to end.
    pub(super) is_ending: AtomicBool,
    /// Becomes the reason when the process has ended.
    ended: watch::Sender<Option<End>>,
    kill: mpsc::Sender<String>,
    /// Told which functions were running when it ended.
    suspects: Arc<Suspects>,
    /// For the text of failures.
    heap_megabytes: usize,
}

/// The right to use a process.
pub(crate) struct Lease {
    pub(crate) process: Arc<HostProcess>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        *self.process.idle_since.lock() = Instant::now();
        self.process.load.fetch_sub(1, Ordering::AcqRel);
    }
}

impl HostProcess {
    /// Starts a process and waits until it listens.
    ///
    /// # Errors
    /// When Node cannot be started or ends at once.
    pub(crate) async fn start(
        program: &HostProgram,
        kind: HostKind,
        env: &BTreeMap<String, String>,
        suspects: &Arc<Suspects>,
    ) -> Result<Arc<Self>, HostFailure> {
        let folder = program.scratch.join(SCRATCH_NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
        let mut spawned = spawn::spawn(program, kind, env, &folder)
            .map_err(|error| HostFailure::Crashed(format!("its process could not be started: {error}")))?;
        let (output, mut input) = spawned.channel.take().expect("a new process has a channel").into_split();
        let (outgoing, mut frames) = mpsc::channel::<Bytes>(OUTGOING_FRAMES_MAX);
        let (kill, kill_requests) = mpsc::channel(1);
        let process = Arc::new(Self {
            kind,
            pid: spawned.child.id(),
            outgoing,
            table: Mutex::default(),
            versions: Mutex::default(),
            load: AtomicUsize::new(0),
            idle_since: Mutex::new(Instant::now()),
            next_stream: AtomicU32::new(1),
            last_pong: AtomicU64::new(0),
            is_ending: AtomicBool::new(false),
            ended: watch::Sender::new(None),
            kill,
            suspects: suspects.clone(),
            heap_megabytes: program.heap_megabytes,
        });
        tokio::spawn(async move {
            while let Some(frame) = frames.recv().await {
                if input.write_all(&frame).await.is_err() {
                    // The reader notices the end of the process and tells everyone.
                    break;
                }
            }
        });
        let (ready_sender, ready) = oneshot::channel();
        let supervision = process.clone().supervise(spawned, output, kill_requests, ready_sender);
        tokio::spawn(async move {
            supervision.await;
            // Only processes that were sent Node modules have made one.
            let _ = tokio::fs::remove_dir_all(&folder).await;
        });
        match tokio::time::timeout(Duration::from_secs(20), ready).await {
            Ok(Ok(())) => {
                tokio::spawn(process.clone().ping());
                Ok(process)
            }
            _ => {
                process.terminate("did not start");
                Err(HostFailure::Crashed("its process did not start".into()))
            }
        }
    }

    /// Its number in the operating system; of another process, perhaps, once it has ended.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid.filter(|_| self.is_alive())
    }

    /// Number of those who use the process.
    pub(crate) fn load(&self) -> usize {
        self.load.load(Ordering::Acquire)
    }

    /// How long nobody has used it.
    pub(crate) fn idle_for(&self) -> Duration {
        if self.load() > 0 { Duration::ZERO } else { self.idle_since.lock().elapsed() }
    }

    pub(crate) fn lease(self: &Arc<Self>) -> Lease {
        self.load.fetch_add(1, Ordering::AcqRel);
        Lease { process: self.clone() }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Whether it takes new work.
    pub(crate) fn is_usable(&self) -> bool {
        self.is_alive() && !self.is_ending.load(Ordering::Acquire)
    }

    /// Kills the process. Everyone who waits for it gets the reason.
    pub(crate) fn terminate(&self, reason: &str) {
        // A full channel means that somebody else has already asked.
        let _ = self.kill.try_send(reason.to_owned());
    }

    /// Sends a package unless the process has it; `node_modules` is where its npm packages are.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) async fn send_code(
        &self,
        code: &CodePackage,
        node_modules: Option<&Path>,
    ) -> Result<(), HostFailure> {
        if !self.versions.lock().insert(code.version) {
            return Ok(());
        }
        let modules = code
            .modules
            .values()
            .map(|module| PackageModule {
                path: &module.path,
                source: &module.source,
                source_map: module.source_map.as_deref(),
                environment: module.environment,
            })
            .collect();
        self.send(&ToHost::Code {
            version: code.version.to_string(),
            modules,
            node_modules,
            import_seed: hex::encode(code.import_seed),
            import_time_ms: code.import_time_ms,
        })
        .await
    }

    /// Forgets every package but `current`, unless somebody uses the process and could need another.
    pub(crate) async fn drop_old_code(&self, current: u64) {
        if self.load() > 0 {
            return;
        }
        let old: Vec<u64> = {
            let mut versions = self.versions.lock();
            let old = versions.iter().copied().filter(|version| *version != current).collect();
            versions.retain(|version| *version == current);
            old
        };
        for version in old {
            // A process that has ended has forgotten everything.
            let _ = self.send(&ToHost::DropCode { version: version.to_string() }).await;
        }
    }

    pub(crate) async fn send(&self, message: &ToHost<'_>) -> Result<(), HostFailure> {
        let json = serde_json::to_vec(message).expect("messages have string keys only");
        self.send_frame(frame::message(&json)).await
    }

    pub(crate) async fn send_frame(&self, frame: Bytes) -> Result<(), HostFailure> {
        self.outgoing.send(frame).await.map_err(|_closed| self.failure())
    }

    /// Sends without waiting; for use in destructors. A frame that finds no room is lost, and the watchdog will find a
    /// process that no longer reads.
    pub(crate) fn try_send(&self, message: &ToHost<'_>) {
        let json = serde_json::to_vec(message).expect("messages have string keys only");
        let _ = self.outgoing.try_send(frame::message(&json));
    }

    /// Why nothing more comes from the process, for those who waited for it.
    pub(crate) fn failure(&self) -> HostFailure {
        match &*self.ended.borrow() {
            Some(end) => end.failure(self.heap_megabytes),
            None => HostFailure::Crashed("its process went away".into()),
        }
    }

    async fn supervise(
        self: Arc<Self>,
        mut spawned: Spawned,
        output: OwnedReadHalf,
        mut kill_requests: mpsc::Receiver<String>,
        ready: oneshot::Sender<()>,
    ) {
        // A stream, because giving up to wait for a frame must not lose the part of it that has come.
        let mut frames = pin!(frame::stream(BufReader::with_capacity(64 * 1024, output)));
        let mut ready = Some(ready);
        let killed = loop {
            tokio::select! {
                frame = frames.next() => match frame {
                    Some(Ok(frame)) => {
                        if let Err(reason) = self.receive(frame, &mut ready) {
                            break Some(reason);
                        }
                    }
                    Some(Err(error)) if error.kind() == ErrorKind::InvalidData => {
                        break Some(error.to_string());
                    }
                    // How it has ended says more than how its channel has.
                    None | Some(Err(_)) => break None,
                },
                request = kill_requests.recv() => break request,
                // A child of its own may hold the channel open.
                _ = spawned.child.wait() => {
                    while let Ok(Some(Ok(frame))) =
                        tokio::time::timeout(LAST_WORDS_MAX, frames.next()).await
                    {
                        if self.receive(frame, &mut ready).is_err() {
                            break;
                        }
                    }
                    break None;
                }
            }
        };
        let cause = match killed {
            Some(reason) => {
                // An error here means that it is dead already.
                let _ = spawned.child.kill().await;
                Cause::Other(reason)
            }
            None => {
                let ended = tokio::time::timeout(LAST_WORDS_MAX, spawned.child.wait()).await;
                // It has closed its channel and goes on: nobody can use it any more.
                let _ = spawned.child.start_kill();
                match ended {
                    Ok(Ok(status)) if spawn::is_out_of_memory(status, &mut spawned).await => {
                        Cause::OutOfMemory
                    }
                    Ok(Ok(status)) => Cause::Other(spawn::describe_exit(status)),
                    Ok(Err(error)) => Cause::Other(error.to_string()),
                    Err(_elapsed) => Cause::Other("closed its channel to the engine".into()),
                }
            }
        };
        tracing::debug!(kind = ?self.kind, ?cause, "an action host ended");
        self.fail_everything(cause);
    }

    fn fail_everything(&self, cause: Cause) {
        let table = std::mem::take(&mut *self.table.lock());
        for permits in table.permits.values() {
            permits.close();
        }
        self.suspects.add(table.functions.into_values());
        self.ended.send_replace(Some(End { cause, running: table.invocations.len() }));
        for (_, waiting) in table.invocations {
            match waiting {
                // Those who have gone need no answer.
                Waiting::Action { outcome, .. } => drop(outcome.send(Err(self.failure()))),
                Waiting::Http { head: Some(head), .. } => drop(head.send(Err(Err(self.failure())))),
                Waiting::Http { head: None, .. } | Waiting::Evaluation { .. } => {}
            }
        }
        for (_, response) in table.responses {
            let error = JsError { message: self.failure().to_string(), ..JsError::default() };
            let _ = response.try_send(Piece::Failed(error));
        }
    }

    /// Kills the process when user code keeps it from answering.
    async fn ping(self: Arc<Self>) {
        let mut token = 0_u64;
        let mut answered_at = tokio::time::Instant::now();
        while self.is_alive() {
            token += 1;
            // Without waiting for room: a process that does not read is what this is to find.
            self.try_send(&ToHost::Ping { token });
            tokio::time::sleep(PING_INTERVAL).await;
            if self.last_pong.load(Ordering::Relaxed) == token {
                answered_at = tokio::time::Instant::now();
            } else if answered_at.elapsed() > UNRESPONSIVE_MAX {
                self.terminate("was stopped because an action kept it busy for 30 s without a pause");
                return;
            }
        }
    }
}

/// Names the folders of processes. Folders of an earlier engine are removed before the first process starts.
static SCRATCH_NUMBER: AtomicU64 = AtomicU64::new(1);
