//! Runs the flow analysis over entry modules and turns what it finds into verdicts.

use std::collections::HashMap;
use std::rc::Rc;

use oxc_allocator::Allocator;
use rustc_hash::FxHashSet;

use crate::frames::FuncCode;
use crate::position::Positions;
use crate::program::Modules;
use crate::reasons::{Found, Verb};
use crate::solver::{Solver, TooLarge, Use};
use crate::value::{Args, At, Key, Kind, Phase};
use crate::{Analysis, Module, Quoted, Reason, Verdict};

/// Source text of all modules together, in bytes.
const SOURCE_BYTES_MAX: usize = 32 << 20;
/// Constraint steps of one run over one set of entry modules.
const RUN_STEPS_MAX: u64 = 10_000_000;
/// Constraint steps of a whole analysis.
const TOTAL_STEPS_MAX: u64 = 50_000_000;
/// Reasons reported for one module.
const REASONS_MAX: usize = 32;
/// Runs needed until no new accessor turns up.
const ROUNDS_MAX: usize = 6;
/// Folder of the bundler's shared chunks, which nobody calls.
const CHUNKS: &str = "_deps/";
/// Methods that the runtime calls on exported objects, and how many strings it passes.
const RUNTIME_CALLS: &[(&str, usize)] = &[
    ("invokeQuery", 1),
    ("invokeMutation", 1),
    ("invokeAction", 2),
    ("exportArgs", 0),
    ("exportReturns", 0),
    ("runRequest", 2),
    ("getRoutes", 0),
    ("lookup", 2),
];

