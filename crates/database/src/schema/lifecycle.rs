//! Submitting a schema, and putting it in force.
//!
//! A submitted schema waits beside the active one: its indexes are built and existing documents are checked, while
//! everybody keeps working with the active one. Activating it is part of the transaction that finishes a push.

use freshet_store::{IndexId, Order};
use freshet_values::{DocumentId, TableName, Value};

use super::definition::SchemaDefinition;
use super::parse::parse_stored;
use super::progress::Progress;
use super::row::{SchemaRow, SchemaState};
use crate::catalog::{IndexSpec, IndexState};
use crate::error::{DatabaseError, DeveloperError, SystemError};
use crate::namespace::Namespace;
use crate::query::Query;
use crate::transaction::{IndexProgress, Transaction};

/// The table of schemas.
pub(super) fn schemas() -> TableName {
    "_schemas".parse().expect("names of system tables are identifiers")
}

/// How long rows of schemas that failed or were replaced are kept, in milliseconds.
const GONE_ROWS_KEPT_MS: f64 = 3_600_000.0;

/// The schema in force.
///
/// # Errors
/// A storage failure.
pub fn active(
    transaction: &mut Transaction,
    namespace: Namespace,
) -> Result<Option<SchemaRow>, DatabaseError> {
    in_state(transaction, namespace, "active")
}

/// The schema that waits for its push to be finished.
///
/// # Errors
/// A storage failure.
pub fn in_progress(
    transaction: &mut Transaction,
    namespace: Namespace,
) -> Result<Option<SchemaRow>, DatabaseError> {
    match in_state(transaction, namespace, "pending")? {
        None => in_state(transaction, namespace, "validated"),
        found => Ok(found),
    }
}

fn in_state(
    transaction: &mut Transaction,
    namespace: Namespace,
    state: &str,
) -> Result<Option<SchemaRow>, DatabaseError> {
    let rows = transaction.system(namespace).find(&schemas(), "by_state", &[Value::from(state)])?;
    Ok(rows.first().map(|row| SchemaRow::read(row)).transpose()?)
}

/// A schema by its row; `None` when the row is gone.
///
/// # Errors
/// A storage failure.
pub fn get(
    transaction: &mut Transaction,
    namespace: Namespace,
    id: DocumentId,
) -> Result<Option<SchemaRow>, DatabaseError> {
    let row = transaction.system(namespace).get(&schemas(), id)?;
    Ok(row.as_deref().map(SchemaRow::read).transpose()?)
}

/// The schema that a row holds.
///
/// # Errors
/// The text is damaged.
pub fn definition(row: &SchemaRow) -> Result<SchemaDefinition, SystemError> {
    parse_stored(&row.json)
        .map_err(|error| SystemError::Unreadable { id: row.id.to_string(), detail: error.to_string() })
}

/// Hands in a schema: makes its tables and returns its row. The active schema, or one that is under way already, is taken
/// when it says the same; anything else that is under way is overwritten.
///
/// # Errors
/// `TooManyTables`, or a storage failure.
pub fn submit(
    transaction: &mut Transaction,
    namespace: Namespace,
    schema: &SchemaDefinition,
) -> Result<DocumentId, DatabaseError> {
    let json = schema.to_json().to_string();
    for table in schema.tables.keys() {
        transaction.create_table_if_missing(namespace, table)?;
    }
    purge(transaction, namespace)?;
    let active = active(transaction, namespace)?;
    let under_way = in_progress(transaction, namespace)?;
    if let Some(active) = active.filter(|active| active.json == json) {
        if let Some(other) = under_way {
            set_state(transaction, namespace, &other, &SchemaState::Overwritten)?;
        }
        return Ok(active.id);
    }
    if let Some(other) = under_way {
        if other.json == json {
            return Ok(other.id);
        }
        set_state(transaction, namespace, &other, &SchemaState::Overwritten)?;
    }
    let fields = SchemaRow::fields(&SchemaState::Pending, &json);
    transaction.system(namespace).insert(&schemas(), fields)
}

