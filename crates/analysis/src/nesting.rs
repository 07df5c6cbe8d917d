//! A bound on how deeply source may be nested, checked before it is parsed: parser and analysis are recursive, and a
//! stack overflow cannot be caught. No parser: it counts the tokens that a syntax tree could stack upon each other,
//! so it may refuse odd source that would have done no harm.

/// Tokens that may be stacked. The stack of [`crate::analyze`] has some 17 KB for each.
const DEPTH_MAX: usize = 30_000;

/// Finds the byte offset at which `source` is nested too deeply.
pub(crate) fn check(source: &str) -> Result<(), u32> {
    let mut scanner =
        Scanner { bytes: source.as_bytes(), at: 0, levels: vec![Level::default()], depth: 0, value: false };
    scanner.run().map_err(|at| u32::try_from(at).unwrap_or(u32::MAX))
}

/// One pair of brackets.
#[derive(Default)]
struct Level {
    /// Tokens since the last separator.
    chain: usize,
    /// `else`s; each nests in the one before, separators or not.
    alternatives: usize,
    /// Opened by `${`: the rest of a template follows.
    template: bool,
}

struct Scanner<'s> {
    bytes: &'s [u8],
    at: usize,
    levels: Vec<Level>,
    /// Sum over all levels.
    depth: usize,
    /// The last token ended a value, so that `/` divides.
    value: bool,
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), usize> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.depth > DEPTH_MAX {
                return Err(self.at);
            }
            let next = self.bytes.get(self.at + 1).copied();
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'/' if next == Some(b'/') => self.skip_to(b"\n"),
                b'/' if next == Some(b'*') => {
                    self.at += 2;
                    self.skip_to(b"*/");
                }
                b'/' if !self.value => self.skip_pattern(),
                b'"' | b'\'' => self.skip_string(byte),
                b'`' => self.skip_template(),
                b'(' | b'[' | b'{' => self.open(false),
                b')' | b']' | b'}' => self.close(byte),
                b';' | b',' => {
                    self.separate();
                    self.value = false;
                    self.at += 1;
                }
                _ if is_word(byte) => self.skip_word(),
                _ => {
                    self.count(false);
                    self.at += 1;
                }
            }
        }
        Ok(())
    }

    fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        self.levels.last_mut().expect("one was just pushed")
    }

    fn count(&mut self, value: bool) {
        self.level().chain += 1;
        self.depth += 1;
        self.value = value;
    }

    fn separate(&mut self) {
        let chain = std::mem::take(&mut self.level().chain);
        self.depth -= chain;
    }

    fn open(&mut self, template: bool) {
        self.count(false);
        self.levels.push(Level { template, ..Level::default() });
        self.at += 1;
    }

    fn close(&mut self, byte: u8) {
        self.at += 1;
        self.value = byte != b'}';
        // A closing bracket too many is a syntax error, or a pattern was taken for a division.
        if self.levels.len() > 1
            && let Some(level) = self.levels.pop()
        {
            self.depth -= level.chain + level.alternatives;
            if level.template && byte == b'}' {
                self.continue_template();
                return;
            }
        }
        if byte == b'}' {
            self.separate();
        }
    }

    fn skip_word(&mut self) {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(|&byte| is_word(byte)) {
            self.at += 1;
        }
        let word = &self.bytes[start..self.at];
        if word == b"else" {
            self.level().alternatives += 1;
            self.depth += 1;
        }
        let operator = matches!(
            word,
            b"return"
                | b"typeof"
                | b"case"
                | b"in"
                | b"of"
                | b"do"
                | b"else"
                | b"void"
                | b"delete"
                | b"throw"
                | b"new"
                | b"instanceof"
                | b"yield"
                | b"await"
        );
        self.count(!operator);
    }

    fn skip_to(&mut self, end: &[u8]) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = rest
            .windows(end.len())
            .position(|window| window == end)
            .map_or(self.bytes.len(), |found| self.at + found + end.len());
    }

    fn skip_string(&mut self, quote: u8) {
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'\n' => break,
                _ if byte == quote => break,
                _ => {}
            }
        }
        self.count(true);
    }

    fn skip_template(&mut self) {
        self.at += 1;
        self.count(true);
        self.continue_template();
    }

    fn continue_template(&mut self) {
        self.value = true;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\\' => self.at += 2,
                b'`' => {
                    self.at += 1;
                    return;
                }
                b'$' if self.bytes.get(self.at + 1) == Some(&b'{') => {
                    self.at += 1;
                    self.open(true);
                    return;
                }
                _ => self.at += 1,
            }
        }
    }

    fn skip_pattern(&mut self) {
        self.at += 1;
        let mut class = false;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'[' => class = true,
                b']' => class = false,
                b'\n' => break,
                b'/' if !class => break,
                _ => {}
            }
        }
        self.count(true);
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'#') || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn ordinary_code_passes_however_long() {
        let code = "function f(a, b) { if (a) { return `x${a + b}y`; } else { return /[/]\"`/.test(b); } }\n"
            .repeat(5_000);
        assert_eq!(check(&code), Ok(()));
        assert_eq!(check(&format!("const t = `{}`;", "some words ( [ { ".repeat(50_000))), Ok(()));
    }

    #[test]
    fn anything_that_stacks_is_refused() {
        for piece in [
            "(",
            "[",
            "{",
            "!",
            "-",
            "a?b:",
            "a=>",
            "new ",
            "typeof ",
            "if(a)",
            "if(a){b;}else ",
            "a:",
            "`${",
            "a+",
            "a(b)",
        ] {
            assert!(check(&piece.repeat(100_000)).is_err(), "{piece}");
        }
    }
}
