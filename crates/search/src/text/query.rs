//! What a searched text asks for.

use super::tokenizer::{Stretch, each_stretch, tokens};

/// Tokens of a searched text that are used; the rest is ignored.
pub const QUERY_TOKENS_MAX: usize = 16;
/// Terms that one search looks up, those included that a prefix stands for.
pub const TERMS_MAX: usize = 64;
/// Stretches of letters up to this length have to be there as a whole; of longer ones any pair of letters counts.
const WHOLE_LETTERS_MAX: usize = 4;

/// How a group's terms are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// All of them have to be there.
    All,
    /// The one term, or one that begins with it.
    Prefix,
}

/// Terms that count together: a document matches a search if it matches one of the groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The terms, without repetition; a prefix is a single one.
    pub terms: Vec<String>,
    /// How they are looked for.
    pub matches: Match,
}

/// The groups of a searched text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchQuery {
    /// No two are equal.
    pub groups: Vec<Group>,
}

impl SearchQuery {
    /// What a text asks for: each token by itself, the last one also as a prefix. Repeated ones count once. In scripts
    /// without spaces each stretch of letters is looked for anywhere inside a run.
    #[must_use]
    pub fn of(text: &str) -> SearchQuery {
        let mut query = SearchQuery::default();
        let mut words: Vec<String> = tokens(text).take(QUERY_TOKENS_MAX).collect();
        let Some(last) = words.pop() else {
            // A run that is too long to be a token has letters all the same.
            query.add_stretches(text);
            return query;
        };
        words.retain(|word| *word != last);
        for word in words {
            query.add(Group { terms: vec![word], matches: Match::All });
        }
        query.add(Group { terms: vec![last], matches: Match::Prefix });
        query.add_stretches(text);
        query
    }

    fn add_stretches(&mut self, text: &str) {
        each_stretch(text, |stretch| match stretch {
            Stretch::Word(word) => self.add(Group { terms: vec![word.clone()], matches: Match::All }),
            Stretch::Letters { letters, .. } => {
                let pairs = letters.windows(2).map(|pair| pair.iter().collect::<String>());
                let mut grams: Vec<String> = Vec::new();
                for gram in if letters.len() == 1 { vec![letters[0].to_string()] } else { pairs.collect() } {
                    if !grams.contains(&gram) {
                        grams.push(gram);
                    }
                }
                if letters.len() <= WHOLE_LETTERS_MAX {
                    self.add(Group { terms: grams, matches: Match::All });
                } else {
                    for gram in grams {
                        self.add(Group { terms: vec![gram], matches: Match::All });
                    }
                }
            }
        });
    }

    fn add(&mut self, group: Group) {
        let terms: usize = self.groups.iter().map(|group| group.terms.len()).sum();
        // What a prefix stands for includes the term itself.
        let is_new = self.groups.iter().all(|known| known.terms != group.terms);
        if is_new && terms + group.terms.len() <= TERMS_MAX {
            self.groups.push(group);
        }
    }

    /// There is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(text: &str) -> Vec<(String, Match)> {
        SearchQuery::of(text).groups.into_iter().map(|group| (group.terms.join("+"), group.matches)).collect()
    }

    #[test]
    fn the_last_token_is_also_a_prefix_and_repeated_tokens_count_once() {
        let expected = [("the".to_owned(), Match::All), ("cat".to_owned(), Match::Prefix)];
        assert_eq!(groups("The cat the CAT"), expected);
        assert!(groups(" !? ").is_empty());
    }

    #[test]
    fn sixteen_tokens_are_used() {
        let text: Vec<String> = (0..20).map(|n| format!("w{n}")).collect();
        let groups = groups(&text.join(" "));
        assert_eq!(groups.len(), 16);
        assert_eq!(groups[15], ("w15".to_owned(), Match::Prefix));
    }

    #[test]
    fn letters_without_spaces_are_looked_for_inside_runs() {
        let expected = [("東京都".to_owned(), Match::Prefix), ("東京+京都".to_owned(), Match::All)];
        assert_eq!(groups("東京都"), expected);
        assert_eq!(groups("東"), [("東".to_owned(), Match::Prefix)]);
        assert_eq!(groups("東京都港区").len(), 5);
    }

    #[test]
    fn a_query_has_a_bound_on_its_terms() {
        let text: String = (0x4E00..0x4F00).filter_map(char::from_u32).collect();
        assert_eq!(SearchQuery::of(&text).groups.len(), TERMS_MAX);
    }
}
