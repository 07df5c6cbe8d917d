//! Any sequence of transactions behaves as it would on a plain map, whatever part of it the store has so far.

mod rows;
mod steps;

use std::collections::BTreeMap;

use freshet_values::{FieldPath, IndexName};
use proptest::prelude::*;

use super::*;
use crate::query::{BinaryOperator, Expression, Operator, QuerySource, RangeExpression};
use crate::{CommitError, IndexId, IndexSpec, IndexState, Order, Page, PageRequest};
use rows::{Asked, INDEXES, LATE, Place, Rows};
use steps::{Fields, Step, step};

/// The first page of a query: the cursor at its end, and the place of the last row unless it was the only page.
struct Kept {
    asked: Asked,
    end_cursor: String,
    end: Option<Place>,
}

struct Case {
    database: Database,
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    transaction: Transaction,
    model: Rows,
    committed: Rows,
    /// What was committed when.
    past: Vec<(Timestamp, Rows)>,
    outer: Vec<Rows>,
    late: Option<IndexId>,
    /// The transaction has done nothing so far.
    is_fresh: bool,
    /// An index changed since the transaction began, so it may meet a conflict.
    is_disturbed: bool,
    kept: Option<Kept>,
}

fn full(document: &Document) -> (String, Object) {
    (document.id().to_string(), document.object().unwrap().clone())
}

fn to_query(asked: &Asked) -> Query {
    let range = asked.bounds().into_iter().map(|(comparison, field, value)| RangeExpression {
        comparison,
        field: field.parse().unwrap(),
        value,
    });
    let source = QuerySource::IndexRange {
        table: name("t"),
        index: INDEXES[asked.index].0.parse().unwrap(),
        range: range.collect(),
        order: if asked.descending { Order::Desc } else { Order::Asc },
    };
    let operators = asked.filter.iter().map(|wanted| {
        let operands = (Expression::Field("a".parse().unwrap()), Expression::Literal(wanted.clone()));
        Operator::Filter(Expression::Binary(BinaryOperator::Eq, Box::new(operands)))
    });
    Query { source, operators: operators.collect() }
}

fn expected(asked: &Asked, rows: &Rows) -> Vec<(String, Object)> {
    let found = asked.rows(rows).into_iter().filter(|(_, row)| asked.accepts(row));
    found.map(|((_, _, id), row)| (id, row)).collect()
}

fn page(transaction: &mut Transaction, asked: &Asked, cursors: [Option<&String>; 2], size: u64) -> Page {
    let request = PageRequest {
        query: to_query(asked),
        cursor: cursors[0].cloned(),
        end_cursor: cursors[1].cloned(),
        journal: None,
        page_size: size,
        rows_read_max: None,
        bytes_read_max: None,
    };
    transaction.user(Namespace::ROOT).paginate(&request).unwrap()
}

fn rows_of(page: &Page) -> Vec<(String, Object)> {
    page.rows.iter().map(|row| full(row)).collect()
}

impl Case {
    fn new() -> Case {
        let store = Arc::new(MemoryStore::new());
        let clock = ManualClock::new(Timestamp(1_700_000_000_000_000_000));
        let options = DatabaseOptions { backfill_chunk: 2, ..DatabaseOptions::default() };
        let database = Database::open_stepped(
            Arc::clone(&store) as Arc<dyn Store>,
            options,
            Arc::clone(&clock) as _,
            Randomness::from_seed([1; 32]),
        )
        .unwrap();
        let mut transaction = database.begin().unwrap();
        transaction.create_table_if_missing(Namespace::ROOT, &name("t")).unwrap();
        for index in 0..LATE {
            let id = declare(&mut transaction, index);
            transaction.enable_index(id).unwrap();
        }
        let commit = database.commit(transaction).unwrap();
        let transaction = database.begin().unwrap();
        Case {
            database,
            store,
            clock,
            transaction,
            model: Rows::new(),
            committed: Rows::new(),
            past: vec![(commit.ts, Rows::new())],
            outer: Vec::new(),
            late: None,
            is_fresh: true,
            is_disturbed: false,
            kept: None,
        }
    }

