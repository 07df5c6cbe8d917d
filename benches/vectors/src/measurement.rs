//! One number of rows, from an empty file to searches after a restart.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use freshet_database::{
    Database, DatabaseOptions, IndexSpec, IndexState, Namespace, Randomness, SystemClock, VectorOptions,
    VectorQuery,
};
use freshet_store::{SqliteOptions, SqliteStore};
use freshet_values::Value;
use serde_json::json;

use crate::Cli;
use crate::data::Data;
use crate::exact::Exact;
use crate::latencies::Latencies;

/// Documents of one commit while the table is filled.
const FILL: usize = 100;
const LIMIT: usize = 10;
/// Filters by the share of the rows that pass.
const SHARES: [(&str, usize); 4] = [("none", 1), ("1 in 2", 2), ("1 in 100", 100), ("1 in 1000", 1000)];

/// Measures and prints.
#[expect(clippy::print_stdout, reason = "a command that reports")]
pub(crate) fn run(cli: &Cli, name: &str, data: &Data, rows: usize) -> Result<()> {
    ensure!(rows > 0, "there are no rows to be measured");
    let folder = match &cli.directory {
        Some(directory) => tempfile::tempdir_in(directory),
        None => tempfile::tempdir(),
    }
    .context("cannot make a folder for the database")?;
    println!("\n{name}, {rows} x {}", data.dimensions);
    let (database, store) = open(folder.path(), cli)?;

    let started = Instant::now();
    let mut ids = Vec::with_capacity(rows + 2 * cli.inserts);
    for from in (0..rows).step_by(FILL) {
        insert(&database, data, from..(from + FILL).min(rows), &mut ids)?;
    }
    settle(&database)?;
    println!("  documents written         {:.0}/s", rows as f64 / started.elapsed().as_secs_f64());
    let without = time_inserts(&database, data, rows..rows + cli.inserts, &mut ids)?;

    let started = Instant::now();
    let index = declare(&database, data.dimensions)?;
    while database.catalog().index(index).is_none_or(|index| index.state == IndexState::Backfilling) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let built = started.elapsed();
    let mut transaction = database.begin()?;
    transaction.enable_index(index)?;
    database.commit(transaction)?;
    println!(
        "  index built               {:.1} s, {:.0} documents/s",
        built.as_secs_f64(),
        ids.len() as f64 / built.as_secs_f64()
    );
    let with = time_inserts(&database, data, rows + cli.inserts..rows + 2 * cli.inserts, &mut ids)?;
    for (what, at) in [("insert until visible ", 0), ("insert until durable ", 1)] {
        println!(
            "  {what}     {} with the index; {} without; ratio of the medians {:.2}",
            with[at],
            without[at],
            with[at].quantile_ms(0.5) / without[at].quantile_ms(0.5)
        );
    }

    let exact = Exact::new(data, ids.len());
    for (name, share) in SHARES {
        let (mut ours, mut theirs) = (Latencies::default(), Latencies::default());
        let (mut hits, mut wanted) = (0, 0);
        for vector in data.queries() {
            let right = theirs.time(|| exact.search(vector, LIMIT, |row| row % share == 0));
            let query = query(vector, share)?;
            let answer = ours.time(|| database.vector_search(Namespace::ROOT, &query))?;
            wanted += right.len();
            let is_found = |row: &&usize| answer.hits.iter().any(|hit| hit.id.to_string() == ids[**row]);
            hits += right.iter().filter(is_found).count();
        }
        println!("  search, filter {name}");
        println!("    index                   {ours}, processor {:.3} ms", ours.processor_ms());
        println!("    every vector            {theirs}, processor {:.3} ms", theirs.processor_ms());
        println!(
            "    ratio                   p50 {:.3}, p99 {:.3}, processor {:.3}; recall at {LIMIT} {:.4}",
            ours.quantile_ms(0.5) / theirs.quantile_ms(0.5),
            ours.quantile_ms(0.99) / theirs.quantile_ms(0.99),
            ours.processor_ms() / theirs.processor_ms(),
            hits as f64 / wanted.max(1) as f64
        );
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let queries: Vec<(&[f32], VectorQuery)> =
        data.queries().map(|vector| Ok((vector, query(vector, 1)?))).collect::<Result<_>>()?;
    let theirs = per_second(threads, &queries, |(vector, _)| {
        std::hint::black_box(exact.search(vector, LIMIT, |_| true));
        Ok(())
    })?;
    let ours = per_second(threads, &queries, |(_, query)| {
        database.vector_search(Namespace::ROOT, query)?;
        Ok(())
    })?;
    println!(
        "  {threads} threads                 index {ours:.0} searches/s, every vector {theirs:.0}/s; ratio {:.2}",
        ours / theirs
    );
    let figures = database.statistics().vectors;
    database.save_vectors();
    println!(
        "  memory {:.1} MB of {} MB allowed ({:.0} bytes a row), files {:.1} MB; the vectors alone {:.1} MB, the database {:.1} MB",
        figures.memory_bytes as f64 / 1e6,
        (cli.memory_mb << 20) / 1_000_000,
        figures.memory_bytes as f64 / figures.rows as f64,
        size(&folder.path().join("vectors"))? as f64 / 1e6,
        (4 * data.dimensions * ids.len()) as f64 / 1e6,
        std::fs::metadata(folder.path().join("data.sqlite3"))?.len() as f64 / 1e6,
    );
    drop(database);
    store.close()?;
    let started = Instant::now();
    let (database, _store) = open(folder.path(), cli)?;
    let first = data.queries().next().context("there are no queries")?;
    database.vector_search(Namespace::ROOT, &query(first, 1)?)?;
    println!("  start to first answer     {:.0} ms", started.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn open(folder: &Path, cli: &Cli) -> Result<(Database, Arc<SqliteStore>)> {
    let store = Arc::new(SqliteStore::open(&folder.join("data.sqlite3"), &SqliteOptions::default())?);
    let options = DatabaseOptions {
        vectors: VectorOptions {
            directory: Some(folder.join("vectors")),
            memory_bytes: cli.memory_mb << 20,
            search_wait_max: Duration::from_secs(600),
            ..VectorOptions::default()
        },
        ..DatabaseOptions::default()
    };
    let database = Database::open(store.clone(), options, Arc::new(SystemClock), Randomness::from_os())?;
    Ok((database, store))
}

/// Inserts rows in one transaction.
fn insert(
    database: &Database,
    data: &Data,
    rows: std::ops::Range<usize>,
    ids: &mut Vec<String>,
) -> Result<()> {
    let mut transaction = database.begin()?;
    for row in rows {
        let float = |x: &f32| Value::Float64((f64::from(*x) * 1e8).round() / 1e8);
        let mut fields = vec![("embedding", Value::Array(data.vector(row).iter().map(float).collect()))];
        fields.push(("title", Value::from("What this document is about, in a few words")));
        for (at, (_, share)) in SHARES.iter().enumerate() {
            fields.push((["all", "half", "some", "few"][at], Value::Boolean(row % share == 0)));
        }
        let document =
            Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        ids.push(transaction.user(Namespace::ROOT).insert("items", document)?.to_string());
    }
    database.commit(transaction)?;
    Ok(())
}

/// The time until commits of single documents are visible, and until they are durable.
fn time_inserts(
    database: &Database,
    data: &Data,
    rows: std::ops::Range<usize>,
    ids: &mut Vec<String>,
) -> Result<[Latencies; 2]> {
    settle(database)?;
    let mut latencies = [Latencies::default(), Latencies::default()];
    for row in rows {
        let [visible, durable] = &mut latencies;
        durable.time(|| -> Result<()> {
            visible.time(|| insert(database, data, row..row + 1, ids))?;
            settle(database)
        })?;
    }
    Ok(latencies)
}

/// Searches a second when several threads make them.
fn per_second<T: Sync>(threads: usize, all: &[T], one: impl Fn(&T) -> Result<()> + Sync) -> Result<f64> {
    let started = Instant::now();
    let share = |thread: usize| all.iter().skip(thread).step_by(threads).try_for_each(&one);
    std::thread::scope(|scope| -> Result<()> {
        let share = &share;
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || share(thread))).collect();
        running.into_iter().try_for_each(|thread| thread.join().expect("no search panics"))
    })?;
    Ok(all.len() as f64 / started.elapsed().as_secs_f64())
}

fn settle(database: &Database) -> Result<()> {
    Ok(database.wait_durable_blocking(database.visible_ts())?)
}

fn declare(database: &Database, dimensions: usize) -> Result<freshet_database::IndexId> {
    let mut transaction = database.begin()?;
    let spec = IndexSpec::Vector {
        vector_field: "embedding".parse()?,
        dimensions: u32::try_from(dimensions)?,
        filter_fields: ["half", "some", "few"].iter().map(|field| field.parse()).collect::<Result<_, _>>()?,
    };
    let (table, index) = ("items".parse()?, "by_embedding".parse()?);
    let id = transaction.create_index(Namespace::ROOT, &table, &index, spec, false)?;
    database.commit(transaction)?;
    Ok(id)
}

fn query(vector: &[f32], share: usize) -> Result<VectorQuery> {
    let field =
        SHARES.iter().position(|(_, other)| *other == share).map(|at| ["all", "half", "some", "few"][at]);
    let filter =
        if share == 1 { json!(null) } else { json!({"$eq": [{"$field": field}, {"$literal": true}]}) };
    let query =
        json!({"indexName": "items.by_embedding", "vector": vector, "limit": LIMIT, "expressions": filter});
    Ok(VectorQuery::from_json(&query)?)
}

/// Bytes of the files in a folder.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
