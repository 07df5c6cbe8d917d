//! Tables and indexes, as tools look at them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use freshet_database::{Catalog, IndexMeta, IndexSpec, IndexState, Namespace, TableMeta, TableState};
use serde_json::{Value, json};

use super::calls::Presented;
use crate::access::Operation;
use crate::edge::error::ApiError;
use crate::state::State;

/// `GET /api/shapes2`: what the documents of each table look like. Shapes are not tracked, which clients understand as
/// "anything".
pub(super) async fn shapes(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
) -> Result<Json<BTreeMap<String, Value>>, ApiError> {
    state.require_admin(&credentials, Operation::DATA_VIEW)?;
    let catalog = state.services.database.catalog();
    let shape = |table: &Arc<TableMeta>| (table.name.to_string(), json!({ "type": "Unknown" }));
    Ok(Json(user_tables(&catalog).map(shape).collect()))
}

/// `GET /api/get_indexes`: declared indexes, those still being built included.
pub(super) async fn indexes(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
) -> Result<Json<Value>, ApiError> {
    state.require_admin(&credentials, Operation::DATA_VIEW)?;
    let catalog = state.services.database.catalog();
    let mut indexes = Vec::new();
    for table in user_tables(&catalog) {
        // The two indexes that every table has are not declared anywhere: they have no row.
        let declared = catalog.indexes(table.id).iter().filter(|index| index.row.is_some());
        let live = declared.filter(|index| index.state != IndexState::Deleting);
        indexes.extend(live.map(|index| describe(table, index)));
    }
    Ok(Json(json!({ "indexes": indexes })))
}

fn user_tables(catalog: &Catalog) -> impl Iterator<Item = &Arc<TableMeta>> {
    catalog.tables().filter(|table| {
        table.namespace == Namespace::ROOT && table.state == TableState::Active && !table.name.is_system()
    })
}

fn describe(table: &TableMeta, index: &IndexMeta) -> Value {
    let fields = match &index.spec {
        IndexSpec::Database { fields } => {
            let declared = fields.iter().map(ToString::to_string);
            json!(declared.chain(["_creationTime".to_owned()]).collect::<Vec<_>>())
        }
        IndexSpec::Search { search_field, filter_fields } => {
            json!({ "searchField": search_field, "filterFields": filter_fields })
        }
        IndexSpec::Vector { vector_field, dimensions, filter_fields } => {
            json!({ "vectorField": vector_field, "dimensions": dimensions, "filterFields": filter_fields })
        }
    };
    let backfill = if index.state == IndexState::Backfilling { "in_progress" } else { "done" };
    json!({
        "table": table.name,
        "name": index.name,
        "fields": fields,
        "backfill": { "state": backfill },
        "staged": index.staged,
    })
}
