//! Walks along the entries of one term, in the order of documents, with pending writes.

use freshet_search::text::{FilterPattern, Posting, term_bounds};
use freshet_store::{IndexId, KeyChunk};
use freshet_values::KeyInterval;

use crate::error::SystemError;
use crate::transaction::Transaction;

/// Keys of the first load.
const FIRST_CHUNK: usize = 128;
/// Keys of the largest load: bounds the memory of a search, with up to 64 terms at a time.
const CHUNK_MAX: usize = 2048;

/// See the module.
pub(super) struct TermCursor<'a> {
    index: IndexId,
    term_bytes: usize,
    filter_fields: usize,
    pattern: &'a FilterPattern,
    keys: KeyChunk,
    at: usize,
    rest: Option<KeyInterval>,
    next_chunk: usize,
}

impl<'a> TermCursor<'a> {
    /// Stands at the first document.
    pub(super) fn new(
        transaction: &Transaction,
        index: IndexId,
        term: &str,
        filter_fields: usize,
        pattern: &'a FilterPattern,
    ) -> Result<TermCursor<'a>, SystemError> {
        let mut cursor = TermCursor {
            index,
            term_bytes: term.len(),
            filter_fields,
            pattern,
            keys: KeyChunk::default(),
            at: 0,
            rest: Some(interval(term, pattern.leading())),
            next_chunk: FIRST_CHUNK,
        };
        cursor.settle(transaction)?;
        Ok(cursor)
    }

    /// The document where it stands; `None` at the end.
    pub(super) fn posting(&self) -> Option<Posting<'_>> {
        Posting::read(self.keys.get(self.at)?, self.term_bytes, self.filter_fields)
    }

    /// Moves on to the next document.
    pub(super) fn advance(&mut self, transaction: &Transaction) -> Result<(), SystemError> {
        self.at += 1;
        self.settle(transaction)
    }

    /// Moves on to an entry that matches, if this is none.
    fn settle(&mut self, transaction: &Transaction) -> Result<(), SystemError> {
        loop {
            while let Some(key) = self.keys.get(self.at) {
                if self.pattern.matches(key.get(self.term_bytes + 1..).unwrap_or_default()) {
                    return Ok(());
                }
                self.at += 1;
            }
            let Some(rest) = self.rest.take() else { return Ok(()) };
            (self.keys, self.rest) = transaction.load_keys(self.index, &rest, self.next_chunk)?;
            self.next_chunk = (self.next_chunk * 4).min(CHUNK_MAX);
            self.at = 0;
        }
    }
}

/// The entries of a term whose documents begin with these digests.
pub(super) fn interval(term: &str, leading: &[u8]) -> KeyInterval {
    let (start, end) = term_bounds(term, leading);
    KeyInterval { start, end: Some(end) }
}
