//! Answers a vector query.
//!
//! The answer is that of the newest commit: the index as far as it has come, without the rows that were written since, and
//! those rows by themselves. Whatever the index proposes is looked up in the documents, where the exact score comes from. An
//! index that proposes what no document confirms gives no answer at all: it is withdrawn and built again.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use freshet_search::vector::{Candidate, Request, cosine};
use freshet_store::IndexId;
use freshet_values::{DocumentId, InternalId, Object, Timestamp};

use super::Published;
use super::definition::{Definition, hash, value_key};
use super::query::{Checked, VectorQuery};
use crate::catalog::TableMeta;
use crate::database::Database;
use crate::document::Document;
use crate::error::{DatabaseError, DeveloperError, SystemError};
use crate::namespace::Namespace;
use crate::shared::Recent;
use crate::transaction::usable::{backfilling, check_state, not_found};

/// By how much the score of a row in the index may differ from that of its document, beyond what the index says. More than any
/// rounding, less than what a wrong row has.
const SCORE_TOLERANCE: f32 = 0.01;

/// A row of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VectorHit {
    /// The document.
    pub id: DocumentId,
    /// The cosine similarity of its vector to the query's, from -1 to 1.
    pub score: f32,
}

/// The answer to a vector query.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorAnswer {
    /// The nearest documents: best first, of equally good ones the one with the greater id.
    pub hits: Vec<VectorHit>,
    /// The commit at which this is the answer. It may not be durable yet.
    pub ts: Timestamp,
}

impl Database {
    /// Finds the nearest vectors in the newest state. Blocks while it computes, and for up to
    /// [`crate::VectorOptions::search_wait_max`] when the index is being loaded or turns out to be wrong and is built again.
    ///
    /// # Errors
    /// A query that does not fit its index, an index that is missing or not complete, or a storage failure.
    pub fn vector_search(
        &self,
        namespace: Namespace,
        query: &VectorQuery,
    ) -> Result<VectorAnswer, DatabaseError> {
        let shared = self.shared();
        let deadline = Instant::now() + shared.vectors.options.search_wait_max;
        loop {
            let catalog = self.catalog();
            let Some(table) = catalog.table_by_name(namespace, &query.table) else {
                return Ok(VectorAnswer { hits: Vec::new(), ts: self.visible_ts() });
            };
            let full_name = query.full_name();
            let index = catalog.index_by_name(table.id, &query.index).ok_or_else(|| not_found(&full_name))?;
            let definition = Definition::of(&index.spec).ok_or_else(|| not_a_vector_index(&full_name))?;
            check_state(index, &full_name)?;
            let checked = query.check(&definition)?;
            let published = shared.vectors.get(index.id);
            if let Some(ready) = published.as_ref().filter(|published| published.is_ready)
                && let Some(recent) = shared.newest_since(ready.covered)?
            {
                let search = Search { index: index.id, table, definition, query: checked };
                if let Some(answer) = search.answer(ready, &recent)? {
                    return Ok(answer);
                }
                // Without the rows that are wrong there may be too few, and others may be missing: it has to be built again.
                shared.vectors.doubt(index.id);
            }
            let has_news = match shared.stepped.as_ref() {
                None => shared.vectors.wait_for_news(index.id, published.as_ref(), deadline),
                Some(stepped) => {
                    let worked = stepped.step_vectors(shared).unwrap_or(false);
                    worked || published.is_none() && shared.vectors.get(index.id).is_some()
                }
            };
            if !has_news {
                return Err(backfilling(&full_name).into());
            }
        }
    }
}

struct Search<'a> {
    index: IndexId,
    table: &'a TableMeta,
    definition: Definition,
    query: Checked<'a>,
}

