//! All ways in which small transactions can overlap.
//!
//! Pairs are interleaved operation by operation. A transaction shares nothing with others between its beginning and its
//! commit (which the pairs and the random histories would notice), so for triples the order of beginnings and commits
//! is all that differs.

use super::history::{Event, describe, explain};
use super::world::{Op, World};

/// A transaction.
struct Program {
    name: &'static str,
    /// It reads the state as it was this many commits ago.
    past: Option<usize>,
    ops: &'static [Op],
}

const fn program(name: &'static str, ops: &'static [Op]) -> Program {
    Program { name, past: None, ops }
}

const ALL: Op = Op::Range { above: None, below: None, descending: false, take: None };

/// Transactions for triples and pairs.
const PROGRAMS: &[Program] = &[
    program("write skew, one side", &[Op::Find(0), Op::Find(1), Op::Append(0)]),
    program("write skew, other side", &[Op::Get(0), Op::Get(1), Op::Append(1)]),
    program("reads both, writes neither", &[Op::Find(0), Op::Find(1)]),
    program("update", &[Op::Append(1)]),
    program("insert unless there", &[Op::Append(4)]),
    program("reads a missing row by id", &[Op::Get(4), Op::Append(0)]),
    program(
        "reads a range with room for a new row",
        &[
            Op::Range { above: Some((2, false)), below: Some((4, true)), descending: false, take: None },
            Op::Append(0),
        ],
    ),
    program(
        "reads a range, deletes from it",
        &[
            Op::Range { above: Some((0, true)), below: Some((3, false)), descending: true, take: None },
            Op::Delete(2),
        ],
    ),
    program("reads one category, moves rows", &[Op::Category { category: 1, take: None }, Op::Append(2)]),
    program("undoes a nested call that read", &[Op::BeginSub, Op::Append(0), Op::RollbackSub, Op::Append(1)]),
    program("makes a table", &[Op::Create]),
    program("looks for a table", &[Op::Peek, Op::Append(0)]),
];

/// Transactions for pairs only.
const MORE_PROGRAMS: &[Program] = &[
    program("delete", &[Op::Delete(2)]),
    program("counts, inserts", &[Op::Count, Op::Append(5)]),
    program(
        "reads the first row of all, updates",
        &[Op::Range { above: None, below: None, descending: false, take: Some(1) }, Op::Append(3)],
    ),
    program(
        "reads the last row of all, inserts behind it",
        &[Op::Range { above: None, below: None, descending: true, take: Some(1) }, Op::Append(5)],
    ),
    program("reads two pages", &[Op::Pages { size: 2, pages: 2 }, Op::Delete(0)]),
    program("reads all", &[Op::Scan, Op::Category { category: 0, take: None }]),
    program("keeps a nested call", &[Op::BeginSub, Op::Append(2), Op::CommitSub, Op::Find(1)]),
    Program {
        name: "reads the past",
        past: Some(1),
        ops: &[ALL, Op::Count, Op::Category { category: 1, take: None }],
    },
];

/// The events of a program in one lane. `whole` takes all operations as one event would.
fn events(program: &Program, lane: usize) -> Vec<Event> {
    let begin = program.past.map_or(Event::Begin(lane), |ago| Event::BeginPast(lane, ago));
    let ops = program.ops.iter().map(|op| Event::Run(lane, *op));
    [begin].into_iter().chain(ops).chain([Event::Commit(lane)]).collect()
}

/// Calls `visit` with every interleaving of some sequences of events.
fn interleave(sequences: &[Vec<Vec<Event>>], visit: &mut impl FnMut(&[Event])) {
    fn go(
        sequences: &[Vec<Vec<Event>>],
        taken: &mut Vec<usize>,
        schedule: &mut Vec<Event>,
        visit: &mut impl FnMut(&[Event]),
    ) {
        let mut is_end = true;
        for lane in 0..sequences.len() {
            let Some(events) = sequences[lane].get(taken[lane]) else { continue };
            is_end = false;
            taken[lane] += 1;
            schedule.extend(events);
            go(sequences, taken, schedule, visit);
            schedule.truncate(schedule.len() - events.len());
            taken[lane] -= 1;
        }
        if is_end {
            visit(schedule);
        }
    }
    go(sequences, &mut vec![0; sequences.len()], &mut Vec::new(), visit);
}

/// Runs one schedule, with the store up to date or behind.
fn check(world: &mut World, names: &[&str], schedule: &[Event], lanes: usize) {
    if explain(world, schedule, lanes).is_err() {
        panic!("{names:?}: {}", describe(&mut World::new(), schedule, lanes));
    }
}

#[test]
fn every_interleaving_of_two_small_transactions_has_a_serial_explanation() {
    let mut world = World::new();
    let programs: Vec<&Program> = PROGRAMS.iter().chain(MORE_PROGRAMS).collect();
    let mut histories = 0;
    for (at, first) in programs.iter().enumerate() {
        for second in &programs[at..] {
            let sequences = [(0, first), (1, second)].map(|(lane, program)| {
                events(program, lane).into_iter().map(|event| vec![event]).collect::<Vec<_>>()
            });
            interleave(&sequences, &mut |schedule| {
                // By turns, so that reads come from the overlay and from the store.
                let mut schedule = schedule.to_vec();
                if histories % 2 == 0 {
                    let stores = schedule.iter().flat_map(|event| [*event, Event::Store]);
                    schedule = stores.collect();
                }
                check(&mut world, &[first.name, second.name], &schedule, 2);
                histories += 1;
            });
        }
    }
    assert!(histories > 5_000, "{histories}");
}

#[test]
fn every_order_of_beginnings_and_commits_of_three_small_transactions_has_a_serial_explanation() {
    let mut world = World::new();
    let mut histories = 0;
    for (a, first) in PROGRAMS.iter().enumerate() {
        for (b, second) in PROGRAMS.iter().enumerate().skip(a) {
            for third in &PROGRAMS[b..] {
                let sequences = [(0, first), (1, second), (2, third)].map(|(lane, program)| {
                    let mut rest = events(program, lane);
                    let begin = rest.remove(0);
                    vec![vec![begin], rest]
                });
                interleave(&sequences, &mut |schedule| {
                    check(&mut world, &[first.name, second.name, third.name], schedule, 3);
                    histories += 1;
                });
            }
        }
    }
    assert_eq!(histories, 364 * 90);
}
