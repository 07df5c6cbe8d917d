//! Finding tables and indexes, and depending on what was found or not found.

use std::sync::Arc;

use freshet_store::TableId;
use freshet_values::{IndexName, KeyInterval, TableName, TableNumber, Value, key};

use super::{Dependency, Transaction};
use crate::catalog::system_tables::{INDEX_BY_TABLE, TABLES_BY_NAME, TABLES_BY_NUMBER};
use crate::catalog::{IndexMeta, TableMeta};
use crate::document::Document;
use crate::error::DatabaseError;
use crate::namespace::Namespace;
use crate::query::Query;
use crate::schema::SchemaEnforcer;

/// The table of schemas.
pub(super) const SCHEMAS: &str = "_schemas";

impl Transaction {
    /// Whether a dependency has to be recorded. What a stale query looks up does not count, nor may it keep a later
    /// look-up by the caller from being recorded.
    fn is_new(&mut self, dependency: Dependency) -> bool {
        self.is_tracked() && self.recorded.insert(dependency)
    }

    /// The table of this name, depending on the answer.
    pub(crate) fn find_table(&mut self, namespace: Namespace, name: &TableName) -> Option<Arc<TableMeta>> {
        if self.is_new(Dependency::TableName(namespace, name.clone())) {
            let key = tuple(&[Value::Int64(i64::from(namespace.0)), Value::from(name.as_str())]);
            self.record(TABLES_BY_NAME, &KeyInterval::prefix(&key), false);
        }
        self.catalog.table_by_name(namespace, name).cloned()
    }

    /// The table of this number, depending on the answer.
    pub(crate) fn find_number(
        &mut self,
        namespace: Namespace,
        number: TableNumber,
    ) -> Option<Arc<TableMeta>> {
        let table = self.catalog.table_by_number(namespace, number).cloned();
        match &table {
            // That the table keeps existing under its name means that it keeps its number.
            Some(table) => {
                self.find_table(namespace, &table.name);
            }
            None => {
                let key = tuple(&[Value::Int64(i64::from(namespace.0)), Value::Int64(i64::from(number.0))]);
                self.record(TABLES_BY_NUMBER, &KeyInterval::prefix(&key), false);
            }
        }
        table
    }

    /// The index of this name, depending on the answer.
    pub(crate) fn find_index(&mut self, table: &TableMeta, name: &IndexName) -> Option<Arc<IndexMeta>> {
        let index = self.catalog.index_by_name(table.id, name).cloned();
        let built_in = index.as_ref().is_some_and(|index| index.row.is_none());
        if !built_in && self.is_new(Dependency::IndexName(table.id, name.clone())) {
            let key = tuple(&[Value::Int64(i64::from(table.id.0)), Value::from(name.as_str())]);
            self.record(INDEX_BY_TABLE, &KeyInterval::prefix(&key), false);
        }
        index
    }

    /// Depends on the indexes of a table: whoever writes to it must have kept all of them up to date.
    pub(super) fn depend_on_definition(&mut self, table: TableId) {
        if self.is_new(Dependency::Definition(table)) {
            let key = tuple(&[Value::Int64(i64::from(table.0))]);
            self.record(INDEX_BY_TABLE, &KeyInterval::prefix(&key), false);
        }
    }

    /// Depends on the schemas of a namespace: whoever writes must have been checked against the ones in force.
    pub(super) fn depend_on_schema(&mut self, namespace: Namespace) {
        if self.is_new(Dependency::Schema(namespace))
            && let Some(schemas) = self.find_table(namespace, &schemas_table())
        {
            self.record(schemas.by_id, &KeyInterval::all(), false);
        }
    }

    /// The enforcer of the schemas as this transaction leaves them, if it touches any.
    pub(super) fn recompile_schemas(&mut self) -> Result<Option<Arc<dyn SchemaEnforcer>>, DatabaseError> {
        if !self.schemas_written {
            return Ok(None);
        }
        let schemas: Vec<Arc<TableMeta>> =
            self.catalog.tables().filter(|table| table.name == SCHEMAS).cloned().collect();
        let mut rows: Vec<(Namespace, Arc<Document>)> = Vec::new();
        for table in schemas {
            rows.extend(self.live_schemas(table.namespace)?);
        }
        Ok(Some(crate::schema::compile(&rows)))
    }

    /// The `_schemas` rows of a namespace that writes must be checked against.
    pub(crate) fn live_schemas(
        &mut self,
        namespace: Namespace,
    ) -> Result<Vec<(Namespace, Arc<Document>)>, DatabaseError> {
        let mut rows = Vec::new();
        for state in ["pending", "validated", "active"] {
            let query = Query::index_eq(
                schemas_table(),
                "by_state".parse().expect("the name is an identifier"),
                [("state.state".parse().expect("the path is made of identifiers"), Some(Value::from(state)))],
                freshet_store::Order::Asc,
            );
            rows.extend(self.system(namespace).collect(&query)?.into_iter().map(|row| (namespace, row)));
        }
        Ok(rows)
    }
}

fn schemas_table() -> TableName {
    SCHEMAS.parse().expect("names of system tables are identifiers")
}

fn tuple(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    key::encode_tuple(&mut out, values.iter().map(Some));
    out
}
