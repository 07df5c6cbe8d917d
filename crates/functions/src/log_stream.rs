//! The recent executions of functions, for tools that follow the log.
//!
//! A bounded ring in memory: nothing here is durable, and a reader that is too slow misses the oldest entries. Readers
//! name the last entry they saw by a cursor, a float of milliseconds since the Unix epoch that grows strictly from one
//! entry to the next, also when the clock stands still or steps back.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use crate::execution::{ExecutionRecord, LogSink, ProgressRecord};
use crate::host::Environment;
use crate::log::LogLine;
use crate::services::since_epoch;
use crate::statistics::LogStatistics;

/// Entries that are kept.
const ENTRIES_MAX: usize = 1000;
/// Bytes of text that are kept; long lines of a few functions must not add up to a gigabyte.
const TEXT_BYTES_MAX: usize = 16 << 20;
/// The longest time that a poll is held back.
const POLL_TIME_MAX: Duration = Duration::from_secs(60);

/// How console lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// Objects, for the command line client and dashboards.
    Structured,
    /// `[LOG] 'text'`.
    Text,
}

/// What a reader gets.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogPage {
    /// Entries after the reader's cursor, oldest first.
    pub entries: Vec<Json>,
    /// Where the reader is to go on.
    pub new_cursor: f64,
}

/// The ring of recent executions.
#[derive(Debug)]
pub struct LogStream {
    ring: Mutex<Ring>,
    /// The newest cursor; wakes readers.
    newest: watch::Sender<f64>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Entry>,
    text_bytes: usize,
    last_cursor: f64,
    dropped: u64,
}

#[derive(Debug)]
struct Entry {
    cursor: f64,
    text_bytes: usize,
    request_id: String,
    record: Record,
}

#[derive(Debug)]
enum Record {
    Completion(Box<ExecutionRecord>),
    Progress(ProgressRecord),
}

impl Default for LogStream {
    fn default() -> Self {
        Self::new()
    }
}

impl LogStream {
    /// An empty stream.
    pub fn new() -> Self {
        Self { ring: Mutex::new(Ring::default()), newest: watch::Sender::new(0.0) }
    }

    /// Entries after `cursor`. Waits for one, at most `wait` and never more than 60 s; with the cursor 0, which stands
    /// for a reader that just came, answers at once. With `request_id`, only that request's entries are returned (and
    /// waited for).
    pub async fn poll(
        &self,
        cursor: f64,
        wait: Duration,
        format: LineFormat,
        request_id: Option<&str>,
    ) -> LogPage {
        let deadline = tokio::time::Instant::now() + wait.min(POLL_TIME_MAX);
        let mut newest = self.newest.subscribe();
        loop {
            newest.mark_unchanged();
            let page = self.read(cursor, format, request_id);
            if cursor <= 0.0 || !page.entries.is_empty() {
                return page;
            }
            match tokio::time::timeout_at(deadline, newest.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return page,
            }
        }
    }

    /// Entries after `cursor`, without waiting.
    pub fn read(&self, cursor: f64, format: LineFormat, request_id: Option<&str>) -> LogPage {
        let mut ring = self.ring.lock();
        if ring.entries.is_empty() && cursor <= 0.0 {
            // Handed out once, the cursor must lie before every later entry.
            return LogPage { entries: Vec::new(), new_cursor: ring.next_cursor() };
        }
        let entries = ring
            .entries
            .iter()
            .skip(ring.entries.partition_point(|entry| entry.cursor <= cursor))
            .filter(|entry| request_id.is_none_or(|id| entry.request_id == id))
            .map(|entry| entry.record.to_json(format))
            .collect();
        LogPage { entries, new_cursor: ring.last_cursor.max(cursor) }
    }

    /// How full the ring is.
    pub fn statistics(&self) -> LogStatistics {
        let ring = self.ring.lock();
        LogStatistics {
            entries: ring.entries.len() as u64,
            bytes: ring.text_bytes as u64,
            dropped: ring.dropped,
        }
    }

    fn push(&self, request_id: String, record: Record) {
        let mut ring = self.ring.lock();
        let entry = Entry { cursor: ring.next_cursor(), text_bytes: record.text_bytes(), request_id, record };
        ring.text_bytes += entry.text_bytes;
        ring.entries.push_back(entry);
        while ring.entries.len() > ENTRIES_MAX || (ring.text_bytes > TEXT_BYTES_MAX && ring.entries.len() > 1)
        {
            let dropped = ring.entries.pop_front().expect("the ring is not empty");
            ring.text_bytes -= dropped.text_bytes;
            ring.dropped += 1;
        }
        self.newest.send_replace(ring.last_cursor);
    }
}

impl Ring {
    /// The wall clock, or the next float after the last cursor where the clock did not advance.
    fn next_cursor(&mut self) -> f64 {
        let now_ms = since_epoch(SystemTime::now()).as_secs_f64() * 1e3;
        self.last_cursor = now_ms.max(self.last_cursor.next_up());
        self.last_cursor
    }
}

