//! One action host process: its start, its channel, the invocations that run in it, and its end.
//!
//! The process may die at any moment. Whoever waits for something from it then gets [`HostFailure::Crashed`].
//!
//! Whoever is about to use a process, or uses it, holds a [`Lease`]: a process without leases may lose its code or its
//! life.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use freshet_functions::host::{
    ActionCallbacks, CodePackage, EvaluationReply, HostFailure, JsError, Outcome, SyscallError,
};
use freshet_functions::log::LogLine;
use futures::StreamExt as _;
use parking_lot::Mutex;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot, watch};

use super::blobs::{self, Transfer};
use super::frame::{self, Frame};
use super::protocol::{FromHost, PackageModule, ToHost};
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
/// Pieces of a response that the process may send before they are taken; mirrored in `runtime/src/bodies.ts`.
const BODY_WINDOW: usize = 16;
/// Numbers of bodies that the process gives begin here; those below are the engine's.
const BLOB_STREAMS_FROM: u32 = 1 << 31;
/// Files that one invocation may store and read at a time. The process keeps to half of it, and queues the others.
const BLOBS_MAX: usize = 16;

/// What one invocation waits for.
pub(crate) enum Waiting {
    Action {
        outcome: oneshot::Sender<Result<Outcome, HostFailure>>,
        callbacks: Arc<dyn ActionCallbacks>,
    },
    Http {
        /// Answered by the response head, or by a failure before it.
        head: Option<oneshot::Sender<Result<Head, Result<JsError, HostFailure>>>>,
        response_stream: u32,
        request_stream: Option<u32>,
        callbacks: Arc<dyn ActionCallbacks>,
    },
    Evaluation {
        replies: mpsc::UnboundedSender<EvaluationReply>,
    },
}

/// Status and headers of a response.
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

/// A piece of a response body, or its end.
pub(crate) enum Piece {
    Bytes(Bytes),
    Failed(JsError),
}

/// A running action host.
pub(crate) struct HostProcess {
    pub(crate) kind: HostKind,
    pid: Option<u32>,
    outgoing: mpsc::Sender<Bytes>,
    table: Mutex<Table>,
    /// Versions of code that the process has been sent.
    versions: Mutex<HashSet<u64>>,
    /// Number of leases.
    load: AtomicUsize,
    /// When the last lease ended.
    idle_since: Mutex<Instant>,
    next_stream: AtomicU32,
    last_pong: AtomicU64,
    /// Becomes the reason when the process has ended.
    ended: watch::Sender<Option<End>>,
    kill: mpsc::Sender<String>,
    /// Told which functions were running when it ended.
    suspects: Arc<Suspects>,
    /// For the text of failures.
    heap_megabytes: usize,
}

/// How a process ended.
#[derive(Clone, Debug)]
struct End {
    cause: Cause,
    /// Invocations that it was running.
    running: usize,
}

#[derive(Clone, Debug)]
enum Cause {
    OutOfMemory,
    /// Any other, in words that continue "its process".
    Other(String),
}

#[derive(Default)]
struct Table {
    invocations: HashMap<String, Waiting>,
    /// Names of their functions.
    functions: HashMap<String, String>,
    responses: HashMap<u32, mpsc::Sender<Piece>>,
    request_credits: HashMap<u32, mpsc::UnboundedSender<()>>,
    /// Bodies of the files that an invocation stores or reads just now; their numbers are the process's own.
    blobs: HashMap<String, Vec<u32>>,
}

impl Table {
    /// Takes an invocation out, and with it whatever waits for leave to send it more.
    fn remove(&mut self, id: &str) -> Option<Waiting> {
        let waiting = self.invocations.remove(id)?;
        self.functions.remove(id);
        if let Waiting::Http { request_stream: Some(stream), .. } = &waiting {
            self.request_credits.remove(stream);
        }
        for stream in self.blobs.remove(id).unwrap_or_default() {
            self.responses.remove(&stream);
            self.request_credits.remove(&stream);
        }
        Some(waiting)
    }
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

    /// Notes who waits for an invocation of `function`.
    pub(crate) fn register(&self, id: &str, function: String, waiting: Waiting) {
        let mut table = self.table.lock();
        table.functions.insert(id.to_owned(), function);
        table.invocations.insert(id.to_owned(), waiting);
    }

    /// Gives an invocation up: nobody waits for it any more, and its work is to end.
    pub(crate) fn give_up(&self, id: &str) {
        {
            let mut table = self.table.lock();
            if let Some(Waiting::Http { response_stream, .. }) = table.remove(id) {
                table.responses.remove(&response_stream);
            }
        }
        self.try_send(&ToHost::End { id });
    }

