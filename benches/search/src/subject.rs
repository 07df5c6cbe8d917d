//! What is measured.

use anyhow::Result;

/// A table of texts with a full-text index.
pub(crate) trait Subject {
    /// Inserts documents in one transaction that survives a power cut when this returns.
    fn insert(&mut self, texts: &[String]) -> Result<()>;
    /// Builds the index over what is there; from then on it is kept up to date.
    fn build_index(&mut self) -> Result<()>;
    /// The texts of the best documents with any of the words, the last one by its beginning.
    fn best(&mut self, words: &str, count: usize) -> Result<Vec<String>>;
    /// Bytes on disk.
    fn size(&mut self) -> Result<u64>;
}
