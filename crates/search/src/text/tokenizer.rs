//! Words of a text.
//!
//! A token is a maximal run of alphanumeric characters in lower case, shorter than 32 bytes. That serves scripts that put
//! spaces between words. In scripts that do not, a run is a whole sentence; so for each stretch of such a script there are
//! additional tokens: its single letters, and its pairs of neighbouring letters. Pairs need no dictionary, find a word
//! wherever it stands, and never change; a dictionary would cut a text and a query differently, and another
//! version of it would make every index wrong.

use rustc_hash::FxHashMap;

/// Bytes of the longest token that is kept.
pub const TOKEN_BYTES_MAX: usize = 31;

/// The words of one text with how often each occurs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    frequencies: FxHashMap<String, u32>,
    length: u32,
}

impl Terms {
    /// The words of a text.
    #[must_use]
    pub fn of(text: &str) -> Terms {
        let mut terms = Terms::default();
        for run in tokens(text) {
            terms.add(run);
        }
        each_stretch(text, |stretch| {
            for gram in stretch.grams() {
                terms.add(gram);
            }
        });
        terms
    }

    fn add(&mut self, term: String) {
        let frequency = self.frequencies.entry(term).or_insert(0);
        *frequency = frequency.saturating_add(1);
        self.length = self.length.saturating_add(1);
    }

    /// Each word with how often it occurs, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.frequencies.iter().map(|(term, frequency)| (term.as_str(), *frequency))
    }

    /// Number of tokens, repeated ones included.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.length
    }

    /// There is no word in the text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// The runs of alphanumeric characters of a text that are kept, in lower case, in order.
pub fn tokens(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|run| !run.is_empty() && run.len() <= TOKEN_BYTES_MAX)
        .map(|run| run.chars().map(lower).collect())
}

/// The lower case of a character that is one character (the simple case mapping).
fn lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    // Only U+0130 maps to two: its simple mapping is the first.
    mapped.next().unwrap_or(c)
}

/// A piece of a run, or of several, that has tokens of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stretch {
    /// Letters of a script without spaces; accents and tone marks left out.
    Letters {
        /// The letters.
        letters: Vec<char>,
        /// They are a run by themselves, which is a token already.
        is_run: bool,
    },
    /// The rest of a run that contains such letters.
    Word(String),
}

impl Stretch {
    /// The tokens of a text that it gives rise to.
    fn grams(&self) -> Vec<String> {
        match self {
            Stretch::Word(word) => vec![word.clone()],
            Stretch::Letters { letters, is_run } => {
                let skip = if *is_run { letters.len() } else { 0 };
                let singles = letters.iter().map(char::to_string).filter(|_| skip != 1);
                let pairs = letters.windows(2).map(|pair| pair.iter().collect()).filter(|_| skip != 2);
                singles.chain(pairs).collect()
            }
        }
    }
}

/// Calls `visit` with the stretches of a text, in order. Without a script of that kind there are none.
pub(super) fn each_stretch(text: &str, mut visit: impl FnMut(&Stretch)) {
    if text.is_ascii() {
        return;
    }
    let mut letters: Vec<char> = Vec::new();
    // Whether nothing but letters has been in the stretch of letters, and it began where a run begins.
    let mut is_pure = true;
    let mut word = String::new();
    // The run has letters of a script without spaces.
    let mut mixed = false;
    let end_letters = |letters: &mut Vec<char>, is_run: bool, visit: &mut dyn FnMut(&Stretch)| {
        if !letters.is_empty() {
            visit(&Stretch::Letters { letters: std::mem::take(letters), is_run });
        }
    };
    let end_word = |word: &mut String, mixed: bool, visit: &mut dyn FnMut(&Stretch)| {
        if mixed && !word.is_empty() && word.len() <= TOKEN_BYTES_MAX {
            visit(&Stretch::Word(word.chars().map(lower).collect()));
        }
        word.clear();
    };
    for c in text.chars() {
        let alphanumeric = c.is_alphanumeric();
        if is_written_without_spaces(c) {
            if alphanumeric {
                if letters.is_empty() {
                    is_pure = word.is_empty();
                }
                mixed = true;
                end_word(&mut word, true, &mut visit);
                letters.push(lower(c));
            } else {
                // A mark within a word: it ends the run, not the stretch.
                is_pure = false;
                mixed = false;
            }
            continue;
        }
        end_letters(&mut letters, is_pure && !alphanumeric, &mut visit);
        if alphanumeric {
            word.push(c);
        } else {
            end_word(&mut word, mixed, &mut visit);
            mixed = false;
        }
    }
    end_letters(&mut letters, is_pure, &mut visit);
    end_word(&mut word, mixed, &mut visit);
}

