//! The best of many documents, in bounded memory.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A document that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The score; greater is better.
    pub score: f64,
    /// When it was created, in milliseconds since the epoch.
    pub creation_time: f64,
    /// Its id.
    pub id: [u8; 16],
}

impl Hit {
    /// A position among results: orders bytewise as results are ordered.
    #[must_use]
    pub fn position(&self) -> Vec<u8> {
        let descending = |number: f64| {
            let bits = number.to_bits();
            // Ascending order of doubles, upside down.
            (if bits >> 63 == 1 { bits } else { !bits ^ (1 << 63) }).to_be_bytes()
        };
        let mut position = Vec::with_capacity(32);
        position.extend(descending(self.score));
        position.extend(descending(self.creation_time));
        position.extend(self.id.map(|byte| !byte));
        position
    }
}

impl Eq for Hit {}

impl Ord for Hit {
    /// Better is less: by score, then the newest first, then by descending id.
    fn cmp(&self, other: &Hit) -> Ordering {
        let by = |a: f64, b: f64| b.total_cmp(&a);
        by(self.score, other.score)
            .then_with(|| by(self.creation_time, other.creation_time))
            .then_with(|| other.id.cmp(&self.id))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Hit) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best hits so far, at most a fixed number.
#[derive(Debug)]
pub struct Top {
    /// The worst is on top.
    heap: BinaryHeap<Hit>,
    most: usize,
}

impl Top {
    /// Keeps at most so many.
    #[must_use]
    pub fn new(most: usize) -> Top {
        Top { heap: BinaryHeap::new(), most }
    }

    /// Whether a document with this score could be among the best.
    #[must_use]
    pub fn could_take(&self, score: f64) -> bool {
        self.heap.len() < self.most || self.heap.peek().is_some_and(|worst| score >= worst.score)
    }

    /// Keeps a hit if it is among the best.
    pub fn put(&mut self, hit: Hit) {
        if self.heap.len() < self.most {
            self.heap.push(hit);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && hit < *worst
        {
            *worst = hit;
        }
    }

    /// The hits, best first.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Hit> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_are_kept_in_the_order_of_their_positions(
            hits in prop::collection::vec((0u8..4, -2i8..3, 0u8..4), 0..40), most in 1usize..12
        ) {
            let mut all: Vec<Hit> = hits.iter().map(|(score, time, id)| Hit {
                score: f64::from(*score) / 3.0, creation_time: f64::from(*time), id: [*id; 16],
            }).collect();
            let mut top = Top::new(most);
            all.iter().for_each(|hit| top.put(*hit));
            all.sort_by_key(Hit::position);
            all.truncate(most);
            prop_assert_eq!(top.into_sorted(), all);
        }
    }
}
