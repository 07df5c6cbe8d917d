//! From what a host found in a module to what clients and calls need to know about it.

use std::collections::BTreeMap;

use freshet_values::identifier;
use freshet_values::validator::{parse_args_validator, parse_returns_validator};
use serde_json::{Value as Json, json};
use sourcemap::SourceMap;

use super::error::PushError;
use super::module_set::{CRONS, HTTP};
use super::response::{
    AnalyzedFunction, AnalyzedModule, AnalyzedRoute, CheckedComponent, CheckedRoutes, HttpRoute, Position,
    Visibility,
};
use crate::crons::definition as crons;
use crate::host::{Environment, FunctionReport, Module, ModuleReport};

/// Introduces what is wrong with a function module.
const MODULES_PREFIX: &str = "Loading the pushed modules encountered the following error:\n";

/// A mistake in a function module.
pub(super) fn invalid_modules(text: impl std::fmt::Display) -> PushError {
    PushError::bad_request("InvalidModules", format!("{MODULES_PREFIX}{text}"))
}

/// Checks a host's report of one module and translates its positions.
///
/// # Errors
/// What the developer has to change.
pub(super) fn analyze(module: &Module, report: ModuleReport) -> Result<AnalyzedModule, PushError> {
    let map = module.source_map.as_ref().and_then(|map| SourceMap::from_slice(map.as_bytes()).ok());
    let mut functions = report
        .functions
        .into_iter()
        .map(|function| analyze_function(module, map.as_ref(), function))
        .collect::<Result<Vec<_>, _>>()?;
    // Stable: functions without a position keep the host's order, behind the others.
    functions.sort_by_key(|function| {
        function.pos.as_ref().map_or((u32::MAX, u32::MAX), |pos| (pos.start_lineno, pos.start_col))
    });
    Ok(AnalyzedModule {
        functions,
        http_routes: http_routes(module, report.has_default, report.http_routes)?,
        cron_specs: cron_specs(module, report.has_default, report.crons.as_deref())?,
        source_mapped: None,
    })
}

fn analyze_function(
    module: &Module,
    map: Option<&SourceMap>,
    report: FunctionReport,
) -> Result<AnalyzedFunction, PushError> {
    let path = format!("{}:{}", module.path, report.name);
    if let Err(error) = identifier::check(&report.name) {
        return Err(PushError::bad_request(
            "InvalidFunctionName",
            format!("{MODULES_PREFIX}Invalid function name `{}` in {}: {error}", report.name, module.path),
        ));
    }
    if module.environment == Environment::Node && report.udf_type != "Action" {
        return Err(invalid_modules(format_args!(
            "`{}` defined in `{}` is a {} function. Only actions can be defined in Node.js. See \
             https://docs.convex.dev/functions/actions for more details.",
            report.name, module.path, report.udf_type
        )));
    }
    if let Some(args) = &report.args {
        parse_args_validator(args).map_err(|error| invalid_validator(&path, "exportArgs", &error))?;
    }
    if let Some(returns) = &report.returns {
        parse_returns_validator(returns)
            .map_err(|error| invalid_validator(&path, "exportReturns", &error))?;
    }
    Ok(AnalyzedFunction {
        pos: map.zip(report.position).and_then(|(map, position)| original_position(module, map, position)),
        name: report.name,
        udf_type: report.udf_type,
        visibility: match report.visibility.as_deref() {
            Some("public") => Some(Visibility::Public),
            Some("internal") => Some(Visibility::Internal),
            _ => None,
        },
        args: report.args,
        returns: report.returns,
    })
}

fn invalid_validator(path: &str, method: &str, error: &dyn std::fmt::Display) -> PushError {
    invalid_modules(format_args!("Invalid JSON returned from {path}.{method}(): {error}"))
}

fn original_position(module: &Module, map: &SourceMap, (line, column): (u32, u32)) -> Option<Position> {
    let token = map.lookup_token(line, column)?;
    token.has_source().then(|| Position {
        path: module.path.clone(),
        start_lineno: token.get_src_line() + 1,
        start_col: token.get_src_col() + 1,
    })
}

