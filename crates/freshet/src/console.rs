//! The terminal: every line this program prints goes through here, so that a progress line at the bottom and lines
//! from several children do not write over each other.
//!
//! Results go to standard output, everything about how things are going to standard error. A closed pipe is no error:
//! the server keeps running when nobody reads its log.

use std::io::{self, IsTerminal, Write};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

static CONSOLE: LazyLock<Mutex<Console>> = LazyLock::new(|| {
    Mutex::new(Console { status: None, interactive: io::stderr().is_terminal(), json: false })
});

struct Console {
    /// The progress line at the bottom, redrawn below whatever is printed. Only on a terminal.
    status: Option<String>,
    interactive: bool,
    /// Whether every line of the log is a JSON object.
    json: bool,
}

impl Console {
    fn get() -> MutexGuard<'static, Self> {
        // The state is one string; a panic while it was held cannot have left it half changed.
        CONSOLE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn erase_status(&self) {
        if self.status.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }

    fn draw_status(&self) {
        if let Some(status) = &self.status {
            let _ = write!(io::stderr(), "\r\x1b[2K{status}");
            let _ = io::stderr().flush();
        }
    }
}

/// Whether a person is looking at standard error.
pub(crate) fn is_interactive() -> bool {
    Console::get().interactive
}

/// From now on writes every line of the log as a JSON object, also those that a child prints as text.
pub(crate) fn log_json() {
    let mut console = Console::get();
    console.json = true;
    // Nobody reads JSON and a progress line at the same time.
    console.interactive = false;
}

/// A line of text as an object like those that the engine writes.
fn object(name: &str, line: &[u8]) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    serde_json::json!({
        "timestamp_ms": now.as_millis() as u64,
        "level": "INFO",
        "message": String::from_utf8_lossy(line),
        "target": if name.is_empty() { "freshet" } else { name },
    })
    .to_string()
}

/// Prints a line of result to standard output.
pub(crate) fn say(line: &str) {
    let console = Console::get();
    console.erase_status();
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
    console.draw_status();
}

/// Prints a line about the course of things to standard error.
pub(crate) fn log(line: &str) {
    log_bytes("", line.as_bytes());
}

/// Passes on a line of a child, marked with its name unless that is empty.
pub(crate) fn log_bytes(name: &str, line: &[u8]) {
    let console = Console::get();
    console.erase_status();
    let mut text = Vec::with_capacity(name.len() + line.len() + 4);
    if console.json && !line.starts_with(b"{") {
        text.extend_from_slice(object(name, line).as_bytes());
        text.push(b'\n');
        let _ = io::stderr().write_all(&text);
        return;
    }
    if !name.is_empty() && !console.json {
        text.extend_from_slice(format!("[{name}] ").as_bytes());
    }
    text.extend_from_slice(line);
    text.push(b'\n');
    // One write for the whole line, so that it stays whole among the lines of other processes.
    let _ = io::stderr().write_all(&text);
    console.draw_status();
}

/// Shows a progress line below everything else, or takes it away. Does nothing when nobody is looking.
pub(crate) fn set_status(status: Option<String>) {
    let mut console = Console::get();
    if !console.interactive {
        return;
    }
    console.erase_status();
    console.status = status;
    console.draw_status();
}

/// Prints lines in a frame, so that they are found again between log lines.
pub(crate) fn say_framed(lines: &[String]) {
    for line in frame(lines) {
        say(&line);
    }
}

fn frame(lines: &[String]) -> Vec<String> {
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let rule = "─".repeat(width + 4);
    let mut framed = vec![format!("┌{rule}┐")];
    for line in lines {
        let padding = " ".repeat(width - line.chars().count());
        framed.push(format!("│  {line}{padding}  │"));
    }
    framed.push(format!("└{rule}┘"));
    framed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_text_becomes_an_object() {
        let object: serde_json::Value = serde_json::from_str(&object("convex", b"it \"works\"")).unwrap();
        assert_eq!((&object["message"], &object["target"]), (&"it \"works\"".into(), &"convex".into()));
    }

    #[test]
    fn a_frame_is_as_wide_as_its_longest_line() {
        let framed = frame(&["Chat  http://x".to_owned(), "é".to_owned()]);
        let width = framed[0].chars().count();
        assert!(framed.iter().all(|line| line.chars().count() == width), "{framed:#?}");
    }
}
