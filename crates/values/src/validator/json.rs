//! Validators from JSON and to JSON, as pushed code and schemas export them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value as Json, json};

use crate::identifier;
use crate::limits::VALIDATOR_NESTING_MAX;
use crate::name::TableName;
use crate::validator::{
    FieldValidator, LiteralValue, ObjectValidator, RecordValidator, Validator, ValidatorError,
};
use crate::value::Value;

impl Validator {
    /// Parses the JSON text of a validator.
    ///
    /// # Errors
    /// The text is not JSON, or no validator.
    pub fn parse(json: &str) -> Result<Validator, ValidatorError> {
        let json: Json =
            serde_json::from_str(json).map_err(|error| ValidatorError::Syntax(error.to_string()))?;
        Validator::from_json(&json)
    }

    /// Parses the JSON tree of a validator.
    ///
    /// # Errors
    /// The tree is no validator.
    pub fn from_json(json: &Json) -> Result<Validator, ValidatorError> {
        parse(json, 1)
    }

    /// The JSON tree that [`Validator::from_json`] reads.
    pub fn to_json(&self) -> Json {
        match self {
            Validator::Any => json!({"type": "any"}),
            Validator::Null => json!({"type": "null"}),
            Validator::Int64 => json!({"type": "bigint"}),
            Validator::Float64 => json!({"type": "number"}),
            Validator::Boolean => json!({"type": "boolean"}),
            Validator::String => json!({"type": "string"}),
            Validator::Bytes => json!({"type": "bytes"}),
            Validator::CommitTs => json!({"type": "commitTs"}),
            Validator::Literal(literal) => json!({"type": "literal", "value": literal.value()}),
            Validator::Id(table) => json!({"type": "id", "tableName": table.as_str()}),
            Validator::Array(element) => json!({"type": "array", "value": element.to_json()}),
            Validator::Record(record) => json!({
                "type": "record",
                "keys": record.keys().to_json(),
                "values": {"fieldType": record.values().to_json(), "optional": false},
            }),
            Validator::Object(fields) => {
                let field = |field: &FieldValidator| json!({"fieldType": field.validator.to_json(), "optional": field.optional});
                let fields: Map<String, Json> =
                    fields.iter().map(|(name, validator)| (name.clone(), field(validator))).collect();
                json!({"type": "object", "value": fields})
            }
            Validator::Union(members) => {
                let members: Vec<Json> = members.iter().map(Validator::to_json).collect();
                json!({"type": "union", "value": members})
            }
        }
    }
}

fn parse(json: &Json, depth: usize) -> Result<Validator, ValidatorError> {
    if depth > VALIDATOR_NESTING_MAX {
        return Err(ValidatorError::TooNested);
    }
    let map = json.as_object().ok_or(ValidatorError::Shape("an object with a `type`"))?;
    let kind =
        map.get("type").and_then(Json::as_str).ok_or(ValidatorError::Shape("a `type` that is a string"))?;
    Ok(match kind {
        "any" => Validator::Any,
        "null" => Validator::Null,
        "bigint" => Validator::Int64,
        "number" => Validator::Float64,
        "boolean" => Validator::Boolean,
        "string" => Validator::String,
        "bytes" => Validator::Bytes,
        "commitTs" => Validator::CommitTs,
        "literal" => {
            let value = map.get("value").ok_or(ValidatorError::Shape("a `value` of the literal"))?;
            Validator::Literal(LiteralValue::new(Value::from_json(value)?)?)
        }
        "id" => {
            let table = map.get("tableName").and_then(Json::as_str);
            Validator::Id(TableName::new(table.ok_or(ValidatorError::Shape("a `tableName` of the id"))?)?)
        }
        "array" => {
            let element = map.get("value").ok_or(ValidatorError::Shape("a `value` of the array"))?;
            Validator::Array(Box::new(parse(element, depth + 1)?))
        }
        "record" => {
            let keys = map.get("keys").ok_or(ValidatorError::Shape("`keys` of the record"))?;
            let values = map.get("values").ok_or(ValidatorError::Shape("`values` of the record"))?;
            let keys = parse(keys, depth + 1)?;
            let FieldValidator { validator: values, optional } = parse_field(values, depth + 1)?;
            if optional {
                return Err(ValidatorError::RecordOptionalValues);
            }
            Validator::Record(Box::new(RecordValidator::new(keys, values)?))
        }
        "object" => {
            let fields = map.get("value").and_then(Json::as_object);
            let mut validators = ObjectValidator::new();
            for (name, field) in
                fields.ok_or(ValidatorError::Shape("a `value` that is an object of fields"))?
            {
                identifier::check(name)?;
                validators.insert(name.clone(), parse_field(field, depth + 1)?);
            }
            Validator::Object(validators)
        }
        "union" => {
            let members = map.get("value").and_then(Json::as_array);
            let members = members.ok_or(ValidatorError::Shape("a `value` that is an array of members"))?;
            Validator::Union(members.iter().map(|member| parse(member, depth + 1)).collect::<Result<_, _>>()?)
        }
        unknown => return Err(ValidatorError::UnknownType(unknown.to_owned())),
    })
}

