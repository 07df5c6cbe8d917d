//! BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009), k1 = 1.2, b = 0.75.

use super::statistics::{CorpusClass, FrequencyClass};

const K1: f64 = 1.2;
const B: f64 = 0.75;

/// What a term counts that only begins with what was searched for.
pub const PREFIX_WEIGHT: f64 = 0.5;

/// Scores within one corpus.
#[derive(Clone, Copy, Debug)]
pub struct Bm25 {
    documents: f64,
    average_length: f64,
}

impl Bm25 {
    /// Scores for a corpus of this class.
    #[must_use]
    pub fn new(corpus: CorpusClass) -> Bm25 {
        Bm25 { documents: corpus.documents(), average_length: corpus.average_length() }
    }

    /// How much a word tells, given how many documents have it.
    #[must_use]
    pub fn weight(&self, frequency: FrequencyClass) -> f64 {
        let having = frequency.middle();
        let documents = self.documents.max(having);
        ((documents - having + 0.5) / (having + 0.5)).ln_1p()
    }

    /// What one document's occurrences of a word count, between 0 and 2.2, before the word's weight.
    #[must_use]
    pub fn occurrences(&self, frequency: f64, length: u32) -> f64 {
        let norm = K1 * (1.0 - B + B * f64::from(length) / self.average_length);
        frequency * (K1 + 1.0) / (frequency + norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Corpus;

    #[test]
    fn rarer_words_shorter_texts_and_more_occurrences_count_more() {
        let scores = Bm25::new(Corpus { documents: 5000, tokens: 50_000 }.class());
        assert!(scores.weight(FrequencyClass::of(3)) > scores.weight(FrequencyClass::of(300)));
        assert!(scores.weight(FrequencyClass::of(5000)) > 0.0);
        assert!(scores.occurrences(1.0, 5) > scores.occurrences(1.0, 50));
        assert!(scores.occurrences(2.0, 50) > scores.occurrences(1.0, 50));
    }
}
