//! Frames of the channel to an action host: a four-byte little-endian length, one byte of kind, the payload.

use bytes::{Bytes, BytesMut};
use futures::stream::{Stream, try_unfold};
use tokio::io::{AsyncRead, AsyncReadExt};

const KIND_MESSAGE: u8 = 0;
const KIND_BODY: u8 = 1;
const HEADER_BYTES: usize = 5;
/// Larger frames are a sign of a corrupted channel.
const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One frame from an action host.
#[derive(Debug)]
pub(crate) enum Frame {
    /// JSON text.
    Message(Bytes),
    /// A piece of a body.
    Body {
        /// Number of the stream.
        stream: u32,
        /// The bytes.
        bytes: Bytes,
    },
}

/// A JSON message, framed.
pub(crate) fn message(json: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER_BYTES + json.len());
    frame.extend_from_slice(&(json.len() as u32).to_le_bytes());
    frame.extend_from_slice(&[KIND_MESSAGE]);
    frame.extend_from_slice(json);
    frame.freeze()
}

/// A piece of a body, framed.
pub(crate) fn body(stream: u32, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER_BYTES + 4 + bytes.len());
    frame.extend_from_slice(&(bytes.len() as u32 + 4).to_le_bytes());
    frame.extend_from_slice(&[KIND_BODY]);
    frame.extend_from_slice(&stream.to_le_bytes());
    frame.extend_from_slice(bytes);
    frame.freeze()
}

/// The frames of a channel, up to its end. What has been read of a frame is kept when nobody waits for it for a while.
///
/// # Errors
/// As those of [`read`], after which nothing more comes.
pub(crate) fn stream(input: impl AsyncRead + Unpin) -> impl Stream<Item = std::io::Result<Frame>> {
    try_unfold(input, async |mut input| Ok(read(&mut input).await?.map(|frame| (frame, input))))
}

/// Reads one frame; `None` at the end of the channel.
///
/// # Errors
/// When the channel breaks inside a frame or carries something else than frames.
async fn read(input: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<Frame>> {
    let mut header = [0; HEADER_BYTES];
    match input.read_exact(&mut header).await {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let kind = header[4];
    if length > FRAME_BYTES_MAX || kind > KIND_BODY || (kind == KIND_BODY && length < 4) {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "wrote something to its channel to the engine that is not meant for it",
        ));
    }
    let mut payload = BytesMut::zeroed(length);
    input.read_exact(&mut payload).await?;
    let mut payload = payload.freeze();
    if kind == KIND_MESSAGE {
        return Ok(Some(Frame::Message(payload)));
    }
    let bytes = payload.split_off(4);
    let stream = u32::from_le_bytes([payload[0], payload[1], payload[2], payload[3]]);
    Ok(Some(Frame::Body { stream, bytes }))
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn frames_survive_the_channel() {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&message(b"{\"type\":\"ready\"}"));
        bytes.extend_from_slice(&body(7, b"abc"));
        let mut input = bytes.as_slice();
        assert!(
            matches!(read(&mut input).await.unwrap(), Some(Frame::Message(text)) if &text[..] == b"{\"type\":\"ready\"}")
        );
        assert!(
            matches!(read(&mut input).await.unwrap(), Some(Frame::Body { stream: 7, bytes }) if &bytes[..] == b"abc")
        );
        assert!(read(&mut input).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_has_come_of_a_frame_is_kept_while_nobody_waits() {
        let (mut process, engine) = tokio::io::duplex(64);
        let mut frames = std::pin::pin!(stream(engine));
        let bytes = message(b"{}");
        process.write_all(&bytes[..HEADER_BYTES + 1]).await.unwrap();
        assert!(frames.next().now_or_never().is_none());
        process.write_all(&bytes[HEADER_BYTES + 1..]).await.unwrap();
        assert!(matches!(frames.next().await, Some(Ok(Frame::Message(text))) if &text[..] == b"{}"));
        drop(process);
        assert!(frames.next().await.is_none());
    }

    #[tokio::test]
    async fn stray_output_is_not_mistaken_for_a_frame() {
        let mut input = &b"hello, I print to the channel"[..];
        assert_eq!(read(&mut input).await.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    }
}
