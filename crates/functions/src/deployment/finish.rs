//! The second half of a push: one transaction in which everything that was prepared becomes live.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use freshet_database::schema::{self, IndexDiff, SchemaDefinition, SchemaRow, SchemaState, SwitchError};
use freshet_database::{Namespace, Transaction};
use freshet_values::DocumentId;
use serde_json::{Value as Json, json};

use super::app_definition::{self, check_variables};
use super::contexts;
use super::error::PushError;
use super::module_set::CRONS;
use super::package::{self, LiveConfig, StoredModule, StoredPackage};
use super::request::FinishPushRequest;
use super::response::{AnalyzedCron, ComponentDiff, FinishPushResponse, NameDiff, SchemaDiff, UdfConfigDiff};
use super::start::APP;
use super::{Deployment, auth_providers, transact};
use crate::crons::rows as crons;
use crate::environment;
use crate::services::since_epoch;

impl Deployment {
    /// Makes a push live, all of it in one commit. Queries re-run because they read which version is live.
    ///
    /// # Errors
    /// When the deployment has changed since the push was started, the schema is not validated or a required variable is
    /// missing (400), or the server fails.
    pub async fn finish_push(&self, request: FinishPushRequest) -> Result<FinishPushResponse, PushError> {
        if request.dry_run {
            return Ok(FinishPushResponse::default());
        }
        let (response, notices) =
            transact::write(&self.inner.database, move |transaction| finish(transaction, &request))
                .await
                .map_err(PushError::while_pushing)?;
        if let Some(hook) = self.inner.when_live.get() {
            hook();
        }
        for notice in notices {
            tracing::info!("{notice}");
        }
        Ok(response)
    }
}

fn finish(
    transaction: &mut Transaction,
    request: &FinishPushRequest,
) -> Result<(FinishPushResponse, Vec<String>), PushError> {
    let push = &request.start_push;
    let variables = environment::values(transaction)?;
    if variables != push.environment_variables {
        return Err(PushError::bad_request("RaceDetected", "Environment variables have changed during push"));
    }
    let live = package::live(transaction)?;
    let package = pushed_package(transaction, push.push_id.as_deref(), live.as_ref())?;
    let definition = app_definition::parse(&package.info.definition)?;
    check_variables(&definition.variables, &variables)?;

    let (index_diff, schema_diff) = switch_schema(transaction, package.info.schema)?;
    let modules = package::modules(transaction, package.row)?;
    let previous_modules = match &live {
        Some(live) => package::modules(transaction, live.package)?,
        None => Vec::new(),
    };
    let cron_diff = crons::apply(transaction, &cron_specs(&modules), now_ns())?;
    let providers: Vec<Json> =
        serde_json::from_str(&package.info.app_auth).map_err(|error| PushError::internal(&error))?;
    let auth_diff = auth_providers::replace(transaction, &providers)?;
    package::set_live(transaction, live.as_ref(), &package)?;
    if let Some(live) = &live {
        package::delete(transaction, live.package)?;
    }

    let previous_version = live.map(|live| live.server_version);
    let diff = ComponentDiff {
        diff_type: json!({"type": if previous_version.is_some() { "modify" } else { "create" }}),
        module_diff: module_diff(&previous_modules, &modules),
        udf_config_diff: previous_version.filter(|previous| *previous != package.info.server_version).map(
            |previous_version| UdfConfigDiff {
                previous_version,
                next_version: package.info.server_version.clone(),
            },
        ),
        cron_diff,
        index_diff,
        schema_diff,
    };
    let response = FinishPushResponse {
        auth_diff,
        definition_diffs: BTreeMap::from([(APP.to_owned(), json!({}))]),
        component_diffs: BTreeMap::from([(APP.to_owned(), diff)]),
    };
    Ok((response, contexts::notices(&previous_modules, &modules)))
}

