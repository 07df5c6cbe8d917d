//! Files that actions store and read. Their bytes cross the channel as bodies, a bounded number of pieces at a time.

use std::sync::Arc;

use freshet_functions::host::{ActionCallbacks, IncomingBlob, SyscallError};
use tokio::sync::mpsc;

use super::bodies::{self, End};
use super::invocations::Piece;
use super::process::HostProcess;
use super::protocol::ToHost;

/// One file on its way, and the host call that it belongs to.
pub(super) struct Transfer {
    pub(super) process: Arc<HostProcess>,
    pub(super) callbacks: Arc<dyn ActionCallbacks>,
    /// The invocation.
    pub(super) id: String,
    pub(super) call: u64,
    pub(super) stream: u32,
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.process.close_blob(&self.id, self.stream);
    }
}

/// Stores what the action sends, and replies with the file's id.
pub(super) async fn store(
    transfer: Transfer,
    mut pieces: mpsc::Receiver<Piece>,
    content_type: String,
    sha256: Option<String>,
    size: u64,
) {
    let Transfer { process, callbacks, id, call, stream } = &transfer;
    let (sender, body) = mpsc::channel(1);
    let stored = callbacks.store_blob(IncomingBlob { content_type, sha256, size, body });
    let passed = async {
        if let End::ClientLeft = bodies::pass_on(process, *stream, &mut pieces, &sender).await {
            // The file was refused before its end.
            let _ = process.send(&ToHost::BodyCancel { stream: *stream }).await;
        }
        // The end of the body.
        drop(sender);
    };
    let (result, ()) = tokio::join!(stored, passed);
    let result = result.map(|id| serde_json::Value::String(id).to_string());
    process.reply(id, *call, &result).await;
}

/// Replies with what is known of a file, and sends its bytes as they are wanted.
pub(super) async fn load(transfer: Transfer, credits: mpsc::UnboundedReceiver<()>, storage_id: String) {
    let Transfer { process, callbacks, id, call, stream } = &transfer;
    let result: Result<String, SyscallError> = match callbacks.load_blob(&storage_id).await {
        Ok(Some(blob)) => {
            let head = serde_json::json!({ "contentType": blob.content_type, "size": blob.size });
            process.reply(id, *call, &Ok(head.to_string())).await;
            bodies::forward_request(process.clone(), *stream, blob.body, credits).await;
            return;
        }
        Ok(None) => Ok("null".into()),
        Err(error) => Err(error),
    };
    process.reply(id, *call, &result).await;
}
