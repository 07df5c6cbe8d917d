//! Cutting the output of a child into lines.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Longer lines are passed on in pieces, so that a child cannot make this process hold all of its output.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Reads until the end, calling `each` with every line, without its line break. A read error counts as the end:
/// the child on the other side is gone then.
pub(crate) async fn pump(source: impl AsyncRead + Unpin, mut each: impl FnMut(&[u8])) {
    let mut reader = BufReader::new(source);
    let mut line = Vec::new();
    loop {
        let (used, complete) = match reader.fill_buf().await {
            Ok([]) | Err(_) => break,
            Ok(buffer) => match buffer.iter().position(|&byte| byte == b'\n') {
                Some(end) => {
                    line.extend_from_slice(&buffer[..end]);
                    (end + 1, true)
                }
                None => {
                    line.extend_from_slice(buffer);
                    (buffer.len(), false)
                }
            },
        };
        reader.consume(used);
        if complete || line.len() >= LINE_BYTES_MAX {
            each(line.strip_suffix(b"\r").unwrap_or(&line));
            line.clear();
        }
    }
    if !line.is_empty() {
        each(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(input: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        pump(input, |line| lines.push(String::from_utf8_lossy(line).into_owned())).await;
        lines
    }

    #[tokio::test]
    async fn lines_come_without_their_breaks_and_the_last_needs_none() {
        assert_eq!(lines(b"a\r\n\nb\nc").await, ["a", "", "b", "c"]);
        assert!(lines(b"").await.is_empty());
    }

    #[tokio::test]
    async fn an_endless_line_is_passed_on_in_pieces() {
        let pieces = lines(&vec![b'x'; 3 * LINE_BYTES_MAX]).await;
        assert!(pieces.len() >= 3);
        assert_eq!(pieces.concat().len(), 3 * LINE_BYTES_MAX);
    }
}
