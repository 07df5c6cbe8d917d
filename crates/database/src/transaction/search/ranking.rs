//! Merges the entries of all terms, document by document, and keeps the best.

use freshet_search::text::{Hit, PREFIX_WEIGHT, Top};

use super::terms::{GroupTerms, Kind, Plan, plan};
use super::{RESULTS_MAX, SearchSource};
use crate::error::DatabaseError;
use crate::transaction::Transaction;

/// The best documents, in order.
pub(super) fn search(
    transaction: &mut Transaction,
    source: &SearchSource,
) -> Result<Vec<Hit>, DatabaseError> {
    if source.query.is_empty() {
        return Ok(Vec::new());
    }
    let Plan { mut cursors, groups, scores } = plan(transaction, source)?;
    let mut top = Top::new(RESULTS_MAX);
    let mut frequencies = vec![0u32; cursors.len()];
    let mut document: Vec<u8> = Vec::new();
    loop {
        let first = cursors.iter().filter_map(|cursor| Some(cursor.posting()?.document)).min();
        let Some(first) = first else { break };
        document.clear();
        document.extend_from_slice(first);
        let mut found = None;
        for (cursor, frequency) in cursors.iter_mut().zip(&mut frequencies) {
            *frequency = 0;
            let Some(posting) = cursor.posting().filter(|posting| posting.document == document) else {
                continue;
            };
            *frequency = posting.frequency;
            found = Some((posting.length, posting.creation_time(), posting.id()));
            cursor.advance(transaction)?;
        }
        let Some((length, creation_time, id)) = found else { break };
        let occurrences = |frequency: u32| scores.occurrences(f64::from(frequency), length);
        let score: f64 = groups.iter().map(|group| group.score(&frequencies, occurrences)).sum();
        if score > 0.0 && top.could_take(score) {
            top.put(Hit { score, creation_time, id });
        }
    }
    Ok(top.into_sorted())
}

impl GroupTerms {
    /// What it counts in a document that has each term so often; 0 if the document does not match.
    fn score(&self, frequencies: &[u32], occurrences: impl Fn(u32) -> f64) -> f64 {
        let of = |term: &usize| frequencies[*term];
        let (frequency, weight) = match self.kind {
            Kind::All => (self.terms.iter().map(of).min().unwrap_or(0), self.weight),
            Kind::Any { exact } => match exact.as_ref().map_or(0, of) {
                0 => (self.terms.iter().map(of).sum(), self.weight * PREFIX_WEIGHT),
                frequency => (frequency, self.weight),
            },
        };
        if frequency == 0 { 0.0 } else { weight * occurrences(frequency) }
    }
}
