//! Error texts with stack lines that point into the author's sources.
//!
//! Hosts report frames with positions in the bundled modules. Here they are translated with the modules' source maps
//! and cleaned of frames that say nothing to the author.

use std::collections::HashMap;
use std::sync::Arc;

use freshet_values::Decoder;
use parking_lot::Mutex;
use sourcemap::SourceMap;

use crate::call::FunctionError;
use crate::host::{CodePackage, JsError};

/// Longest message in bytes; the rest is cut.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Sources of the client package's server side: between the host and the handler, of no interest to the author.
const CLIENT_PACKAGE_INTERNALS: &str = "convex/src/server/impl/";

/// Translates stacks. Keeps the parsed source maps of one code package.
#[derive(Debug, Default)]
pub(crate) struct StackMapper {
    cache: Mutex<ParsedMaps>,
}

/// Parsed maps of one package, by module path. Bounded by the package's number of modules.
#[derive(Debug, Default)]
struct ParsedMaps {
    version: u64,
    maps: HashMap<String, Option<Arc<SourceMap>>>,
}

impl StackMapper {
    /// The failure of a function that threw.
    pub(crate) fn function_error(&self, error: &JsError, code: &CodePackage) -> FunctionError {
        let data = error.data.as_deref().map(|data| Decoder::STRICT.value(data)).transpose();
        match data {
            Ok(data) => FunctionError {
                message: self.error_text(error, code),
                data: data.map(|data| data.to_json_string()),
            },
            Err(reason) => {
                FunctionError { message: format!("Invalid data of a ConvexError: {reason}\n"), data: None }
            }
        }
    }

    /// The text of an error: its message and one line for each frame, every line ended by a newline.
    pub(crate) fn error_text(&self, error: &JsError, code: &CodePackage) -> String {
        let mut text = truncated(&error.message, MESSAGE_BYTES_MAX).to_owned();
        text.push('\n');
        for frame in self.frames(error, code) {
            text.push_str(&frame);
            text.push('\n');
        }
        text
    }

    /// Where a place of a bundled module is in the author's sources: file and line. Lines and columns are from 0.
    pub(crate) fn place(
        &self,
        module: &str,
        line: u32,
        column: u32,
        code: &CodePackage,
    ) -> Option<(String, u32)> {
        let map = self.map(module, code)?;
        let token = map.lookup_token(line, column)?;
        Some((token.get_source()?.to_owned(), token.get_src_line()))
    }

    /// Bundled source with the names that its author gave, where the bundler has given others. `line` and `column`, from 0,
    /// are where it begins.
    pub(crate) fn with_original_names(
        &self,
        text: &str,
        module: &str,
        (line, column): (u32, u32),
        code: &CodePackage,
    ) -> String {
        let Some(map) = self.map(module, code) else { return text.to_owned() };
        let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$');
        let (mut line, mut column) = (line, column);
        let mut renamed = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let end = if is_part(first) {
                rest.find(|letter| !is_part(letter)).unwrap_or(rest.len())
            } else {
                first.len_utf8()
            };
            let (piece, after) = rest.split_at(end);
            let token = map.lookup_token(line, column).filter(|token| token.get_dst() == (line, column));
            let name = token.and_then(|token| token.get_name()).filter(|_| is_part(first));
            renamed.push_str(name.unwrap_or(piece));
            if first == '\n' {
                (line, column) = (line + 1, 0);
            } else {
                column += piece.encode_utf16().count() as u32;
            }
            rest = after;
        }
        renamed
    }

    fn frames(&self, error: &JsError, code: &CodePackage) -> Vec<String> {
        self.lines(&error.frames, code)
    }

    /// Lines of a stack, as a host has them, with places in the author's sources.
    pub(crate) fn lines(&self, lines: &[String], code: &CodePackage) -> Vec<String> {
        let mapped: Vec<Mapped> = lines.iter().filter_map(|line| self.frame(line, code)).collect();
        let own = |frame: &Mapped| !frame.internal;
        let (Some(first), Some(last)) = (mapped.iter().position(own), mapped.iter().rposition(own)) else {
            return Vec::new();
        };
        mapped.into_iter().take(last + 1).skip(first).map(|frame| frame.text).collect()
    }

    /// Translates one line; `None` when it has no place in the author's sources.
    fn frame(&self, line: &str, code: &CodePackage) -> Option<Mapped> {
        let call = line.trim().strip_prefix("at ")?;
        let (function, location) = match call.strip_suffix(')').and_then(|call| call.rsplit_once(" (")) {
            Some((function, location)) => (function, location),
            None => match call.strip_prefix("async ") {
                Some(location) => ("async <anonymous>", location),
                None => ("<anonymous>", call),
            },
        };
        if location.starts_with("index ") {
            // `async Promise.all (index 0)` has no position, but tells how the code got here.
            return Some(Mapped { text: format!("    at {function} ({location})"), internal: true });
        }
        let (file, line, column) = position(location)?;
        let module = module_of(file, code)?;
        let map = self.map(module, code)?;
        let token = map.lookup_token(line.checked_sub(1)?, column.saturating_sub(1))?;
        let source = token.get_source()?;
        let text =
            format!("    at {function} ({source}:{}:{})", token.get_src_line() + 1, token.get_src_col() + 1);
        Some(Mapped { text, internal: source.contains(CLIENT_PACKAGE_INTERNALS) })
    }

    fn map(&self, module: &str, code: &CodePackage) -> Option<Arc<SourceMap>> {
        let mut cache = self.cache.lock();
        if cache.version != code.version {
            *cache = ParsedMaps { version: code.version, maps: HashMap::new() };
        }
        if let Some(map) = cache.maps.get(module) {
            return map.clone();
        }
        let text = code.modules.get(module)?.source_map.clone();
        let map = text.and_then(|text| SourceMap::from_slice(text.as_bytes()).ok()).map(Arc::new);
        cache.maps.insert(module.to_owned(), map.clone());
        map
    }
}

