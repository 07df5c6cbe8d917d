//! From a schema's JSON text to a [`SchemaDefinition`], with every rule about names and indexes.
//!
//! The JSON is what `defineSchema(...).export()` of the client package returns. Unknown keys are ignored, so that a
//! newer client's additions do not keep an app from being pushed.

use std::collections::{BTreeMap, BTreeSet};

use freshet_values::validator::{DocumentValidator, Validator};
use freshet_values::{FieldPath, IndexName, TableName};
use serde::Deserialize;
use serde_json::Value as Json;

use super::definition::{CREATION_TIME, IndexDefinition, SchemaDefinition, TableDefinition};
use super::error::SchemaError;
use super::indexed_fields::{can_have_field, can_have_vector};
use crate::catalog::IndexSpec;

/// Indexes of all kinds that one table may have.
const INDEXES_PER_TABLE_MAX: usize = 64;
/// Fields of a database index, without the implicit creation time.
const INDEX_FIELDS_MAX: usize = 15;
/// Filter fields of a search or vector index.
const FILTER_FIELDS_MAX: usize = 16;
/// Numbers in a vector.
const VECTOR_DIMENSIONS: std::ops::RangeInclusive<i64> = 2..=4096;
/// Names of the indexes that every table has.
const BUILT_IN_INDEXES: [&str; 2] = ["by_id", "by_creation_time"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSchema {
    tables: Vec<RawTable>,
    #[serde(default)]
    schema_validation: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTable {
    table_name: String,
    #[serde(default)]
    indexes: Option<Vec<RawIndex>>,
    #[serde(default)]
    staged_db_indexes: Option<Vec<RawIndex>>,
    #[serde(default)]
    search_indexes: Option<Vec<RawSearchIndex>>,
    #[serde(default)]
    staged_search_indexes: Option<Vec<RawSearchIndex>>,
    #[serde(default)]
    vector_indexes: Option<Vec<RawVectorIndex>>,
    #[serde(default)]
    staged_vector_indexes: Option<Vec<RawVectorIndex>>,
    #[serde(default)]
    document_type: Option<Json>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawIndex {
    index_descriptor: String,
    fields: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSearchIndex {
    index_descriptor: String,
    search_field: String,
    #[serde(default)]
    filter_fields: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawVectorIndex {
    index_descriptor: String,
    vector_field: String,
    dimensions: f64,
    #[serde(default)]
    filter_fields: Vec<String>,
}

/// Parses a pushed schema and checks all its rules.
///
/// # Errors
/// The first rule that is broken.
pub fn parse(json: &str) -> Result<SchemaDefinition, SchemaError> {
    build(read(json)?)
}

/// Parses what [`SchemaDefinition::to_json`] wrote: the same, but with the implicit last field of database indexes.
///
/// # Errors
/// The first rule that is broken; the text is then not one of ours.
pub fn parse_stored(json: &str) -> Result<SchemaDefinition, SchemaError> {
    let mut raw = read(json)?;
    let lists = |table: &mut RawTable| [table.indexes.take(), table.staged_db_indexes.take()];
    for table in &mut raw.tables {
        let mut indexes = lists(table);
        for index in indexes.iter_mut().flatten().flatten() {
            index.fields.pop_if(|last| last == CREATION_TIME);
        }
        [table.indexes, table.staged_db_indexes] = indexes;
    }
    build(raw)
}

fn read(json: &str) -> Result<RawSchema, SchemaError> {
    serde_json::from_str(json).map_err(|error| SchemaError::shape(format!("Invalid schema: {error}")))
}

fn build(raw: RawSchema) -> Result<SchemaDefinition, SchemaError> {
    let schema_validation = raw.schema_validation.unwrap_or(false);
    let mut tables = BTreeMap::new();
    for raw_table in raw.tables {
        let name = table_name(&raw_table.table_name)?;
        let table = parse_table(&name, raw_table)?;
        if schema_validation {
            check_fields_exist(&name, &table)?;
        }
        if tables.insert(name.clone(), table).is_some() {
            return Err(SchemaError::shape(format!("The schema defines the table \"{name}\" twice.")));
        }
    }
    Ok(SchemaDefinition { tables, schema_validation })
}

fn table_name(text: &str) -> Result<TableName, SchemaError> {
    let name = TableName::new(text).map_err(|error| {
        SchemaError::new("InvalidTableName", format!("Invalid table name \"{text}\". {error}."))
    })?;
    if name.is_system() {
        return Err(SchemaError::new(
            "TableNameReserved",
            format!(
                "\"{text}\" is a reserved table name: names of tables must not begin with an underscore."
            ),
        ));
    }
    Ok(name)
}

fn parse_table(name: &TableName, raw: RawTable) -> Result<TableDefinition, SchemaError> {
    let mut indexes = TableIndexes { table: name, indexes: BTreeMap::new() };
    for (raw_indexes, staged) in [(raw.indexes, false), (raw.staged_db_indexes, true)] {
        for raw_index in raw_indexes.unwrap_or_default() {
            let index_name = indexes.name(&raw_index.index_descriptor)?;
            let fields = indexes.database_fields(&index_name, &raw_index.fields)?;
            indexes.add(index_name, IndexSpec::Database { fields }, staged)?;
        }
    }
    for (raw_indexes, staged) in [(raw.search_indexes, false), (raw.staged_search_indexes, true)] {
        for raw_index in raw_indexes.unwrap_or_default() {
            let index_name = indexes.name(&raw_index.index_descriptor)?;
            let search_field = indexes.field(&index_name, &raw_index.search_field)?;
            let filter_fields = indexes.filter_fields(&index_name, &raw_index.filter_fields)?;
            indexes.add(index_name, IndexSpec::Search { search_field, filter_fields }, staged)?;
        }
    }
    for (raw_indexes, staged) in [(raw.vector_indexes, false), (raw.staged_vector_indexes, true)] {
        for raw_index in raw_indexes.unwrap_or_default() {
            let index_name = indexes.name(&raw_index.index_descriptor)?;
            let vector_field = indexes.field(&index_name, &raw_index.vector_field)?;
            let dimensions = indexes.dimensions(&index_name, raw_index.dimensions)?;
            let filter_fields = indexes.filter_fields(&index_name, &raw_index.filter_fields)?;
            indexes.add(index_name, IndexSpec::Vector { vector_field, dimensions, filter_fields }, staged)?;
        }
    }
    let documents = documents(name, raw.document_type.as_ref())?;
    Ok(TableDefinition { indexes: indexes.indexes, documents })
}

fn documents(table: &TableName, json: Option<&Json>) -> Result<DocumentValidator, SchemaError> {
    let validator = match json {
        None | Some(Json::Null) => Validator::Any,
        Some(json) => Validator::from_json(json).map_err(|error| {
            let code = error.code().unwrap_or("InvalidSchema");
            SchemaError::new(code, format!("In table \"{table}\" the document type is invalid: {error}"))
        })?,
    };
    let shown = validator.to_string();
    DocumentValidator::new(validator).map_err(|_| {
        SchemaError::new(
            "InvalidTopLevelTypeInSchemaError",
            format!(
                "The document type of table \"{table}\" must be an object, a union of objects, or `v.any()`. \
                 Found {shown}."
            ),
        )
    })
}

/// Collects the indexes of one table and checks each against the others.
struct TableIndexes<'a> {
    table: &'a TableName,
    indexes: BTreeMap<IndexName, IndexDefinition>,
}

impl TableIndexes<'_> {
    fn error(&self, code: &'static str, index: &str, problem: impl std::fmt::Display) -> SchemaError {
        SchemaError::new(code, format!("In table \"{}\" the index \"{index}\" {problem}", self.table))
    }

    fn name(&self, text: &str) -> Result<IndexName, SchemaError> {
        let name = IndexName::new(text).map_err(|error| {
            self.error("InvalidIndexName", text, format_args!("has an invalid name. {error}."))
        })?;
        if text.starts_with('_') || BUILT_IN_INDEXES.contains(&text) {
            return Err(self.error(
                "IndexNameReserved",
                text,
                "has a reserved name: names of indexes must not begin with an underscore or be \"by_id\" or \
                 \"by_creation_time\".",
            ));
        }
        Ok(name)
    }

    fn field(&self, index: &str, text: &str) -> Result<FieldPath, SchemaError> {
        let invalid = |error: &dyn std::fmt::Display| {
            self.error("InvalidIndexField", index, format_args!("has the invalid field \"{text}\": {error}."))
        };
        if text.starts_with('.') || text.ends_with('.') {
            return Err(invalid(&"field names in a path must not be empty"));
        }
        let field: FieldPath = text.parse().map_err(|error| invalid(&error))?;
        Ok(field)
    }

    fn database_fields(&self, index: &str, texts: &[String]) -> Result<Vec<FieldPath>, SchemaError> {
        let mut fields = Vec::with_capacity(texts.len());
        for text in texts {
            match text.as_str() {
                "_id" => {
                    return Err(self.error(
                        "IndexFieldsContainId",
                        index,
                        "lists \"_id\". Documents can be looked up by id without an index.",
                    ));
                }
                CREATION_TIME => {
                    return Err(self.error(
                        "IndexFieldsContainCreationTime",
                        index,
                        "lists \"_creationTime\", which is added to the end of every index automatically.",
                    ));
                }
                _ if text.starts_with('_') => {
                    return Err(self.error(
                        "IndexFieldNameReserved",
                        index,
                        format_args!("lists the reserved field \"{text}\"."),
                    ));
                }
                _ => fields.push(self.field(index, text)?),
            }
        }
        if fields.is_empty() {
            return Err(self.error("EmptyIndex", index, "must list at least one field."));
        }
        if fields.len() > INDEX_FIELDS_MAX {
            return Err(self.error(
                "IndexTooManyFields",
                index,
                format_args!(
                    "lists {} fields; an index may have {}, one of which is the implicit \"_creationTime\".",
                    fields.len(),
                    INDEX_FIELDS_MAX + 1
                ),
            ));
        }
        self.unique(index, &fields)?;
        Ok(fields)
    }

    fn filter_fields(&self, index: &str, texts: &[String]) -> Result<Vec<FieldPath>, SchemaError> {
        if texts.len() > FILTER_FIELDS_MAX {
            return Err(self.error(
                "IndexTooManyFilterFields",
                index,
                format_args!("lists {} filter fields; at most {FILTER_FIELDS_MAX} are allowed.", texts.len()),
            ));
        }
        let mut fields =
            texts.iter().map(|text| self.field(index, text)).collect::<Result<Vec<_>, SchemaError>>()?;
        self.unique(index, &fields)?;
        fields.sort();
        Ok(fields)
    }

    fn unique(&self, index: &str, fields: &[FieldPath]) -> Result<(), SchemaError> {
        let mut seen = BTreeSet::new();
        match fields.iter().find(|field| !seen.insert(*field)) {
            None => Ok(()),
            Some(twice) => Err(self.error(
                "FieldsNotUniqueWithinIndex",
                index,
                format_args!("lists the field \"{twice}\" more than once."),
            )),
        }
    }

    fn dimensions(&self, index: &str, dimensions: f64) -> Result<u32, SchemaError> {
        let whole = dimensions as i64;
        if whole as f64 == dimensions && VECTOR_DIMENSIONS.contains(&whole) {
            return Ok(whole as u32);
        }
        Err(self.error(
            "InvalidVectorDimensionError",
            index,
            format_args!(
                "has {dimensions} dimensions; a whole number from {} to {} is needed.",
                VECTOR_DIMENSIONS.start(),
                VECTOR_DIMENSIONS.end()
            ),
        ))
    }

    fn add(&mut self, name: IndexName, spec: IndexSpec, staged: bool) -> Result<(), SchemaError> {
        if self.indexes.contains_key(&name) {
            return Err(self.error("IndexNamesNotUnique", &name, "is defined more than once."));
        }
        let twin =
            self.indexes.iter().find_map(|(other, index)| Some((other, same_content(&index.spec, &spec)?)));
        if let Some((other, code)) = twin {
            return Err(self.error(
                code,
                &name,
                format_args!("indexes the same fields as the index \"{other}\"."),
            ));
        }
        if self.indexes.len() == INDEXES_PER_TABLE_MAX {
            return Err(SchemaError::new(
                "TooManyIndexes",
                format!("Table \"{}\" has more than {INDEXES_PER_TABLE_MAX} indexes.", self.table),
            ));
        }
        self.indexes.insert(name, IndexDefinition { spec, staged });
        Ok(())
    }
}

/// The code of the error that two such indexes in one table are, if they hold the same.
fn same_content(a: &IndexSpec, b: &IndexSpec) -> Option<&'static str> {
    match (a, b) {
        (IndexSpec::Database { .. }, IndexSpec::Database { .. }) if a == b => Some("IndexNotUnique"),
        (IndexSpec::Search { .. }, IndexSpec::Search { .. }) if a == b => Some("SearchIndexFieldNotUnique"),
        (
            IndexSpec::Vector { vector_field: field_a, dimensions: dimensions_a, .. },
            IndexSpec::Vector { vector_field: field_b, dimensions: dimensions_b, .. },
        ) if field_a == field_b && dimensions_a == dimensions_b => Some("VectorIndexFieldNotUnique"),
        _ => None,
    }
}

/// An index over a field that no document can have is a mistake.
fn check_fields_exist(table_name: &TableName, table: &TableDefinition) -> Result<(), SchemaError> {
    for (name, index) in &table.indexes {
        let (fields, vector): (Vec<&FieldPath>, Option<&FieldPath>) = match &index.spec {
            IndexSpec::Database { fields } => (fields.iter().collect(), None),
            IndexSpec::Search { search_field, filter_fields } => {
                (filter_fields.iter().chain([search_field]).collect(), None)
            }
            IndexSpec::Vector { vector_field, filter_fields, .. } => {
                (filter_fields.iter().chain([vector_field]).collect(), Some(vector_field))
            }
        };
        let problem = |field: &FieldPath, problem: &str| {
            SchemaError::new(
                "SchemaDefinitionError",
                format!(
                    "In table \"{table_name}\" the index \"{name}\" is invalid because it references the field \
                     \"{field}\" that {problem}."
                ),
            )
        };
        if let Some(field) = fields.into_iter().find(|field| !can_have_field(&table.documents, field)) {
            return Err(problem(field, "does not exist"));
        }
        if let Some(field) = vector.filter(|field| !can_have_vector(&table.documents, field)) {
            return Err(problem(field, "is neither an array of float64 or optional array of float64"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
