//! What happened, in order: a digest of all of it and the text of the last steps.

use std::collections::VecDeque;
use std::fmt;

/// Lines that are kept.
const LINES: usize = 60;

/// See the module.
#[derive(Clone, Debug)]
pub struct Trace {
    digest: u64,
    steps: u64,
    lines: VecDeque<String>,
}

impl Default for Trace {
    fn default() -> Self {
        // FNV-1a: short, and the same on every machine.
        Trace { digest: 0xcbf2_9ce4_8422_2325, steps: 0, lines: VecDeque::new() }
    }
}

impl Trace {
    /// Adds a line.
    pub fn push(&mut self, line: &str) {
        for byte in line.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:5} {line}", self.steps));
        self.steps += 1;
    }

    /// Two runs that did the same have the same digest.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
