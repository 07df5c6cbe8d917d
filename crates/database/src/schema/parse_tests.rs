use serde_json::{Value as Json, json};

use super::parse;

fn table(fields: &Json) -> Json {
    let mut table = json!({"tableName": "t"});
    table
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.clone())));
    json!({"tables": [table], "schemaValidation": true})
}

fn code(fields: &Json) -> &'static str {
    match parse(&table(fields).to_string()) {
        Ok(_) => "accepted",
        Err(error) => error.code,
    }
}

fn index(name: &str, fields: &[&str]) -> Json {
    json!({"indexDescriptor": name, "fields": fields})
}

fn search(name: &str, field: &str, filters: &[&str]) -> Json {
    json!({"indexDescriptor": name, "searchField": field, "filterFields": filters})
}

fn vector(name: &str, field: &str, dimensions: f64) -> Json {
    json!({"indexDescriptor": name, "vectorField": field, "dimensions": dimensions, "filterFields": []})
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("f{i}")).collect()
}

#[test]
fn names_of_tables_follow_the_rules() {
    let of = |name: &str| {
        parse(&json!({"tables": [{"tableName": name, "indexes": []}]}).to_string())
            .map_err(|error| error.code)
    };
    assert!(of("messages").is_ok());
    assert_eq!(of("a-b").unwrap_err(), "InvalidTableName");
    assert_eq!(of("").unwrap_err(), "InvalidTableName");
    assert_eq!(of("_storage").unwrap_err(), "TableNameReserved");
}

#[test]
fn names_of_indexes_follow_the_rules() {
    let of = |name: &str| code(&json!({"indexes": [index(name, &["a"])]}));
    assert_eq!(of("by_a"), "accepted");
    assert_eq!(of("1a"), "InvalidIndexName");
    assert_eq!(of(&"x".repeat(65)), "InvalidIndexName");
    assert_eq!(of("_a"), "IndexNameReserved");
    assert_eq!(of("by_id"), "IndexNameReserved");
    assert_eq!(of("by_creation_time"), "IndexNameReserved");
}

#[test]
fn names_are_unique_over_all_kinds_staged_or_not() {
    let twice = json!({"indexes": [index("i", &["a"])], "stagedDbIndexes": [index("i", &["b"])]});
    assert_eq!(code(&twice), "IndexNamesNotUnique");
    let across = json!({"indexes": [index("i", &["a"])], "searchIndexes": [search("i", "b", &[])]});
    assert_eq!(code(&across), "IndexNamesNotUnique");
}

#[test]
fn fields_of_indexes_follow_the_rules() {
    let of = |fields: &[&str]| code(&json!({"indexes": [index("i", fields)]}));
    assert_eq!(of(&["a.b.c", "a"]), "accepted");
    assert_eq!(of(&[]), "EmptyIndex");
    assert_eq!(of(&["a..b"]), "InvalidIndexField");
    assert_eq!(of(&[".a"]), "InvalidIndexField");
    assert_eq!(of(&["a", "a"]), "FieldsNotUniqueWithinIndex");
    assert_eq!(of(&["_id"]), "IndexFieldsContainId");
    assert_eq!(of(&["a", "_creationTime"]), "IndexFieldsContainCreationTime");
    assert_eq!(of(&["_x"]), "IndexFieldNameReserved");
}

#[test]
fn an_index_has_at_most_fifteen_fields_of_its_own() {
    let of = |count| {
        let names = names(count);
        let fields: Vec<&str> = names.iter().map(String::as_str).collect();
        code(&json!({"indexes": [index("i", &fields)]}))
    };
    assert_eq!(of(15), "accepted");
    assert_eq!(of(16), "IndexTooManyFields");
}

#[test]
fn twins_are_refused() {
    let database = json!({"indexes": [index("i", &["a"]), index("j", &["a"])]});
    assert_eq!(code(&database), "IndexNotUnique");
    let order_matters = json!({"indexes": [index("i", &["a", "b"]), index("j", &["b", "a"])]});
    assert_eq!(code(&order_matters), "accepted");
    let searches = json!({"searchIndexes": [search("i", "a", &["b", "c"]), search("j", "a", &["c", "b"])]});
    assert_eq!(code(&searches), "SearchIndexFieldNotUnique");
    let vectors = json!({"vectorIndexes": [vector("i", "v", 3.0), vector("j", "v", 3.0)]});
    assert_eq!(code(&vectors), "VectorIndexFieldNotUnique");
}