    fn begin(&mut self) {
        // Creation times are doubles: transactions less than a microsecond apart may share one.
        self.clock.advance(1_000_000);
        self.transaction = self.database.begin().unwrap();
        self.model = self.committed.clone();
        self.is_fresh = true;
        self.is_disturbed = false;
    }

    fn pick(&self, row: usize) -> Option<String> {
        (!self.model.is_empty()).then(|| self.model.keys().nth(row % self.model.len()).unwrap().clone())
    }

    /// The query, unless its index cannot be used yet.
    fn usable<'a>(&self, asked: &'a Asked) -> Option<&'a Asked> {
        let catalog = self.transaction.catalog();
        let state = self.late.and_then(|late| catalog.index(late)).map(|index| index.state);
        (asked.index != LATE || state == Some(IndexState::Enabled)).then_some(asked)
    }

    fn step(&mut self, step: Step) {
        let fresh = std::mem::take(&mut self.is_fresh);
        let mut user = self.transaction.user(Namespace::ROOT);
        match step {
            Step::Insert(fields) => {
                let id = user.insert("t", value_of(&fields)).unwrap().to_string();
                let row = user.get(&id, None, false).unwrap().unwrap();
                assert_eq!(fields_of(&row), object_of(&fields));
                self.model.insert(id, row.object().unwrap().clone());
            }
            Step::Patch(row, fields) => {
                if let Some(id) = self.pick(row) {
                    let patch: BTreeMap<_, _> = [("a", &fields.a), ("n", &fields.n)]
                        .map(|(field, value)| (field.to_owned(), value.clone()))
                        .into();
                    let mut user = self.transaction.user(Namespace::ROOT);
                    user.patch(&id, None, patch.clone()).unwrap();
                    let row = self.model.get_mut(&id).unwrap();
                    for (field, value) in patch {
                        match value {
                            Some(value) => row.insert(field, value),
                            None => row.remove(&field),
                        };
                    }
                }
            }
            Step::Replace(row, fields) => {
                if let Some(id) = self.pick(row) {
                    let mut user = self.transaction.user(Namespace::ROOT);
                    user.replace(&id, None, value_of(&fields)).unwrap();
                    let row = self.model.get_mut(&id).unwrap();
                    row.retain(|field, _| field.starts_with('_'));
                    row.extend(object_of(&fields));
                }
            }
            Step::Delete(row) => {
                if let Some(id) = self.pick(row) {
                    let mut user = self.transaction.user(Namespace::ROOT);
                    user.delete(&id, None).unwrap();
                    self.model.remove(&id);
                    assert!(user.delete(&id, None).is_err());
                    assert!(user.get(&id, None, false).unwrap().is_none());
                }
            }
            Step::BeginSub => {
                self.transaction.begin_sub(None);
                self.outer.push(self.model.clone());
            }
            Step::CommitSub => {
                if self.outer.pop().is_some() {
                    self.transaction.commit_sub().unwrap();
                }
            }
            Step::RollbackSub => {
                if let Some(before) = self.outer.pop() {
                    self.transaction.rollback_sub().unwrap();
                    self.model = before;
                }
            }
            Step::Collect(asked, limit) => {
                if let Some(asked) = self.usable(&asked) {
                    let mut query = to_query(asked);
                    query.operators.extend(limit.map(Operator::Limit));
                    let found = collect(&mut self.transaction, &query);
                    let mut wanted = expected(asked, &self.model);
                    wanted.truncate(limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap()));
                    assert_eq!(found.iter().map(|row| full(row)).collect::<Vec<_>>(), wanted, "{asked:?}");
                }
            }
            Step::Partly(asked, count) => {
                if let Some(asked) = self.usable(&asked) {
                    let query = to_query(asked);
                    let stream = self.transaction.user(Namespace::ROOT).open_query(&query).unwrap();
                    let wanted = expected(asked, &self.model);
                    for at in 0..count {
                        let row = self.transaction.next(stream).unwrap();
                        assert_eq!(row.map(|row| full(&row)).as_ref(), wanted.get(at), "{asked:?}");
                    }
                    self.transaction.close(stream);
                }
            }
            Step::Pages(asked, size) => {
                if let Some(asked) = self.usable(&asked) {
                    pages(&mut self.transaction, asked, size, &self.model);
                }
            }
            Step::KeepPage(asked, size) => {
                if let Some(asked) = self.usable(&asked) {
                    let first = page(&mut self.transaction, asked, [None, None], size);
                    let at = |row: &(String, Object)| asked.place(&row.0, &row.1);
                    let end = if first.is_done { None } else { rows_of(&first).last().map(at) };
                    self.kept = Some(Kept { asked: asked.clone(), end_cursor: first.continue_cursor, end });
                }
            }
            Step::ReadKeptPage => {
                if let Some(kept) = self.kept.as_ref().filter(|kept| self.usable(&kept.asked).is_some()) {
                    let cursors = [None, Some(&kept.end_cursor)];
                    let again = page(&mut self.transaction, &kept.asked, cursors, 1);
                    let mut wanted = expected(&kept.asked, &self.model);
                    wanted.retain(|(id, row)| {
                        let place = kept.asked.place(id, row);
                        kept.end.as_ref().is_none_or(|end| {
                            if kept.asked.descending { place >= *end } else { place <= *end }
                        })
                    });
                    assert_eq!(rows_of(&again), wanted, "{:?}", kept.asked);
                    assert_eq!(again.continue_cursor, kept.end_cursor);
                }
            }
            Step::Everything => check(&mut self.transaction, &self.model),
            Step::Commit | Step::Drop => self.end(matches!(step, Step::Commit)),
            Step::Past(ago, asked) => {
                self.is_fresh = fresh;
                let (ts, rows) = &self.past[self.past.len() - 1 - ago % self.past.len()];
                let mut past = self.database.begin_at(*ts).unwrap();
                if asked.index != LATE {
                    let found = collect(&mut past, &to_query(&asked));
                    let found: Vec<_> = found.iter().map(|row| full(row)).collect();
                    assert_eq!(found, expected(&asked, rows), "{asked:?} at {ts}");
                }
                check(&mut past, rows);
            }
            Step::Store => {
                self.is_fresh = fresh;
                self.database.step_commit();
            }
            Step::MakeIndex => {
                if fresh && self.late.is_none() {
                    let mut transaction = self.database.begin().unwrap();
                    self.late = Some(declare(&mut transaction, LATE));
                    self.note(transaction);
                    self.begin();
                }
            }
            Step::Maintain => {
                self.is_fresh = fresh;
                self.database.step_maintenance().unwrap();
                self.is_disturbed = true;
                self.past.push((self.database.visible_ts(), self.committed.clone()));
                let catalog = self.database.catalog();
                let state = self.late.and_then(|late| catalog.index(late)).map(|index| index.state);
                if let Some((late, IndexState::Backfilled)) = self.late.zip(state) {
                    let mut transaction = self.database.begin().unwrap();
                    transaction.enable_index(late).unwrap();
                    self.note(transaction);
                }
            }
        }
    }

    /// Commits something that changes no document.
    fn note(&mut self, transaction: Transaction) {
        let commit = self.database.commit(transaction).unwrap();
        self.past.push((commit.ts, self.committed.clone()));
    }

    fn end(&mut self, keep: bool) {
        while self.outer.pop().is_some() {
            self.transaction.commit_sub().unwrap();
        }
        let next = self.database.begin().unwrap();
        let transaction = std::mem::replace(&mut self.transaction, next);
        if keep {
            let had_writes = transaction.has_writes();
            match self.database.commit(transaction) {
                Ok(commit) => {
                    self.committed = self.model.clone();
                    if had_writes {
                        self.past.push((commit.ts, self.committed.clone()));
                    }
                }
                Err(CommitError::Conflict { .. }) => assert!(self.is_disturbed, "alone there is no conflict"),
                Err(other) => panic!("{other}"),
            }
        }
        self.begin();
    }
}

