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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
}
