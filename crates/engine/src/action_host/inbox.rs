//! What a process sends, and what is done about it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use freshet_functions::host::SyscallError;
use freshet_functions::log::LogLine;
use tokio::sync::{mpsc, oneshot};

use super::blobs::{self, Transfer};
use super::frame::Frame;
use super::invocations::{BODY_WINDOW, Head, Piece, Waiting};
use super::process::HostProcess;
use super::protocol::{FromHost, ToHost};

/// How long a process may take to end after it has said so.
const ENDING_TIME_MAX: Duration = Duration::from_secs(2);

impl HostProcess {
    /// Handles one frame. An error ends the process.
    pub(super) fn receive(
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
            FromHost::Ending => self.expect_end(),
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

    /// Nothing new is given to a process that says that it ends. What user code has done to it may keep it from that, and
    /// nobody else looks after it any more.
    fn expect_end(self: &Arc<Self>) {
        if self.is_ending.swap(true, Ordering::AcqRel) {
            return;
        }
        let process = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ENDING_TIME_MAX).await;
            process.terminate("did not end although it said so");
        });
    }

    /// Carries out a host call of an invocation and sends the reply.
    fn serve(self: Arc<Self>, id: String, call: u64, op: String, args: String) {
        let Some(callbacks) = self.callbacks(&id) else {
            return;
        };
        let permits = self.table.lock().permits.get(&id).cloned();
        tokio::spawn(async move {
            let permit = match &permits {
                Some(permits) => permits.acquire().await,
                None => return,
            };
            // It is over.
            let Ok(_permit) = permit else { return };
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
}