/// Reads all pages; then each again between its cursors, and cut in two where that is offered.
fn pages(transaction: &mut Transaction, asked: &Asked, size: u64, model: &Rows) {
    let mut cursor = None;
    let mut found = Vec::new();
    loop {
        let next = page(transaction, asked, [cursor.as_ref(), None], size);
        assert!(next.is_done || next.rows.len() as u64 == size, "{asked:?}");
        let end = Some(&next.continue_cursor);
        let again = page(transaction, asked, [cursor.as_ref(), end], 1);
        assert_eq!(rows_of(&again), rows_of(&next), "{asked:?}");
        if let Some(split) = &next.split_cursor {
            let mut halves = rows_of(&page(transaction, asked, [cursor.as_ref(), Some(split)], 1));
            halves.extend(rows_of(&page(transaction, asked, [Some(split), end], 1)));
            assert_eq!(halves, rows_of(&next), "{asked:?}");
        }
        found.extend(rows_of(&next));
        if next.is_done {
            break;
        }
        cursor = Some(next.continue_cursor);
    }
    assert_eq!(found, expected(asked, model), "{asked:?}");
}

/// Compares ways of reading that need no index of the app.
fn check(transaction: &mut Transaction, model: &Rows) {
    let mut by_time: Vec<_> = model.clone().into_iter().collect();
    by_time.sort_by(|(_, a), (_, b)| a["_creationTime"].cmp(&b["_creationTime"]));
    let rows = |transaction: &mut Transaction, query: &Query| -> Vec<(String, Object)> {
        collect(transaction, query).iter().map(|document| full(document)).collect()
    };
    assert_eq!(rows(transaction, &scan("t", "asc", serde_json::json!([]))), by_time);
    by_time.reverse();
    assert_eq!(rows(transaction, &scan("t", "desc", serde_json::json!([]))), by_time);
    let by_id: Vec<_> = model.clone().into_iter().collect();
    assert_eq!(rows(transaction, &range("t.by_id", "asc", serde_json::json!([]))), by_id);
    assert_eq!(transaction.user(Namespace::ROOT).count("t").unwrap(), model.len() as u64);
    for (id, row) in model {
        let found = transaction.user(Namespace::ROOT).get(id, Some("t"), false).unwrap().unwrap();
        assert_eq!(found.object().unwrap(), row);
    }
}

