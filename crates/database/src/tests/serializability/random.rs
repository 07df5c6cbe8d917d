//! Many random histories of a few overlapping transactions.

use super::history::{Event, describe, explain};
use super::world::{CATEGORIES, Op, PRESENT, ROWS, World};

/// Transactions under way at one time.
pub(super) const LANES: usize = 4;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a history is its seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn small(&mut self, bound: u8) -> u8 {
        u8::try_from(self.below(bound.into())).unwrap()
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn maybe<T>(&mut self, percent: u64, make: impl FnOnce(&mut Dice) -> T) -> Option<T> {
        self.chance(percent).then(|| make(self))
    }
}

fn op(dice: &mut Dice) -> Op {
    match dice.below(100) {
        0..9 => Op::Get(dice.small(ROWS)),
        9..18 => Op::Find(dice.small(ROWS)),
        18..30 => Op::Range {
            above: dice.maybe(60, |dice| (dice.small(ROWS), dice.chance(50))),
            below: dice.maybe(60, |dice| (dice.small(ROWS), dice.chance(50))),
            descending: dice.chance(40),
            take: dice.maybe(50, |dice| dice.small(4)),
        },
        30..37 => {
            Op::Category { category: dice.small(CATEGORIES), take: dice.maybe(30, |dice| 1 + dice.small(2)) }
        }
        37..39 => Op::Scan,
        39..42 => Op::Count,
        42..46 => Op::Pages { size: 1 + dice.small(2), pages: 1 + dice.small(2) },
        46..72 => Op::Append(dice.small(ROWS)),
        72..77 => Op::Delete(dice.small(PRESENT)),
        77..80 => Op::Peek,
        80..82 => Op::Create,
        82..89 => Op::BeginSub,
        89..93 => Op::CommitSub,
        _ => Op::RollbackSub,
    }
}

/// The schedule of a seed.
pub(super) fn schedule(seed: u64) -> Vec<Event> {
    let mut dice = Dice::new(seed);
    let length = 8 + dice.below(20);
    let mut events = Vec::new();
    for _ in 0..length {
        let lane = usize::try_from(dice.below(LANES as u64)).unwrap();
        match dice.below(100) {
            0..6 => events.push(Event::Begin(lane)),
            6..9 => events.push(Event::BeginPast(lane, usize::try_from(dice.below(3)).unwrap())),
            9..62 => events.push(Event::Run(lane, op(&mut dice))),
            62..70 => {
                // A nested call as a whole; parts of nested calls are among the operations.
                let end = if dice.chance(70) { Op::RollbackSub } else { Op::CommitSub };
                events.extend([Op::BeginSub, op(&mut dice), end].map(|op| Event::Run(lane, op)));
            }
            70..92 => events.push(Event::Commit(lane)),
            92..93 => events.push(Event::Drop(lane)),
            _ => events.push(Event::Store),
        }
    }
    events
}

/// Runs the histories of these seeds; the seed of the first that has no serial explanation.
pub(super) fn first_violation(world: &mut World, seeds: std::ops::Range<u64>) -> Option<u64> {
    seeds.into_iter().find(|seed| explain(world, &schedule(*seed), LANES).is_err())
}

/// Panics with the shortest failing part of the first history that has no serial explanation.
pub(super) fn check(seeds: std::ops::Range<u64>) {
    let mut world = World::new();
    if let Some(seed) = first_violation(&mut world, seeds) {
        let description = describe(&mut World::new(), &schedule(seed), LANES);
        panic!("the history of seed {seed} has no serial explanation: {description}");
    }
}
