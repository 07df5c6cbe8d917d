//! How the indexes of two schemas differ, in the form that push clients read.

use freshet_values::{IndexName, TableName};
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use super::definition::{CREATION_TIME, IndexDefinition, SchemaDefinition};
use crate::catalog::IndexSpec;

/// Differences between the indexes of two schemas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IndexDiff {
    /// Absent before; or with another definition.
    pub added_indexes: Vec<IndexChange>,
    /// Absent now; or with another definition.
    pub removed_indexes: Vec<IndexChange>,
    /// Staged before, queryable now.
    pub enabled_indexes: Vec<IndexChange>,
    /// Queryable before, staged now.
    pub disabled_indexes: Vec<IndexChange>,
}

/// One index with its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexChange {
    /// The table.
    pub table: TableName,
    /// The index.
    pub name: IndexName,
    /// Its definition after the change; of a removed one, before.
    pub definition: IndexDefinition,
}

impl IndexDiff {
    /// What changes when `next` takes the place of `current`; `None` stands for no schema at all.
    pub fn between(current: Option<&SchemaDefinition>, next: Option<&SchemaDefinition>) -> Self {
        let mut diff = Self::default();
        for (table, name, index) in next.into_iter().flat_map(SchemaDefinition::indexes) {
            let change = IndexChange::new(table, name, index);
            match current.and_then(|current| current.index(table, name)) {
                Some(before) if before.spec == index.spec => match (before.staged, index.staged) {
                    (true, false) => diff.enabled_indexes.push(change),
                    (false, true) => diff.disabled_indexes.push(change),
                    _ => {}
                },
                _ => diff.added_indexes.push(change),
            }
        }
        for (table, name, index) in current.into_iter().flat_map(SchemaDefinition::indexes) {
            let after = next.and_then(|next| next.index(table, name));
            if after.is_none_or(|after| after.spec != index.spec) {
                diff.removed_indexes.push(IndexChange::new(table, name, index));
            }
        }
        diff
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl IndexChange {
    fn new(table: &TableName, name: &IndexName, definition: &IndexDefinition) -> Self {
        Self { table: table.clone(), name: name.clone(), definition: definition.clone() }
    }

    /// The client's form: `{"name": "table.index", "type": ..., "staged": ...}`.
    pub fn to_json(&self) -> Json {
        let name = format!("{}.{}", self.table, self.name);
        let staged = self.definition.staged;
        match &self.definition.spec {
            IndexSpec::Database { fields } => {
                let mut fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
                fields.push(CREATION_TIME.to_owned());
                json!({"name": name, "type": "database", "fields": fields, "staged": staged})
            }
            IndexSpec::Search { search_field, filter_fields } => json!({
                "name": name, "type": "search", "searchField": search_field, "filterFields": filter_fields,
                "staged": staged
            }),
            IndexSpec::Vector { vector_field, dimensions, filter_fields } => json!({
                "name": name, "type": "vector", "dimensions": dimensions, "vectorField": vector_field,
                "filterFields": filter_fields, "staged": staged
            }),
        }
    }
}

impl Serialize for IndexChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::parse;

    fn schema(indexes: &str, staged: &str) -> SchemaDefinition {
        parse(&format!(
            r#"{{"tables":[{{"tableName":"t","indexes":{indexes},"stagedDbIndexes":{staged}}}],"schemaValidation":true}}"#
        ))
        .unwrap()
    }

    fn names(changes: &[IndexChange]) -> Vec<String> {
        changes.iter().map(|change| change.name.to_string()).collect()
    }

    const BY_A: &str = r#"[{"indexDescriptor":"by_a","fields":["a"]}]"#;
    const BY_A_AS_B: &str = r#"[{"indexDescriptor":"by_a","fields":["b"]}]"#;

    #[test]
    fn an_index_of_a_new_schema_is_added_with_its_implicit_field() {
        let diff = IndexDiff::between(None, Some(&schema(BY_A, "[]")));
        assert_eq!(
            serde_json::to_value(&diff).unwrap(),
            json!({
                "added_indexes": [
                    {"name": "t.by_a", "type": "database", "fields": ["a", "_creationTime"], "staged": false}
                ],
                "removed_indexes": [], "enabled_indexes": [], "disabled_indexes": []
            })
        );
    }

    #[test]
    fn without_a_schema_every_index_is_removed() {
        let diff = IndexDiff::between(Some(&schema(BY_A, "[]")), None);
        assert_eq!(names(&diff.removed_indexes), ["by_a"]);
        assert!(diff.added_indexes.is_empty());
    }

    #[test]
    fn a_changed_definition_is_removed_and_added() {
        let diff = IndexDiff::between(Some(&schema(BY_A, "[]")), Some(&schema(BY_A_AS_B, "[]")));
        assert_eq!(
            (names(&diff.added_indexes), names(&diff.removed_indexes)),
            (vec!["by_a".into()], vec!["by_a".into()])
        );
    }

    #[test]
    fn staging_and_unstaging_are_told_from_building() {
        let (enabled, staged) = (schema(BY_A, "[]"), schema("[]", BY_A));
        let enabling = IndexDiff::between(Some(&staged), Some(&enabled));
        assert_eq!(names(&enabling.enabled_indexes), ["by_a"]);
        assert!(enabling.added_indexes.is_empty() && enabling.removed_indexes.is_empty());
        let disabling = IndexDiff::between(Some(&enabled), Some(&staged));
        assert_eq!(names(&disabling.disabled_indexes), ["by_a"]);
        assert!(IndexDiff::between(Some(&enabled), Some(&enabled)).is_empty());
    }
}