fn http_routes(
    module: &Module,
    has_default: bool,
    routes: Option<Vec<(String, String)>>,
) -> Result<Option<Vec<AnalyzedRoute>>, PushError> {
    if module.path != HTTP {
        return Ok(None);
    }
    match routes {
        Some(routes) => Ok(Some(
            routes
                .into_iter()
                .map(|(path, method)| AnalyzedRoute { route: HttpRoute { path, method }, pos: None })
                .collect(),
        )),
        None if has_default => {
            Err(invalid_modules("The default export of `convex/http.js` is not a Router."))
        }
        None => Err(invalid_modules("`convex/http.js` must have a default export of a Router.")),
    }
}

fn cron_specs(
    module: &Module,
    has_default: bool,
    export: Option<&str>,
) -> Result<Option<Vec<super::response::AnalyzedCron>>, PushError> {
    if module.path != CRONS {
        return Ok(None);
    }
    match export {
        Some(export) => crons::parse(export).map(Some).map_err(|error| invalid_cron(&error)),
        None if has_default => {
            Err(invalid_modules("The default export of `convex/crons.js` is not a Crons object."))
        }
        None => Err(invalid_modules("`convex/crons.js` must have a default export of a Crons object.")),
    }
}

fn invalid_cron(error: &crons::CronError) -> PushError {
    PushError::bad_request("InvalidCron", format!("{MODULES_PREFIX}{}", error.0))
}

/// Checks what one module says about others.
///
/// # Errors
/// `InvalidCron` when a job runs something that cannot be scheduled.
pub(super) fn check_together(modules: &BTreeMap<String, AnalyzedModule>) -> Result<(), PushError> {
    match modules.get(CRONS).and_then(|module| module.cron_specs.as_ref()) {
        None => Ok(()),
        Some(specs) => crons::check_targets(specs, modules).map_err(|error| invalid_cron(&error)),
    }
}

/// The app as a component tree of one node.
pub(super) fn checked_app(modules: &BTreeMap<String, AnalyzedModule>) -> CheckedComponent {
    let routes = modules.get(HTTP).and_then(|module| module.http_routes.as_ref());
    CheckedComponent {
        definition_path: String::new(),
        component_path: String::new(),
        http_prefix: None,
        args: BTreeMap::new(),
        env: BTreeMap::new(),
        child_components: BTreeMap::new(),
        http_routes: CheckedRoutes {
            http_module_routes: routes.map(|routes| routes.iter().map(|route| route.route.clone()).collect()),
            mounts: Vec::new(),
        },
        exports: exports(modules),
    }
}