#[test]
fn search_and_vector_indexes_have_bounds() {
    let of = |count| {
        let names = names(count);
        let fields: Vec<&str> = names.iter().map(String::as_str).collect();
        code(&json!({"searchIndexes": [search("s", "text", &fields)]}))
    };
    assert_eq!(of(16), "accepted");
    assert_eq!(of(17), "IndexTooManyFilterFields");
    let of = |dimensions| code(&json!({"vectorIndexes": [vector("v", "v", dimensions)]}));
    assert_eq!((of(2.0), of(4096.0)), ("accepted", "accepted"));
    for bad in [1.0, 4097.0, 2.5, -3.0] {
        assert_eq!(of(bad), "InvalidVectorDimensionError", "{bad}");
    }
}

#[test]
fn a_table_has_at_most_64_indexes() {
    let of = |count| {
        let indexes: Vec<Json> = names(count).iter().map(|name| index(name, &[name])).collect();
        code(&json!({"indexes": indexes}))
    };
    assert_eq!(of(64), "accepted");
    assert_eq!(of(65), "TooManyIndexes");
}

#[test]
fn documents_are_objects() {
    assert_eq!(code(&json!({"documentType": {"type": "any"}})), "accepted");
    assert_eq!(code(&json!({"documentType": null})), "accepted");
    assert_eq!(code(&json!({"documentType": {"type": "string"}})), "InvalidTopLevelTypeInSchemaError");
    let union = json!({"type": "union", "value": [{"type": "object", "value": {}}, {"type": "null"}]});
    assert_eq!(code(&json!({"documentType": union})), "InvalidTopLevelTypeInSchemaError");
    assert_eq!(code(&json!({"documentType": {"type": "nonsense"}})), "InvalidSchema");
}

fn documents() -> Json {
    json!({"type": "object", "value": {
        "name": {"fieldType": {"type": "string"}, "optional": false},
        "meta": {"fieldType": {"type": "union", "value": [
            {"type": "null"},
            {"type": "object", "value": {"rank": {"fieldType": {"type": "number"}, "optional": true}}}
        ]}, "optional": true},
        "tags": {"fieldType": {"type": "record", "keys": {"type": "string"},
                               "values": {"fieldType": {"type": "string"}, "optional": false}}, "optional": false},
        "emb": {"fieldType": {"type": "array", "value": {"type": "number"}}, "optional": true}
    }})
}

#[test]
fn an_index_names_fields_that_documents_can_have() {
    let of = |fields: &[&str]| {
        let schema = table(&json!({"documentType": documents(), "indexes": [index("i", fields)]}));
        parse(&schema.to_string()).map_err(|error| (error.code, error.message))
    };
    assert!(of(&["name", "meta.rank", "tags.any"]).is_ok());
    let (code, message) = of(&["meta.rang"]).unwrap_err();
    assert_eq!(code, "SchemaDefinitionError");
    assert_eq!(
        message,
        "In table \"t\" the index \"i\" is invalid because it references the field \"meta.rang\" that does not exist."
    );
    assert!(of(&["name.x"]).is_err());
}

#[test]
fn a_vector_field_can_hold_an_array_of_numbers() {
    let of = |field| code(&json!({"documentType": documents(), "vectorIndexes": [vector("v", field, 3.0)]}));
    assert_eq!(of("emb"), "accepted");
    assert_eq!(of("name"), "SchemaDefinitionError");
}

#[test]
fn without_validation_fields_may_be_anything() {
    let mut schema = table(&json!({"documentType": documents(), "indexes": [index("i", &["nowhere"])]}));
    schema["schemaValidation"] = json!(false);
    assert!(parse(&schema.to_string()).is_ok());
    schema.as_object_mut().unwrap().remove("schemaValidation");
    assert!(!parse(&schema.to_string()).unwrap().schema_validation);
}

#[test]
fn what_newer_clients_add_is_passed_over() {
    assert_eq!(code(&json!({"stagedDocumentType": {"type": "any"}, "somethingNew": 1})), "accepted");
    assert_eq!(parse("{}").unwrap_err().code, "InvalidSchema");
    assert_eq!(parse("[").unwrap_err().code, "InvalidSchema");
}
