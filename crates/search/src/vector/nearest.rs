//! The best rows so far.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashSet};

use super::RowId;
use super::code::ROUNDING;

/// Candidates for each row that is wanted. There are more only if very many rows are nearly equally near.
const PER_WANTED: usize = 4;
/// Candidates in any case.
const CANDIDATES_MIN: usize = 64;
/// Beyond this many times the number of candidates, the worst ones are dropped.
const SLACK: usize = 8;

/// A row that may be among the nearest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The row.
    pub id: RowId,
    /// Nearly its similarity.
    pub score: f32,
    /// How far the score may be off.
    pub uncertainty: f32,
}

impl Candidate {
    /// Best first; of equally good ones, the one with the greater id. Differences that come from rounding do not count.
    pub(crate) fn order(&self, other: &Candidate) -> Ordering {
        let steps = |candidate: &Candidate| (candidate.score / ROUNDING).round();
        steps(other).total_cmp(&steps(self)).then_with(|| other.id.cmp(&self.id))
    }

    /// The highest score that it may really have.
    #[must_use]
    pub fn at_most(&self) -> f32 {
        self.score + self.uncertainty
    }
}

#[derive(PartialEq)]
struct Score(f32);

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Score) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Score) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Collects candidates.
pub(crate) struct Nearest<'a> {
    wanted: usize,
    /// The lowest scores that the best rows may really have: the least of them is what a row has to reach.
    floor: BinaryHeap<Reverse<Score>>,
    found: Vec<Candidate>,
    excluded: &'a HashSet<RowId>,
}

impl<'a> Nearest<'a> {
    pub(crate) fn new(wanted: usize, excluded: &'a HashSet<RowId>) -> Nearest<'a> {
        Nearest { wanted, floor: BinaryHeap::with_capacity(wanted + 1), found: Vec::new(), excluded }
    }

    /// Rows that cannot have this score are not among the nearest.
    pub(crate) fn threshold(&self) -> f32 {
        if self.floor.len() < self.wanted {
            return f32::NEG_INFINITY;
        }
        self.floor.peek().map_or(f32::INFINITY, |Reverse(Score(score))| *score)
    }

    pub(crate) fn push(&mut self, candidate: Candidate) {
        if candidate.at_most() < self.threshold() || self.excluded.contains(&candidate.id) {
            return;
        }
        self.floor.push(Reverse(Score(candidate.score - candidate.uncertainty)));
        if self.floor.len() > self.wanted {
            self.floor.pop();
        }
        self.found.push(candidate);
        if self.found.len() >= SLACK * self.candidates_max() {
            self.prune();
        }
    }

    /// The candidates, best first.
    pub(crate) fn finish(mut self) -> Vec<Candidate> {
        self.prune();
        self.found.sort_unstable_by(Candidate::order);
        self.found
    }

    fn candidates_max(&self) -> usize {
        (PER_WANTED * self.wanted).max(CANDIDATES_MIN)
    }

    fn prune(&mut self) {
        let threshold = self.threshold();
        self.found.retain(|candidate| candidate.at_most() >= threshold);
        let max = self.candidates_max();
        if self.found.len() > max {
            self.found.select_nth_unstable_by(max, Candidate::order);
            self.found.truncate(max);
        }
    }
}