/// Decides about all modules. Runs on a stack of its own, see [`crate::nesting`].
pub(crate) fn analyze(modules: &[Module<'_>]) -> Analysis {
    let bytes: usize = modules.iter().map(|module| module.source.len()).sum();
    if bytes > SOURCE_BYTES_MAX {
        return too_large(modules);
    }
    let allocator = Allocator::default();
    let parsed = Modules::parse(modules, &allocator);
    let mut budget = TOTAL_STEPS_MAX;

    let mut verdicts = HashMap::new();
    let mut found_anywhere: FxHashSet<Found> = FxHashSet::default();
    // Those with little code first, so that a large one does not use up what they need.
    let mut order: Vec<(usize, usize)> = (0..modules.len())
        .map(|index| {
            let reached = parsed.closure(&[index]);
            (reached.iter().map(|&module| parsed.list[module].source.len()).sum(), index)
        })
        .collect();
    order.sort_unstable();
    // Entries one by one: what one does with shared code says nothing about another.
    let (chunks, entries): (Vec<usize>, Vec<usize>) =
        order.into_iter().map(|(_, index)| index).partition(|&index| modules[index].path.starts_with(CHUNKS));
    for index in entries {
        let verdict = match parsed.list[index].asks_for_reuse {
            true => Verdict::Reuse,
            false => decide(&parsed, index, &mut found_anywhere, &mut budget),
        };
        verdicts.insert(modules[index].path.to_owned(), verdict);
    }
    for index in chunks {
        let reached = parsed.closure(&[index]);
        let mut found = objections(&parsed, &reached);
        found.extend(found_anywhere.iter().filter(|found| reached.contains(&found.module)).cloned());
        let verdict = if found.is_empty() { Verdict::Verified } else { fresh(&parsed, found) };
        verdicts.insert(modules[index].path.to_owned(), verdict);
    }
    Analysis::new(verdicts)
}

fn too_large(modules: &[Module<'_>]) -> Analysis {
    Analysis::all_fresh(modules.iter().map(|module| module.path), "is too large to analyse")
}

fn objections(parsed: &Modules<'_>, reached: &[usize]) -> Vec<Found> {
    let of = |&module: &usize| {
        parsed.list[module].objections.iter().map(move |(offset, message)| Found {
            module,
            offset: *offset,
            message: message.clone(),
            quoted: None,
        })
    };
    reached.iter().flat_map(of).collect()
}

fn decide(
    parsed: &Modules<'_>,
    entry: usize,
    found_anywhere: &mut FxHashSet<Found>,
    budget: &mut u64,
) -> Verdict {
    let objections = objections(parsed, &parsed.closure(&[entry]));
    if !objections.is_empty() {
        return fresh(parsed, objections);
    }
    match examine(parsed, &[entry], budget) {
        Ok(found) if found.is_empty() => Verdict::Verified,
        Ok(found) => {
            found_anywhere.extend(found.iter().cloned());
            fresh(parsed, found)
        }
        Err(TooLarge) => {
            let message = "is too large to analyse".to_owned();
            fresh(parsed, vec![Found { module: entry, offset: 0, message, quoted: None }])
        }
    }
}

fn fresh(parsed: &Modules<'_>, mut found: Vec<Found>) -> Verdict {
    found.sort();
    found.dedup();
    let mut reasons = Vec::new();
    let mut messages = FxHashSet::default();
    // The app's own modules come first: their authors can do something about them.
    found.sort_by_key(|found| parsed.list[found.module].path.starts_with(CHUNKS));
    for found in found {
        if reasons.len() == REASONS_MAX {
            break;
        }
        if !messages.insert((found.module, found.message.clone())) {
            continue;
        }
        let module = &parsed.list[found.module];
        let (line, column) = Positions::of(module.source, found.offset);
        let quoted = found.quoted.and_then(|(start, end)| {
            let text = module.source.get(start as usize..end as usize)?.to_owned();
            let (line, column) = Positions::of(module.source, start);
            Some(Quoted { text, line, column })
        });
        reasons.push(Reason { module: module.path.to_owned(), line, column, message: found.message, quoted });
    }
    Verdict::Fresh(reasons)
}

/// What is wrong with calling functions of these entry modules, as far as flow tells.
fn examine(parsed: &Modules<'_>, entries: &[usize], budget: &mut u64) -> Result<Vec<Found>, TooLarge> {
    let Some(&first) = entries.first() else { return Ok(Vec::new()) };
    let mut accessors = parsed.accessors.clone();
    if parsed.computed_accessor {
        accessors.insert("*".to_owned());
    }
    let modules = parsed.closure(entries);
    for _ in 0..ROUNDS_MAX {
        let allowed = RUN_STEPS_MAX.min(*budget);
        let mut solver = Solver::new(parsed, &accessors, allowed);
        let outcome = run(&mut solver, first, &modules, entries);
        *budget -= solver.steps().min(*budget);
        // More steps could add reasons, but take none away.
        let is_decided = outcome.is_err() && !solver.found.is_empty();
        if !is_decided {
            outcome?;
        }
        if is_decided || solver.accessors_missed.is_empty() {
            return Ok(solver.found.into_iter().collect());
        }
        accessors.extend(solver.accessors_missed);
    }
    Err(TooLarge)
}

fn run(solver: &mut Solver<'_>, first: usize, modules: &[usize], entries: &[usize]) -> Result<(), TooLarge> {
    let func = solver.func_of(first, FuncCode::Module);
    solver.call_root = solver.new_frame(func, None, Phase::Call, (u32::MAX, u32::MAX));
    solver.evaluation_root = solver.new_frame(func, None, Phase::Evaluation, (u32::MAX, u32::MAX));
    solver.evaluate_modules(modules);
    for &entry in entries {
        solver.call_exports(entry);
    }
    solver.run()?;
    solver.call_plain_functions();
    solver.run()
}

impl Solver<'_> {
    fn root_at(&mut self, module: usize) -> At {
        let site = self.site(module, oxc_span::Span::new(0, 0), Verb::Plain);
        At { site, frame: self.call_root }
    }

    /// What the runtime calls on the exports of an entry module.
    fn call_exports(&mut self, entry: usize) {
        let at = self.root_at(entry);
        let request = self.host_object(at, 800);
        let request = self.single(request);
        for key in self.export_names.get(&entry).cloned().unwrap_or_default() {
            let export = self.export(entry, key);
            let ret = self.empty;
            for &(name, strings) in RUNTIME_CALLS {
                let name = self.name(name);
                let args = Rc::new(Args { fixed: vec![self.primitive; strings], rest: None });
                self.attach(export, Use::Method { name, args, ret, at });
            }
            let name = self.name("invokeHttpAction");
            let args = Rc::new(Args { fixed: vec![request], rest: None });
            self.attach(export, Use::Method { name, args, ret, at });
            self.react(export, move |solver, value| {
                if matches!(solver.kind(value), Kind::Function { .. }) {
                    solver.exported_functions.push(value);
                }
            });
        }
    }

    /// Exported functions that are not registered with the runtime are checked as if anybody called them.
    fn call_plain_functions(&mut self) {
        let at = self.root_at(0);
        let given = self.make(at, 801, Kind::Opaque { lenient: true });
        let given = self.single(given);
        let given = self.join(&[given, self.primitive]);
        for function in std::mem::take(&mut self.exported_functions) {
            let registered =
                ["invokeQuery", "invokeMutation", "invokeAction", "invokeHttpAction"].iter().any(|name| {
                    let name = self.name(name);
                    self.has_field(function, name).is_some_and(|node| !self.values_of(node).is_empty())
                        || self
                            .has_field(function, Key::ANY)
                            .is_some_and(|node| !self.values_of(node).is_empty())
                });
            if !registered {
                let args = Rc::new(Args { fixed: Vec::new(), rest: Some(given) });
                let (this, ret) = (self.empty, self.empty);
                self.call(function, this, None, &args, ret, at);
            }
        }
    }
}
