//! What a search has to find, worked out from all documents.

use std::collections::{BTreeMap, BTreeSet};

use freshet_search::text::{
    Bm25, Corpus, FrequencyClass, Group, Hit, Match, PREFIX_WEIGHT, SearchQuery, Terms,
};

/// A document of the model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    pub(super) body: String,
    pub(super) filters: Vec<Option<String>>,
    pub(super) creation_time: f64,
}

/// Documents by id.
pub(super) type Texts = BTreeMap<[u8; 16], Text>;

fn terms(text: &Text) -> BTreeMap<String, u32> {
    Terms::of(&text.body).iter().map(|(term, frequency)| (term.to_owned(), frequency)).collect()
}

/// The ids in order: statistics of the snapshot, documents with pending writes.
pub(super) fn search(snapshot: &Texts, now: &Texts, words: &str, filters: &[Option<&str>]) -> Vec<[u8; 16]> {
    let matching: Vec<(&[u8; 16], &Text, BTreeMap<String, u32>)> = now
        .iter()
        .filter(|(_, text)| {
            filters
                .iter()
                .zip(&text.filters)
                .all(|(filter, value)| filter.is_none() || *filter == value.as_deref())
        })
        .map(|(id, text)| (id, text, terms(text)))
        .collect();
    let all: Vec<BTreeMap<String, u32>> = snapshot.values().map(terms).collect();
    let lengths = snapshot.values().map(|text| u64::from(Terms::of(&text.body).length()));
    let documents = all.iter().filter(|terms| !terms.is_empty()).count() as u64;
    let scores = Bm25::new(Corpus { documents, tokens: lengths.sum() }.class());
    let known: BTreeSet<&String> = matching.iter().flat_map(|(_, _, terms)| terms.keys()).collect();
    let having = |within: &dyn Fn(&str) -> bool| {
        FrequencyClass::of(all.iter().flat_map(BTreeMap::keys).filter(|term| within(term)).count() as u64)
    };
    // Each group with the terms that it stands for and its weight.
    let groups: Vec<(Group, Vec<String>, f64)> = SearchQuery::of(words)
        .groups
        .into_iter()
        .map(|group| match group.matches {
            Match::All => {
                let classes = group.terms.iter().map(|term| having(&|other| other == term));
                let least = classes.min_by_key(|class| class.max).unwrap();
                (group.clone(), group.terms, scores.weight(least))
            }
            Match::Prefix => {
                let prefix = &group.terms[0];
                let stands: Vec<String> = known
                    .iter()
                    .filter(|term| term.starts_with(prefix))
                    .take(16)
                    .map(ToString::to_string)
                    .collect();
                let last = stands.last().filter(|_| stands.len() == 16);
                let class = having(&|other| {
                    other.starts_with(prefix) && last.is_none_or(|last| other <= last.as_str())
                });
                (group.clone(), stands, scores.weight(class))
            }
        })
        .filter(|(_, stands, _)| !stands.is_empty())
        .collect();
    let mut hits: Vec<Hit> = Vec::new();
    for (id, text, terms) in matching {
        let length = Terms::of(&text.body).length();
        let of = |term: &String| terms.get(term).copied().unwrap_or(0);
        let mut score = 0.0;
        for (group, stands, weight) in &groups {
            let weight = if groups.len() == 1 { 1.0 } else { *weight };
            let (frequency, weight) = match group.matches {
                Match::All => (stands.iter().map(of).min().unwrap(), weight),
                Match::Prefix if of(&group.terms[0]) > 0 => (of(&group.terms[0]), weight),
                Match::Prefix => (stands.iter().map(of).sum(), weight * PREFIX_WEIGHT),
            };
            if frequency > 0 {
                score += weight * scores.occurrences(f64::from(frequency), length);
            }
        }
        if score > 0.0 {
            hits.push(Hit { score, creation_time: text.creation_time, id: *id });
        }
    }
    hits.sort();
    hits.truncate(1024);
    hits.into_iter().map(|hit| hit.id).collect()
}
