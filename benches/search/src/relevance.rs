//! How often the ten best documents are the same as FTS5's, whose BM25 has the same parameters and exact statistics.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::subject::Subject;

/// Documents that are compared.
const BEST: usize = 10;
/// Ends each search: as the last word it is looked for by its beginning, which FTS5 weighs in another way.
const NO_WORD: &str = "zzzzqqqq";

/// Compares the answers over a file with one document a line, for words taken from its documents.
pub(crate) fn compare<'a>(
    ours: &'a mut dyn Subject,
    theirs: &'a mut dyn Subject,
    file: &Path,
    runs: usize,
    seed: u64,
) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let documents: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    for subject in [&mut *ours, &mut *theirs] {
        for documents in documents.chunks(500) {
            subject.insert(documents)?;
        }
        subject.build_index()?;
    }
    println!("{} documents of {}", documents.len(), file.display());
    for count in 1..=4 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut same, mut all, mut first) = (0, 0, 0);
        for _ in 0..runs {
            let words = words(&documents, count, &mut rng);
            let query = format!("{} {NO_WORD}", words.join(" "));
            // Documents with equal texts have equal scores, and so may others: what counts are the texts.
            let (a, b) = (ours.best(&query, BEST)?, theirs.best(&query, BEST)?);
            ensure!(!a.is_empty() && a.len() == b.len(), "`{query}`: {} and {} are found", a.len(), b.len());
            first += usize::from(a[0] == b[0]);
            let b: BTreeSet<&String> = b.iter().collect();
            all += a.len();
            same += a.iter().filter(|text| b.contains(text)).count();
        }
        println!(
            "{count} words: {:.1} % of the ten best are the same, the best one in {:.1} % of {runs} searches",
            100.0 * f64::from(u32::try_from(same)?) / f64::from(u32::try_from(all)?),
            100.0 * f64::from(u32::try_from(first)?) / f64::from(u32::try_from(runs)?),
        );
    }
    Ok(())
}

/// Some words of one document.
fn words(documents: &[String], count: usize, rng: &mut ChaCha8Rng) -> Vec<String> {
    loop {
        let document = &documents[rng.random_range(0..documents.len())];
        let words: BTreeSet<&str> = document
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| word.len() > 2 && word.is_ascii())
            .collect();
        if words.len() >= count {
            let words: Vec<&str> = words.into_iter().collect();
            let mut chosen = BTreeSet::new();
            while chosen.len() < count {
                chosen.insert(words[rng.random_range(0..words.len())].to_lowercase());
            }
            return chosen.into_iter().collect();
        }
    }
}
