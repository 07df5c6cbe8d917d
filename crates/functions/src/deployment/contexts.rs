//! Which context the modules of a push get, found out once for each push and stored with it.
//!
//! The verdicts are the analysis' own. Here they are put into the author's terms: places in the sources that were
//! written, not in the bundles.

use std::collections::BTreeMap;

use freshet_analysis::{Reason, Verdict, analyze};
use serde::{Deserialize, Serialize};

use super::package::StoredModule;
use crate::code::ContextMode;
use crate::host::{CodePackage, Environment};
use crate::stack::StackMapper;

/// Goes up when the analysis gets better: what an older one found out is then found out again.
const ANALYSIS_VERSION: u32 = 2;
/// Reasons kept for one module.
const REASONS_MAX: usize = 5;
/// What a path of a package's file has in it.
const PACKAGES: &str = "node_modules/";

/// What was found out about one module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModuleContext {
    analysis_version: u32,
    pub(super) mode: ContextMode,
    /// Why it is fresh; the first is the one to tell.
    pub(super) reasons: Vec<ContextReason>,
}

/// Why a module is evaluated for each call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContextReason {
    pub(super) message: String,
    /// File of the author, or module where it has no source map.
    pub(super) source: String,
    /// From 1.
    pub(super) line: u32,
}

impl ContextReason {
    /// The npm package that the place belongs to.
    fn package(&self) -> Option<&str> {
        let (_, path) = self.source.rsplit_once(PACKAGES)?;
        let parts = if path.starts_with('@') { 2 } else { 1 };
        let end = path.match_indices('/').nth(parts - 1).map_or(path.len(), |(at, _)| at);
        path.get(..end)
    }

    /// What the author can do something about comes first. In a large package the flow of values is known roughly only, so
    /// that plain assignments are the likeliest to be true; the client package is known to keep nothing by itself.
    fn rank(&self) -> u8 {
        let is_unknown = self.message.ends_with("does not know");
        match self.package() {
            None if !is_unknown => 0,
            Some("convex") => 6,
            Some(_) if self.message.starts_with("assigns the module-level") => 1,
            Some(_) if self.message.starts_with("changes `this.") => 2,
            Some(_) if self.message.ends_with("outlives the call") => 3,
            None => 4,
            Some(_) => 5,
        }
    }
}

impl ModuleContext {
    /// Whether the analysis of today would say the same.
    pub(super) fn is_current(&self) -> bool {
        self.analysis_version == ANALYSIS_VERSION
    }
}

/// Analyses the modules of a package together. `functions` is the folder of the app's functions, which is left out of
/// the names of files. Takes a moment of processor time.
pub(super) fn judge(
    code: &CodePackage,
    stacks: &StackMapper,
    functions: &str,
) -> BTreeMap<String, ModuleContext> {
    let modules: Vec<_> = code
        .modules
        .values()
        .filter(|module| module.environment == Environment::Isolate)
        .map(|module| freshet_analysis::Module { path: &module.path, source: &module.source })
        .collect();
    let analysis = analyze(&modules);
    let context = |path: &str| {
        let (mode, reasons) = match analysis.verdict(path) {
            Verdict::Verified => (ContextMode::Verified, Vec::new()),
            Verdict::Reuse => (ContextMode::Reuse, Vec::new()),
            Verdict::Fresh(reasons) => {
                let mut reasons: Vec<_> =
                    reasons.iter().map(|reason| in_sources(reason, code, stacks, functions)).collect();
                reasons.sort_by_key(ContextReason::rank);
                reasons.truncate(REASONS_MAX);
                (ContextMode::Fresh, reasons)
            }
        };
        ModuleContext { analysis_version: ANALYSIS_VERSION, mode, reasons }
    };
    modules.iter().map(|module| (module.path.to_owned(), context(module.path))).collect()
}

