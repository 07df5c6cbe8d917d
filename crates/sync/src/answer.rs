//! A query's result in the form that every connection can share: text to send and a digest to compare.

use std::fmt;
use std::sync::Arc;

use freshet_websocket::SharedText;
use sha2::{Digest as _, Sha256};

use crate::message::server::{write_string, write_strings};

/// A function that failed by its own fault; the text that users see is made here and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionFailure {
    /// Sixteen hexadecimal digits that name the execution in the server's log.
    pub request_id: String,
    /// Message and stack lines, each ending in a newline; `None` when errors are hidden from clients.
    pub detail: Option<String>,
    /// JSON text of a `ConvexError`'s encoded data. `None` for every other error: clients take presence as the class.
    pub data: Option<String>,
}

impl fmt::Display for FunctionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[Request ID: {}] Server Error", self.request_id)?;
        match &self.detail {
            Some(detail) => write!(f, "\n{detail}"),
            None => Ok(()),
        }
    }
}

/// Two answers with equal digests look the same to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

/// A query's result. Made once for each execution and shared by all connections that asked: the text is serialised and
/// the digest computed here, not for each connection.
#[derive(Debug)]
pub struct Answer {
    /// Everything after `queryId` in the modification, without the closing brace. Sent from where it lies, and compressed
    /// once for all who have the same past.
    fields: Arc<SharedText>,
    /// Length of the result's text within it; of no meaning for a failure.
    value_bytes: usize,
    is_failure: bool,
    digest: Digest,
    journal: Option<Arc<str>>,
}

/// How the fields of a result begin.
const VALUE: &str = r#""value":"#;

impl Answer {
    /// The answer of a query that returned. `value` is encoded JSON text and must be valid JSON; it is sent as it is.
    pub fn updated(value: &str, log_lines: &[String], journal: Option<Arc<str>>) -> Self {
        debug_assert!(is_json(value), "a query's value must be JSON text");
        let mut fields = String::with_capacity(value.len() + 64);
        fields.push_str(VALUE);
        fields.push_str(value);
        write_common(&mut fields, log_lines, journal.as_deref());
        let digest = Fingerprint::new(b"updated").part(value).parts(log_lines).finish();
        Self {
            fields: Arc::new(SharedText::new(fields)),
            value_bytes: value.len(),
            is_failure: false,
            digest,
            journal,
        }
    }

    /// The answer of a query that failed.
    pub fn failed(failure: &FunctionFailure, log_lines: &[String], journal: Option<Arc<str>>) -> Self {
        let mut fields = r#""errorMessage":"#.to_owned();
        write_string(&mut fields, &failure.to_string());
        write_common(&mut fields, log_lines, journal.as_deref());
        if let Some(data) = &failure.data {
            debug_assert!(is_json(data), "error data must be JSON text");
            fields.push_str(r#","errorData":"#);
            fields.push_str(data);
        }
        // The request id is left out: it differs in each execution and tells the client nothing new. The data is kept
        // in, because it is all that differs when details are hidden.
        let digest = Fingerprint::new(b"failed")
            .optional(failure.detail.as_deref())
            .optional(failure.data.as_deref())
            .parts(log_lines)
            .finish();
        Self { fields: Arc::new(SharedText::new(fields)), value_bytes: 0, is_failure: true, digest, journal }
    }

    /// Everything after `queryId` in the modification, without the closing brace.
    pub(crate) fn fields(&self) -> &Arc<SharedText> {
        &self.fields
    }

    /// The result as encoded JSON text; `None` for a failure.
    pub fn value(&self) -> Option<&str> {
        let after = self.fields.as_str().strip_prefix(VALUE)?;
        after.get(..self.value_bytes)
    }

    /// Whether it is a `QueryFailed`.
    pub fn is_failure(&self) -> bool {
        self.is_failure
    }

    /// Equal for answers that look the same to a client.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The journal to hand to the next run of the query.
    pub fn journal(&self) -> Option<&Arc<str>> {
        self.journal.as_ref()
    }

    /// Bytes of memory that it holds, for bounds of caches; what is kept of its compressed forms counts as much as itself.
    pub fn size(&self) -> usize {
        size_of::<Self>() + 2 * self.fields.len() + self.journal.as_ref().map_or(0, |journal| journal.len())
    }
}

fn write_common(out: &mut String, log_lines: &[String], journal: Option<&str>) {
    out.push_str(r#","logLines":"#);
    write_strings(out, log_lines);
    out.push_str(r#","journal":"#);
    match journal {
        Some(journal) => write_string(out, journal),
        None => out.push_str("null"),
    }
}

pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Hashes parts with their lengths, so that no two lists of parts run into each other.
struct Fingerprint(Sha256);

impl Fingerprint {
    fn new(domain: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(domain);
        Self(hash)
    }

    fn part(mut self, text: &str) -> Self {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    fn optional(mut self, text: Option<&str>) -> Self {
        self.0.update([u8::from(text.is_some())]);
        self.part(text.unwrap_or_default())
    }

    fn parts(mut self, texts: &[String]) -> Self {
        self.0.update((texts.len() as u64).to_le_bytes());
        texts.iter().fold(self, |hash, text| hash.part(text))
    }

    fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(request_id: &str, detail: Option<&str>, data: Option<&str>) -> FunctionFailure {
        FunctionFailure {
            request_id: request_id.to_owned(),
            detail: detail.map(str::to_owned),
            data: data.map(str::to_owned),
        }
    }

    fn digest_of(failure: &FunctionFailure) -> Digest {
        Answer::failed(failure, &[], None).digest()
    }

    #[test]
    fn the_request_id_does_not_make_two_failures_different() {
        let first = failure("1111111111111111", Some("boom\n"), None);
        let second = failure("2222222222222222", Some("boom\n"), None);
        assert_eq!(digest_of(&first), digest_of(&second));
        assert_ne!(digest_of(&first), digest_of(&failure("1111111111111111", Some("bang\n"), None)));
    }

    #[test]
    fn error_data_distinguishes_failures_whose_details_are_hidden() {
        let one = failure("1111111111111111", None, Some("1"));
        assert_ne!(digest_of(&one), digest_of(&failure("1111111111111111", None, Some("2"))));
        assert_ne!(digest_of(&one), digest_of(&failure("1111111111111111", None, None)));
    }

    #[test]
    fn log_lines_are_part_of_the_digest_and_journals_are_not() {
        let line = |text: &str| vec![text.to_owned()];
        let plain = Answer::updated("1", &[], None);
        assert_ne!(plain.digest(), Answer::updated("1", &line("[LOG] 'a'"), None).digest());
        assert_eq!(plain.digest(), Answer::updated("1", &[], Some("journal".into())).digest());
        let split = ["a".to_owned(), "b".to_owned()];
        assert_ne!(
            Answer::updated("1", &split, None).digest(),
            Answer::updated("1", &line("ab"), None).digest()
        );
    }

    #[test]
    fn a_hidden_error_shows_the_request_id_only() {
        let hidden = failure("1122334455667788", None, None);
        assert_eq!(hidden.to_string(), "[Request ID: 1122334455667788] Server Error");
    }
}
