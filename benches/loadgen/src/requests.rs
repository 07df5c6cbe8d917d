//! What is asked over HTTP, and what counts as an answer.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::choice::Transfers;

/// The same for all runs.
const SEED: u64 = 0x7265_6164_7300;
/// Replaced by a value.
const VALUE: &str = "$VALUE";
/// Replaced by a number that no other request has.
const UNIQUE: &str = "$UNIQUE";

/// How an answer is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// Turned down by the rules of the application.
    Refused,
    Failed(String),
}

/// An endless stream of requests to one path.
#[derive(Debug)]
pub(crate) struct Requests {
    path: Arc<str>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Transfers(Transfers),
    Template { body: Arc<str>, values: Values, expect: Arc<str>, random: StdRng, clones: u64, written: u64 },
}

#[derive(Clone, Debug)]
enum Values {
    Listed(Arc<[String]>),
    Numbers(u64),
}

impl Requests {
    /// Fund transfers.
    pub(crate) fn transfers(path: &str, transfers: Transfers) -> Self {
        Self { path: path.into(), kind: Kind::Transfers(transfers) }
    }

    /// A body with values put into it: lines of a file, or integers below `numbers`. A good answer begins with
    /// `expect`.
    ///
    /// # Errors
    /// When the file cannot be read or is empty.
    pub(crate) fn template(
        path: &str,
        body: &str,
        values: Option<&Path>,
        numbers: u64,
        expect: &str,
    ) -> Result<Self> {
        let values = match values {
            None => Values::Numbers(numbers.max(1)),
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
                let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                ensure!(!lines.is_empty(), "{} is empty", file.display());
                Values::Listed(lines.into())
            }
        };
        let random = StdRng::seed_from_u64(SEED);
        let kind = Kind::Template {
            body: body.into(),
            values,
            expect: expect.into(),
            random,
            clones: 0,
            written: 0,
        };
        Ok(Self { path: path.into(), kind })
    }

    /// A stream of its own for one more connection.
    pub(crate) fn fork(&mut self) -> Self {
        let kind = match &mut self.kind {
            Kind::Transfers(transfers) => Kind::Transfers(transfers.fork()),
            Kind::Template { body, values, expect, clones, .. } => {
                *clones += 1;
                Kind::Template {
                    body: Arc::clone(body),
                    values: values.clone(),
                    expect: Arc::clone(expect),
                    random: StdRng::seed_from_u64(SEED + *clones),
                    clones: 0,
                    written: *clones << 32,
                }
            }
        };
        Self { path: Arc::clone(&self.path), kind }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Appends the body of the next request.
    pub(crate) fn write(&mut self, out: &mut String) {
        match &mut self.kind {
            Kind::Transfers(transfers) => {
                let transfer = transfers.next();
                let (from, to, amount) = (transfer.from, transfer.to, transfer.amount);
                let written = write!(out, r#"{{"from":{from},"to":{to},"amount":{amount}}}"#);
                written.expect("a string takes everything");
            }
            Kind::Template { body, values, random, written, .. } => {
                let value = match values {
                    Values::Listed(lines) => lines[random.random_range(0..lines.len())].clone(),
                    Values::Numbers(end) => random.random_range(0..*end).to_string(),
                };
                *written += 1;
                out.push_str(&body.replace(VALUE, &value).replace(UNIQUE, &written.to_string()));
            }
        }
    }

    /// Whether an answer is what was asked for.
    pub(crate) fn judge(&self, status: u16, body: &[u8]) -> Verdict {
        let good = match &self.kind {
            Kind::Transfers(_) if status == 200 && body == b"false" => return Verdict::Refused,
            Kind::Transfers(_) => body == b"true",
            Kind::Template { expect, .. } => body.starts_with(expect.as_bytes()),
        };
        if status == 200 && good {
            return Verdict::Good;
        }
        let text: String = String::from_utf8_lossy(body).chars().take(500).collect();
        Verdict::Failed(format!("{status}: {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_replaced_by_the_same_value() {
        let mut requests = Requests::template("/q", r#"{"a":$VALUE,"b":$VALUE}"#, None, 1, "").unwrap();
        let mut body = String::new();
        requests.write(&mut body);
        assert_eq!(body, r#"{"a":0,"b":0}"#);
    }

    #[test]
    fn no_two_requests_have_the_same_number() {
        let mut requests = Requests::template("/q", "$UNIQUE", None, 1, "").unwrap();
        let mut forks = [requests.fork(), requests.fork()];
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            for fork in &mut forks {
                let mut body = String::new();
                fork.write(&mut body);
                assert!(seen.insert(body));
            }
        }
    }

    #[test]
    fn transfers_are_good_refused_or_failed() {
        let transfers = Transfers::new(vec!["1".into(), "2".into()], 0.0);
        let requests = Requests::transfers("/t", transfers);
        assert_eq!(requests.judge(200, b"true"), Verdict::Good);
        assert_eq!(requests.judge(200, b"false"), Verdict::Refused);
        assert_eq!(requests.judge(500, b"false"), Verdict::Failed("500: false".into()));
        assert_eq!(requests.judge(500, b"true"), Verdict::Failed("500: true".into()));
    }

    #[test]
    fn an_answer_that_begins_otherwise_has_failed() {
        let requests = Requests::template("/q", "", None, 1, "{\"status\":\"success\"").unwrap();
        assert_eq!(requests.judge(200, b"{\"status\":\"success\",\"value\":1}"), Verdict::Good);
        assert!(matches!(requests.judge(200, b"{\"status\":\"error\"}"), Verdict::Failed(_)));
    }
}
