//! The app's own definition, `convex.config.js`: which variables it declares, and that it mounts no components.

use freshet_values::Value;
use freshet_values::validator::{NoTables, Validator};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

use super::error::PushError;

/// An environment variable that the app declares.
#[derive(Clone, Debug)]
pub(super) struct DeclaredVariable {
    pub(super) name: String,
    pub(super) validator: Validator,
    pub(super) optional: bool,
}

/// What the app's definition says.
#[derive(Clone, Debug)]
pub(super) struct AppDefinitionAnalysis {
    /// The definition as clients see it.
    pub(super) json: Json,
    /// Variables that it declares.
    pub(super) variables: Vec<DeclaredVariable>,
}

/// The definition of an app without `convex.config.ts`.
pub(super) fn empty() -> AppDefinitionAnalysis {
    let export = json!({"definitionType": {"type": "app"}});
    parse(&export.to_string()).expect("the empty definition is valid")
}

/// Reads what the definition module exported.
///
/// # Errors
/// A wrong shape, components, or a bad declaration of a variable.
pub(super) fn parse(export: &str) -> Result<AppDefinitionAnalysis, PushError> {
    let invalid = |text: String| PushError::bad_request("InvalidDefinition", text);
    let mut definition: Json = serde_json::from_str(export)
        .map_err(|error| invalid(format!("convex.config.js exported invalid JSON: {error}")))?;
    let Some(fields) = definition.as_object_mut() else {
        return Err(invalid("convex.config.js must export an object.".into()));
    };
    if fields.get("definitionType").is_none_or(|kind| kind["type"] != "app") {
        return Err(invalid(
            "convex.config.js of an app must export `defineApp()`; found the definition of a component."
                .into(),
        ));
    }
    let children =
        fields.get("childComponents").and_then(Json::as_array).is_some_and(|list| !list.is_empty());
    let mounts = fields.get("httpMounts").and_then(Json::as_object).is_some_and(|map| !map.is_empty());
    if children || mounts {
        return Err(unsupported_components());
    }
    // A null where clients expect an absent key is fatal to them.
    if let Some(kind) = fields.get_mut("definitionType").and_then(Json::as_object_mut) {
        kind.retain(|_, value| !value.is_null());
    }
    fields.insert("path".into(), json!(""));
    fields.entry("childComponents").or_insert_with(|| json!([]));
    for (name, absent) in [("httpMounts", json!({})), ("exports", json!({"type": "branch", "branch": []}))] {
        if fields.get(name).is_none_or(Json::is_null) {
            fields.insert(name.into(), absent);
        }
    }
    fields.entry("httpPrefix").or_insert(Json::Null);
    let declared = fields.entry("envVars").or_insert(Json::Null);
    let variables = match declared.as_array_mut() {
        None => Vec::new(),
        Some(list) => list.iter_mut().map(declared_variable).collect::<Result<_, _>>()?,
    };
    Ok(AppDefinitionAnalysis { json: definition, variables })
}

/// Says that the pushed app needs something that does not exist here.
pub(super) fn unsupported_components() -> PushError {
    PushError::bad_request(
        "InvalidConvexConfig",
        "This app uses components, which this version of the server does not support yet. Remove the components \
         from convex.config.ts, or use a version that supports them.",
    )
}

fn declared_variable(entry: &mut Json) -> Result<DeclaredVariable, PushError> {
    let invalid = |name: &str, detail: &str| {
        PushError::bad_request(
            "InvalidEnvVarDeclaration",
            format!("Invalid declaration of the environment variable `{name}` in convex.config.js: {detail}"),
        )
    };
    let name = entry[0].as_str().unwrap_or_default().to_owned();
    let declaration = &mut entry[1];
    let text = declaration["value"].as_str().ok_or_else(|| invalid(&name, "it has no validator."))?;
    let json: Json = serde_json::from_str(text).map_err(|error| invalid(&name, &error.to_string()))?;
    let validator = Validator::from_json(&json).map_err(|error| invalid(&name, &error.to_string()))?;
    if !is_text(&validator) {
        return Err(invalid(&name, "its validator must be a string, a string literal or a union of them."));
    }
    let optional = declaration["optional"].as_bool().unwrap_or(false);
    if let Some(fields) = declaration.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    Ok(DeclaredVariable { name, validator, optional })
}