fn in_sources(reason: &Reason, code: &CodePackage, stacks: &StackMapper, functions: &str) -> ContextReason {
    let (source, line) = match stacks.place(&reason.module, reason.line, reason.column, code) {
        Some((source, line)) => (file_name(&source, functions), line),
        None => (reason.module.clone(), reason.line),
    };
    ContextReason { message: in_original_names(reason, code, stacks), source, line: line + 1 }
}

/// The sentence of a reason, with the quoted code as its author wrote it.
fn in_original_names(reason: &Reason, code: &CodePackage, stacks: &StackMapper) -> String {
    let Some(quoted) = &reason.quoted else { return reason.message.clone() };
    // Shortened code is not worth the effort: a name could be cut in the middle.
    let bundled = format!("`{}`", quoted.text);
    if !reason.message.contains(&bundled) {
        return reason.message.clone();
    }
    let place = (quoted.line, quoted.column);
    let original = stacks.with_original_names(&quoted.text, &reason.module, place, code);
    reason.message.replacen(&bundled, &format!("`{original}`"), 1)
}

/// A file as its author calls it: bundlers name it relative to where they put the bundle.
fn file_name(source: &str, functions: &str) -> String {
    let mut name = source;
    while let Some(rest) = name.strip_prefix("../").or_else(|| name.strip_prefix("./")) {
        name = rest;
    }
    let folder = functions.trim_start_matches("./").trim_end_matches('/');
    name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name).to_owned()
}

/// What to tell the author after a push: one line for each module with queries or mutations whose context is another
/// than before, or for another reason.
pub(super) fn notices(previous: &[StoredModule], next: &[StoredModule]) -> Vec<String> {
    let before: BTreeMap<&str, &StoredModule> =
        previous.iter().map(|module| (module.path.as_str(), module)).collect();
    next.iter()
        .filter(|module| module.has_transactions())
        .filter_map(|module| notice(before.get(module.path.as_str()).copied(), module))
        .collect()
}

