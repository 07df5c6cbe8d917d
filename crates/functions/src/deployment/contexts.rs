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
const ANALYSIS_VERSION: u32 = 1;

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
            Verdict::Fresh(reasons) => (
                ContextMode::Fresh,
                reasons.iter().map(|reason| in_sources(reason, code, stacks, functions)).collect(),
            ),
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
    ContextReason { message: reason.message.clone(), source, line: line + 1 }
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
        (ContextMode::Fresh, Some(reason)) => Some(format!(
            "{name}: every call evaluates the module again (about 1 ms): {} at {}:{}",
            reason.message, reason.source, reason.line
        )),
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