impl LogSink for LogStream {
    fn completed(&self, record: ExecutionRecord) {
        self.push(record.request_id.to_string(), Record::Completion(Box::new(record)));
    }

    fn progress(&self, record: ProgressRecord) {
        self.push(record.request_id.to_string(), Record::Progress(record));
    }
}

impl Record {
    fn text_bytes(&self) -> usize {
        let lines = |lines: &[LogLine]| -> usize {
            lines.iter().flat_map(|line| &line.messages).map(|message| message.len() + 64).sum()
        };
        match self {
            Record::Completion(record) => {
                256 + record.error.as_ref().map_or(0, String::len) + lines(&record.log_lines)
            }
            Record::Progress(record) => 256 + lines(&record.log_lines),
        }
    }

    fn to_json(&self, format: LineFormat) -> Json {
        match self {
            Record::Completion(record) => completion(record, format),
            Record::Progress(record) => json!({
                "kind": "Progress",
                "udfType": record.kind.as_str(),
                "componentPath": component(&record.component),
                "identifier": record.identifier,
                "timestamp": record.timestamp_s,
                "logLines": log_lines(&record.log_lines, format),
                "requestId": record.request_id.to_string(),
                "executionId": record.execution_id,
            }),
        }
    }
}

fn completion(record: &ExecutionRecord, format: LineFormat) -> Json {
    json!({
        "kind": "Completion",
        "udfType": record.kind.as_str(),
        "componentPath": component(&record.component),
        "identifier": record.identifier,
        "logLines": log_lines(&record.log_lines, format),
        "timestamp": record.finished_at_s,
        "cachedResult": record.cached_result,
        "caller": record.caller,
        "parentExecutionId": record.parent_execution_id,
        "executionTime": record.execution_time_s,
        "userExecutionTime": record.user_execution_time_s,
        "success": record.http_status.map(|status| json!({ "status": status.to_string() })),
        "error": record.error,
        "requestId": record.request_id.to_string(),
        "executionId": record.execution_id,
        "usageStats": usage_stats(record),
        "returnBytes": record.return_bytes,
        "occInfo": (record.conflicts > 0).then(|| json!({ "retryCount": record.conflicts })),
        "willRetry": false,
        "executionTimestamp": record.started_at_s,
        "identityType": record.identity_type,
        "environment": match record.environment {
            Environment::Isolate => "isolate",
            Environment::Node => "node",
        },
    })
}

/// What an execution used, with every name that tools know. What this server does not have, nobody uses.
fn usage_stats(record: &ExecutionRecord) -> Json {
    let usage = &record.usage;
    json!({
        "databaseReadBytes": usage.bytes_read,
        "databaseWriteBytes": usage.bytes_written,
        "databaseIoReadBytes": usage.bytes_read,
        "databaseIoWriteBytes": usage.bytes_written,
        "databaseReadDocuments": usage.documents_read,
        "databaseWriteDocuments": usage.documents_written,
        "databaseWriteIndexRows": 0,
        "storageReadBytes": 0,
        "storageWriteBytes": 0,
        "vectorIndexReadBytes": 0,
        "vectorIndexWriteBytes": 0,
        "textIndexQueryBytes": 0,
        "textIndexWriteQueryBytes": 0,
        "vectorIndexReadQueryBytes": 0,
        "vectorIndexWriteQueryBytes": 0,
        "networkEgressBytes": 0,
        "memoryUsedMb": 0,
    })
}

/// Clients know the root as null.
fn component(path: &freshet_values::ComponentPath) -> Option<String> {
    (!path.is_root()).then(|| path.to_string())
}

fn log_lines(lines: &[LogLine], format: LineFormat) -> Vec<Json> {
    let line = |line: &LogLine| match format {
        LineFormat::Structured => {
            let mut object = json!({
                "messages": line.messages,
                "isTruncated": line.is_truncated,
                "timestamp": line.timestamp,
                "level": line.level.as_str(),
                "systemMetadata": line.system_metadata,
            });
            if let Some(function) = &line.nested_in {
                object["componentPath"] = Json::Null;
                object["udfPath"] = json!(function);
            }
            object
        }
        LineFormat::Text => Json::String(line.to_client_text()),
    };
    lines.iter().map(line).collect()
}

