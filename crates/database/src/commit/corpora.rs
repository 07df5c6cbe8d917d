//! How many documents and words each search index has: what scores are made from besides entries.
//!
//! Kept in memory, changed with every commit, and stored along with it as a named text. An index that is being built has no
//! numbers yet: its builder counts the entries at one moment, and what was committed since is added when it is complete.

use freshet_search::text::{Corpus, STATISTICS_KEY};
use freshet_store::{IndexId, Store};
use freshet_values::Timestamp;
use imbl::HashMap;

use super::changes::{Committed, KeyChange};
use super::state::State;
use crate::catalog::{Catalog, IndexSpec, IndexState};
use crate::error::SystemError;

/// The numbers of all search indexes; none means that an index is empty.
pub(crate) type Corpora = HashMap<IndexId, Corpus>;

/// What a transaction's writes add to an index and take from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CorpusDelta {
    pub(crate) index: IndexId,
    pub(crate) added: Corpus,
    pub(crate) removed: Corpus,
}

/// The numbers of an index before and after a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CorpusChange {
    pub(crate) index: IndexId,
    before: Corpus,
    pub(crate) after: Corpus,
}

/// Brings the numbers up to date with a commit, after the catalog. `counted` is what the builder of an index counted at
/// `snapshot_ts`. Whoever depends on the statistics of an index hears of it when their class changes.
pub(crate) fn install(
    state: &mut State,
    commit: &mut Committed,
    counted: &[(IndexId, Corpus)],
    snapshot_ts: Timestamp,
) {
    let mut changes = Vec::new();
    for delta in &commit.corpus_deltas {
        let is_complete =
            state.catalog.index(delta.index).is_some_and(|index| index.state != IndexState::Backfilling);
        if is_complete {
            let before = state.corpora.get(&delta.index).copied().unwrap_or_default();
            changes.push((delta.index, before, before.changed(delta.added, delta.removed)));
        }
    }
    for (index, corpus) in counted {
        let deltas = state.window.after(snapshot_ts).flat_map(|commit| &commit.corpus_deltas);
        let since = deltas.filter(|delta| delta.index == *index);
        let after = since.fold(*corpus, |corpus, delta| corpus.changed(delta.added, delta.removed));
        changes.push((*index, state.corpora.get(index).copied().unwrap_or_default(), after));
    }
    for (index, before, after) in changes {
        if before.class() != after.class() {
            let key = std::sync::Arc::from(STATISTICS_KEY);
            commit.keys.push(KeyChange { index, key, old: None, new: None });
        }
        state.corpora.insert(index, after);
        commit.corpora.push(CorpusChange { index, before, after });
    }
}

/// Takes back what a commit did to the numbers.
pub(crate) fn undo(corpora: &mut Corpora, commit: &Committed) {
    for change in commit.corpora.iter().rev() {
        corpora.insert(change.index, change.before);
    }
}

/// The name under which the numbers of an index are stored.
pub(crate) fn meta_name(index: IndexId) -> String {
    format!("corpus.{index}")
}

/// The stored form.
pub(crate) fn meta_value(corpus: Corpus) -> String {
    format!("{} {}", corpus.documents, corpus.tokens)
}

/// Reads the numbers of all search indexes of a catalog.
pub(crate) fn load(store: &dyn Store, catalog: &Catalog) -> Result<Corpora, SystemError> {
    let mut corpora = Corpora::new();
    for index in catalog.tables().flat_map(|table| catalog.indexes(table.id)) {
        if !matches!(index.spec, IndexSpec::Search { .. }) {
            continue;
        }
        let Some(text) = store.meta(&meta_name(index.id))? else { continue };
        let numbers = text.split_once(' ').and_then(|(documents, tokens)| {
            Some(Corpus { documents: documents.parse().ok()?, tokens: tokens.parse().ok()? })
        });
        let damaged = || SystemError::Defect(format!("the statistics of index {} are `{text}`", index.id));
        corpora.insert(index.id, numbers.ok_or_else(damaged)?);
    }
    Ok(corpora)
}
