//! Which terms of an index a search asks for, and what it depends on.

use freshet_search::text::{
    Bm25, FilterPattern, FrequencyClass, Group, Match, STATISTICS_KEY, TERMS_MAX, prefix_bounds, term_of,
};
use freshet_values::KeyInterval;

use super::SearchSource;
use super::cursor::{TermCursor, interval};
use crate::conditional_read::{Condition, ConditionalRead, Margin};
use crate::error::{DatabaseError, SystemError};
use crate::transaction::Transaction;

/// Terms that a prefix stands for at most.
const EXPANSIONS_MAX: usize = 16;

/// Terms that count together.
pub(super) struct GroupTerms {
    /// Numbers of the terms; of a prefix, its expansions in order.
    pub(super) terms: Vec<usize>,
    pub(super) kind: Kind,
    /// How much the group tells.
    pub(super) weight: f64,
}

/// How a group counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// If all of its terms are there.
    All,
    /// If one of them is there; `exact` is the number of the one that counts in full.
    Any { exact: Option<usize> },
}

/// What a search looks up.
pub(super) struct Plan<'a> {
    pub(super) cursors: Vec<TermCursor<'a>>,
    pub(super) groups: Vec<GroupTerms>,
    pub(super) scores: Bm25,
}

/// Finds the terms and records the dependencies.
pub(super) fn plan<'a>(
    transaction: &mut Transaction,
    source: &'a SearchSource,
) -> Result<Plan<'a>, DatabaseError> {
    let index = source.index.id;
    transaction.record(index, &KeyInterval::point(STATISTICS_KEY), false);
    let class = transaction.corpora.get(&index).copied().unwrap_or_default().class();
    let mut plan = Plan { cursors: Vec::new(), groups: Vec::new(), scores: Bm25::new(class) };
    let mut names: Vec<String> = Vec::new();
    // Of each group, the intervals whose entries tell how many documents have it.
    let mut having: Vec<Vec<KeyInterval>> = Vec::new();
    let exact = source.query.groups.iter().filter(|group| group.matches == Match::All);
    let reserved: usize = exact.map(|group| group.terms.len()).sum();
    for group in &source.query.groups {
        let (terms, intervals) = match group.matches {
            Match::All => exact_terms(transaction, source, group),
            Match::Prefix => {
                let most = EXPANSIONS_MAX.min(TERMS_MAX.saturating_sub(reserved)).max(1);
                expansions(transaction, source, &group.terms[0], most)?
            }
        };
        let numbers = terms.iter().map(|term| {
            names.iter().position(|name| name == term).unwrap_or_else(|| {
                names.push(term.clone());
                names.len() - 1
            })
        });
        let numbers: Vec<usize> = numbers.collect();
        let kind = match group.matches {
            Match::All => Kind::All,
            Match::Prefix => {
                let exact = terms.iter().position(|term| *term == group.terms[0]);
                Kind::Any { exact: exact.map(|at| numbers[at]) }
            }
        };
        if !numbers.is_empty() {
            plan.groups.push(GroupTerms { terms: numbers, kind, weight: 1.0 });
            having.push(intervals);
        }
    }
    // A single weight does not change the order, so nothing depends on it.
    if plan.groups.len() > 1 {
        for (group, intervals) in plan.groups.iter_mut().zip(&having) {
            let mut least: Option<FrequencyClass> = None;
            for interval in intervals {
                let class = transaction.count_class(source, interval)?;
                if least.is_none_or(|least| class.max < least.max) {
                    least = Some(class);
                }
            }
            group.weight = plan.scores.weight(least.unwrap_or(FrequencyClass::of(0)));
        }
    }
    for name in &names {
        let filter_fields = source.filter_fields();
        plan.cursors.push(TermCursor::new(transaction, index, name, filter_fields, &source.pattern)?);
    }
    transaction.limits.check_reads(&transaction.usage())?;
    Ok(plan)
}

/// The terms of a group that all have to be there.
fn exact_terms(
    transaction: &mut Transaction,
    source: &SearchSource,
    group: &Group,
) -> (Vec<String>, Vec<KeyInterval>) {
    for term in &group.terms {
        transaction.record_matching(source, &interval(term, source.pattern.leading()), &source.pattern, true);
    }
    (group.terms.clone(), group.terms.iter().map(|term| interval(term, &[])).collect())
}

/// The first terms with a prefix of which a document meets the filters, the prefix itself before all others. They are
/// complete up to the last one, so nothing depends on what comes behind it if there are enough.
fn expansions(
    transaction: &mut Transaction,
    source: &SearchSource,
    prefix: &str,
    most: usize,
) -> Result<(Vec<String>, Vec<KeyInterval>), DatabaseError> {
    let (start, end) = prefix_bounds(prefix);
    let mut all = KeyInterval { start, end: Some(end) };
    let mut rest = all.clone();
    let mut terms = Vec::new();
    while let Some(term) = transaction.first_term(source, &rest)? {
        // The least key behind all entries of the term.
        rest.start = [term.as_bytes(), &[1]].concat();
        if transaction.has_match(source, &term)? {
            terms.push(term);
            if terms.len() == most {
                all.end = Some(rest.start.clone());
                break;
            }
        }
    }
    transaction.record_matching(source, &all, &source.pattern, false);
    Ok((terms, vec![all]))
}

impl Transaction {
    /// The first term that has an entry in an interval.
    fn first_term(&self, source: &SearchSource, rest: &KeyInterval) -> Result<Option<String>, SystemError> {
        let mut rest = Some(rest.clone());
        while let Some(interval) = rest {
            let (keys, behind) = self.load_keys(source.index.id, &interval, 1)?;
            if let Some(key) = keys.get(0) {
                let term = std::str::from_utf8(term_of(key));
                let damaged =
                    |_| SystemError::Defect(format!("a term of index {} is no text", source.index.id));
                return term.map(|term| Some(term.to_owned())).map_err(damaged);
            }
            rest = behind;
        }
        Ok(None)
    }

    /// Whether a document that meets the filters has a term.
    fn has_match(&self, source: &SearchSource, term: &str) -> Result<bool, SystemError> {
        if source.pattern.is_empty() {
            return Ok(true);
        }
        let cursor = TermCursor::new(self, source.index.id, term, source.filter_fields(), &source.pattern)?;
        Ok(cursor.posting().is_some())
    }

    /// The class of the number of entries in an interval, as a dependency.
    fn count_class(
        &mut self,
        source: &SearchSource,
        interval: &KeyInterval,
    ) -> Result<FrequencyClass, SystemError> {
        let index = source.index.id;
        let count = self.view.count_keys(index, interval)?;
        let class = FrequencyClass::of(count);
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let margin =
            Margin { min: signed(class.min) - signed(count), max: signed(class.max) - signed(count) };
        if self.is_tracked() {
            let read = ConditionalRead::new(interval, Condition::Counts(margin));
            self.read_set.add_conditional(index, read, false);
        }
        Ok(class)
    }

    /// Depends on the entries of an interval that match. If `is_one_term`, the interval has the leading digests already.
    fn record_matching(
        &mut self,
        source: &SearchSource,
        interval: &KeyInterval,
        pattern: &FilterPattern,
        is_one_term: bool,
    ) {
        if pattern.is_empty() || (is_one_term && pattern.is_leading()) {
            self.record(source.index.id, interval, true);
        } else if self.is_tracked() {
            let read = ConditionalRead::new(interval, Condition::Matches(pattern.clone()));
            self.read_set.add_conditional(source.index.id, read, true);
        }
    }
}
