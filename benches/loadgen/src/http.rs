//! A plain HTTP/1.1 client for load: keep-alive, pipelining, answers with a length. Nothing that a browser would need.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};

/// Longest answer that is taken.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A server of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// `host:port`.
    authority: String,
}

impl Endpoint {
    /// From `http://host:port`.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        match authority {
            Some(authority) if authority.contains(':') && !authority.contains('/') => {
                Ok(Self { authority: authority.to_owned() })
            }
            _ => bail!("{url:?} is not of the form http://127.0.0.1:3210"),
        }
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// A new connection.
    ///
    /// # Errors
    /// When the server is on another machine, or does not answer.
    pub(crate) async fn connect(&self) -> Result<TcpStream> {
        let addresses: Vec<SocketAddr> = lookup_host(&self.authority).await.context("--url")?.collect();
        // Load on the machines of others is an attack.
        let address = addresses.into_iter().find(|address| address.ip().is_loopback());
        let address = address.with_context(|| format!("{} is not of this machine", self.authority))?;
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// One call of a function over HTTP, for what is not measured.
    ///
    /// # Errors
    /// When it does not succeed.
    pub(crate) async fn call(&self, kind: &str, function: &str, args: &Json) -> Result<Json> {
        let body = serde_json::json!({ "path": function, "args": args, "format": "json" }).to_string();
        let mut connection = Connection::open(self).await?;
        connection.post(&format!("/api/{kind}"), &body);
        connection.flush().await?;
        let (status, answer) = connection.answer(|status, body| (status, body.to_vec())).await?;
        let text = String::from_utf8_lossy(&answer);
        let mut json: Json =
            serde_json::from_slice(&answer).with_context(|| format!("{function}: {status}: {text}"))?;
        ensure!(json["status"] == "success", "{function}: {status}: {text}");
        Ok(json["value"].take())
    }

    /// One request for a document, with an admin key.
    ///
    /// # Errors
    /// When it does not succeed.
    pub(crate) async fn get_as_admin(&self, path: &str, admin_key: &str) -> Result<Json> {
        let mut connection = Connection::open(self).await?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Convex {admin_key}\r\n\r\n",
            self.authority
        );
        connection.outbound.extend_from_slice(head.as_bytes());
        connection.flush().await?;
        let (status, answer) = connection.answer(|status, body| (status, body.to_vec())).await?;
        ensure!(status == 200, "{path}: {status}: {}", String::from_utf8_lossy(&answer));
        Ok(serde_json::from_slice(&answer)?)
    }
}

/// One kept connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    authority: String,
    outbound: Vec<u8>,
    inbound: Vec<u8>,
    /// Where in `inbound` the next answer begins.
    consumed: usize,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// As [`Endpoint::connect`].
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self> {
        Ok(Self {
            stream: endpoint.connect().await?,
            authority: endpoint.authority.clone(),
            outbound: Vec::new(),
            inbound: Vec::new(),
            consumed: 0,
        })
    }

    /// Writes a request into the buffer.
    pub(crate) fn post(&mut self, path: &str, body: &str) {
        use std::io::Write;
        let written = write!(
            self.outbound,
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.authority,
            body.len()
        );
        written.expect("a vector takes everything");
    }

    /// Sends what is in the buffer.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.outbound).await?;
        self.outbound.clear();
        Ok(())
    }

    /// Waits for the next answer and hands out its status and body.
    ///
    /// # Errors
    /// When the connection ends, or the answer cannot be understood.
    pub(crate) async fn answer<T>(&mut self, read: impl FnOnce(u16, &[u8]) -> T) -> Result<T> {
        loop {
            if let Some(answer) = Answer::parse(&self.inbound[self.consumed..])? {
                let start = self.consumed;
                self.consumed += answer.end;
                return Ok(read(answer.status, &self.inbound[start + answer.body..start + answer.end]));
            }
            self.receive().await?;
        }
    }

    /// Whether an answer lies ready.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub(crate) fn has_answer(&self) -> Result<bool> {
        Ok(Answer::parse(&self.inbound[self.consumed..])?.is_some())
    }

    async fn receive(&mut self) -> Result<()> {
        self.inbound.drain(..self.consumed);
        self.consumed = 0;
        ensure!(self.inbound.len() <= ANSWER_BYTES_MAX, "an answer is longer than {ANSWER_BYTES_MAX} bytes");
        let read = self.stream.read_buf(&mut self.inbound).await?;
        ensure!(read > 0, "the server has closed the connection");
        Ok(())
    }
}

