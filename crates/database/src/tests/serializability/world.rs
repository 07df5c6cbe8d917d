//! What histories run on: a database in steps with a small table, and the operations of a transaction on it.
//!
//! Rows are lists to which unique values are appended, so that every version of a row tells who wrote it and what was
//! there before (Kingsbury and Alvaro: Elle, PVLDB 14(3), 2020, section 3.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use freshet_store::{MemoryStore, Order, Store};
use freshet_values::{
    DocumentId, FieldPath, IndexName, InternalId, TableName, TableNumber, Timestamp, Value,
};

use super::super::{field, name};
use crate::query::{QuerySource, RangeComparison, RangeExpression};
use crate::{
    Database, DatabaseOptions, Document, IndexSpec, IndexState, ManualClock, Namespace, PageRequest, Query,
    Randomness, Transaction,
};

/// Rows that exist when a history begins; others can be added to it.
pub(super) const PRESENT: u8 = 4;
/// Rows of the table at most.
pub(super) const ROWS: u8 = 6;
/// The row of a table that does not exist when a history begins.
pub(super) const NEW: u8 = ROWS;
/// All rows, that one included.
pub(super) const KEYS: usize = NEW as usize + 1;
/// Values of the field that moves rows within an index.
pub(super) const CATEGORIES: u8 = 3;
/// Histories on one database; then it has grown enough.
const HISTORIES_MAX: usize = 400;

/// One step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Reads a row, or that there is none, by id.
    Get(u8),
    /// Reads a row, or that there is none, by index.
    Find(u8),
    /// Reads rows between two keys. With `take`, stops asking after so many rows.
    Range {
        above: Option<(u8, bool)>,
        below: Option<(u8, bool)>,
        descending: bool,
        take: Option<u8>,
    },
    /// Reads rows of one category, at most `take`.
    Category {
        category: u8,
        take: Option<u8>,
    },
    /// Reads all rows in order of creation.
    Scan,
    /// Reads the number of rows.
    Count,
    /// Reads so many pages of so many rows, from the first row on.
    Pages {
        size: u8,
        pages: u8,
    },
    /// Reads the list and appends a value, which also moves the row to another category. A row that did not exist at first and is
    /// missing is inserted.
    Append(u8),
    /// Removes a row that existed at first, if it is there.
    Delete(u8),
    /// Reads the table that did not exist at first.
    Peek,
    /// Makes that table with one row, unless the row is there.
    Create,
    BeginSub,
    CommitSub,
    RollbackSub,
}

/// A row as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: u8,
    pub(super) list: Vec<u32>,
    pub(super) category: u8,
}

/// What an operation saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    Rows(Vec<Row>),
    Count(u64),
}

/// See the module.
pub(super) struct World {
    pub(super) database: Database,
    clock: Arc<ManualClock>,
    table: TableName,
    new_table: TableName,
    by_key: IndexName,
    by_category: IndexName,
    key: FieldPath,
    category: FieldPath,
    /// Ids of all rows, also of those that do not exist yet.
    ids: [DocumentId; ROWS as usize],
    histories: usize,
}

impl World {
    pub(super) fn new() -> World {
        let clock = ManualClock::new(Timestamp(1_700_000_000_000_000_000));
        let database = Database::open_stepped(
            Arc::new(MemoryStore::new()) as Arc<dyn Store>,
            DatabaseOptions::default(),
            Arc::clone(&clock) as _,
            Randomness::from_seed([1; 32]),
        )
        .unwrap();
        let world = World {
            database,
            clock,
            table: name("t"),
            new_table: name("new"),
            by_key: "by_key".parse().unwrap(),
            by_category: "by_category".parse().unwrap(),
            key: "k".parse().unwrap(),
            category: "c".parse().unwrap(),
            ids: [DocumentId::new(TableNumber(1), InternalId([0; 16])); ROWS as usize],
            histories: 0,
        };
        let mut transaction = world.database.begin().unwrap();
        transaction.create_table_if_missing(Namespace::ROOT, &world.table).unwrap();
        world.database.commit(transaction).unwrap();
        let mut transaction = world.database.begin().unwrap();
        for (index, fields) in
            [(&world.by_key, vec![&world.key]), (&world.by_category, vec![&world.category, &world.key])]
        {
            let spec = IndexSpec::Database { fields: fields.into_iter().cloned().collect() };
            let id = transaction.create_index(Namespace::ROOT, &world.table, index, spec, false).unwrap();
            assert_eq!(transaction.catalog().index(id).unwrap().state, IndexState::Backfilled);
            transaction.enable_index(id).unwrap();
        }
        world.database.commit(transaction).unwrap();
        world
    }