fn notice(before: Option<&StoredModule>, module: &StoredModule) -> Option<String> {
    let context = module.context.as_ref()?;
    let before = before.and_then(|before| before.context.as_ref());
    let name = module.path.strip_suffix(".js").unwrap_or(&module.path);
    // Lines move with every edit above them; that is no news.
    let gist = |context: &ModuleContext| {
        let reason = context.reasons.first();
        (context.mode, reason.map(|reason| (reason.message.clone(), reason.source.clone())))
    };
    if before.is_some_and(|before| gist(before) == gist(context)) {
        return None;
    }
    match (context.mode, context.reasons.first()) {
        (ContextMode::Fresh, Some(reason)) => {
            let advice = match reason.package() {
                Some(package) => format!(
                    ". If what `{package}` keeps from call to call cannot matter, export \
                     `experimental_reuseContext = true` from the module"
                ),
                None => String::new(),
            };
            Some(format!(
                "{name}: every call evaluates the module again (about 1 ms): {} at {}:{}{advice}",
                reason.message, reason.source, reason.line
            ))
        }
        (ContextMode::Fresh, None) => {
            Some(format!("{name}: every call evaluates the module again (about 1 ms)"))
        }
        (ContextMode::Verified | ContextMode::Reuse, _) => {
            let was_fresh = before.is_some_and(|before| before.mode == ContextMode::Fresh);
            was_fresh.then(|| format!("{name}: calls share an evaluated module again"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::response::{AnalyzedFunction, AnalyzedModule};
    use super::*;

    fn module(path: &str, kind: &str, context: Option<ModuleContext>) -> StoredModule {
        let function: AnalyzedFunction =
            serde_json::from_value(serde_json::json!({ "name": "f", "udfType": kind })).unwrap();
        StoredModule {
            path: path.to_owned(),
            sha256: String::new(),
            environment: Environment::Isolate,
            analysis: AnalyzedModule { functions: vec![function], ..AnalyzedModule::default() },
            context,
        }
    }

    fn fresh(message: &str, line: u32) -> Option<ModuleContext> {
        let reason = ContextReason { message: message.into(), source: "m.ts".into(), line };
        Some(ModuleContext {
            analysis_version: ANALYSIS_VERSION,
            mode: ContextMode::Fresh,
            reasons: vec![reason],
        })
    }

    fn verified() -> Option<ModuleContext> {
        Some(ModuleContext { mode: ContextMode::Verified, ..ModuleContext::default() })
    }

    #[test]
    fn a_fresh_module_is_told_once_with_its_place() {
        let next = [module("m.js", "Query", fresh("assigns the module-level variable `cache`", 12))];
        assert_eq!(
            notices(&[], &next),
            ["m: every call evaluates the module again (about 1 ms): assigns the module-level variable \
                 `cache` at m.ts:12"]
        );
        let moved = [module("m.js", "Query", fresh("assigns the module-level variable `cache`", 13))];
        assert!(notices(&next, &moved).is_empty());
        let other = [module("m.js", "Query", fresh("assigns the module-level variable `other`", 12))];
        assert_eq!(notices(&next, &other).len(), 1);
    }

    #[test]
    fn a_reason_in_a_package_names_it_and_what_to_do() {
        let source = "node_modules/@scope/kit/lib/index.js".to_owned();
        let reason =
            ContextReason { message: "assigns the module-level variable `cache`".into(), source, line: 7 };
        assert_eq!(reason.package(), Some("@scope/kit"));
        let context =
            ModuleContext { mode: ContextMode::Fresh, reasons: vec![reason], ..ModuleContext::default() };
        assert_eq!(
            notices(&[], &[module("m.js", "Query", Some(context))]),
            [
                "m: every call evaluates the module again (about 1 ms): assigns the module-level variable `cache` at \
                 node_modules/@scope/kit/lib/index.js:7. If what `@scope/kit` keeps from call to call cannot matter, \
                 export `experimental_reuseContext = true` from the module"
            ]
        );
    }

    #[test]
    fn the_authors_own_files_come_before_packages() {
        let reason = |source: &str, message: &str| ContextReason {
            message: message.into(),
            source: source.into(),
            line: 1,
        };
        let mut reasons = [
            reason("node_modules/zod/a.js", "changes the built-in `Error`, which all modules share"),
            reason("node_modules/zod/a.js", "changes `this._cached`, which outlives the call"),
            reason("users.ts", "calls `parse` on `User`, which outlives the call"),
        ];
        reasons.sort_by_key(ContextReason::rank);
        assert_eq!(
            reasons.map(|reason| reason.source + &reason.message[..9]),
            ["users.tscalls `pa", "node_modules/zod/a.jschanges `", "node_modules/zod/a.jschanges t"]
        );
    }

    #[test]
    fn modules_that_never_share_or_always_did_are_not_told() {
        assert!(notices(&[], &[module("m.js", "Action", fresh("assigns", 1))]).is_empty());
        assert!(notices(&[], &[module("m.js", "Query", verified())]).is_empty());
        assert!(notices(&[], &[module("m.js", "Query", None)]).is_empty());
    }

    #[test]
    fn a_module_that_shares_again_is_told() {
        let before = [module("m.js", "Mutation", fresh("assigns", 1))];
        let after = [module("m.js", "Mutation", verified())];
        assert_eq!(notices(&before, &after), ["m: calls share an evaluated module again"]);
        assert!(notices(&after, &after).is_empty());
    }

    #[test]
    fn files_have_the_names_that_their_author_gave_them() {
        assert_eq!(file_name("../../convex/messages.ts", "convex/"), "messages.ts");
        assert_eq!(file_name("../../node_modules/a/b.js", "convex/"), "node_modules/a/b.js");
        assert_eq!(file_name("../src/convex/a/b.ts", "./src/convex"), "a/b.ts");
    }
}