/// Where the parts of an answer are.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    body: usize,
    end: usize,
}

impl Answer {
    /// The answer at the start of the bytes, if all of it is there.
    fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(head_end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&bytes[..head_end]).context("the head of an answer is not text")?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("not an HTTP answer: {head:?}"))?;
        let header = |wanted: &str| {
            let mut fields = lines.clone().filter_map(|line| line.split_once(':'));
            fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
        };
        let body = head_end + 4;
        if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return Ok(chunks(bytes, body)?.map(|(body, end)| Self { status, body, end }));
        }
        let length = header("content-length").and_then(|value| value.parse::<usize>().ok());
        let length = length.with_context(|| format!("an answer without a length: {head:?}"))?;
        Ok((bytes.len() >= body + length).then_some(Self { status, body, end: body + length }))
    }
}

/// Where the first chunk's data begins and the last chunk ends, if all of them are there. What is between later chunks stays
/// in the body: only its beginning is ever compared.
fn chunks(bytes: &[u8], start: usize) -> Result<Option<(usize, usize)>> {
    let mut at = start;
    let mut first = None;
    loop {
        let Some(line) = bytes.get(at..).and_then(|rest| rest.windows(2).position(|two| two == b"\r\n"))
        else {
            return Ok(None);
        };
        let size = std::str::from_utf8(&bytes[at..at + line]).ok();
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let size = size.context("a chunk of an answer has no size")?;
        let data = at + line + 2;
        let end = data.checked_add(size).and_then(|end| end.checked_add(2)).context("a chunk is too long")?;
        if bytes.len() < end {
            return Ok(None);
        }
        let body = *first.get_or_insert(data);
        if size == 0 {
            return Ok(Some((body, end)));
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_all_of_it_is_there_and_not_one_byte_earlier() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 4\r\n\r\ntrueHTTP/1.1 ";
        let end = bytes.len() - 9;
        assert_eq!(Answer::parse(&bytes[..end - 1]).unwrap(), None);
        assert_eq!(Answer::parse(bytes).unwrap(), Some(Answer { status: 200, body: end - 4, end }));
    }

    #[test]
    fn an_answer_without_a_length_is_an_error() {
        assert!(Answer::parse(b"HTTP/1.1 200 OK\r\nX: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn an_answer_in_chunks_ends_with_the_empty_one() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP";
        let end = bytes.len() - 4;
        assert_eq!(Answer::parse(&bytes[..end - 1]).unwrap(), None);
        let answer = Answer::parse(bytes).unwrap().unwrap();
        assert!(bytes[answer.body..].starts_with(b"ok"));
        assert_eq!(answer.end, end);
    }

    #[test]
    fn only_plain_addresses_are_taken() {
        assert_eq!(Endpoint::parse("http://127.0.0.1:80/").unwrap().authority(), "127.0.0.1:80");
        for url in ["https://127.0.0.1:80", "http://localhost", "http://localhost:80/path", "127.0.0.1:80"] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn other_machines_are_refused_before_anything_is_sent() {
        // A documentation address: even if the check were gone, nobody would hear of it.
        let error = Endpoint::parse("http://192.0.2.1:9").unwrap().connect().await.unwrap_err();
        assert_eq!(error.to_string(), "192.0.2.1:9 is not of this machine");
    }
}