/// A mutation of 12 ms that printed something, for tests.
#[cfg(test)]
pub(crate) fn sample_record(identifier: &str) -> ExecutionRecord {
    ExecutionRecord {
        kind: crate::code::FunctionKind::Mutation,
        component: freshet_values::ComponentPath::root(),
        identifier: identifier.into(),
        log_lines: vec![LogLine {
            level: crate::log::LogLevel::Log,
            messages: vec!["'hi'".into()],
            is_truncated: false,
            timestamp: 1_700_000_000_120,
            system_metadata: None,
            nested_in: None,
        }],
        finished_at_s: 1_700_000_000.123_5,
        started_at_s: 1_700_000_000.1,
        execution_time_s: 0.012,
        user_execution_time_s: 0.01,
        cached_result: false,
        caller: "SyncWorker",
        parent_execution_id: None,
        http_status: None,
        error: None,
        request_id: crate::request_id::RequestId::of_session_request("s", 1),
        execution_id: "e".into(),
        return_bytes: Some(12),
        conflicts: 0,
        identity_type: "unknown",
        environment: Environment::Isolate,
        ts: None,
        usage: freshet_database::Usage::default(),
        is_declared: true,
    }
}

#[cfg(test)]
mod tests {
    use super::sample_record as record;
    use super::*;
    use crate::request_id::RequestId;

    #[tokio::test]
    async fn a_new_reader_is_answered_at_once_and_misses_nothing_that_follows() {
        let stream = LogStream::new();
        let first = stream.poll(0.0, POLL_TIME_MAX, LineFormat::Structured, None).await;
        assert!(first.entries.is_empty());
        assert!(first.new_cursor > 0.0);
        stream.completed(record("messages:send"));
        let second = stream.poll(first.new_cursor, POLL_TIME_MAX, LineFormat::Structured, None).await;
        assert_eq!(second.entries.len(), 1);
        assert!(second.new_cursor > first.new_cursor);
    }

    #[tokio::test]
    async fn a_reader_that_is_up_to_date_is_woken_by_the_next_entry() {
        let stream = std::sync::Arc::new(LogStream::new());
        let cursor = stream.read(0.0, LineFormat::Text, None).new_cursor;
        let reader = tokio::spawn({
            let stream = stream.clone();
            async move { stream.poll(cursor, POLL_TIME_MAX, LineFormat::Text, None).await }
        });
        tokio::task::yield_now().await;
        stream.completed(record("messages:send"));
        let page = reader.await.unwrap();
        assert_eq!(page.entries[0]["logLines"], json!(["[LOG] 'hi'"]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_minute_ends_with_the_readers_own_cursor() {
        let stream = LogStream::new();
        stream.completed(record("messages:send"));
        let cursor = stream.read(0.0, LineFormat::Text, None).new_cursor;
        let page = stream.poll(cursor, Duration::from_secs(3600), LineFormat::Text, None).await;
        assert_eq!((page.entries.len(), page.new_cursor), (0, cursor));
    }

    #[test]
    fn cursors_grow_from_entry_to_entry_and_old_entries_go() {
        let stream = LogStream::new();
        for index in 0..ENTRIES_MAX + 5 {
            stream.completed(record(&format!("m:f{index}")));
        }
        let ring = stream.ring.lock();
        assert_eq!(ring.entries.len(), ENTRIES_MAX);
        assert!(ring.entries.iter().zip(ring.entries.iter().skip(1)).all(|(a, b)| a.cursor < b.cursor));
    }

    #[test]
    fn long_texts_push_out_old_entries_early() {
        let stream = LogStream::new();
        for _ in 0..40 {
            let mut long = record("m:f");
            long.error = Some("x".repeat(1 << 20));
            stream.completed(long);
        }
        assert!(stream.ring.lock().entries.len() < 17);
    }

    #[test]
    fn a_completion_has_the_fields_that_tools_read() {
        assert_eq!(
            completion(&record("messages:send"), LineFormat::Structured),
            json!({
                "kind": "Completion", "udfType": "Mutation", "componentPath": null, "identifier": "messages:send",
                "logLines": [{"messages": ["'hi'"], "isTruncated": false, "timestamp": 1_700_000_000_120_u64,
                              "level": "LOG", "systemMetadata": null}],
                "timestamp": 1_700_000_000.123_5, "cachedResult": false, "caller": "SyncWorker",
                "parentExecutionId": null, "executionTime": 0.012, "userExecutionTime": 0.01, "success": null,
                "error": null, "requestId": RequestId::of_session_request("s", 1).to_string(), "executionId": "e",
                "usageStats": usage_stats(&record("messages:send")), "returnBytes": 12, "occInfo": null, "willRetry": false,
                "executionTimestamp": 1_700_000_000.1, "identityType": "unknown", "environment": "isolate"
            })
        );
    }

    #[test]
    fn a_request_can_be_followed_alone() {
        let stream = LogStream::new();
        stream.completed(record("m:a"));
        let mut other = record("m:b");
        other.request_id = RequestId::of_session_request("s", 2);
        let id = other.request_id.to_string();
        stream.completed(other);
        let page = stream.read(0.0, LineFormat::Text, Some(&id));
        assert_eq!(page.entries.len(), 1);
        assert_eq!(page.entries[0]["identifier"], "m:b");
    }
}
