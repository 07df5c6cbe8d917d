//! From a function's name to the function, for each kind of caller, with the texts of what may go wrong.

use freshet_values::{ComponentPath, FunctionPath};

use crate::code::{AnalysedFunction, FunctionKind, LiveCode, Visibility};

/// What a caller may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Public functions.
    Public,
    /// Internal ones too.
    Internal,
}

/// Finds the function for a call of the given kind. The error is the text of the function's failure.
pub(crate) fn resolve<'a>(
    code: &'a LiveCode,
    path: &FunctionPath,
    component: &ComponentPath,
    kind: FunctionKind,
    access: Access,
) -> Result<&'a AnalysedFunction, String> {
    let function = find(code, path, component, access)
        .ok_or_else(|| not_found_text("public function", path, component))?;
    if function.kind != kind {
        let place = in_component(component);
        return Err(format!(
            "Trying to execute {path}{place} as {kind}, but it is defined as {}.",
            function.kind
        ));
    }
    Ok(function)
}

/// Finds a function that the caller may reach, of whatever kind.
pub(crate) fn find<'a>(
    code: &'a LiveCode,
    path: &FunctionPath,
    component: &ComponentPath,
    access: Access,
) -> Option<&'a AnalysedFunction> {
    // Components are not mounted in this version: nothing lives outside of the app.
    if !component.is_root() {
        return None;
    }
    let function = code.functions.get(path)?;
    match access {
        Access::Internal => Some(function),
        Access::Public => (function.visibility == Some(Visibility::Public)).then_some(function),
    }
}

/// `Could not find {what} for 'messages:list'.`
pub(crate) fn not_found_text(what: &str, path: &FunctionPath, component: &ComponentPath) -> String {
    format!("Could not find {what} for '{}'{}.", path.stripped(), in_component(component))
}

fn in_component(component: &ComponentPath) -> String {
    if component.is_root() { String::new() } else { format!(" in '{component}'") }
}

/// Finds a function that the scheduler or a cron is about to run. The error is the text that the job fails with.
pub(crate) fn resolve_job<'a>(
    code: &'a LiveCode,
    path: &FunctionPath,
) -> Result<&'a AnalysedFunction, String> {
    if !code.modules.contains_key(path.module()) {
        return Err(format!(
            "Couldn't find JavaScript module '{}'. Did you forget to run `npx convex dev`?",
            path.module()
        ));
    }
    let function = code
        .functions
        .get(path)
        .ok_or_else(|| format!("Couldn't find \"{}\" in module \"{}\".", path.function(), path.module()))?;
    match function.kind {
        FunctionKind::Mutation | FunctionKind::Action => Ok(function),
        kind => Err(format!(
            "Unsupported function type. {path} is defined as {kind}; only mutations and actions can be scheduled."
        )),
    }
}

/// Checks that a function may be scheduled. The error is the text that the scheduling function gets.
pub(crate) fn resolve_scheduled(code: &LiveCode, path: &FunctionPath) -> Result<(), String> {
    if !code.modules.contains_key(path.module()) {
        return Err(format!("Attempted to schedule function at nonexistent path: {}", path.module()));
    }
    if !code.functions.contains_key(path) {
        return Err(format!(
            "Attempted to schedule function, but no exported function {} found in the file: {}. Did you forget to \
             export it?",
            path.function(),
            path.module()
        ));
    }
    Ok(())
}
