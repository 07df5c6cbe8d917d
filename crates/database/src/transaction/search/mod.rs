//! Full-text search: from the conditions of a query to documents in order of relevance.
//!
//! `terms` finds which terms of the index a query asks for, `cursor` walks along the entries of one term, `ranking` merges
//! them and keeps the best. All of them read keys only; `rows` loads the documents that are handed out.
//!
//! What a search depends on: the entries of its terms that meet its filters; with several groups of terms, the class of the
//! number of documents that have each; and the class of the index's statistics. Statistics are those of the snapshot
//! without pending writes, so that a transaction's answer stays what it was if its commit finds the same classes. The documents
//! themselves include pending writes.

mod cursor;
mod ranking;
mod rows;
mod terms;

use std::sync::Arc;

use freshet_search::text::{FilterPattern, SearchQuery};
use freshet_values::{FieldPath, IndexName, TableName, Value};

use super::Transaction;
use super::usable::{check_state, not_found};
use crate::catalog::text_keys::filter_digest;
use crate::catalog::{IndexMeta, IndexSpec, TableMeta};
use crate::document::Document;
use crate::error::{DatabaseError, DeveloperError, SystemError};
use crate::query::SearchFilter;
use crate::query::cursor::Position;
pub(crate) use rows::SearchRows;

/// Documents that one search finds at most.
pub(crate) const RESULTS_MAX: usize = 1024;
/// Equality conditions of one search.
const EQUALITIES_MAX: usize = 8;

/// What a search looks for.
pub(crate) struct SearchSource {
    pub(crate) table: Arc<TableMeta>,
    pub(crate) index: Arc<IndexMeta>,
    query: SearchQuery,
    /// Values that fields must have.
    equalities: Vec<(FieldPath, Option<Value>)>,
    /// The same in the form in which entries have them.
    pattern: FilterPattern,
    /// Only what comes after this position.
    pub(crate) begin: Option<Position>,
    /// Only what comes up to this position.
    pub(crate) end: Option<Position>,
    /// The results are read in pages, so that there is a way to ask for fewer.
    pub(crate) is_paged: bool,
}

impl SearchSource {
    /// All fields that the index knows, as cursors are bound to them.
    pub(crate) fn fields(&self) -> Vec<FieldPath> {
        let IndexSpec::Search { search_field, filter_fields } = &self.index.spec else { return Vec::new() };
        std::iter::once(search_field).chain(filter_fields).cloned().collect()
    }

    fn filter_fields(&self) -> usize {
        match &self.index.spec {
            IndexSpec::Search { filter_fields, .. } => filter_fields.len(),
            _ => 0,
        }
    }

    /// Whether a document meets the conditions. Digests that agree almost always mean that it does.
    fn accepts(&self, document: &Document) -> Result<bool, SystemError> {
        let object = document.object()?;
        Ok(self
            .equalities
            .iter()
            .all(|(field, value)| crate::catalog::text_keys::same(field.get(object), value.as_ref())))
    }
}

impl Transaction {
    /// Checks the conditions of a search.
    pub(super) fn search_source(
        &mut self,
        table: Option<&Arc<TableMeta>>,
        name: &TableName,
        index: &IndexName,
        filters: &[SearchFilter],
    ) -> Result<SearchSource, DatabaseError> {
        let full_name = format!("{name}.{index}");
        let table = table.ok_or_else(|| not_found(&full_name))?;
        let index = self.find_index(table, index).ok_or_else(|| not_found(&full_name))?;
        let IndexSpec::Search { search_field, filter_fields } = &index.spec else {
            return Err(DeveloperError::new(
                "IndexNotASearchIndexError",
                format!("Index {full_name} is not a search index"),
            )
            .into());
        };
        check_state(&index, &full_name)?;
        let mut source = SearchSource {
            table: Arc::clone(table),
            index: Arc::clone(&index),
            query: SearchQuery::default(),
            equalities: Vec::new(),
            pattern: FilterPattern::default(),
            begin: None,
            end: None,
            is_paged: false,
        };
        let text = searched_text(&full_name, search_field, filters)?;
        if text.is_empty() {
            return Ok(source);
        }
        let equalities = equalities(&full_name, filter_fields, filters)?;
        let mut digests = Vec::new();
        for (number, (field, mut values)) in (0u8..).zip(filter_fields.iter().zip(equalities)) {
            let Some(value) = values.pop() else { continue };
            let digest = filter_digest(value);
            if values.iter().any(|other| filter_digest(*other) != digest) {
                // No value equals two others.
                return Ok(source);
            }
            digests.push((number, digest));
            source.equalities.push((field.clone(), value.cloned()));
        }
        source.pattern = FilterPattern::new(digests);
        source.query = SearchQuery::of(text);
        Ok(source)
    }
}

/// The text of the one condition that searches.
fn searched_text<'a>(
    full_name: &str,
    search_field: &FieldPath,
    filters: &'a [SearchFilter],
) -> Result<&'a str, DeveloperError> {
    let mut searches = filters.iter().filter_map(|filter| match filter {
        SearchFilter::Search { field, text } => Some((field, text)),
        SearchFilter::Eq { .. } => None,
    });
    let Some((field, text)) = searches.next() else {
        return Err(DeveloperError::new(
            "MissingSearchFilterError",
            format!(
                "Search query against {full_name} does not contain any search filters. You must include a search filter \
                 like `q.search(\"field\", searchText)`."
            ),
        ));
    };
    if searches.next().is_some() {
        return Err(DeveloperError::new(
            "DuplicateSearchFiltersError",
            format!(
                "Search query against {full_name} contains multiple search filters against \"{field}\". Only one is allowed."
            ),
        ));
    }
    if field != search_field {
        return Err(DeveloperError::new(
            "IncorrectSearchField",
            format!(
                "Search query against {full_name} contains a search filter against \"{field}\", which doesn't match the \
                 indexed `searchField` \"{search_field}\"."
            ),
        ));
    }
    Ok(text)
}

/// The values that each filter field is compared with.
fn equalities<'a>(
    full_name: &str,
    filter_fields: &[FieldPath],
    filters: &'a [SearchFilter],
) -> Result<Vec<Vec<Option<&'a Value>>>, DeveloperError> {
    let conditions: Vec<_> = filters
        .iter()
        .filter_map(|filter| match filter {
            SearchFilter::Eq { field, value } => Some((field, value.as_ref())),
            SearchFilter::Search { .. } => None,
        })
        .collect();
    if conditions.len() > EQUALITIES_MAX {
        return Err(DeveloperError::new(
            "TooManyFilterConditionsInSearchQueryError",
            format!(
                "Search query against {full_name} has too many filter conditions. Max: {EQUALITIES_MAX} Actual: {}",
                conditions.len()
            ),
        ));
    }
    let mut equalities = vec![Vec::new(); filter_fields.len()];
    for (field, value) in conditions {
        let Some(at) = filter_fields.iter().position(|filter| filter == field) else {
            return Err(DeveloperError::new(
                "IncorrectFilterFieldError",
                format!(
                    "Search query against {full_name} contains an equality filter on \"{field}\" but that field isn't \
                     indexed for filtering in `filterFields`."
                ),
            ));
        };
        equalities[at].push(value);
    }
    Ok(equalities)
}
