//! A schema in the JSON form that is stored, shown by tools and returned to push clients.
//!
//! It differs from what clients push in one way: database indexes list the implicit creation time as their last field.

use serde_json::{Value as Json, json};

use super::definition::{CREATION_TIME, IndexDefinition, SchemaDefinition, TableDefinition};
use crate::catalog::IndexSpec;

impl SchemaDefinition {
    /// The schema as JSON; equal schemas give equal texts.
    pub fn to_json(&self) -> Json {
        let tables: Vec<Json> = self.tables.iter().map(|(name, table)| table_json(name, table)).collect();
        json!({"tables": tables, "schemaValidation": self.schema_validation})
    }
}

fn table_json(name: &str, table: &TableDefinition) -> Json {
    let list = |staged: bool, kind: fn(&IndexSpec) -> bool| -> Vec<Json> {
        table
            .indexes
            .iter()
            .filter(|(_, index)| index.staged == staged && kind(&index.spec))
            .map(|(name, index)| index_json(name, index))
            .collect()
    };
    let database = |spec: &IndexSpec| matches!(spec, IndexSpec::Database { .. });
    let search = |spec: &IndexSpec| matches!(spec, IndexSpec::Search { .. });
    let vector = |spec: &IndexSpec| matches!(spec, IndexSpec::Vector { .. });
    json!({
        "tableName": name,
        "indexes": list(false, database),
        "stagedDbIndexes": list(true, database),
        "searchIndexes": list(false, search),
        "stagedSearchIndexes": list(true, search),
        "vectorIndexes": list(false, vector),
        "stagedVectorIndexes": list(true, vector),
        "documentType": table.documents.validator().to_json(),
    })
}

fn index_json(name: &str, index: &IndexDefinition) -> Json {
    match &index.spec {
        IndexSpec::Database { fields } => {
            let mut fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
            fields.push(CREATION_TIME.to_owned());
            json!({"indexDescriptor": name, "fields": fields})
        }
        IndexSpec::Search { search_field, filter_fields } => {
            json!({"indexDescriptor": name, "searchField": search_field, "filterFields": filter_fields})
        }
        IndexSpec::Vector { vector_field, dimensions, filter_fields } => json!({
            "indexDescriptor": name, "vectorField": vector_field, "dimensions": dimensions,
            "filterFields": filter_fields
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::parse::{parse, parse_stored};

    #[test]
    fn a_schema_comes_back_from_its_stored_form() {
        let schema = parse(
            r#"{"tables":[{"tableName":"users",
                "indexes":[{"indexDescriptor":"by_name","fields":["name"]}],
                "stagedDbIndexes":[{"indexDescriptor":"st","fields":["age"]}],
                "searchIndexes":[{"indexDescriptor":"s","searchField":"name","filterFields":["age"]}],
                "vectorIndexes":[{"indexDescriptor":"ve","vectorField":"emb","dimensions":3,"filterFields":[]}],
                "documentType":{"type":"object","value":{
                    "name":{"fieldType":{"type":"string"},"optional":false},
                    "age":{"fieldType":{"type":"number"},"optional":true},
                    "emb":{"fieldType":{"type":"array","value":{"type":"number"}},"optional":true}}}}],
              "schemaValidation":true}"#,
        )
        .unwrap();
        let json = schema.to_json();
        assert_eq!(
            json["tables"][0]["indexes"][0],
            json!({"indexDescriptor": "by_name", "fields": ["name", "_creationTime"]})
        );
        assert_eq!(json["tables"][0]["stagedVectorIndexes"], json!([]));
        assert_eq!(parse_stored(&json.to_string()).unwrap(), schema);
    }
}
