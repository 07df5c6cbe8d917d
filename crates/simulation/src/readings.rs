//! Queries that are read page by page, each page in some transaction, in some life of the process.

use freshet_values::Timestamp;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::chance;
use crate::model::{PageQuestion, Place, State};

/// Readings at one time.
const READINGS_MAX: usize = 8;

/// See the module.
#[derive(Default)]
pub(crate) struct Readings(Vec<Reading>);

struct Reading {
    page: PageQuestion,
    /// The moment at which its cursor was handed out.
    since: Timestamp,
}

impl Readings {
    /// A page to be read: the next one of a reading, or a first one.
    pub(crate) fn choose(&mut self, rng: &mut ChaCha8Rng, state: &State) -> Option<PageQuestion> {
        if self.0.is_empty() || (self.0.len() < READINGS_MAX && rng.random_bool(0.3)) {
            return chance::first_page(rng, state);
        }
        let at = rng.random_range(0..self.0.len());
        // What is read to its end is now and then read behind its end, too.
        let is_over = self.0[at].page.from == Place::End && rng.random_bool(0.5);
        if is_over || rng.random_bool(0.3) {
            return Some(self.0.swap_remove(at).page);
        }
        let mut page = self.0[at].page.clone();
        page.size = rng.random_range(1..6);
        Some(page)
    }

    /// Keeps where the next page begins.
    pub(crate) fn keep(&mut self, next: Option<PageQuestion>, since: Timestamp) {
        if self.0.len() < READINGS_MAX {
            self.0.extend(next.map(|page| Reading { page, since }));
        }
    }

    /// Commits after a moment are lost, and with them what clients cannot have heard of.
    pub(crate) fn forget_after(&mut self, ts: Timestamp) {
        self.0.retain(|reading| reading.since <= ts);
    }
}