    /// A number for a body, and the receiving end of a response body.
    pub(crate) fn open_response(&self) -> (u32, mpsc::Receiver<Piece>) {
        let stream = self.next_stream.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::channel(BODY_WINDOW * 2);
        self.table.lock().responses.insert(stream, sender);
        (stream, receiver)
    }

    /// A number for a request body, and the credits that its reader grants.
    pub(crate) fn open_request(&self) -> (u32, mpsc::UnboundedReceiver<()>) {
        let stream = self.next_stream.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::unbounded_channel();
        self.table.lock().request_credits.insert(stream, sender);
        (stream, receiver)
    }

    pub(crate) fn close_request(&self, stream: u32) {
        self.table.lock().request_credits.remove(&stream);
    }

    /// Why nothing more comes from the process, for those who waited for it.
    pub(crate) fn failure(&self) -> HostFailure {
        let Some(End { cause, running }) = self.ended.borrow().clone() else {
            return HostFailure::Crashed("its process went away".into());
        };
        let others = match running.saturating_sub(1) {
            0 => String::new(),
            1 => ", while another action was running in it".into(),
            others => format!(", while {others} other actions were running in it"),
        };
        match cause {
            Cause::OutOfMemory if running <= 1 => HostFailure::OutOfMemory,
            Cause::OutOfMemory => HostFailure::Crashed(format!(
                "its process ran out of memory (maximum memory usage: {} MB){others}",
                self.heap_megabytes
            )),
            Cause::Other(text) => HostFailure::Crashed(format!("its process {text}{others}")),
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
                    None => break None,
                    Some(Err(error)) => break Some(error.to_string()),
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

    /// Handles one frame. An error ends the process.
    fn receive(
        self: &Arc<Self>,
        frame: Frame,
        ready: &mut Option<oneshot::Sender<()>>,
    ) -> Result<(), String> {
        let text = match frame {
            Frame::Message(text) => text,
            Frame::Body { stream, bytes } => {
                let response = self.table.lock().responses.get(&stream).cloned();
                return match response.map(|response| response.try_send(Piece::Bytes(bytes))) {
                    Some(Err(mpsc::error::TrySendError::Full(_))) => {
                        Err("ignored the flow control of a response body".into())
                    }
                    _ => Ok(()),
                };
            }
        };
        let message: FromHost = serde_json::from_slice(&text)
            .map_err(|error| format!("sent a message to the engine that cannot be read: {error}"))?;
        match message {
            FromHost::Ready => {
                if let Some(ready) = ready.take() {
                    let _ = ready.send(());
                }
            }
            FromHost::Pong { token } => self.last_pong.store(token, Ordering::Relaxed),
            FromHost::Log { id, level, messages, truncated, timestamp } => {
                if let Some(callbacks) = self.callbacks(&id) {
                    callbacks.log(LogLine {
                        level,
                        messages,
                        is_truncated: truncated,
                        timestamp,
                        system_metadata: None,
                        nested_in: None,
                    });
                }
            }
            FromHost::Syscall { id, call, op, args } => self.clone().serve(id, call, op, args),
            FromHost::Store { id, call, stream, content_type, sha256, size } => {
                let Some(callbacks) = self.callbacks(&id) else { return Ok(()) };
                let (sender, pieces) = mpsc::channel(BODY_WINDOW * 2);
                self.open_blob(&id, stream, |table| drop(table.responses.insert(stream, sender)))?;
                let transfer = Transfer { process: self.clone(), callbacks, id, call, stream };
                tokio::spawn(blobs::store(transfer, pieces, content_type, sha256, size));
            }
            FromHost::Load { id, call, stream, storage_id } => {
                let Some(callbacks) = self.callbacks(&id) else { return Ok(()) };
                let (sender, credits) = mpsc::unbounded_channel();
                self.open_blob(&id, stream, |table| drop(table.request_credits.insert(stream, sender)))?;
                let transfer = Transfer { process: self.clone(), callbacks, id, call, stream };
                tokio::spawn(blobs::load(transfer, credits, storage_id));
            }
            FromHost::Outcome { id, ok, value, error } => self.settle(&id, ok, value, error),
            FromHost::Head { id, status, headers } => {
                if let Some(Waiting::Http { head, .. }) = self.table.lock().invocations.get_mut(&id)
                    && let Some(head) = head.take()
                {
                    let _ = head.send(Ok(Head { status, headers }));
                }
            }
            FromHost::BodyEnd { stream, error } => {
                let response = self.table.lock().responses.remove(&stream);
                if let (Some(response), Some(error)) = (response, error) {
                    let _ = response.try_send(Piece::Failed(error));
                }
            }
            FromHost::BodyCredit { stream } => {
                if let Some(credits) = self.table.lock().request_credits.get(&stream) {
                    let _ = credits.send(());
                }
            }
            FromHost::Evaluated { id, reply } => {
                if let Some(Waiting::Evaluation { replies }) = self.table.lock().invocations.get(&id) {
                    let _ = replies.send(*reply);
                }
            }
        }
        Ok(())
    }

    fn callbacks(&self, id: &str) -> Option<Arc<dyn ActionCallbacks>> {
        match self.table.lock().invocations.get(id)? {
            Waiting::Action { callbacks, .. } | Waiting::Http { callbacks, .. } => Some(callbacks.clone()),
            Waiting::Evaluation { .. } => None,
        }
    }

    /// Carries out a host call of an invocation and sends the reply.
    fn serve(self: Arc<Self>, id: String, call: u64, op: String, args: String) {
        let Some(callbacks) = self.callbacks(&id) else {
            return;
        };
        tokio::spawn(async move {
            let result = callbacks.syscall(&op, &args).await;
            self.reply(&id, call, &result).await;
        });
    }

    /// Answers a host call.
    pub(super) async fn reply(&self, id: &str, call: u64, result: &Result<String, SyscallError>) {
        let reply = match result {
            Ok(text) => ToHost::Reply { id, call, ok: true, text, data: None },
            Err(error) => {
                ToHost::Reply { id, call, ok: false, text: &error.message, data: error.data.as_deref() }
            }
        };
        // A process that has ended does not wait for replies.
        let _ = self.send(&reply).await;
    }

    /// Opens the body of a file, under a number that the process has chosen. The body of an invocation that is over ends
    /// at once.
    fn open_blob(&self, id: &str, stream: u32, open: impl FnOnce(&mut Table)) -> Result<(), String> {
        let mut table = self.table.lock();
        if !table.invocations.contains_key(id) {
            return Ok(());
        }
        let open_already = table.blobs.entry(id.to_owned()).or_default();
        if stream < BLOB_STREAMS_FROM || open_already.len() >= BLOBS_MAX || open_already.contains(&stream) {
            return Err("the action host ignored the rules for bodies of files".into());
        }
        open_already.push(stream);
        open(&mut table);
        Ok(())
    }

    /// The body of a file has ended.
    pub(super) fn close_blob(&self, id: &str, stream: u32) {
        let mut table = self.table.lock();
        if let Some(open) = table.blobs.get_mut(id) {
            open.retain(|other| *other != stream);
        }
        table.responses.remove(&stream);
        table.request_credits.remove(&stream);
    }

    fn settle(&self, id: &str, ok: bool, value: Option<String>, error: Option<JsError>) {
        let mut table = self.table.lock();
        let Some(waiting) = table.remove(id) else {
            return;
        };
        let outcome = if ok {
            Outcome::Returned(value.unwrap_or_else(|| "null".into()))
        } else {
            Outcome::Threw(error.unwrap_or_default())
        };
        match waiting {
            Waiting::Action { outcome: sender, .. } => drop(sender.send(Ok(outcome))),
            Waiting::Http { head, response_stream, .. } => {
                let response = table.responses.remove(&response_stream);
                if let Outcome::Threw(error) = outcome {
                    match (head, response) {
                        (Some(head), _) => drop(head.send(Err(Ok(error)))),
                        (None, Some(response)) => drop(response.try_send(Piece::Failed(error))),
                        (None, None) => {}
                    }
                }
            }
            Waiting::Evaluation { .. } => {}
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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use freshet_functions::host::{IncomingBlob, OutgoingBlob};

    use super::*;

    struct NoCallbacks;

    #[async_trait]
    impl ActionCallbacks for NoCallbacks {
        async fn syscall(&self, op: &str, _args: &str) -> Result<String, SyscallError> {
            Err(SyscallError::new(op))
        }
        async fn store_blob(&self, _blob: IncomingBlob) -> Result<String, SyscallError> {
            Err(SyscallError::new("no files"))
        }
        async fn load_blob(&self, _storage_id: &str) -> Result<Option<OutgoingBlob>, SyscallError> {
            Ok(None)
        }
        fn log(&self, _line: LogLine) {}
    }

    #[test]
    fn an_invocation_that_is_over_waits_for_no_request_body() {
        let mut table = Table::default();
        let (sender, mut credits) = mpsc::unbounded_channel();
        table.request_credits.insert(7, sender);
        table.invocations.insert(
            "id".into(),
            Waiting::Http {
                head: None,
                response_stream: 8,
                request_stream: Some(7),
                callbacks: Arc::new(NoCallbacks),
            },
        );
        assert!(matches!(credits.try_recv(), Err(mpsc::error::TryRecvError::Empty)));
        assert!(table.remove("id").is_some());
        assert!(matches!(credits.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
        assert!(table.remove("id").is_none());
    }
}
