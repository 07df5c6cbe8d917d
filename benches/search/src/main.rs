//! Full-text search next to SQLite's FTS5: building an index, inserting with and without one, searching, size on disk.
//!
//! Both run in this process, on the same texts, with the same durability (write-ahead log, each commit synced), and answer
//! with the ten best documents.

#![allow(clippy::print_stdout)] // The figures are what it is for.

mod corpus;
mod freshet;
mod fts5;
mod relevance;
mod subject;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;

use corpus::Corpus;
use subject::Subject;

/// Measures full-text search next to SQLite's FTS5.
#[derive(Parser)]
struct Options {
    /// Documents.
    #[arg(long, default_value_t = 100_000)]
    documents: usize,
    /// Runs of each query.
    #[arg(long, default_value_t = 200)]
    runs: usize,
    /// What the texts are made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Compares the ten best documents instead, over this file with one document a line.
    #[arg(long)]
    texts: Option<PathBuf>,
}

/// Documents that a search asks for.
const BEST: usize = 10;
/// Documents of one transaction when many are inserted.
const AT_ONCE: usize = 100;
/// Documents inserted one by one.
const SINGLE: usize = 1000;
/// Documents inserted in groups once there is an index.
const MORE: usize = 10_000;

fn main() -> Result<()> {
    let options = Options::parse();
    let (mut ours, mut theirs) = (freshet::Freshet::new()?, fts5::Fts5::new()?);
    if let Some(file) = &options.texts {
        return relevance::compare(&mut ours, &mut theirs, file, options.runs, options.seed);
    }
    let corpus = Corpus::new(options.documents + MORE + SINGLE, options.seed);
    println!(
        "{} documents of {:.1} words, {} different words; seed {}\n",
        options.documents,
        corpus.average_length(),
        corpus.vocabulary(),
        options.seed
    );
    let ours = measure(&mut ours, &corpus, &options)?;
    let theirs = measure(&mut theirs, &corpus, &options)?;
    println!("| What | Freshet | FTS5 | Ratio |\n|---|---|---|---|");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        ensure!(ours.what == theirs.what, "both measure the same");
        let unit = ours.unit;
        println!(
            "| {} | {:.1} {unit} | {:.1} {unit} | {:.2} |",
            ours.what,
            ours.value,
            theirs.value,
            ours.value / theirs.value
        );
    }
    Ok(())
}

struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
}

fn measure(subject: &mut dyn Subject, corpus: &Corpus, options: &Options) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut add = |what: &str, value: f64, unit| figures.push(Figure { what: what.to_owned(), value, unit });
    let (first, rest) = corpus.texts().split_at(options.documents);
    let (more, single) = rest.split_at(MORE);
    let per_document = |texts: &[String], at_once: usize, subject: &mut dyn Subject| -> Result<f64> {
        let begin = Instant::now();
        texts.chunks(at_once).try_for_each(|texts| subject.insert(texts))?;
        Ok(micros(begin.elapsed()) / texts.len() as f64)
    };
    add("insert without index, 100 a commit, per document", per_document(first, AT_ONCE, subject)?, "us");
    let before = subject.size()?;
    let begin = Instant::now();
    subject.build_index()?;
    add("build the index, per document", micros(begin.elapsed()) / options.documents as f64, "us");
    add(
        "size of the index, per document",
        (subject.size()? - before) as f64 / options.documents as f64,
        "bytes",
    );
    add("insert with index, 100 a commit, per document", per_document(more, AT_ONCE, subject)?, "us");
    add("insert with index, one a commit, per document", per_document(single, 1, subject)?, "us");
    for (what, words) in corpus.queries() {
        let mut times: Vec<Duration> = Vec::new();
        let mut found = 0;
        for run in 0..options.runs + 3 {
            let begin = Instant::now();
            found = subject.best(&words, BEST)?.len();
            // The first few fill caches.
            if run >= 3 {
                times.push(begin.elapsed());
            }
        }
        ensure!(found > 0, "{words} is found");
        times.sort_unstable();
        add(&format!("{what}, p50"), micros(times[times.len() / 2]), "us");
        add(&format!("{what}, p99"), micros(times[times.len() * 99 / 100]), "us");
    }
    Ok(figures)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
