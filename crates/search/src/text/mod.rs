//! Full-text search: words, the entries of an index, statistics in classes, and BM25.
//!
//! An index has one entry for each document and each of its words, and one more for the document itself. All that
//! ranking and filtering need stands in the entry's key, so that a search reads no document that it does not return.

mod posting;
mod query;
mod score;
mod statistics;
mod tokenizer;
mod top;

pub use posting::{
    FILTER_BYTES, FilterPattern, Posting, STATISTICS_KEY, document_length, encode_documents, encode_term,
    filter_digest_of, prefix_bounds, term_bounds, term_of,
};
pub use query::{Group, Match, QUERY_TOKENS_MAX, SearchQuery, TERMS_MAX};
pub use score::{Bm25, PREFIX_WEIGHT};
pub use statistics::{Corpus, CorpusClass, FrequencyClass};
pub use tokenizer::{TOKEN_BYTES_MAX, Terms, tokens};
pub use top::{Hit, Top};
