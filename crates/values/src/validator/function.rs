//! The validators of functions, and the shape that arguments must have before any validator sees them.

use crate::excerpt::{excerpt, excerpt_array};
use crate::object::Object;
use crate::validator::{Validator, ValidatorError};
use crate::value::Value;

/// Parses what `exportArgs()` of a function gives.
///
/// # Errors
/// The text is not JSON, or no validator, or neither an object nor any.
pub fn parse_args_validator(json: &str) -> Result<Validator, ValidatorError> {
    match Validator::parse(json)? {
        validator @ (Validator::Object(_) | Validator::Any) => Ok(validator),
        _ => Err(ValidatorError::Args),
    }
}

/// Parses what `exportReturns()` of a function gives; JSON `null` is `None`: results are not checked.
///
/// # Errors
/// The text is not JSON, or neither null nor a validator.
pub fn parse_returns_validator(json: &str) -> Result<Option<Validator>, ValidatorError> {
    let json: serde_json::Value =
        serde_json::from_str(json).map_err(|error| ValidatorError::Syntax(error.to_string()))?;
    if json.is_null() { Ok(None) } else { Validator::from_json(&json).map(Some) }
}

/// Arguments are not one object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentCountError {
    /// None, or several.
    #[error(
        "Expected to receive a single object as the function's argument. Instead received {count} arguments: \
         {arguments}"
    )]
    Count {
        /// How many.
        count: usize,
        /// The arguments as an array prints.
        arguments: String,
    },
    /// One, but no object.
    #[error("Expected to receive an object as the function's argument. Instead received: {0}")]
    NotAnObject(String),
}

/// The one object that a function with an args validator is called with.
///
/// # Errors
/// The arguments are not exactly one object.
pub fn single_object_argument(arguments: &[Value]) -> Result<&Object, ArgumentCountError> {
    match arguments {
        [Value::Object(object)] => Ok(object),
        [other] => Err(ArgumentCountError::NotAnObject(excerpt(other))),
        _ => Err(ArgumentCountError::Count { count: arguments.len(), arguments: excerpt_array(arguments) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn args_are_an_object_or_any() {
        assert!(parse_args_validator(r#"{"type":"any"}"#).is_ok());
        assert!(parse_args_validator(r#"{"type":"object","value":{}}"#).is_ok());
        for json in [r#"{"type":"string"}"#, r#"{"type":"union","value":[]}"#] {
            let error = parse_args_validator(json).unwrap_err();
            assert_eq!(error.to_string(), "Args validator must be an object or any");
        }
        assert!(parse_args_validator("null").is_err());
    }

    #[test]
    fn a_null_returns_validator_checks_nothing() {
        assert_eq!(parse_returns_validator("null"), Ok(None));
        assert_eq!(parse_returns_validator(r#"{"type":"null"}"#), Ok(Some(Validator::Null)));
        assert!(parse_returns_validator("x").is_err());
        assert!(parse_returns_validator("[]").is_err());
    }

    #[test]
    fn functions_take_one_object() {
        let object = Value::object([("a", Value::Float64(1.0))]);
        assert_eq!(single_object_argument(std::slice::from_ref(&object)), Ok(object.as_object().unwrap()));
        let message = |arguments: &[Value]| single_object_argument(arguments).unwrap_err().to_string();
        assert_eq!(
            message(&[Value::Float64(1.0), object]),
            "Expected to receive a single object as the function's argument. Instead received 2 arguments: [1.0, \
             {a: 1.0}]"
        );
        assert_eq!(
            message(&[]),
            "Expected to receive a single object as the function's argument. Instead received 0 arguments: []"
        );
        assert_eq!(
            message(&[Value::from("x")]),
            "Expected to receive an object as the function's argument. Instead received: \"x\""
        );
    }
}
