use super::*;
use crate::document_id::{InternalId, TableNumber};
use crate::samples::any_value;
use crate::validator::{DocumentValidator, FieldValidator, NoTables, TableRef};
use proptest::prelude::*;

struct Tables;

impl TableNames for Tables {
    fn name_of(&self, number: TableNumber) -> Option<TableRef> {
        let name = match number.0 {
            10001 => "users",
            10002 => "posts",
            540 => "_storage",
            _ => return None,
        };
        Some(TableRef::new(TableName::new(name).unwrap()))
    }
}

fn id(table: u32) -> String {
    crate::DocumentId::new(TableNumber(table), InternalId([7; 16])).to_string()
}

fn validator(json: &str) -> Validator {
    Validator::parse(json).unwrap()
}

fn message(json: &str, value: &str) -> String {
    validator(json).check(&Value::decode(value).unwrap(), &Tables).unwrap_err().to_string()
}

fn passes(json: &str, value: &str) -> bool {
    validator(json).check(&Value::decode(value).unwrap(), &Tables).is_ok()
}

const BODY: &str = r#"{"type":"object","value":{"body":{"fieldType":{"type":"string"},"optional":false}}}"#;
const ONE: &str = r#"{"$integer":"AQAAAAAAAAA="}"#;

#[test]
fn a_wrong_type_is_reported_with_path_value_and_validator() {
    assert_eq!(
        message(BODY, r#"{"body":5}"#),
        "Value does not match validator.\nPath: .body\nValue: 5.0\nValidator: v.string()"
    );
    assert_eq!(
        message(r#"{"type":"string"}"#, "5"),
        "Value does not match validator.\n\nValue: 5.0\nValidator: v.string()"
    );
    assert_eq!(
        message(BODY, "[]"),
        "Value does not match validator.\n\nValue: []\nValidator: v.object({body: v.string()})"
    );
}

#[test]
fn a_missing_field_is_reported_with_the_object() {
    let json = r#"{"type":"object","value":{"name":{"fieldType":{"type":"string"},"optional":false}}}"#;
    assert_eq!(
        message(json, r#"{"age":5}"#),
        "Object is missing the required field `name`. Consider wrapping the field validator in `v.optional(...)` \
         if this is expected.\n\nObject: {age: 5.0}\nValidator: v.object({name: v.string()})"
    );
}

#[test]
fn an_extra_field_is_reported_with_the_object() {
    let json = format!(r#"{{"type":"array","value":{BODY}}}"#);
    assert_eq!(
        message(&json, r#"[{"body":"x"},{"body":"x","a":1}]"#),
        "Object contains extra field `a` that is not in the validator.\nPath: [1]\nObject: {a: 1.0, body: \
         \"x\"}\nValidator: v.object({body: v.string()})"
    );
}

#[test]
fn fields_are_checked_in_order_of_their_names_and_extra_ones_last() {
    let json = r#"{"type":"object","value":{
        "b":{"fieldType":{"type":"string"},"optional":false},
        "c":{"fieldType":{"type":"string"},"optional":false},
        "d":{"fieldType":{"type":"string"},"optional":true}}}"#;
    assert!(message(json, r#"{"a":1,"b":1}"#).contains("Path: .b"));
    assert!(message(json, r#"{"a":1,"b":"x"}"#).contains("missing the required field `c`"));
    assert!(message(json, r#"{"a":1,"b":"x","c":"x","d":1}"#).contains("Path: .d"));
    assert!(message(json, r#"{"a":1,"b":"x","c":"x","z":1}"#).contains("extra field `a`"));
    assert!(message(json, r#"{"b":"x","c":"x","cc":1}"#).contains("extra field `cc`"));
    assert!(passes(json, r#"{"b":"x","c":"x"}"#));
    assert!(passes(json, r#"{"b":"x","c":"x","d":"x"}"#));
}

#[test]
fn a_literal_is_equal_in_the_total_order() {
    let json = r#"{"type":"literal","value":0}"#;
    assert!(passes(json, "0"));
    assert_eq!(message(json, "-0"), "`-0.0` does not match literal validator `v.literal(0.0)`.");
    assert_eq!(
        message(&format!(r#"{{"type":"array","value":{json}}}"#), "[0,\"x\"]"),
        "`\"x\"` does not match literal validator `v.literal(0.0)`.Path: [1]"
    );
    let one = format!(r#"{{"type":"literal","value":{ONE}}}"#);
    assert!(passes(&one, ONE));
    assert_eq!(message(&one, "1"), "`1.0` does not match literal validator `v.literal(<bigint>)`.");
    assert_eq!(
        message(r#"{"type":"literal","value":"x"}"#, "null"),
        "`null` does not match literal validator `v.literal(\"x\")`."
    );
}

#[test]
fn an_id_must_belong_to_the_named_table() {
    let users = r#"{"type":"id","tableName":"users"}"#;
    let quoted = |table| format!("\"{}\"", id(table));
    assert!(passes(users, &quoted(10001)));
    assert!(passes(r#"{"type":"id","tableName":"_storage"}"#, &quoted(540)));
    assert_eq!(
        message(users, &quoted(10002)),
        format!(
            "Found ID {} from table `posts`, which does not match the table name in validator `v.id(\"users\")`.",
            quoted(10002)
        )
    );
    let author =
        format!(r#"{{"type":"object","value":{{"author":{{"fieldType":{users},"optional":false}}}}}}"#);
    assert_eq!(
        message(&author, &format!("{{\"author\":{}}}", quoted(540))),
        format!(
            "Found ID {} from a system table, which does not match the table name in validator \
             `v.id(\"users\")`.Path: .author",
            quoted(540)
        )
    );
    // Unknown numbers, other strings and other types.
    for value in [quoted(10003), "\"x\"".to_owned(), "5".to_owned()] {
        assert!(message(users, &value).starts_with("Value does not match validator.\n\nValue: "), "{value}");
    }
    let value = Value::String(id(10001));
    assert!(validator(users).check(&value, &NoTables).is_err());
}

#[test]
fn a_union_of_one_reports_its_member_and_of_several_itself() {
    let one = r#"{"type":"union","value":[{"type":"literal","value":1}]}"#;
    assert_eq!(message(one, "2"), "`2.0` does not match literal validator `v.literal(1.0)`.");
    let two = r#"{"type":"union","value":[{"type":"string"},{"type":"null"}]}"#;
    assert_eq!(
        message(two, "2"),
        "Value does not match validator.\n\nValue: 2.0\nValidator: v.union(v.string(), v.null())"
    );
    assert!(passes(two, "null"));
    let never = r#"{"type":"union","value":[]}"#;
    assert_eq!(
        message(never, "null"),
        "Value does not match validator.\n\nValue: null\nValidator: v.union()"
    );
}

#[test]
fn a_record_checks_each_key_before_its_value() {
    let json = r#"{"type":"record","keys":{"type":"id","tableName":"users"},
        "values":{"fieldType":{"type":"number"},"optional":false}}"#;
    let user = id(10001);
    assert!(passes(json, "{}"));
    assert!(passes(json, &format!("{{\"{user}\":1}}")));
    assert_eq!(
        message(json, r#"{"x":"y"}"#),
        "Value does not match validator.\nPath: .keys()\nValue: \"x\"\nValidator: v.id(\"users\")"
    );
    assert_eq!(
        message(json, &format!("{{\"{user}\":\"y\"}}")),
        "Value does not match validator.\nPath: .values()\nValue: \"y\"\nValidator: v.float64()"
    );
}

#[test]
fn numbers_and_int64s_are_apart() {
    assert!(passes(r#"{"type":"number"}"#, r#"{"$float":"AAAAAAAA+H8="}"#));
    assert!(!passes(r#"{"type":"number"}"#, ONE));
    assert!(!passes(r#"{"type":"bigint"}"#, "1"));
    assert!(passes(r#"{"type":"bigint"}"#, ONE));
    assert!(passes(r#"{"type":"commitTs"}"#, ONE));
    for kind in ["bigint", "commitTs"] {
        assert!(validator(&format!(r#"{{"type":"{kind}"}}"#)).accepts(&Value::CommitTs, &NoTables));
    }
    assert!(!Validator::Float64.accepts(&Value::CommitTs, &NoTables));
}

#[test]
fn documents_are_checked_and_shown_without_system_fields() {
    let json = r#"{"type":"object","value":{"name":{"fieldType":{"type":"string"},"optional":false},
        "_id":{"fieldType":{"type":"id","tableName":"users"},"optional":false}}}"#;
    let users = DocumentValidator::new(validator(json)).unwrap();
    let check = |json: &str| {
        users
            .check(Value::decode(json).unwrap().as_object().unwrap(), &Tables)
            .map_err(|error| error.to_string())
    };
    assert_eq!(check(r#"{"_id":"x","_creationTime":1,"name":"n"}"#), Ok(()));
    assert_eq!(
        check(r#"{"_id":"x","_creationTime":1,"age":5}"#),
        Err("Object is missing the required field `name`. Consider wrapping the field validator in \
             `v.optional(...)` if this is expected.\n\nObject: {age: 5.0}\nValidator: v.object({name: v.string()})"
            .to_owned())
    );
    assert!(check(r#"{"name":"n","x":1}"#).unwrap_err().starts_with("Object contains extra field `x`"));
    let union = format!(r#"{{"type":"union","value":[{json}]}}"#);
    let union = DocumentValidator::new(validator(&union)).unwrap();
    assert!(union.check(&Object::new(), &Tables).unwrap_err().to_string().contains("`name`"));
    assert!(DocumentValidator::new(Validator::Any).unwrap().check(&Object::new(), &Tables).is_ok());
    for json in [r#"{"type":"string"}"#, r#"{"type":"union","value":[{"type":"any"}]}"#] {
        assert!(DocumentValidator::new(validator(json)).is_err(), "{json}");
    }
}

fn any_validator() -> impl Strategy<Value = Validator> {
    let leaf = prop_oneof![
        Just(Validator::Any),
        Just(Validator::Null),
        Just(Validator::Int64),
        Just(Validator::Float64),
        Just(Validator::Boolean),
        Just(Validator::String),
        Just(Validator::Bytes),
        Just(Validator::CommitTs),
        Just(Validator::Id(TableName::new("users").unwrap())),
        prop_oneof![Just(Value::from("a")), Just(Value::Float64(1.0)), Just(Value::Boolean(true))]
            .prop_map(|value| Validator::Literal(crate::validator::LiteralValue::new(value).unwrap())),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let field = (inner.clone(), any::<bool>())
            .prop_map(|(validator, optional)| FieldValidator { validator, optional });
        prop_oneof![
            inner.clone().prop_map(|element| Validator::Array(Box::new(element))),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Validator::Union),
            prop::collection::btree_map("[ab]{1,2}", field, 0..3).prop_map(Validator::Object),
            inner.prop_map(|values| Validator::Record(Box::new(
                crate::validator::RecordValidator::new(Validator::String, values).unwrap()
            ))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn what_is_refused_is_explained_and_what_is_accepted_is_not(validator in any_validator(), value in any_value()) {
        prop_assert_eq!(accepts(&validator, &value, &Tables), explain(&validator, &value, &Tables).is_ok());
    }

    #[test]
    fn a_superset_accepts_what_its_subset_accepts(a in any_validator(), b in any_validator(), value in any_value()) {
        prop_assert!(a.is_superset_of(&a));
        if a.is_superset_of(&b) && b.accepts(&value, &Tables) {
            prop_assert!(a.accepts(&value, &Tables), "{} ⊉ {}", a, b);
        }
    }

    #[test]
    fn every_validator_survives_its_json(validator in any_validator()) {
        prop_assert_eq!(&Validator::parse(&validator.to_json().to_string()).unwrap(), &validator);
    }
}