/// Puts a validated schema in force. `None` means that the namespace has no schema from now on.
///
/// # Errors
/// [`SystemError::Defect`] when the schema is not validated, or a storage failure.
pub fn activate(
    transaction: &mut Transaction,
    namespace: Namespace,
    schema: Option<&SchemaRow>,
) -> Result<(), DatabaseError> {
    let previous = active(transaction, namespace)?;
    if let (Some(previous), Some(schema)) = (&previous, schema)
        && previous.id == schema.id
    {
        return Ok(());
    }
    if let Some(previous) = previous {
        set_state(transaction, namespace, &previous, &SchemaState::Overwritten)?;
    }
    match schema {
        None => Ok(()),
        Some(schema) if schema.state == SchemaState::Validated => {
            set_state(transaction, namespace, schema, &SchemaState::Active)
        }
        Some(schema) => {
            let defect =
                format!("the schema {} is {} and cannot be activated", schema.id, schema.state.name());
            Err(SystemError::Defect(defect).into())
        }
    }
}

/// Whether a table may be deleted for good: not while the schema in force defines it, or has ids of it.
///
/// # Errors
/// `SchemaEnforcementError` when it may not, or a storage failure.
pub fn check_droppable(
    transaction: &mut Transaction,
    namespace: Namespace,
    table: &TableName,
) -> Result<(), DatabaseError> {
    let Some(active) = active(transaction, namespace)? else { return Ok(()) };
    let schema = definition(&active)?;
    let refused = |why: String| {
        DeveloperError::new(
            "SchemaEnforcementError",
            format!("Failed to delete table \"{table}\" because {why}."),
        )
    };
    if schema.tables.contains_key(table) {
        return Err(refused("it is in the schema".to_owned()).into());
    }
    let mentions = |name: &TableName| {
        schema.enforced(name).is_some_and(|documents| documents.validator().mentions_id_of(table))
    };
    match schema.tables.keys().find(|name| mentions(name)) {
        None => Ok(()),
        Some(name) => Err(refused(format!("table \"{name}\" has `v.id(\"{table}\")` in the schema")).into()),
    }
}

/// Changes how far a schema is.
///
/// # Errors
/// A storage failure.
pub(super) fn set_state(
    transaction: &mut Transaction,
    namespace: Namespace,
    row: &SchemaRow,
    state: &SchemaState,
) -> Result<(), DatabaseError> {
    if !matches!(state, SchemaState::Pending | SchemaState::Validated) {
        Progress::remove(transaction, namespace, row.id)?;
    }
    transaction.system(namespace).replace(&schemas(), row.id, SchemaRow::fields(state, &row.json))
}

/// Removes old rows of schemas that nobody waits for any more.
fn purge(transaction: &mut Transaction, namespace: Namespace) -> Result<(), DatabaseError> {
    let rows = transaction.system(namespace).collect(&Query::full_table_scan(schemas(), Order::Desc))?;
    let newest = rows.first().map(|row| row.object()).transpose()?;
    let time = |object: &freshet_values::Object| object.get("_creationTime").and_then(Value::as_f64);
    let Some(newest) = newest.and_then(time) else { return Ok(()) };
    for row in rows {
        let gone =
            matches!(SchemaRow::read(&row)?.state, SchemaState::Failed { .. } | SchemaState::Overwritten);
        if gone && time(row.object()?).is_none_or(|time| newest - time > GONE_ROWS_KEPT_MS) {
            transaction.system(namespace).delete(&schemas(), row.id())?;
        }
    }
    Ok(())
}

/// Begins to build the indexes that `next` has and the namespace lacks, and drops those that an earlier push left
/// unfinished. The indexes in use are not touched.
///
/// # Errors
/// A storage failure.
pub fn prepare_indexes(
    transaction: &mut Transaction,
    namespace: Namespace,
    next: Option<&SchemaDefinition>,
) -> Result<(), DatabaseError> {
    let current = match active(transaction, namespace)? {
        None => None,
        Some(row) => Some(definition(&row)?),
    };
    let declared = declared(transaction, namespace)?;
    for progress in &declared {
        let live = is_live(current.as_ref(), progress);
        let wanted = wanted(next, progress).is_some_and(|staged| staged == progress.index.staged);
        if !live && !wanted {
            transaction.drop_index(progress.index.id)?;
        }
    }
    for (table, name, index) in next.into_iter().flat_map(SchemaDefinition::indexes) {
        let exists = declared.iter().any(|progress| {
            let same = progress.table == *table && progress.index.name == *name;
            let usable = is_live(current.as_ref(), progress) || progress.index.staged == index.staged;
            same && usable && same_spec(&progress.index.spec, &index.spec)
        });
        if !exists {
            transaction.create_index(namespace, table, name, index.spec.clone(), index.staged)?;
        }
    }
    Ok(())
}