    /// The world for the next history: the same rows as ever, and the new table not there.
    pub(super) fn reset(&mut self) {
        if self.histories == HISTORIES_MAX {
            let weakness = self.database.shared().weakness.get();
            *self = World::new();
            self.database.shared().weakness.set(weakness);
        }
        self.histories += 1;
        self.new_table = name(&format!("new{}", self.histories));
        // Older than the window: it keeps the commits of one history only.
        self.clock.advance(120 * 1_000_000_000);
        let mut transaction = self.database.begin().unwrap();
        let old = self.query(QuerySource::FullTableScan { table: self.table.clone(), order: Order::Asc });
        let mut user = transaction.user(Namespace::ROOT);
        for row in user.collect(&old).unwrap() {
            user.delete(&row.id().to_string(), None).unwrap();
        }
        for key in 0..PRESENT {
            self.ids[usize::from(key)] = user.insert("t", row_value(key, &[], key % CATEGORIES)).unwrap();
        }
        for key in PRESENT..ROWS {
            let random = InternalId::generate(Timestamp::ZERO, self.database.randomness().bytes());
            self.ids[usize::from(key)] = DocumentId::new(self.ids[0].table, random);
        }
        self.database.commit(transaction).unwrap();
        self.database.step_commit();
    }

    /// Does one operation; `value` is unique.
    pub(super) fn run(&self, transaction: &mut Transaction, op: Op, value: u32) -> Seen {
        let mut user = transaction.user(Namespace::ROOT);
        match op {
            Op::Get(key) => {
                let id = self.ids[usize::from(key)].to_string();
                Seen::Rows(user.get(&id, None, false).unwrap().iter().map(|row| seen(row)).collect())
            }
            Op::Find(key) => Seen::Rows(self.find(transaction, key).iter().map(|row| seen(row)).collect()),
            Op::Range { above, below, descending, take } => {
                let bound = |bound: Option<(u8, bool)>, loose, strict| {
                    bound.map(|(key, inclusive)| RangeExpression {
                        comparison: if inclusive { loose } else { strict },
                        field: self.key.clone(),
                        value: Some(Value::Int64(key.into())),
                    })
                };
                let lower = bound(above, RangeComparison::Gte, RangeComparison::Gt);
                let upper = bound(below, RangeComparison::Lte, RangeComparison::Lt);
                let order = if descending { Order::Desc } else { Order::Asc };
                let range = lower.into_iter().chain(upper).collect();
                let query = self.range(&self.by_key, range, order);
                Seen::Rows(take_rows(transaction, &query, take))
            }
            Op::Category { category, take } => {
                let range = vec![equals(&self.category, category)];
                let query = self.range(&self.by_category, range, Order::Asc);
                Seen::Rows(take_rows(transaction, &query, take))
            }
            Op::Scan => {
                let table = self.table.clone();
                let query = self.query(QuerySource::FullTableScan { table, order: Order::Asc });
                let mut rows = take_rows(transaction, &query, None);
                // Who was created first is not the order of commits.
                rows.sort_by_key(|row| row.key);
                Seen::Rows(rows)
            }
            Op::Count => Seen::Count(user.count("t").unwrap()),
            Op::Pages { size, pages } => {
                let mut request = PageRequest {
                    query: self.range(&self.by_key, Vec::new(), Order::Asc),
                    cursor: None,
                    end_cursor: None,
                    journal: None,
                    page_size: size.into(),
                    rows_read_max: None,
                    bytes_read_max: None,
                };
                let mut rows = Vec::new();
                for _ in 0..pages {
                    let page = user.paginate(&request).unwrap();
                    rows.extend(page.rows.iter().map(|row| seen(row)));
                    if page.is_done {
                        break;
                    }
                    request.cursor = Some(page.continue_cursor);
                }
                Seen::Rows(rows)
            }
            Op::Append(key) => {
                let found = self.find(transaction, key);
                let mut user = transaction.user(Namespace::ROOT);
                let category = category_of(value);
                if let Some(row) = found.first() {
                    let mut list = seen(row).list;
                    list.push(value);
                    let fields = [("v", list_value(&list)), ("c", Value::Int64(category.into()))];
                    let fields: BTreeMap<_, _> =
                        fields.into_iter().map(|(field, value)| (field.to_owned(), Some(value))).collect();
                    user.patch(&row.id().to_string(), None, fields).unwrap();
                } else if key >= PRESENT {
                    self.put(transaction, key, row_value(key, &[value], category));
                }
                Seen::Rows(found.iter().map(|row| seen(row)).collect())
            }
            Op::Delete(key) => {
                let found = self.find(transaction, key);
                let mut user = transaction.user(Namespace::ROOT);
                if let Some(row) = found.first().filter(|_| key < PRESENT) {
                    user.delete(&row.id().to_string(), None).unwrap();
                }
                Seen::Rows(found.iter().map(|row| seen(row)).collect())
            }
            Op::Peek => Seen::Rows(self.peek(transaction)),
            Op::Create => {
                let rows = self.peek(transaction);
                if rows.is_empty() {
                    let row = row_value(NEW, &[value], category_of(value));
                    transaction.user(Namespace::ROOT).insert(self.new_table.as_str(), row).unwrap();
                }
                Seen::Rows(rows)
            }
            Op::BeginSub => {
                transaction.begin_sub(None);
                Seen::Nothing
            }
            Op::CommitSub => {
                transaction.commit_sub().unwrap();
                Seen::Nothing
            }
            Op::RollbackSub => {
                transaction.rollback_sub().unwrap();
                Seen::Nothing
            }
        }
    }