/// The package that is to become live, if nothing else became live since it was pushed.
fn pushed_package(
    transaction: &mut Transaction,
    push_id: Option<&str>,
    live: Option<&LiveConfig>,
) -> Result<StoredPackage, PushError> {
    let push_id = push_id.ok_or_else(|| {
        PushError::bad_request(
            "InvalidPush",
            "This push was a dry run, or was not started here; start it again.",
        )
    })?;
    let id: DocumentId = push_id
        .parse()
        .map_err(|error| PushError::bad_request("InvalidPush", format!("Unknown push {push_id}: {error}")))?;
    let concurrent = || {
        PushError::bad_request(
            "ConcurrentPush",
            "Another push finished while this one was under way. Push again to replace it.",
        )
    };
    let package = package::get(transaction, id)?.ok_or_else(concurrent)?;
    if package.info.base_version != live.map_or(0, |live| live.version) {
        return Err(concurrent());
    }
    Ok(package)
}

fn switch_schema(
    transaction: &mut Transaction,
    id: Option<DocumentId>,
) -> Result<(IndexDiff, Option<SchemaDiff>), PushError> {
    let active = schema::active(transaction, Namespace::ROOT)?;
    let row = match id {
        None => None,
        Some(id) => Some(checked_schema(schema::get(transaction, Namespace::ROOT, id)?)?),
    };
    let current = active.as_ref().map(definition_of).transpose()?;
    let next = row.as_ref().map(definition_of).transpose()?;
    let index_diff = IndexDiff::between(current.as_ref(), next.as_ref());
    schema::switch_indexes(transaction, Namespace::ROOT, next.as_ref()).map_err(|error| match error {
        SwitchError::Incomplete(_) => {
            PushError::bad_request("IndexesNotReady", format!("The push cannot be finished yet: {error}."))
        }
        SwitchError::Missing(_) => PushError::bad_request("ConcurrentPush", format!("{error}. Push again.")),
        SwitchError::Database(error) => error.into(),
    })?;
    schema::activate(transaction, Namespace::ROOT, row.as_ref())?;
    let previous_schema = active.map(|active| active.json);
    let next_schema = row.map(|row| row.json);
    let changed = previous_schema != next_schema;
    Ok((index_diff, changed.then_some(SchemaDiff { previous_schema, next_schema })))
}

fn definition_of(row: &SchemaRow) -> Result<SchemaDefinition, PushError> {
    schema::definition(row).map_err(|error| PushError::internal(&error))
}

/// The schema, if it may be put in force.
fn checked_schema(row: Option<SchemaRow>) -> Result<SchemaRow, PushError> {
    let overwritten = || {
        PushError::bad_request(
            "SchemaAlreadyOverwritten",
            "The schema of this push was overwritten by another push. Push again.",
        )
    };
    let row = row.ok_or_else(overwritten)?;
    match &row.state {
        SchemaState::Validated | SchemaState::Active => Ok(row),
        SchemaState::Overwritten => Err(overwritten()),
        SchemaState::Failed { error, .. } => Err(PushError::bad_request(
            "SchemaAlreadyFailed",
            format!("The schema of this push does not match the data: {error}"),
        )),
        SchemaState::Pending => Err(PushError::bad_request(
            "SchemaNotValidated",
            "The schema of this push is still being checked against the data. Wait for it to be validated.",
        )),
    }
}

fn cron_specs(modules: &[StoredModule]) -> Vec<AnalyzedCron> {
    modules
        .iter()
        .find(|module| module.path == CRONS)
        .and_then(|module| module.analysis.cron_specs.clone())
        .unwrap_or_default()
}

fn module_diff(previous: &[StoredModule], next: &[StoredModule]) -> NameDiff {
    // A module that changed is both removed and added.
    fn keys(modules: &[StoredModule]) -> BTreeSet<(&str, &str)> {
        modules.iter().map(|module| (module.path.as_str(), module.sha256.as_str())).collect()
    }
    let (previous, next) = (keys(previous), keys(next));
    let names = |a: &BTreeSet<(&str, &str)>, b: &BTreeSet<(&str, &str)>| -> Vec<String> {
        a.difference(b).map(|(path, _)| (*path).to_owned()).collect()
    };
    NameDiff { added: names(&next, &previous), removed: names(&previous, &next) }
}

fn now_ns() -> u64 {
    u64::try_from(since_epoch(SystemTime::now()).as_nanos()).unwrap_or(u64::MAX)
}
