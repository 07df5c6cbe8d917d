//! Moves request and response bodies between the server and an action host, a bounded number of pieces at a time.

use std::sync::Arc;

use bytes::Bytes;
use freshet_functions::host::JsError;
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::frame;
use super::invocations::Piece;
use super::process::{HostProcess, Lease};
use super::protocol::ToHost;

/// Sends a body to the process, one piece for each credit that the reader in the process grants.
pub(crate) async fn forward_request(
    process: Arc<HostProcess>,
    stream: u32,
    mut body: impl Stream<Item = Result<Bytes, String>> + Unpin + Send,
    mut credits: mpsc::UnboundedReceiver<()>,
) {
    let error = loop {
        if credits.recv().await.is_none() {
            // The action has ended without reading the rest.
            return;
        }
        match body.next().await {
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

/// Passes a response body on to whoever answers the client, until it ends or `deadline` passes. When the client leaves,
/// the action is told and may go on: it is over when its stream is.
pub(crate) async fn forward_response(
    lease: Lease,
    id: String,
    stream: u32,
    mut pieces: mpsc::Receiver<Piece>,
    body: mpsc::Sender<Result<Bytes, JsError>>,
    deadline: Instant,
) {
    let process = &lease.process;
    match timeout_at(deadline, pass_on(process, stream, &mut pieces, &body)).await {
        Ok(End::Complete) => return,
        Ok(End::ClientLeft) => {
            drop(body);
            // Errors mean that the process has ended, and the action with it.
            let _ = process.send(&ToHost::Abort { id: &id }).await;
            let _ = process.send(&ToHost::BodyCancel { stream }).await;
            let rest = async { while pieces.recv().await.is_some() {} };
            if timeout_at(deadline, rest).await.is_ok() {
                return;
            }
        }
        Err(_elapsed) => {
            let message = "Uncaught Error: the response took longer than an action may".to_owned();
            // A client that does not read does not hear of it.
            let _ = body.try_send(Err(JsError { message, ..JsError::default() }));
        }
    }
    process.give_up(&id);
}

/// How the forwarding of a response body ended.
pub(super) enum End {
    /// The body ended, or failed.
    Complete,
    ClientLeft,
}

/// Grants a credit for each piece that the client took.
pub(super) async fn pass_on(
    process: &HostProcess,
    stream: u32,
    pieces: &mut mpsc::Receiver<Piece>,
    body: &mpsc::Sender<Result<Bytes, JsError>>,
) -> End {
    loop {
        let piece = tokio::select! {
            piece = pieces.recv() => piece,
            () = body.closed() => return End::ClientLeft,
        };
        match piece {
            Some(Piece::Bytes(bytes)) => {
                if body.send(Ok(bytes)).await.is_err() {
                    return End::ClientLeft;
                }
                if process.send(&ToHost::BodyCredit { stream }).await.is_err() {
                    return End::Complete;
                }
            }
            Some(Piece::Failed(error)) => {
                // A client that has gone does not hear of it.
                let _ = body.send(Err(error)).await;
                return End::Complete;
            }
            None => return End::Complete,
        }
    }
}
