//! `cargo xtask bench vectors`: vector search next to a comparison with every vector in memory, in the same run.
//!
//! It drives the database as lanes do, on SQLite with fsync, without V8 and without a network: what is measured is the index, and
//! what it costs the commits.

mod data;
mod exact;
mod latencies;
mod measurement;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use crate::data::{Data, Kind};

#[derive(Parser)]
#[command(name = "vectors", about = "Measures vector search next to a comparison with every vector")]
struct Cli {
    /// Numbers of documents
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    rows: Vec<usize>,
    /// Length of the vectors
    #[arg(long, default_value_t = 768)]
    dimensions: usize,
    /// `clusters`: like embeddings, `noise`: independent numbers, which have no structure to make use of
    #[arg(long, value_delimiter = ',', default_value = "clusters,noise")]
    kinds: Vec<Kind>,
    /// A JSON file with real vectors, `{"vectors": {"name": [...], ...}}`, measured as well
    #[arg(long)]
    words: Option<PathBuf>,
    /// How many of them
    #[arg(long, default_value_t = 50_000)]
    words_max: usize,
    /// Searches of each kind
    #[arg(long, default_value_t = 200)]
    queries: usize,
    /// Single inserts whose commits are timed
    #[arg(long, default_value_t = 1000)]
    inserts: usize,
    /// Memory for the index in MB
    #[arg(long, default_value_t = 256)]
    memory_mb: usize,
    /// Where the databases are made
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Seed of all randomness
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[expect(clippy::print_stdout, reason = "a command that reports")]
fn main() -> Result<()> {
    let cli = Cli::parse();
    println!("seed {}, {} queries of each kind, limit 10, recall at 10", cli.seed, cli.queries);
    for kind in &cli.kinds {
        for rows in &cli.rows {
            let data = Data::made(*kind, *rows + cli.inserts * 2, cli.queries, cli.dimensions, cli.seed);
            measurement::run(&cli, &format!("{kind:?}"), &data, *rows)?;
        }
    }
    if let Some(path) = &cli.words {
        let data = Data::words(path, cli.words_max, cli.queries)?;
        let rows = data.rows().saturating_sub(cli.inserts * 2);
        measurement::run(&cli, "Words", &data, rows)?;
    }
    Ok(())
}