impl Search<'_> {
    /// `None` if the index cannot be read or is not what the documents say.
    fn answer(&self, index: &Published, recent: &Recent) -> Result<Option<VectorAnswer>, DatabaseError> {
        let mut written: HashMap<InternalId, Option<&Arc<Document>>> = HashMap::new();
        for commit in &recent.commits {
            for change in commit.documents.iter().filter(|change| change.table == self.table.id) {
                written.insert(change.internal, change.new.as_ref());
            }
        }
        let excluded: HashSet<[u8; 16]> = written.keys().map(|id| id.0).collect();
        let filter = self.query.hashes();
        let request = Request {
            vector: self.query.vector,
            limit: self.query.limit,
            filter: filter.as_ref(),
            excluded: &excluded,
        };
        let candidates = match index.view.search(&request) {
            Ok(candidates) => candidates,
            Err(error) => {
                tracing::error!(index = self.index.0, %error, "a vector index cannot be read; it is built again");
                return Ok(None);
            }
        };
        let mut best = Best { limit: self.query.limit, hits: Vec::new() };
        for document in written.into_values().flatten() {
            best.add(self.hit(document)?);
        }
        for candidate in candidates {
            if candidate.at_most() < best.threshold() {
                continue;
            }
            let document = recent.newest.view.get(self.table, InternalId(candidate.id))?;
            let fits = match document.as_deref() {
                Some(document) => self.confirms(document, candidate, filter.as_deref())?,
                None => false,
            };
            if !fits {
                tracing::error!(
                    index = self.index.0,
                    "a vector index does not fit its documents; it is built again from them"
                );
                return Ok(None);
            }
            best.add(document.map_or(Ok(None), |document| self.hit(&document))?);
        }
        Ok(Some(VectorAnswer { hits: best.finish(), ts: recent.newest.view.timestamp() }))
    }

    /// Whether the row that was proposed can be that of its document.
    fn confirms(
        &self,
        document: &Document,
        candidate: Candidate,
        filter: Option<&[(usize, u64)]>,
    ) -> Result<bool, SystemError> {
        let object = document.object()?;
        let Some(vector) = self.definition.vector(object) else { return Ok(false) };
        let difference = (cosine(self.query.vector, &vector) - candidate.score).abs();
        let fields = &self.definition.filter_fields;
        // By the hashes: that the values differ may be because of equal hashes, which is no fault of the index.
        let passes = filter.is_none_or(|filter| {
            filter.iter().any(|(field, wanted)| hash(&value_key(fields[*field].get(object))) == *wanted)
        });
        Ok(passes && difference <= SCORE_TOLERANCE + 2.0 * candidate.uncertainty)
    }

    /// The hit that a document is, if it has a vector and passes the filter.
    fn hit(&self, document: &Document) -> Result<Option<VectorHit>, SystemError> {
        let object = document.object()?;
        let Some(vector) = self.definition.vector(object) else { return Ok(None) };
        let hit = VectorHit { id: document.id(), score: cosine(self.query.vector, &vector) };
        Ok(self.passes(object).then_some(hit))
    }

    fn passes(&self, object: &Object) -> bool {
        let Some(filter) = &self.query.filter else { return true };
        let fields = &self.definition.filter_fields;
        filter.iter().any(|(field, key)| value_key(fields[*field].get(object)) == *key)
    }
}

/// The best hits so far.
struct Best {
    limit: usize,
    hits: Vec<VectorHit>,
}

impl Best {
    fn add(&mut self, hit: Option<VectorHit>) {
        let Some(hit) = hit else { return };
        let at = self.hits.partition_point(|other| order(other, &hit) == Ordering::Less);
        self.hits.insert(at, hit);
        self.hits.truncate(self.limit);
    }

    /// What a score must not be below.
    fn threshold(&self) -> f32 {
        if self.hits.len() < self.limit {
            return f32::NEG_INFINITY;
        }
        self.hits.last().map_or(f32::INFINITY, |hit| hit.score)
    }

    fn finish(self) -> Vec<VectorHit> {
        self.hits
    }
}

fn order(a: &VectorHit, b: &VectorHit) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| b.id.internal.0.cmp(&a.id.internal.0))
}

fn not_a_vector_index(full_name: &str) -> DeveloperError {
    DeveloperError::new("IndexNotAVectorIndexError", format!("Index {full_name} is not a vector index"))
}
