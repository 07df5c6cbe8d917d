//! The rows of a search, best first. Documents are loaded when they are handed out.

use std::sync::Arc;

use freshet_search::text::Hit;
use freshet_values::InternalId;

use super::{RESULTS_MAX, SearchSource, ranking};
use crate::document::Document;
use crate::error::{DatabaseError, DeveloperError, SystemError};
use crate::query::cursor::Position;
use crate::transaction::Transaction;
use crate::transaction::view::Row;

/// See the module.
pub(crate) struct SearchRows {
    source: SearchSource,
    /// What was found, in order, from the last one on; `None` before the search.
    hits: Option<std::vec::IntoIter<Hit>>,
    /// The next row, loaded already.
    loaded: Option<Row>,
    /// There may be more than was kept.
    is_full: bool,
}

impl SearchRows {
    pub(crate) fn new(source: SearchSource) -> SearchRows {
        SearchRows { source, hits: None, loaded: None, is_full: false }
    }

    /// The next row without taking it: nothing is counted. The first call searches.
    pub(crate) fn peek(&mut self, transaction: &mut Transaction) -> Result<Option<&Row>, DatabaseError> {
        if self.hits.is_none() {
            let mut hits = ranking::search(transaction, &self.source)?;
            self.is_full = hits.len() >= RESULTS_MAX;
            hits.retain(|hit| self.is_between(hit));
            self.hits = Some(hits.into_iter());
        }
        let hits = self.hits.as_mut().expect("set above");
        while self.loaded.is_none()
            && let Some(hit) = hits.next()
        {
            let document = load(transaction, &self.source, &hit)?;
            if self.source.accepts(&document)? {
                self.loaded = Some((Arc::from(hit.position()), document));
            }
        }
        Ok(self.loaded.as_ref())
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// When there are more results than a search keeps, unless they are read in pages.
    pub(crate) fn next(&mut self, transaction: &mut Transaction) -> Result<Option<Row>, DatabaseError> {
        self.peek(transaction)?;
        if let Some(row) = self.loaded.take() {
            return Ok(Some(row));
        }
        if self.is_full && !self.source.is_paged {
            return Err(DeveloperError::new(
                "SearchQueryScannedTooManyDocumentsError",
                format!(
                    "Search query scanned too many documents (fetched {RESULTS_MAX}). Consider using a smaller limit, \
                     paginating the query, or using a filter field to limit the number of documents pulled from the search \
                     index."
                ),
            )
            .into());
        }
        Ok(None)
    }

    fn is_between(&self, hit: &Hit) -> bool {
        let position = hit.position();
        let is_behind_begin = match &self.source.begin {
            None => true,
            Some(Position::After(begin)) => position > *begin,
            Some(Position::End) => false,
        };
        let is_before_end = match &self.source.end {
            None | Some(Position::End) => true,
            Some(Position::After(end)) => position <= *end,
        };
        is_behind_begin && is_before_end
    }
}

fn load(transaction: &Transaction, source: &SearchSource, hit: &Hit) -> Result<Arc<Document>, SystemError> {
    let found = transaction.current(&source.table, InternalId(hit.id))?;
    found.ok_or_else(|| {
        SystemError::Defect(format!("index {} has an entry of a document that is not there", source.index.id))
    })
}
