//! Texts whose words are as unevenly common as those of a language: the word of rank r occurs in proportion to 1/r.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const VOCABULARY: usize = 50_000;
const WORDS_MIN: usize = 5;
const WORDS_MAX: usize = 35;

pub(crate) struct Corpus {
    texts: Vec<String>,
    words: Vec<String>,
}

impl Corpus {
    pub(crate) fn new(documents: usize, seed: u64) -> Corpus {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let words: Vec<String> = (0..VOCABULARY).map(word).collect();
        let mut sums = Vec::with_capacity(VOCABULARY);
        let mut sum = 0.0;
        for rank in 0..VOCABULARY {
            sum += 1.0 / (rank as f64 + 2.7);
            sums.push(sum);
        }
        let text = |rng: &mut ChaCha8Rng| {
            let length = rng.random_range(WORDS_MIN..=WORDS_MAX);
            let words = (0..length).map(|_| {
                let at = rng.random_range(0.0..sum);
                words[sums.partition_point(|sum| *sum < at).min(VOCABULARY - 1)].as_str()
            });
            words.collect::<Vec<_>>().join(" ")
        };
        let texts = (0..documents).map(|_| text(&mut rng)).collect();
        Corpus { texts, words }
    }

    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }

    pub(crate) fn vocabulary(&self) -> usize {
        self.words.len()
    }

    pub(crate) fn average_length(&self) -> f64 {
        let words: usize = self.texts.iter().map(|text| text.split(' ').count()).sum();
        words as f64 / self.texts.len() as f64
    }

    /// What is searched for.
    pub(crate) fn queries(&self) -> Vec<(&'static str, String)> {
        let rank = |rank: usize| self.words[rank].clone();
        let three = format!("{} {} {}", rank(40), rank(900), rank(9000));
        vec![
            ("search a rare word", rank(15_000)),
            ("search a common word", rank(0)),
            ("search three words", three),
            ("search a prefix of three letters", rank(700)[..3].to_owned()),
        ]
    }
}

/// A word that looks like one: syllables chosen by its rank. No word is the beginning of many others by chance.
fn word(rank: usize) -> String {
    const SYLLABLES: [&str; 40] = [
        "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we",
        "xi", "yo", "zu", "bla", "cre", "dri", "flo", "gru", "sha", "che", "thi", "plo", "stu", "bra", "cle",
        "fri", "glo", "pru", "ska", "sle", "tri", "vlo", "wru",
    ];
    let mut word = String::new();
    let mut left = rank + 40;
    while left > 0 {
        word.push_str(SYLLABLES[left % 40]);
        left /= 40;
    }
    word
}
