//! Running a schedule of interleaved transactions, and what is known of those that committed.

use super::replay;
use super::world::{Op, PRESENT, Seen, World};
use super::{dependencies, world};
use crate::{CommitError, Transaction};
use freshet_values::Timestamp;

/// One event of a schedule. A lane has one transaction at a time, which begins with its first operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Begins, if nothing is under way.
    Begin(usize),
    /// Begins a reader of the past, as many commits ago, if nothing is under way.
    BeginPast(usize, usize),
    Run(usize, Op),
    Commit(usize),
    Drop(usize),
    /// The store catches up.
    Store,
}

/// A transaction that committed.
#[derive(Clone, Debug)]
pub(super) struct Done {
    /// Which of all transactions it was; the values that it wrote begin at a multiple of this.
    pub(super) number: u32,
    /// Its place in the order of timestamps. A reader stands just after the commit that its snapshot shows.
    pub(super) place: (Timestamp, bool),
    /// The events at which it began and was known to be committed.
    pub(super) began: usize,
    pub(super) ended: usize,
    /// It read the past, so it need not see what was acknowledged before it began.
    pub(super) is_past: bool,
    /// Its operations with the values that they wrote, if they did, and what they saw.
    pub(super) ops: Vec<(Op, u32, Seen)>,
}

/// Values of one transaction at most.
pub(super) const VALUES_MAX: u32 = 64;

struct Lane {
    transaction: Transaction,
    done: Done,
}

/// Runs a schedule; returns what committed, with a last reader of everything.
pub(super) fn run(world: &mut World, schedule: &[Event], lanes: usize) -> Result<Vec<Done>, String> {
    world.reset();
    let mut under_way: Vec<Option<Lane>> = (0..lanes).map(|_| None).collect();
    let mut commits = vec![world.database.visible_ts()];
    let mut begun = 0;
    let mut history = Vec::new();
    let last = [Op::Range { above: None, below: None, descending: false, take: None }, Op::Count, Op::Peek];
    let finish = last.iter().map(|op| Event::Run(0, *op)).chain([Event::Commit(0)]);
    let schedule = schedule.iter().copied().chain((0..lanes).map(Event::Drop)).chain(finish);
    for (at, event) in schedule.enumerate() {
        match event {
            Event::Begin(lane) => {
                under_way[lane].get_or_insert_with(|| begin(world, None, &mut begun, at));
            }
            Event::BeginPast(lane, ago) => {
                let ts = commits[commits.len() - 1 - ago % commits.len()];
                under_way[lane].get_or_insert_with(|| begin(world, Some(ts), &mut begun, at));
            }
            Event::Run(lane, op) => {
                let lane = under_way[lane].get_or_insert_with(|| begin(world, None, &mut begun, at));
                let writes = matches!(op, Op::Append(_) | Op::Delete(_) | Op::Create);
                let gone = matches!(op, Op::CommitSub | Op::RollbackSub) && lane.transaction.depth() == 0;
                if (writes && lane.done.is_past) || gone || lane.done.ops.len() as u32 == VALUES_MAX - 1 {
                    continue;
                }
                let value = lane.done.number * VALUES_MAX + lane.done.ops.len() as u32 + 1;
                let seen = world.run(&mut lane.transaction, op, value);
                lane.done.ops.push((op, value, seen));
            }
            Event::Commit(lane) => {
                let Some(mut lane) = under_way[lane].take() else { continue };
                while lane.transaction.depth() > 0 {
                    lane.transaction.commit_sub().unwrap();
                    lane.done.ops.push((Op::CommitSub, 0, Seen::Nothing));
                }
                let wrote = lane.transaction.has_writes();
                match world.database.commit(lane.transaction) {
                    Ok(commit) => {
                        if wrote {
                            commits.push(commit.ts);
                        }
                        lane.done.place = (commit.ts, !wrote);
                        lane.done.ended = at;
                        history.push(lane.done);
                    }
                    Err(CommitError::Conflict { .. }) => {}
                    Err(other) => return Err(other.to_string()),
                }
            }
            Event::Drop(lane) => under_way[lane] = None,
            Event::Store => {
                world.database.step_commit();
            }
        }
    }
    Ok(history)
}

fn begin(world: &World, past: Option<Timestamp>, begun: &mut u32, at: usize) -> Lane {
    let transaction = match past {
        None => world.database.begin().unwrap(),
        Some(ts) => world.database.begin_at(ts).unwrap(),
    };
    let done = Done {
        number: *begun,
        place: (Timestamp(0), false),
        began: at,
        ended: 0,
        is_past: past.is_some(),
        ops: Vec::new(),
    };
    *begun += 1;
    Lane { transaction, done }
}

/// Runs a schedule and has both checkers judge it.
pub(super) fn explain(world: &mut World, schedule: &[Event], lanes: usize) -> Result<(), String> {
    let history = run(world, schedule, lanes)?;
    dependencies::check(&history)?;
    replay::check(&history)
}

/// Leaves out events for as long as the rest still fails, and describes what remains.
pub(super) fn describe(world: &mut World, schedule: &[Event], lanes: usize) -> String {
    let mut schedule = schedule.to_vec();
    let mut at = 0;
    while at < schedule.len() {
        let mut shorter = schedule.clone();
        shorter.remove(at);
        if explain(world, &shorter, lanes).is_err() {
            schedule = shorter;
        } else {
            at += 1;
        }
    }
    let violation = explain(world, &schedule, lanes).err().unwrap_or_default();
    let history = run(world, &schedule, lanes);
    format!("{violation}\nschedule: {schedule:#?}\nhistory: {history:#?}")
}

/// Whether a row exists when a history begins.
pub(super) fn is_present_at_first(key: u8) -> bool {
    key < PRESENT
}

/// All keys.
pub(super) fn keys() -> std::ops::Range<u8> {
    0..u8::try_from(world::KEYS).unwrap()
}
