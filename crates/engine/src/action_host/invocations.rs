//! The invocations that run in a process, and the bodies that belong to them. Never speaks to the process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use freshet_functions::host::{ActionCallbacks, EvaluationReply, HostFailure, JsError, Outcome};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::process::HostProcess;
use super::protocol::ToHost;

/// Pieces of a response that the process may send before they are taken; mirrored in `runtime/src/bodies.ts`.
pub(super) const BODY_WINDOW: usize = 16;
/// Numbers of bodies that the process gives begin here; those below are the engine's.
const BLOB_STREAMS_FROM: u32 = 1 << 31;
/// Host calls that are carried out for one invocation at a time; others wait. As many actions as run at a time together do
/// not fill the queue of the lanes.
const CALLS_MAX: usize = 32;
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

/// Who waits for what.
#[derive(Default)]
pub(super) struct Table {
    pub(super) invocations: HashMap<String, Waiting>,
    /// What bounds the host calls that are carried out for them at a time.
    pub(super) permits: HashMap<String, Arc<Semaphore>>,
    /// Names of their functions.
    pub(super) functions: HashMap<String, String>,
    pub(super) responses: HashMap<u32, mpsc::Sender<Piece>>,
    pub(super) request_credits: HashMap<u32, mpsc::UnboundedSender<()>>,
    /// Bodies of the files that an invocation stores or reads just now; their numbers are the process's own.
    blobs: HashMap<String, Vec<u32>>,
}

impl Table {
    /// Takes an invocation out, and with it whatever waits for leave to send it more.
    fn remove(&mut self, id: &str) -> Option<Waiting> {
        let waiting = self.invocations.remove(id)?;
        self.functions.remove(id);
        if let Some(permits) = self.permits.remove(id) {
            // What it has not begun does not begin any more.
            permits.close();
        }
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

impl HostProcess {
    /// Notes who waits for an invocation of `function`.
    pub(crate) fn register(&self, id: &str, function: String, waiting: Waiting) {
        let mut table = self.table.lock();
        table.functions.insert(id.to_owned(), function);
        table.permits.insert(id.to_owned(), Arc::new(Semaphore::new(CALLS_MAX)));
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

    /// Who serves an invocation that is running.
    pub(super) fn callbacks(&self, id: &str) -> Option<Arc<dyn ActionCallbacks>> {
        match self.table.lock().invocations.get(id)? {
            Waiting::Action { callbacks, .. } | Waiting::Http { callbacks, .. } => Some(callbacks.clone()),
            Waiting::Evaluation { .. } => None,
        }
    }

    /// Opens the body of a file, under a number that the process has chosen. The body of an invocation that is over ends
    /// at once.
    pub(super) fn open_blob(
        &self,
        id: &str,
        stream: u32,
        open: impl FnOnce(&mut Table),
    ) -> Result<(), String> {
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

    /// An invocation has ended.
    pub(super) fn settle(&self, id: &str, ok: bool, value: Option<String>, error: Option<JsError>) {
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
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use freshet_functions::host::{IncomingBlob, OutgoingBlob, SyscallError};
    use freshet_functions::log::LogLine;

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
