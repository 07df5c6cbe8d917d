//! What pushing a schema would cost, asked before the push.

use std::collections::BTreeMap;

use freshet_database::schema::{self, IndexChange, IndexDiff, SchemaDefinition, tables_to_walk};
use freshet_database::{DatabaseError, IndexState, Namespace, Transaction};
use freshet_values::TableName;
use serde_json::Value as Json;

use super::app_definition::unsupported_components;
use super::error::PushError;
use super::request::StartPushRequest;
use super::response::{EvaluateSchemaResponse, SchemaEvaluation, TablePrediction};
use super::start::APP;
use super::{Deployment, transact};

impl Deployment {
    /// Predicts which documents a schema's push would have to check and which indexes it would build, without storing
    /// anything.
    ///
    /// # Errors
    /// A schema that is wrong (400), or a failure of the server.
    pub async fn evaluate_schema(
        &self,
        request: StartPushRequest,
    ) -> Result<EvaluateSchemaResponse, PushError> {
        let predict = async {
            if !request.component_definitions.is_empty() {
                return Err(unsupported_components());
            }
            let next = match &request.app_definition.schema {
                Some(module) => Some(self.evaluator(&BTreeMap::new()).schema(module).await?),
                None => None,
            };
            let evaluation = transact::read(&self.inner.database, move |transaction| {
                Ok(predict(transaction, next.as_ref())?)
            })
            .await?;
            Ok(EvaluateSchemaResponse {
                component_schema_evaluations: BTreeMap::from([(APP.to_owned(), evaluation)]),
                new_component_definitions: Vec::new(),
            })
        };
        predict.await.map_err(PushError::while_pushing)
    }
}

fn predict(
    transaction: &mut Transaction,
    next: Option<&SchemaDefinition>,
) -> Result<SchemaEvaluation, DatabaseError> {
    let active = schema::active(transaction, Namespace::ROOT)?;
    let active = active.as_ref().map(schema::definition).transpose()?;
    let validation = next.is_some_and(|next| next.schema_validation);
    let mut tables = Vec::new();
    if let Some(next) = next {
        let walked = tables_to_walk(active.as_ref(), next);
        for table in next.tables.keys() {
            let outcome = match (validation, walked.contains(table)) {
                (false, _) => "notValidated",
                (true, true) => "mustWalk",
                (true, false) => "supersetOfEnforced",
            };
            tables.push(TablePrediction {
                name: table.to_string(),
                outcome,
                num_docs: count(transaction, table),
                // Sizes are not kept; clients only warn about what has to be walked, and count documents as well.
                size_bytes: 0,
            });
        }
    }
    Ok(SchemaEvaluation {
        definition_path: APP.to_owned(),
        schema_validation: validation,
        tables,
        indexes: indexes(transaction, active.as_ref(), next),
        discarded_staged_validators: Vec::new(),
    })
}

fn indexes(
    transaction: &mut Transaction,
    active: Option<&SchemaDefinition>,
    next: Option<&SchemaDefinition>,
) -> Vec<Json> {
    let diff = IndexDiff::between(active, next);
    let changes = [
        (&diff.added_indexes, "added"),
        (&diff.removed_indexes, "dropped"),
        (&diff.enabled_indexes, "enabled"),
        (&diff.disabled_indexes, "disabled"),
    ];
    let states = transaction.index_states(Namespace::ROOT);
    let is_incomplete = |index: &IndexChange| {
        states.iter().any(|progress| {
            progress.index.state == IndexState::Backfilling
                && progress.table == index.table
                && progress.index.name == index.name
        })
    };
    let mut predictions: Vec<Json> = changes
        .into_iter()
        .flat_map(|(list, change)| list.iter().map(move |index| (index, change)))
        .map(|(index, change)| {
            // A staged index that is to be enabled may still be under construction.
            let backfill = change == "added" || change == "enabled" && is_incomplete(index);
            prediction(transaction, index, change, backfill)
        })
        .collect();
    let kept = next.into_iter().flat_map(SchemaDefinition::indexes).filter(|(table, name, index)| {
        active.and_then(|active| active.index(table, name)).is_some_and(|before| before == *index)
    });
    for (table, name, definition) in kept {
        let index = IndexChange { table: table.clone(), name: name.clone(), definition: definition.clone() };
        predictions.push(prediction(transaction, &index, "identical", false));
    }
    predictions
}

fn prediction(transaction: &mut Transaction, index: &IndexChange, change: &str, backfill: bool) -> Json {
    let mut json = index.to_json();
    json["change"] = change.into();
    json["needsBackfill"] = backfill.into();
    json["numDocs"] = count(transaction, &index.table).into();
    json
}

fn count(transaction: &mut Transaction, table: &TableName) -> u64 {
    transaction.system(Namespace::ROOT).count_untracked(table)
}
