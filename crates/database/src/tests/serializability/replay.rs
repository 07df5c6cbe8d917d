//! What a history must look like: one transaction after the other, in the order of timestamps, on a plain array.

use super::history::{Done, is_present_at_first, keys};
use super::world::{CATEGORIES, KEYS, NEW, Op, PRESENT, ROWS, Row, Seen, category_of};

type Rows = [Option<Row>; KEYS];

/// Compares every read with what it would have been.
pub(super) fn check(history: &[Done]) -> Result<(), String> {
    let mut order: Vec<&Done> = history.iter().collect();
    order.sort_by_key(|done| done.place);
    let mut rows: Rows = std::array::from_fn(|key| {
        let key = u8::try_from(key).unwrap();
        is_present_at_first(key).then(|| Row { key, list: Vec::new(), category: key % CATEGORIES })
    });
    for done in order {
        let mut outer = Vec::new();
        for (op, value, seen) in &done.ops {
            let expected = step(&mut rows, &mut outer, *op, *value);
            if expected != *seen {
                return Err(format!(
                    "transaction {} at {:?}: {op:?} saw {seen:?}; alone it sees {expected:?}",
                    done.number, done.place
                ));
            }
        }
    }
    Ok(())
}

fn step(rows: &mut Rows, outer: &mut Vec<Rows>, op: Op, value: u32) -> Seen {
    let table = |rows: &Rows, of: &dyn Fn(&Row) -> bool| -> Vec<Row> {
        rows[..usize::from(ROWS)].iter().flatten().filter(|row| of(row)).cloned().collect()
    };
    let one = |rows: &Rows, key: u8| Seen::Rows(rows[usize::from(key)].iter().cloned().collect());
    let limit = |mut rows: Vec<Row>, take: Option<u8>| {
        rows.truncate(take.map_or(usize::MAX, usize::from));
        Seen::Rows(rows)
    };
    match op {
        Op::Get(key) | Op::Find(key) => one(rows, key),
        Op::Range { above, below, descending, take } => {
            let mut found = table(rows, &|row| {
                above.is_none_or(|(key, inclusive)| row.key > key || inclusive && row.key == key)
                    && below.is_none_or(|(key, inclusive)| row.key < key || inclusive && row.key == key)
            });
            if descending {
                found.reverse();
            }
            limit(found, take)
        }
        Op::Category { category, take } => limit(table(rows, &|row| row.category == category), take),
        Op::Scan => Seen::Rows(table(rows, &|_| true)),
        Op::Count => Seen::Count(table(rows, &|_| true).len() as u64),
        Op::Pages { size, pages } => limit(table(rows, &|_| true), Some(size * pages)),
        Op::Append(key) => {
            let seen = one(rows, key);
            match &mut rows[usize::from(key)] {
                Some(row) => {
                    row.list.push(value);
                    row.category = category_of(value);
                }
                missing if key >= PRESENT => {
                    *missing = Some(Row { key, list: vec![value], category: category_of(value) });
                }
                _ => {}
            }
            seen
        }
        Op::Delete(key) => {
            let seen = one(rows, key);
            if key < PRESENT {
                rows[usize::from(key)] = None;
            }
            seen
        }
        Op::Peek => one(rows, NEW),
        Op::Create => {
            let seen = one(rows, NEW);
            rows[usize::from(NEW)].get_or_insert_with(|| Row {
                key: NEW,
                list: vec![value],
                category: category_of(value),
            });
            seen
        }
        Op::BeginSub => {
            outer.push(rows.clone());
            Seen::Nothing
        }
        Op::CommitSub => {
            outer.pop();
            Seen::Nothing
        }
        Op::RollbackSub => {
            *rows = outer.pop().expect("only what began is undone");
            Seen::Nothing
        }
    }
}

/// Keys whose versions an operation saw, missing rows included.
pub(super) fn covered(op: Op, seen: &Seen) -> Vec<u8> {
    let Seen::Rows(rows) = seen else { return Vec::new() };
    match op {
        Op::Get(key) | Op::Find(key) | Op::Append(key) | Op::Delete(key) => vec![key],
        Op::Peek | Op::Create => vec![NEW],
        Op::Scan => (0..ROWS).collect(),
        Op::Range { above, below, descending, take } => {
            let full = take.is_some_and(|take| rows.len() == usize::from(take));
            let last = rows.last().filter(|_| full).map(|row| row.key);
            let in_bounds = |key: &u8| {
                above.is_none_or(|(bound, inclusive)| *key > bound || inclusive && *key == bound)
                    && below.is_none_or(|(bound, inclusive)| *key < bound || inclusive && *key == bound)
            };
            // With nothing asked for, nothing was looked at.
            if take == Some(0) {
                return Vec::new();
            }
            let passed =
                |key: &u8| last.is_none_or(|last| if descending { *key >= last } else { *key <= last });
            (0..ROWS).filter(in_bounds).filter(passed).collect()
        }
        Op::Pages { size, pages } => {
            let full = rows.len() == usize::from(size * pages);
            let last = rows.last().filter(|_| full).map_or(ROWS, |row| row.key);
            keys().filter(|key| *key < ROWS && *key <= last).collect()
        }
        // Who is missing has another category, or is not there: that does not name a version.
        Op::Category { .. } => rows.iter().map(|row| row.key).collect(),
        Op::Count | Op::BeginSub | Op::CommitSub | Op::RollbackSub => Vec::new(),
    }
}
