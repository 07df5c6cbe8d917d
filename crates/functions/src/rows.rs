//! Rows of the engine's own tables, as this crate reads and writes them.

use std::sync::Arc;

use freshet_database::query::{Operator, Query, QuerySource, RangeComparison, RangeExpression};
use freshet_database::{DatabaseError, Document, Namespace, Order, PageRequest, Transaction};
use freshet_values::{DocumentId, Object, TableName, Value};

/// One row, decoded.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: DocumentId,
    pub(crate) fields: Object,
}

/// The bounds of a range, both exclusive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds {
    /// The value of the index's first field, when the bounds are on its second.
    pub(crate) within: Option<(&'static str, Value)>,
    pub(crate) above: Option<Value>,
    pub(crate) below: Option<Value>,
}

/// Fields of a new row.
pub(crate) fn fields<const N: usize>(fields: [(&str, Value); N]) -> Object {
    fields.into_iter().collect()
}

/// Whether an id is one of the table.
pub(crate) fn is_of_table(transaction: &Transaction, id: DocumentId, table: &str) -> bool {
    let meta = transaction.catalog().table_by_name(Namespace::ROOT, &name(table));
    meta.is_some_and(|meta| meta.number == id.table)
}

pub(crate) fn get(
    transaction: &mut Transaction,
    table: &str,
    id: DocumentId,
) -> Result<Option<Row>, DatabaseError> {
    let document = transaction.system(Namespace::ROOT).get(&name(table), id)?;
    document.as_ref().map(row).transpose()
}

/// The first row whose indexed fields, all or the first of them, equal the values.
pub(crate) fn find(
    transaction: &mut Transaction,
    table: &str,
    index: &str,
    values: &[Value],
) -> Result<Option<Row>, DatabaseError> {
    let found = transaction.system(Namespace::ROOT).find(&name(table), index, values)?;
    found.first().map(row).transpose()
}

/// The last row whose indexed fields, all or the first of them, equal the values.
pub(crate) fn find_last(
    transaction: &mut Transaction,
    table: &str,
    index: &str,
    values: &[Value],
) -> Result<Option<Row>, DatabaseError> {
    let found = transaction.system(Namespace::ROOT).find_last(&name(table), index, values)?;
    found.as_ref().map(row).transpose()
}

/// As if [`find`] had looked and found nothing.
pub(crate) fn find_none(
    transaction: &mut Transaction,
    table: &str,
    index: &str,
    values: &[Value],
) -> Result<(), DatabaseError> {
    transaction.system(Namespace::ROOT).find_none(&name(table), index, values)
}

/// All rows whose indexed fields, all or the first of them, equal the values.
pub(crate) fn select(
    transaction: &mut Transaction,
    table: &str,
    index: &str,
    values: &[Value],
) -> Result<Vec<Row>, DatabaseError> {
    let found = transaction.system(Namespace::ROOT).find(&name(table), index, values)?;
    found.iter().map(row).collect()
}

/// All rows of a table.
pub(crate) fn all(transaction: &mut Transaction, table: &str) -> Result<Vec<Row>, DatabaseError> {
    let found = transaction.system(Namespace::ROOT).all(&name(table))?;
    found.iter().map(row).collect()
}

/// The first rows of an index between bounds on one of its fields, at most `rows_max` of them. Depends on nothing after
/// the last one.
pub(crate) fn range(
    transaction: &mut Transaction,
    table: &str,
    index: &str,
    field: &str,
    bounds: &Bounds,
    rows_max: usize,
) -> Result<Vec<Row>, DatabaseError> {
    let query = range_query(table, index, field, bounds, vec![Operator::Limit(rows_max as u64)]);
    // Before its first row the table does not exist, and has no indexes either.
    if transaction.catalog().table_by_name(Namespace::ROOT, &name(table)).is_none() {
        transaction.system(Namespace::ROOT).count(&name(table))?;
        return Ok(Vec::new());
    }
    let found = transaction.system(Namespace::ROOT).collect(&query)?;
    found.iter().map(row).collect()
}

/// One page after another of what [`range`] reads, however many rows are equal in the field: some rows, and where to go on,
/// unless that was the end.
pub(crate) fn page(
    transaction: &mut Transaction,
    (table, index, field): (&str, &str, &str),
    bounds: &Bounds,
    cursor: Option<String>,
    page_size: u64,
) -> Result<(Vec<Row>, Option<String>), DatabaseError> {
    let page = transaction.system(Namespace::ROOT).paginate(&PageRequest {
        query: range_query(table, index, field, bounds, Vec::new()),
        cursor,
        end_cursor: None,
        journal: None,
        page_size,
        rows_read_max: None,
        bytes_read_max: None,
    })?;
    let rows = page.rows.iter().map(row).collect::<Result<_, _>>()?;
    Ok((rows, (!page.is_done).then_some(page.continue_cursor)))
}

fn range_query(table: &str, index: &str, field: &str, bounds: &Bounds, operators: Vec<Operator>) -> Query {
    let bound = |field: &str, comparison, value: &Value| RangeExpression {
        comparison,
        field: field.parse().expect("fields of the engine's indexes are field paths"),
        value: Some(value.clone()),
    };
    let within = bounds.within.as_ref().map(|(first, value)| bound(first, RangeComparison::Eq, value));
    let above = bounds.above.as_ref().map(|value| bound(field, RangeComparison::Gt, value));
    let below = bounds.below.as_ref().map(|value| bound(field, RangeComparison::Lt, value));
    Query {
        source: QuerySource::IndexRange {
            table: name(table),
            index: index.parse().expect("names of the engine's indexes are identifiers"),
            range: within.into_iter().chain(above).chain(below).collect(),
            order: Order::Asc,
        },
        operators,
    }
}

pub(crate) fn insert(
    transaction: &mut Transaction,
    table: &str,
    fields: Object,
) -> Result<DocumentId, DatabaseError> {
    transaction.system(Namespace::ROOT).insert(&name(table), fields)
}

pub(crate) fn replace(
    transaction: &mut Transaction,
    table: &str,
    id: DocumentId,
    fields: Object,
) -> Result<(), DatabaseError> {
    transaction.system(Namespace::ROOT).replace(&name(table), id, fields)
}

pub(crate) fn delete(
    transaction: &mut Transaction,
    table: &str,
    id: DocumentId,
) -> Result<(), DatabaseError> {
    transaction.system(Namespace::ROOT).delete(&name(table), id).map(drop)
}

fn row(document: &Arc<Document>) -> Result<Row, DatabaseError> {
    Ok(Row { id: document.id(), fields: document.object()?.clone() })
}

fn name(table: &str) -> TableName {
    table.parse().expect("names of the engine's tables are identifiers")
}