/// Makes the indexes of `next` the ones in use and drops all others.
///
/// # Errors
/// The index that is not complete yet, or a storage failure.
pub fn switch_indexes(
    transaction: &mut Transaction,
    namespace: Namespace,
    next: Option<&SchemaDefinition>,
) -> Result<(), SwitchError> {
    let declared = declared(transaction, namespace)?;
    let mut kept: Vec<IndexId> = Vec::new();
    for (table, name, index) in next.into_iter().flat_map(SchemaDefinition::indexes) {
        let candidate = declared
            .iter()
            .filter(|progress| progress.table == *table && progress.index.name == *name)
            .filter(|progress| same_spec(&progress.index.spec, &index.spec))
            // Of two that say the same, the one that is further.
            .max_by_key(|progress| progress.index.state == IndexState::Enabled);
        let Some(progress) = candidate else {
            return Err(SwitchError::Missing(format!("{table}.{name}")));
        };
        if index.staged {
            transaction.set_index_staged(progress.index.id, true)?;
        } else if progress.index.state == IndexState::Backfilling {
            return Err(SwitchError::Incomplete(format!("{table}.{name}")));
        } else if progress.index.state != IndexState::Enabled || progress.index.staged {
            transaction.enable_index(progress.index.id)?;
        }
        kept.push(progress.index.id);
    }
    for progress in declared {
        if !kept.contains(&progress.index.id) {
            transaction.drop_index(progress.index.id)?;
        }
    }
    Ok(())
}

/// Why the indexes of a schema cannot be put to use.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// It is still being built.
    #[error("the index {0} is still being built")]
    Incomplete(String),
    /// Another push dropped it.
    #[error("the index {0} was dropped by another push")]
    Missing(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// How many of the indexes that `schema` needs for queries are complete, and how many it needs: those in use, and those
/// that are being built for it.
///
/// # Errors
/// A storage failure.
pub fn index_progress(
    transaction: &mut Transaction,
    namespace: Namespace,
    schema: &SchemaDefinition,
) -> Result<(usize, usize), DatabaseError> {
    let needed: Vec<IndexProgress> = declared(transaction, namespace)?
        .into_iter()
        .filter(|progress| {
            // One that is staged now and to be enabled by the push has to be complete, too.
            !progress.index.staged || wanted(Some(schema), progress) == Some(false)
        })
        .collect();
    let complete = needed.iter().filter(|progress| progress.index.state != IndexState::Backfilling).count();
    Ok((complete, needed.len()))
}

/// The indexes of user tables. Depends on all of them, so that whoever asks hears of every change.
fn declared(
    transaction: &mut Transaction,
    namespace: Namespace,
) -> Result<Vec<IndexProgress>, DatabaseError> {
    let rows: TableName = "_index".parse().expect("names of system tables are identifiers");
    transaction.system(Namespace::ROOT).all(&rows)?;
    let mut indexes = transaction.index_states(namespace);
    indexes.retain(|progress| !progress.table.is_system());
    Ok(indexes)
}

/// Whether the schema in force has this very index; anything else was made for a push that is not finished.
fn is_live(current: Option<&SchemaDefinition>, progress: &IndexProgress) -> bool {
    let in_use = progress.index.state == IndexState::Enabled || progress.index.staged;
    in_use && wanted(current, progress).is_some()
}

/// Whether `schema` has an index of this name and definition, and if so, whether staged.
fn wanted(schema: Option<&SchemaDefinition>, progress: &IndexProgress) -> Option<bool> {
    let index = schema?.index(&progress.table, &progress.index.name)?;
    same_spec(&index.spec, &progress.index.spec).then_some(index.staged)
}

/// Filter fields are a set: their order makes no difference.
fn same_spec(a: &IndexSpec, b: &IndexSpec) -> bool {
    let sorted = |spec: &IndexSpec| {
        let mut spec = spec.clone();
        if let IndexSpec::Search { filter_fields, .. } | IndexSpec::Vector { filter_fields, .. } = &mut spec {
            filter_fields.sort();
        }
        spec
    };
    sorted(a) == sorted(b)
}