/// A translated frame.
struct Mapped {
    text: String,
    /// Dropped at either end of the stack.
    internal: bool,
}

/// Splits `file:line:column`.
fn position(location: &str) -> Option<(&str, u32, u32)> {
    let (rest, column) = location.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file, line.parse().ok()?, column.parse().ok()?))
}

/// The module that a frame's file names. Hosts give modules URLs or file names that end in the module's path.
fn module_of<'a>(file: &'a str, code: &CodePackage) -> Option<&'a str> {
    let file = file.split(['?', '#']).next().unwrap_or(file);
    let mut rest = file;
    loop {
        if code.modules.contains_key(rest) {
            return Some(rest);
        }
        let (_, shorter) = rest.split_once('/')?;
        rest = shorter;
    }
}

fn truncated(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sourcemap::SourceMapBuilder;

    use super::*;
    use crate::host::{Environment, Module};

    fn package() -> CodePackage {
        let mut builder = SourceMapBuilder::new(Some("messages.js"));
        builder.add(0, 0, 11, 2, Some("../convex/messages.ts"), Some("handler"), false);
        builder.add(
            1,
            0,
            70,
            4,
            Some("../node_modules/convex/src/server/impl/registration_impl.ts"),
            None,
            false,
        );
        let mut map = Vec::new();
        builder.into_sourcemap().to_writer(&mut map).unwrap();
        let module = |path: &str, map: Option<String>| Module {
            path: path.into(),
            source: "".into(),
            source_map: map.map(Into::into),
            environment: Environment::Isolate,
        };
        CodePackage {
            version: 1,
            modules: BTreeMap::from([
                (
                    "messages.js".into(),
                    Arc::new(module("messages.js", Some(String::from_utf8(map).unwrap()))),
                ),
                ("plain.js".into(), Arc::new(module("plain.js", None))),
            ]),
            node_packages: Vec::new(),
            import_seed: [0; 32],
            import_time_ms: 0.0,
        }
    }

    fn text(frames: &[&str]) -> String {
        let error = JsError {
            message: "Uncaught Error: no such channel".into(),
            frames: frames.iter().map(|&line| line.to_owned()).collect(),
            data: None,
        };
        StackMapper::default().error_text(&error, &package())
    }

    #[test]
    fn bundled_code_gets_the_names_of_its_author() {
        let stacks = StackMapper::default();
        let renamed = |text, place| stacks.with_original_names(text, "messages.js", place, &package());
        assert_eq!(renamed("kt.kt(1)", (0, 0)), "handler.kt(1)");
        assert_eq!(renamed("a +\nkt", (0, 4)), "a +\nkt");
        assert_eq!(stacks.with_original_names("kt", "plain.js", (0, 0), &package()), "kt");
    }

    #[test]
    fn frames_point_into_the_authors_sources() {
        assert_eq!(
            text(&["    at handler (convex:/messages.js:1:1)"]),
            "Uncaught Error: no such channel\n    at handler (../convex/messages.ts:12:3)\n"
        );
    }

    #[test]
    fn functions_without_a_name_are_called_anonymous() {
        assert_eq!(
            text(&["    at messages.js:1:1", "    at async file:///tmp/x/messages.js:1:1"]),
            "Uncaught Error: no such channel\n    at <anonymous> (../convex/messages.ts:12:3)\n    \
             at async <anonymous> (../convex/messages.ts:12:3)\n"
        );
    }

    #[test]
    fn frames_of_the_runtime_and_of_unmapped_modules_are_dropped() {
        assert_eq!(
            text(&[
                "    at handler (messages.js:1:1)",
                "    at f (plain.js:1:1)",
                "    at async Promise.all (index 0)",
                "    at async invokeFunction (messages.js:2:1)",
                "    at node:internal/process/task_queues:105:5",
            ]),
            "Uncaught Error: no such channel\n    at handler (../convex/messages.ts:12:3)\n"
        );
    }

    #[test]
    fn a_promise_combinator_between_frames_stays() {
        assert_eq!(
            text(&[
                "    at handler (messages.js:1:1)",
                "    at async Promise.all (index 0)",
                "    at async handler (messages.js:1:1)",
            ]),
            "Uncaught Error: no such channel\n    at handler (../convex/messages.ts:12:3)\n    \
             at async Promise.all (index 0)\n    at async handler (../convex/messages.ts:12:3)\n"
        );
    }

    #[test]
    fn data_that_is_no_value_is_a_failure_of_its_own() {
        let thrown =
            |data: &str| JsError { message: "m".into(), frames: Vec::new(), data: Some(data.into()) };
        let mapper = StackMapper::default();
        let error = mapper.function_error(&thrown("{\"$bad\":1,\"b\":2}"), &package());
        assert!(error.message.starts_with("Invalid data of a ConvexError: "), "{}", error.message);
        assert_eq!(error.data, None);
        assert_eq!(mapper.function_error(&thrown("[1]"), &package()).data.as_deref(), Some("[1]"));
    }

    #[test]
    fn an_error_without_frames_is_its_message_and_a_newline() {
        assert_eq!(text(&[]), "Uncaught Error: no such channel\n");
    }
}