    /// Inserts a row whose id others know already, as an import does.
    fn put(&self, transaction: &mut Transaction, key: u8, row: Value) {
        let id = self.ids[usize::from(key)];
        let Value::Object(mut row) = row else { unreachable!("rows are objects") };
        row.insert("_id".to_owned(), Value::String(id.to_string()));
        row.insert("_creationTime".to_owned(), Value::Float64(f64::from(key)));
        transaction.system(Namespace::ROOT).put(&self.table, id, row).unwrap();
    }

    fn find(&self, transaction: &mut Transaction, key: u8) -> Vec<Arc<Document>> {
        let query = self.range(&self.by_key, vec![equals(&self.key, key)], Order::Asc);
        let rows = transaction.user(Namespace::ROOT).collect(&query).unwrap();
        assert!(rows.len() <= 1, "{} rows have the key {key}", rows.len());
        rows
    }

    fn peek(&self, transaction: &mut Transaction) -> Vec<Row> {
        let source = QuerySource::FullTableScan { table: self.new_table.clone(), order: Order::Asc };
        take_rows(transaction, &self.query(source), None)
    }

    fn query(&self, source: QuerySource) -> Query {
        Query { source, operators: Vec::new() }
    }

    fn range(&self, index: &IndexName, range: Vec<RangeExpression>, order: Order) -> Query {
        self.query(QuerySource::IndexRange { table: self.table.clone(), index: index.clone(), range, order })
    }
}

/// The category of a row whose last value is this.
pub(super) fn category_of(value: u32) -> u8 {
    u8::try_from(value % u32::from(CATEGORIES)).unwrap()
}

fn equals(field: &FieldPath, value: u8) -> RangeExpression {
    RangeExpression {
        comparison: RangeComparison::Eq,
        field: field.clone(),
        value: Some(Value::Int64(value.into())),
    }
}

/// Asks for one row after the other, at most `take`, as a loop in app code would.
fn take_rows(transaction: &mut Transaction, query: &Query, take: Option<u8>) -> Vec<Row> {
    let stream = transaction.user(Namespace::ROOT).open_query(query).unwrap();
    let mut rows = Vec::new();
    while take.is_none_or(|take| rows.len() < usize::from(take)) {
        let Some(row) = transaction.next(stream).unwrap() else { break };
        rows.push(seen(&row));
    }
    transaction.close(stream);
    rows
}

fn seen(row: &Document) -> Row {
    let list = field(row, "v");
    Row {
        key: u8::try_from(field(row, "k").as_i64().unwrap()).unwrap(),
        list: list.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as u32).collect(),
        category: u8::try_from(field(row, "c").as_i64().unwrap()).unwrap(),
    }
}

fn list_value(list: &[u32]) -> Value {
    Value::Array(list.iter().map(|value| Value::Float64(f64::from(*value))).collect())
}

fn row_value(key: u8, list: &[u32], category: u8) -> Value {
    Value::object([
        ("k", Value::Int64(key.into())),
        ("v", list_value(list)),
        ("c", Value::Int64(category.into())),
    ])
}