fn is_text(validator: &Validator) -> bool {
    match validator {
        Validator::String => true,
        Validator::Literal(literal) => literal.value().as_str().is_some(),
        Validator::Union(members) => members.iter().all(is_text),
        _ => false,
    }
}

/// Checks the deployment's variables against what the app declares.
///
/// # Errors
/// `MissingEnvironmentVariables` or `InvalidEnvironmentVariable`.
pub(super) fn check_variables(
    declared: &[DeclaredVariable],
    variables: &BTreeMap<String, String>,
) -> Result<(), PushError> {
    let missing: Vec<&str> = declared
        .iter()
        .filter(|variable| !variable.optional && !variables.contains_key(&variable.name))
        .map(|variable| variable.name.as_str())
        .collect();
    if !missing.is_empty() {
        return Err(PushError::bad_request(
            "MissingEnvironmentVariables",
            // Clients take the names from between "are not set: " and the full stop.
            format!(
                "Required environment variables are not set: {}. Set them with `npx convex env set` or in the \
                 dashboard.",
                missing.join(", ")
            ),
        ));
    }
    for variable in declared {
        let Some(value) = variables.get(&variable.name) else { continue };
        if let Err(error) = variable.validator.check(&Value::String(value.clone()), &NoTables) {
            return Err(PushError::bad_request(
                "InvalidEnvironmentVariable",
                format!("The environment variable {} does not match its declaration: {error}", variable.name),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(declarations: &Json) -> Result<AppDefinitionAnalysis, PushError> {
        parse(&json!({"definitionType": {"type": "app"}, "envVars": declarations}).to_string())
    }

    #[test]
    fn an_empty_definition_has_every_key_that_clients_require() {
        assert_eq!(
            empty().json,
            json!({"path": "", "definitionType": {"type": "app"}, "childComponents": [], "httpMounts": {},
                   "httpPrefix": null, "exports": {"type": "branch", "branch": []}, "envVars": null})
        );
    }

    #[test]
    fn components_are_refused_with_a_clear_text() {
        let export = json!({"definitionType": {"type": "app"},
                            "childComponents": [{"name": "rate", "path": "rate", "args": []}]});
        let error = parse(&export.to_string()).unwrap_err();
        assert_eq!(error.status, 400);
        assert!(error.message.contains("does not support yet"), "{error}");
    }

    #[test]
    fn missing_variables_are_listed_as_clients_read_them() {
        let app = declared(&json!([
            ["A", {"type": "value", "value": "{\"type\":\"string\"}"}],
            ["B", {"type": "value", "value": "{\"type\":\"string\"}", "optional": true}],
            ["C", {"type": "value", "value": "{\"type\":\"string\"}", "optional": null}]
        ]))
        .unwrap();
        let error = check_variables(&app.variables, &BTreeMap::new()).unwrap_err();
        assert_eq!(error.code, "MissingEnvironmentVariables");
        assert!(error.message.contains("are not set: A, C. Set them"), "{error}");
        assert_eq!(app.json["envVars"][2][1].get("optional"), None);
    }

    #[test]
    fn a_value_must_match_its_declaration() {
        let app = declared(&json!([["A", {"type": "value", "value":
            "{\"type\":\"union\",\"value\":[{\"type\":\"literal\",\"value\":\"x\"},{\"type\":\"literal\",\"value\":\"y\"}]}"}]]))
        .unwrap();
        let check = |value: &str| {
            check_variables(&app.variables, &BTreeMap::from([("A".to_owned(), value.to_owned())]))
        };
        assert!(check("y").is_ok());
        assert_eq!(check("z").unwrap_err().code, "InvalidEnvironmentVariable");
    }

    #[test]
    fn only_texts_can_be_declared() {
        let error =
            declared(&json!([["A", {"type": "value", "value": "{\"type\":\"number\"}"}]])).unwrap_err();
        assert_eq!(error.code, "InvalidEnvVarDeclaration");
    }
}
