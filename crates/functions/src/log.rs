//! Console lines of functions.

use serde::{Deserialize, Serialize};

/// Severity of a console line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// `console.debug`
    Debug,
    /// `console.error`
    Error,
    /// `console.warn`
    Warn,
    /// `console.info`
    Info,
    /// `console.log`
    Log,
}

impl LogLevel {
    /// The name inside the brackets of a client's line.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Debug => "DEBUG",
            LogLevel::Error => "ERROR",
            LogLevel::Warn => "WARN",
            LogLevel::Info => "INFO",
            LogLevel::Log => "LOG",
        }
    }
}

/// One console call, its arguments already formatted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Severity.
    pub level: LogLevel,
    /// Formatted arguments; clients see them joined by one space.
    pub messages: Vec<String>,
    /// Whether the text was cut at the size limit.
    pub is_truncated: bool,
    /// Wall-clock milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// `{"code": ...}` for lines that the server made.
    pub system_metadata: Option<serde_json::Value>,
    /// The nested function that printed, as `mod:fn`; `None` for the function that was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nested_in: Option<String>,
}

impl LogLine {
    /// The line as clients of functions get it: `[LEVEL] text`.
    pub fn to_client_text(&self) -> String {
        let mut text = format!("[{}] {}", self.level.as_str(), self.messages.join(" "));
        if self.is_truncated {
            text.push_str(" (truncated due to length)");
        }
        text
    }

    /// A warning of the server about a function.
    pub(crate) fn warning(code: &str, text: String, timestamp: u64) -> Self {
        Self {
            level: LogLevel::Warn,
            messages: vec![text],
            is_truncated: false,
            timestamp,
            system_metadata: Some(serde_json::json!({ "code": format!("warning:{code}") })),
            nested_in: None,
        }
    }
}

/// Console lines of one call, bounded in number and length.
#[derive(Debug)]
pub(crate) struct LogBuffer {
    lines: Vec<LogLine>,
    lines_max: usize,
    line_bytes_max: usize,
    overflowed: bool,
}

impl LogBuffer {
    pub(crate) fn new(lines_max: usize, line_bytes_max: usize) -> Self {
        Self { lines: Vec::new(), lines_max, line_bytes_max, overflowed: false }
    }

    /// Adds a line of the function. Returns what was recorded in its place, if anything.
    pub(crate) fn push(&mut self, mut line: LogLine) -> Option<&LogLine> {
        if self.overflowed {
            return None;
        }
        if self.lines.len() + 1 >= self.lines_max {
            self.overflowed = true;
            line = LogLine {
                level: LogLevel::Error,
                messages: vec![format!(
                    "Log overflow (maximum {}). Remaining log lines omitted.",
                    self.lines_max
                )],
                is_truncated: false,
                timestamp: line.timestamp,
                system_metadata: None,
                nested_in: None,
            };
        }
        truncate(&mut line, self.line_bytes_max);
        self.lines.push(line);
        self.lines.last()
    }

    /// Adds a warning of the server, which does not count.
    pub(crate) fn push_warning(&mut self, line: LogLine) {
        self.lines.push(line);
    }

    /// What was recorded so far.
    pub(crate) fn lines(&self) -> &[LogLine] {
        &self.lines
    }

    pub(crate) fn into_lines(self) -> Vec<LogLine> {
        self.lines
    }
}

/// Cuts the joined text of `line` at `bytes_max`, at a character boundary.
fn truncate(line: &mut LogLine, bytes_max: usize) {
    let mut left = bytes_max;
    for index in 0..line.messages.len() {
        if index > 0 {
            left = left.saturating_sub(1);
        }
        let message = &mut line.messages[index];
        if message.len() > left {
            let mut end = left;
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            message.truncate(end);
            line.messages.truncate(index + 1);
            line.is_truncated = true;
            return;
        }
        left -= message.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogLine {
        LogLine {
            level: LogLevel::Log,
            messages: vec![text.into()],
            is_truncated: false,
            timestamp: 1,
            system_metadata: None,
            nested_in: None,
        }
    }

    #[test]
    fn the_last_line_says_that_more_were_dropped() {
        let mut buffer = LogBuffer::new(256, 32_768);
        for index in 0..300 {
            buffer.push(line(&index.to_string()));
        }
        let lines = buffer.into_lines();
        assert_eq!(lines.len(), 256);
        assert_eq!(lines[254].to_client_text(), "[LOG] 254");
        assert_eq!(
            lines[255].to_client_text(),
            "[ERROR] Log overflow (maximum 256). Remaining log lines omitted."
        );
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let mut buffer = LogBuffer::new(256, 8);
        let mut long = line("abc");
        long.messages.push("dé\u{1F600}".into());
        buffer.push(long);
        assert_eq!(buffer.into_lines()[0].to_client_text(), "[LOG] abc dé (truncated due to length)");
    }
}
