//! Arguments and results at the border between callers and functions: decoding, sizes, validators, and their texts.

use freshet_values::validator::{TableNames, Validator, single_object_argument};
use freshet_values::{DecodeError, Decoder, FunctionPath, Object, Value, byte_size_text};
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
    fn decode(self, json: &str) -> Result<Value, DecodeError> {
        match self {
            Placeholders::Allowed => Decoder::WITH_COMMIT_TS.value(json),
            Placeholders::Refused => Decoder::STRICT.value(json),
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
    let values = decode_arguments(path, text, placeholders)?;
    let bytes = check_size(path, &values, bytes_max)?;
    // Functions without a validator may be called in the old positional way.
    if !matches!(validator, Validator::Any) {
        single_object_argument(&values).map_err(|error| error.to_string())?;
        validator.check(&values[0], tables).map_err(|error| format!("ArgumentValidationError: {error}"))?;
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

/// Decodes arguments for the server's own functions, which all take one object.
pub(crate) fn single_object(path: &FunctionPath, text: &str, bytes_max: usize) -> Result<Object, String> {
    let values = decode_arguments(path, text, Placeholders::Refused)?;
    check_size(path, &values, bytes_max)?;
    single_object_argument(&values).cloned().map_err(|error| error.to_string())
}

/// The arguments, each decoded by itself: the array around them is no value, and does not count as a level of nesting.
fn decode_arguments(
    path: &FunctionPath,
    text: &str,
    placeholders: Placeholders,
) -> Result<Vec<Value>, String> {
    let invalid = |reason: &dyn std::fmt::Display| format!("Invalid arguments for {path}: {reason}");
    if !text.trim_start().starts_with('[') {
        return Ok(vec![placeholders.decode(text).map_err(|error| invalid(&error))?]);
    }
    let raw: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| invalid(&error))?;
    raw.into_iter().map(|raw| placeholders.decode(raw.get()).map_err(|error| invalid(&error))).collect()
}

fn check_size(path: &FunctionPath, values: &[Value], bytes_max: usize) -> Result<usize, String> {
    let bytes = 2 + values.iter().map(Value::size).sum::<usize>();
    if bytes > bytes_max {
        return Err(format!(
            "Arguments for {path} are too large (actual: {}, limit: {})",
            byte_size_text(bytes),
            byte_size_text(bytes_max)
        ));
    }
    Ok(bytes)
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
    let value = placeholders.decode(text).map_err(|error| match error {
        DecodeError::CommitTs => {
            format!(
                "Function {path} return value invalid: queries cannot return an unresolved commit timestamp"
            )
        }
        error if error.is_syntax() => {
            format!("Function {path} failed. Could not parse return value as json: {error}")
        }
        error => format!("Function {path} return value invalid: {error}"),
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
