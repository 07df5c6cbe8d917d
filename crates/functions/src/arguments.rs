//! Arguments and results at the border between callers and functions: decoding, sizes, validators, and their texts.

use freshet_values::validator::{TableNames, Validator};
use freshet_values::{FunctionPath, Value, byte_size_text};
use serde_json::value::RawValue;

/// Decoded and accepted arguments.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// JSON text of the array that the host gets.
    pub(crate) json: String,
    /// Size in bytes of the value model.
    pub(crate) bytes: usize,
}

/// Whether commit timestamps that are not known yet may appear.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placeholders {
    Allowed,
    Refused,
}

impl Placeholders {
    fn decode(self, json: &str) -> Result<Value, freshet_values::DecodeError> {
        match self {
            Placeholders::Allowed => Value::decode_with_commit_ts(json),
            Placeholders::Refused => Value::decode(json),
        }
    }
}

/// Decodes the text of an array of arguments, or of the one arguments object, and checks it. The error is the text of
/// the function's failure, without a final newline.
pub(crate) fn check_arguments(
    path: &FunctionPath,
    text: &str,
    validator: &Validator,
    tables: &dyn TableNames,
    bytes_max: usize,
    placeholders: Placeholders,
) -> Result<Arguments, String> {
    let invalid = |reason: &dyn std::fmt::Display| format!("Invalid arguments for {path}: {reason}");
    let values = if text.trim_start().starts_with('[') {
        let raw: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| invalid(&error))?;
        raw.into_iter()
            .map(|raw| placeholders.decode(raw.get()).map_err(|error| invalid(&error)))
            .collect::<Result<Vec<_>, _>>()?
    } else {
        vec![placeholders.decode(text).map_err(|error| invalid(&error))?]
    };
    let bytes = 2 + values.iter().map(Value::size).sum::<usize>();
    if bytes > bytes_max {
        return Err(format!(
            "Arguments for {path} are too large (actual: {}, limit: {})",
            byte_size_text(bytes),
            byte_size_text(bytes_max)
        ));
    }
    // Functions without a validator may be called in the old positional way.
    if !matches!(validator, Validator::Any) {
        let [value] = values.as_slice() else {
            return Err(format!(
                "Expected to receive a single object as the function's argument. Instead received {} arguments: {}",
                values.len(),
                Value::Array(values)
            ));
        };
        if !matches!(value, Value::Object(_)) {
            return Err(format!(
                "Expected to receive an object as the function's argument. Instead received: {value}"
            ));
        }
        validator.check(value, tables).map_err(|error| format!("ArgumentValidationError: {error}"))?;
    }
    let mut json = String::with_capacity(text.len() + 2);
    json.push('[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        value.encode(&mut json);
    }
    json.push(']');
    Ok(Arguments { json, bytes })
}

/// Decodes a function's result and checks it. The error is the text of the function's failure, without a final newline.
pub(crate) fn check_result(
    path: &FunctionPath,
    text: &str,
    validator: Option<&Validator>,
    tables: &dyn TableNames,
    bytes_max: usize,
    placeholders: Placeholders,
) -> Result<Value, String> {
    let value = placeholders.decode(text).map_err(|error| {
        // The two kinds of failure have different texts; telling them apart costs a second parse, on failure only.
        match serde_json::from_str::<serde_json::Value>(text) {
            Err(error) => {
                format!("Function {path} failed. Could not parse return value as json: {error}")
            }
            Ok(json) if placeholders == Placeholders::Refused && is_placeholder_only(&json, text) => {
                format!(
                    "Function {path} return value invalid: queries cannot return an unresolved commit timestamp"
                )
            }
            Ok(_) => format!("Function {path} return value invalid: {error}"),
        }
    })?;
    let bytes = value.size();
    if bytes > bytes_max {
        return Err(format!(
            "Function {path} return value is too large (actual: {}, limit: {})",
            byte_size_text(bytes),
            byte_size_text(bytes_max)
        ));
    }
    if let Some(validator) = validator {
        validator.check(&value, tables).map_err(|error| format!("ReturnsValidationError: {error}"))?;
    }
    Ok(value)
}

/// Whether the value would be fine if it held no commit timestamp placeholder.
fn is_placeholder_only(json: &serde_json::Value, text: &str) -> bool {
    mentions_placeholder(json) && Value::decode_with_commit_ts(text).is_ok()
}

fn mentions_placeholder(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::Object(fields) => {
            fields.contains_key("$commitTs") || fields.values().any(mentions_placeholder)
        }
        serde_json::Value::Array(items) => items.iter().any(mentions_placeholder),
        _ => false,
    }
}