fn declare(transaction: &mut Transaction, index: usize) -> IndexId {
    let (index, fields) = INDEXES[index];
    let fields: Vec<FieldPath> = fields.iter().map(|field| field.parse().unwrap()).collect();
    let index: IndexName = index.parse().unwrap();
    let spec = IndexSpec::Database { fields };
    transaction.create_index(Namespace::ROOT, &name("t"), &index, spec, false).unwrap()
}

fn object_of(fields: &Fields) -> Object {
    [("a", &fields.a), ("b", &fields.b), ("n", &fields.n)]
        .into_iter()
        .filter_map(|(field, value)| Some((field.to_owned(), value.clone()?)))
        .collect()
}

fn value_of(fields: &Fields) -> Value {
    Value::Object(object_of(fields))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn transactions_behave_as_on_a_plain_map(steps in prop::collection::vec(step(), 1..60)) {
        let mut case = Case::new();
        for step in steps {
            case.step(step);
        }
        check(&mut case.transaction, &case.model);
        // What the store has in the end is what was committed.
        while case.database.step_commit() {}
        check(&mut case.database.begin().unwrap(), &case.committed);
        let store: Arc<dyn Store> = Arc::new(case.store.after_crash());
        let options = DatabaseOptions::default();
        let clock = Arc::clone(&case.clock);
        let reopened =
            Database::open_stepped(store, options, clock as _, Randomness::from_seed([2; 32])).unwrap();
        let mut transaction = reopened.begin().unwrap();
        check(&mut transaction, &case.committed);
        for index in 0..LATE {
            let all = Asked {
                index, equal: vec![], lower: None, upper: None, descending: false, filter: None,
            };
            pages(&mut transaction, &all, 3, &case.committed);
        }
    }
}