fn parse_field(json: &Json, depth: usize) -> Result<FieldValidator, ValidatorError> {
    let map = json.as_object().ok_or(ValidatorError::Shape("a field with `fieldType` and `optional`"))?;
    let validator = map.get("fieldType").ok_or(ValidatorError::Shape("a `fieldType` of the field"))?;
    let optional = match map.get("optional") {
        None => false,
        Some(optional) => optional.as_bool().ok_or(ValidatorError::Shape("`optional` to be a boolean"))?,
    };
    Ok(FieldValidator { validator: parse(validator, depth)?, optional })
}

impl Serialize for Validator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Validator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Validator, D::Error> {
        Validator::from_json(&Json::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> ValidatorError {
        Validator::parse(json).unwrap_err()
    }

    #[test]
    fn exported_validators_print_as_their_source() {
        let cases = [
            (r#"{"type":"null"}"#, "v.null()"),
            (r#"{"type":"number"}"#, "v.float64()"),
            (r#"{"type":"bigint"}"#, "v.int64()"),
            (r#"{"type":"boolean"}"#, "v.boolean()"),
            (r#"{"type":"string"}"#, "v.string()"),
            (r#"{"type":"bytes"}"#, "v.bytes()"),
            (r#"{"type":"any"}"#, "v.any()"),
            (r#"{"type":"commitTs"}"#, "v.commitTs()"),
            (r#"{"type":"literal","value":"a\"b"}"#, r#"v.literal("a\"b")"#),
            (r#"{"type":"literal","value":1}"#, "v.literal(1.0)"),
            (r#"{"type":"literal","value":1.5}"#, "v.literal(1.5)"),
            (r#"{"type":"literal","value":true}"#, "v.literal(true)"),
            (r#"{"type":"literal","value":{"$integer":"AgAAAAAAAAA="}}"#, "v.literal(<bigint>)"),
            (r#"{"type":"literal","value":{"$float":"AAAAAAAA+H8="}}"#, "v.literal(<number>)"),
            (r#"{"type":"id","tableName":"users"}"#, r#"v.id("users")"#),
            (r#"{"type":"array","value":{"type":"any"}}"#, "v.array(v.any())"),
            (
                r#"{"type":"record","keys":{"type":"string"},"values":{"fieldType":{"type":"any"},"optional":false}}"#,
                "v.record(v.string(), v.any())",
            ),
            (r#"{"type":"union","value":[]}"#, "v.union()"),
            (
                r#"{"type":"union","value":[{"type":"string"},{"type":"null"}]}"#,
                "v.union(v.string(), v.null())",
            ),
            (
                r#"{"type":"object","value":{
                    "b":{"fieldType":{"type":"number"},"optional":true},
                    "a":{"fieldType":{"type":"string"},"optional":false}}}"#,
                "v.object({a: v.string(), b: v.optional(v.float64())})",
            ),
            (r#"{"type":"object","value":{}}"#, "v.object({})"),
        ];
        for (json, text) in cases {
            let validator = Validator::parse(json).unwrap();
            assert_eq!(validator.to_string(), text);
            assert_eq!(Validator::from_json(&validator.to_json()).unwrap(), validator);
        }
    }

    #[test]
    fn records_have_string_keys_and_required_values() {
        let record = |keys: &str, optional: bool| {
            let json = format!(
                r#"{{"type":"record","keys":{keys},"values":{{"fieldType":{{"type":"any"}},"optional":{optional}}}}}"#
            );
            Validator::parse(&json)
        };
        assert!(record(r#"{"type":"string"}"#, false).is_ok());
        assert!(record(r#"{"type":"id","tableName":"t"}"#, false).is_ok());
        assert!(
            record(r#"{"type":"union","value":[{"type":"string"},{"type":"id","tableName":"t"}]}"#, false)
                .is_ok()
        );
        let message = |keys, optional| record(keys, optional).unwrap_err().to_string();
        assert_eq!(message(r#"{"type":"number"}"#, false), "Records can only have string keys.");
        assert_eq!(message(r#"{"type":"any"}"#, false), "Records can only have string keys.");
        let literal = r#"{"type":"literal","value":"x"}"#;
        assert_eq!(message(literal, false), "Records cannot have string literal keys");
        let union = format!(r#"{{"type":"union","value":[{{"type":"string"}},{literal}]}}"#);
        assert_eq!(message(&union, false), "Records cannot have string literal keys");
        assert_eq!(message(r#"{"type":"string"}"#, true), "Records cannot have optional values");
        assert_eq!(record(literal, false).unwrap_err().code(), Some("InvalidRecordType"));
    }

    #[test]
    fn other_json_is_no_validator() {
        assert!(matches!(error("{"), ValidatorError::Syntax(_)));
        for json in [
            "null",
            "[]",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"array"}"#,
            r#"{"type":"object","value":[]}"#,
            r#"{"type":"object","value":{"a":{"type":"any"}}}"#,
            r#"{"type":"object","value":{"a":{"fieldType":{"type":"any"},"optional":1}}}"#,
            r#"{"type":"union","value":{}}"#,
            r#"{"type":"id"}"#,
            r#"{"type":"literal"}"#,
        ] {
            assert!(matches!(error(json), ValidatorError::Shape(_)), "{json}");
        }
        assert_eq!(error(r#"{"type":"float64"}"#), ValidatorError::UnknownType("float64".to_owned()));
        for value in ["null", "[]", "{}", r#"{"$bytes":""}"#] {
            let json = format!(r#"{{"type":"literal","value":{value}}}"#);
            assert_eq!(error(&json), ValidatorError::Literal, "{json}");
        }
        assert!(matches!(
            error(r#"{"type":"literal","value":{"$integer":"x"}}"#),
            ValidatorError::LiteralValue(_)
        ));
        assert!(matches!(error(r#"{"type":"id","tableName":"a-b"}"#), ValidatorError::Name(_)));
        assert!(matches!(
            error(r#"{"type":"object","value":{"a-b":{"fieldType":{"type":"any"},"optional":false}}}"#),
            ValidatorError::Name(_)
        ));
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |levels: usize| {
            (1..levels).fold(json!({"type": "any"}), |inner, _| json!({"type": "array", "value": inner}))
        };
        assert!(Validator::from_json(&nested(64)).is_ok());
        assert_eq!(Validator::from_json(&nested(65)), Err(ValidatorError::TooNested));
        assert!(Validator::parse(&r#"{"type":"array","value":"#.repeat(100_000)).is_err());
    }
}
