//! Moves request and response bodies between the server and an action host, a bounded number of pieces at a time.

use std::sync::Arc;

use bytes::Bytes;
use freshet_functions::host::JsError;
use tokio::sync::mpsc;

use super::frame;
use super::process::{HostProcess, Piece};
use super::protocol::ToHost;

/// Sends a request body, one piece for each credit that the reader in the process grants.
pub(crate) async fn forward_request(
    process: Arc<HostProcess>,
    stream: u32,
    mut body: mpsc::Receiver<Result<Bytes, String>>,
    mut credits: mpsc::UnboundedReceiver<()>,
) {
    let error = loop {
        if credits.recv().await.is_none() {
            // The action has ended without reading the rest.
            return;
        }
        match body.recv().await {
            Some(Ok(bytes)) => {
                if process.send_frame(frame::body(stream, &bytes)).await.is_err() {
                    return;
                }
            }
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    process.close_request(stream);
    // A process that has ended needs no end of body.
    let _ = process.send(&ToHost::BodyEnd { stream, error: error.as_deref() }).await;
}

/// Passes a response body on to whoever answers the client, and grants a credit for each piece that was taken. When the
/// client leaves, the action is told.
pub(crate) async fn forward_response(
    process: Arc<HostProcess>,
    id: String,
    stream: u32,
    mut pieces: mpsc::Receiver<Piece>,
    body: mpsc::Sender<Result<Bytes, JsError>>,
) {
    loop {
        let piece = tokio::select! {
            piece = pieces.recv() => piece,
            () = body.closed() => {
                leave(&process, &id, stream).await;
                return;
            }
        };
        match piece {
            Some(Piece::Bytes(bytes)) => {
                if body.send(Ok(bytes)).await.is_err() {
                    leave(&process, &id, stream).await;
                    return;
                }
                if process.send(&ToHost::BodyCredit { stream }).await.is_err() {
                    return;
                }
            }
            Some(Piece::Failed(error)) => {
                // A client that has gone does not hear of it.
                let _ = body.send(Err(error)).await;
                return;
            }
            None => return,
        }
    }
}

async fn leave(process: &HostProcess, id: &str, stream: u32) {
    process.close_response(stream);
    // Errors mean that the process has ended, and the action with it.
    let _ = process.send(&ToHost::Abort { id }).await;
    let _ = process.send(&ToHost::BodyCancel { stream }).await;
}
