//! Statistics of a corpus, rounded to classes.
//!
//! Scores depend on how many documents there are, how long they are and how many have a word, and all of these
//! change with almost every write. Were they exact, every write would change the answer of every search. So scores are
//! made from classes: exact answers of a snapshot, that stay the same until a number has changed by a fifth or more.

/// Below this many documents the statistics of the corpus are not looked at: they would change their class with every
/// other write.
const DOCUMENTS_MIN: u64 = 256;
/// What a document is assumed to be as long as in a small corpus, in tokens.
const LENGTH_ASSUMED: f64 = 16.0;
/// Classes for each doubling of the number or the length of documents.
const CORPUS_STEPS: f64 = 4.0;
/// Classes for each doubling of the number of documents that have a word.
const FREQUENCY_STEPS: f64 = 2.0;

/// How many documents an index has, and how many tokens they have together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Corpus {
    /// Documents with at least one token.
    pub documents: u64,
    /// Their tokens.
    pub tokens: u64,
}

/// The class of a corpus: scores depend on nothing else of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorpusClass {
    documents: i32,
    length: i32,
    is_small: bool,
}

impl Corpus {
    /// The class.
    #[must_use]
    pub fn class(self) -> CorpusClass {
        if self.documents < DOCUMENTS_MIN {
            return CorpusClass { documents: 0, length: 0, is_small: true };
        }
        CorpusClass {
            documents: step(self.documents as f64, CORPUS_STEPS),
            length: step(self.tokens as f64 / self.documents as f64, CORPUS_STEPS),
            is_small: false,
        }
    }

    /// Adds the documents and tokens of another, and takes away those of a third.
    #[must_use]
    pub fn changed(self, added: Corpus, removed: Corpus) -> Corpus {
        Corpus {
            documents: (self.documents + added.documents).saturating_sub(removed.documents),
            tokens: (self.tokens + added.tokens).saturating_sub(removed.tokens),
        }
    }
}

impl CorpusClass {
    /// The number of documents that stands for the class.
    #[must_use]
    pub fn documents(self) -> f64 {
        if self.is_small { DOCUMENTS_MIN as f64 } else { middle(self.documents, CORPUS_STEPS) }
    }

    /// The length that stands for the class, in tokens.
    #[must_use]
    pub fn average_length(self) -> f64 {
        if self.is_small { LENGTH_ASSUMED } else { middle(self.length, CORPUS_STEPS) }
    }
}

/// The class of the number of documents that have a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrequencyClass {
    /// The smallest number in the class.
    pub min: u64,
    /// The greatest number in the class.
    pub max: u64,
}

impl FrequencyClass {
    /// The class of a number.
    #[must_use]
    pub fn of(number: u64) -> FrequencyClass {
        if number == 0 {
            return FrequencyClass { min: 0, max: 0 };
        }
        let class = step(number as f64, FREQUENCY_STEPS);
        let first_in = |class: i32| {
            let mut first = (f64::from(class) / FREQUENCY_STEPS).exp2() as u64;
            // The power may lie a little below or above the true boundary.
            while first > 1 && step((first - 1) as f64, FREQUENCY_STEPS) >= class {
                first -= 1;
            }
            while step(first as f64, FREQUENCY_STEPS) < class {
                first += 1;
            }
            first
        };
        FrequencyClass { min: first_in(class), max: first_in(class + 1).saturating_sub(1).max(number) }
    }

    /// The number that stands for the class.
    #[must_use]
    pub fn middle(self) -> f64 {
        (self.min as f64 * self.max as f64).sqrt()
    }
}

fn step(number: f64, steps: f64) -> i32 {
    // Numbers are counts, so their logarithms are small.
    (number.max(f64::MIN_POSITIVE).log2() * steps).floor() as i32
}

fn middle(class: i32, steps: f64) -> f64 {
    ((f64::from(class) + 0.5) / steps).exp2()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_corpora_are_all_alike() {
        let class = |documents, tokens| Corpus { documents, tokens }.class();
        assert_eq!(class(0, 0), class(255, 9000));
        assert_ne!(class(255, 9000), class(256, 9000));
    }

    #[test]
    fn a_class_holds_for_a_fifth_more() {
        let class = |documents| Corpus { documents, tokens: documents * 10 }.class();
        assert_eq!(class(1025), class(1200));
        assert_ne!(class(1025), class(1300));
        assert!((class(1100).documents() / 1100.0 - 1.0).abs() < 0.1);
        assert!((class(1100).average_length() / 10.0 - 1.0).abs() < 0.1);
    }

    #[test]
    fn the_first_frequencies_have_classes_of_their_own() {
        let classes: Vec<(u64, u64)> =
            [0, 1, 2, 3, 4, 6, 8].map(FrequencyClass::of).map(|c| (c.min, c.max)).into();
        assert_eq!(classes, [(0, 0), (1, 1), (2, 2), (3, 3), (4, 5), (6, 7), (8, 11)]);
    }

    proptest! {
        #[test]
        fn a_class_is_the_class_of_all_its_numbers(number in 0u64..5_000_000_000) {
            let class = FrequencyClass::of(number);
            prop_assert!(class.min <= number && number <= class.max);
            prop_assert_eq!(FrequencyClass::of(class.min), class);
            prop_assert_eq!(FrequencyClass::of(class.max), class);
            prop_assert_ne!(FrequencyClass::of(class.max + 1), class);
        }
    }
}