/// Whether a character belongs to a script in which words are not set apart: Chinese, Japanese, Thai, Lao, Khmer, Burmese
/// and their relatives. Fixed, because it decides what stands in an index.
fn is_written_without_spaces(c: char) -> bool {
    matches!(u32::from(c),
        0x0E01..=0x0E3A | 0x0E40..=0x0E4E | 0x0E81..=0x0ECE | 0x0EDC..=0x0EDF // Thai, Lao
        | 0x1000..=0x103F | 0x104C..=0x109D | 0xA9E0..=0xA9FE | 0xAA60..=0xAA7F // Burmese
        | 0x1780..=0x17D3 | 0x17D7 | 0x17DC..=0x17DD // Khmer
        | 0x1950..=0x19DF | 0x1A20..=0x1A7F | 0x1AA7 | 0xAA80..=0xAADD // Tai Le, New Tai Lue, Tai Tham, Tai Viet
        | 0x3005..=0x3007 | 0x3041..=0x3096 | 0x3099..=0x309A | 0x309D..=0x309F // marks of Han, Hiragana
        | 0x30A1..=0x30FA | 0x30FC..=0x30FF | 0x31F0..=0x31FF | 0xFF66..=0xFF9F // Katakana
        | 0x3105..=0x312F | 0x31A0..=0x31BF // Bopomofo
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFD // Han
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text).collect()
    }

    fn terms(text: &str) -> BTreeMap<String, u32> {
        Terms::of(text).iter().map(|(term, frequency)| (term.to_owned(), frequency)).collect()
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        assert_eq!(words("Hello, wörld-2! snake_case İX"), ["hello", "wörld", "2", "snake", "case", "ix"]);
        assert!(words(" \t!? --").is_empty());
    }

    #[test]
    fn tokens_of_32_bytes_are_dropped_and_of_31_kept() {
        assert_eq!(words(&"a".repeat(31)).len(), 1);
        assert!(words(&"a".repeat(32)).is_empty());
        assert!(words(&"ä".repeat(16)).is_empty());
    }

    #[test]
    fn other_scripts_have_no_additional_tokens() {
        for text in ["naïve café", "Привет мир", "مرحبا بالعالم", "안녕하세요 세계", "नमस्ते"]
        {
            assert_eq!(Terms::of(text).length() as usize, words(text).len(), "{text}");
        }
    }

    #[test]
    fn a_word_inside_a_run_without_spaces_is_found_by_its_pairs_of_letters() {
        let found = terms("私は東京に住む");
        for term in ["私は東京に住む", "東京", "東", "に住"] {
            assert_eq!(found.get(term), Some(&1), "{term}");
        }
        // Tone marks end a run, but not a word.
        assert!(terms("แม่น้ำ").contains_key("มน"));
    }

    #[test]
    fn a_run_of_one_or_two_letters_counts_once() {
        assert_eq!(terms("東京"), BTreeMap::from([("東京".into(), 1), ("東".into(), 1), ("京".into(), 1)]));
        assert_eq!(terms("東"), BTreeMap::from([("東".into(), 1)]));
    }

    #[test]
    fn a_run_of_two_scripts_is_also_cut_where_the_script_changes() {
        let found = terms("新iPhone用です");
        assert!(found.contains_key("新iphone用です") && found.contains_key("iphone"));
        assert!(found.contains_key("用で") && !found.contains_key("新用"));
    }

    proptest! {
        #[test]
        fn no_token_is_long_and_none_has_the_byte_that_ends_a_term(text in "\\PC{0,60}") {
            for (term, frequency) in Terms::of(&text).iter() {
                prop_assert!(!term.is_empty() && frequency > 0 && !term.contains('\0'));
            }
            let kept: u32 = Terms::of(&text).iter().map(|(_, frequency)| frequency).sum();
            prop_assert_eq!(kept, Terms::of(&text).length());
        }
    }
}