/// Public functions as a tree by directory, module and name.
fn exports(modules: &BTreeMap<String, AnalyzedModule>) -> BTreeMap<String, Json> {
    let mut root = json!({"type": "branch", "children": {}});
    for (path, module) in modules {
        let public =
            module.functions.iter().filter(|function| function.visibility == Some(Visibility::Public));
        for function in public {
            let segments = path.strip_suffix(".js").unwrap_or(path).split('/');
            let mut node = &mut root;
            for segment in segments {
                node = &mut node["children"][segment];
                if node["type"] != "branch" {
                    *node = json!({"type": "branch", "children": {}});
                }
            }
            node["children"][&function.name] = json!({
                "type": "leaf",
                "resource": {
                    "type": "function",
                    "path": {"component": "", "udfPath": format!("{path}:{}", function.name)}
                }
            });
        }
    }
    match root["children"].take() {
        Json::Object(children) => children.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use sourcemap::SourceMapBuilder;

    use super::*;

    fn module(path: &str, environment: Environment) -> Module {
        let mut builder = SourceMapBuilder::new(Some("messages.js"));
        builder.add(3, 4, 20, 2, Some("../convex/messages.ts"), None, false);
        builder.add(9, 0, 10, 6, Some("../convex/messages.ts"), None, false);
        let mut map = Vec::new();
        builder.into_sourcemap().to_writer(&mut map).unwrap();
        Module {
            path: path.into(),
            source: "".into(),
            source_map: Some(String::from_utf8(map).unwrap().into()),
            environment,
        }
    }

    fn function(name: &str, position: Option<(u32, u32)>) -> FunctionReport {
        FunctionReport {
            name: name.into(),
            udf_type: "Mutation".into(),
            visibility: Some("public".into()),
            args: Some(r#"{"type":"object","value":{}}"#.into()),
            returns: Some("null".into()),
            position,
        }
    }

    fn report(functions: Vec<FunctionReport>) -> ModuleReport {
        ModuleReport { functions, ..ModuleReport::default() }
    }

    #[test]
    fn functions_come_in_the_order_of_the_authors_source() {
        let functions =
            vec![function("unknown", None), function("late", Some((3, 4))), function("early", Some((9, 0)))];
        let analyzed = analyze(&module("messages.js", Environment::Isolate), report(functions)).unwrap();
        let names: Vec<&str> = analyzed.functions.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(names, ["early", "late", "unknown"]);
        assert_eq!(
            serde_json::to_value(&analyzed.functions[0]).unwrap(),
            json!({"name": "early", "pos": {"path": "messages.js", "start_lineno": 11, "start_col": 7},
                   "udfType": "Mutation", "visibility": {"kind": "public"},
                   "args": "{\"type\":\"object\",\"value\":{}}", "returns": "null"})
        );
    }

    fn refusal(module: &Module, report: ModuleReport) -> (String, String) {
        let error = analyze(module, report).unwrap_err();
        assert_eq!(error.status, 400);
        (error.code, error.message.strip_prefix(MODULES_PREFIX).unwrap().to_owned())
    }

    #[test]
    fn names_must_be_identifiers() {
        let report = report(vec![function("a-b", None)]);
        assert_eq!(refusal(&module("m.js", Environment::Isolate), report).0, "InvalidFunctionName");
    }

    #[test]
    fn node_modules_may_have_actions_only() {
        let (code, text) = refusal(&module("m.js", Environment::Node), report(vec![function("f", None)]));
        assert_eq!(code, "InvalidModules");
        assert!(text.contains("Only actions can be defined in Node.js"), "{text}");
    }

    #[test]
    fn a_broken_validator_names_the_function() {
        let mut broken = function("send", None);
        broken.args = Some("{".into());
        let (_, text) = refusal(&module("messages.js", Environment::Isolate), report(vec![broken]));
        assert!(text.starts_with("Invalid JSON returned from messages.js:send.exportArgs(): "), "{text}");
    }

    #[test]
    fn http_and_crons_need_their_default_exports() {
        let mut wrong = report(Vec::new());
        assert_eq!(
            refusal(&module("http.js", Environment::Isolate), wrong.clone()).1,
            "`convex/http.js` must have a default export of a Router."
        );
        wrong.has_default = true;
        assert_eq!(
            refusal(&module("crons.js", Environment::Isolate), wrong.clone()).1,
            "The default export of `convex/crons.js` is not a Crons object."
        );
        // Elsewhere the names mean nothing.
        assert!(analyze(&module("lib/http.js", Environment::Isolate), wrong).is_ok());
    }

    #[test]
    fn public_functions_are_exported_as_a_tree() {
        let modules = BTreeMap::from([(
            "chat/rooms.js".to_owned(),
            analyze(&module("chat/rooms.js", Environment::Isolate), report(vec![function("list", None)]))
                .unwrap(),
        )]);
        assert_eq!(
            serde_json::to_value(checked_app(&modules)).unwrap(),
            json!({
                "definitionPath": "", "componentPath": "", "httpPrefix": null, "args": {}, "env": {},
                "childComponents": {}, "httpRoutes": {"httpModuleRoutes": null, "mounts": []},
                "exports": {"chat": {"type": "branch", "children": {"rooms": {"type": "branch", "children": {
                    "list": {"type": "leaf", "resource": {"type": "function",
                             "path": {"component": "", "udfPath": "chat/rooms.js:list"}}}}}}}}
            })
        );
    }
}
