//! Commits, conflicts, subscriptions, the cache of documents, vector indexes and the files.

use std::fmt;

use freshet_database::DatabaseStatistics;

use super::families::Families;

/// Writes the families.
pub(super) fn write(families: &mut Families<'_>, database: &DatabaseStatistics) -> fmt::Result {
    families.counter("freshet_commits", "Commits that are durable.", database.group_commits.sum())?;
    families.sizes(
        "freshet_commit_group_size",
        "Commits that were made durable together, with one sync of the disk.",
        &database.group_commits,
    )?;
    families.times(
        "freshet_commit_store_seconds",
        "Time to write a group of commits and sync it to disk.",
        [([], &database.group_us)],
    )?;
    families.counter(
        "freshet_commit_failures",
        "Groups of commits that the disk refused.",
        database.failed_groups,
    )?;
    families.counter(
        "freshet_commit_conflicts",
        "Transactions that ran again because something they had read was written meanwhile.",
        database.conflicts,
    )?;
    families.gauge(
        "freshet_commit_queue_length",
        "Commits that are visible and not durable yet.",
        database.queued_commits,
    )?;
    families.gauge("freshet_commit_queue_bytes", "Bytes of these.", database.queued_bytes)?;
    families.gauge(
        "freshet_commit_queue_age_seconds",
        "How long the oldest of these has waited for the disk.",
        database.oldest_queued.unwrap_or_default().as_secs_f64(),
    )?;
    families.gauge(
        "freshet_database_writable",
        "1 while mutations are taken, 0 while the disk is full or fails.",
        u64::from(database.is_writable),
    )?;
    families.gauge(
        "freshet_recent_commits",
        "Commits of the last minute that are kept in memory.",
        database.window_commits,
    )?;
    families.gauge("freshet_recent_commits_bytes", "Bytes of these.", database.window_bytes)?;
    families.gauge("freshet_tables", "Tables, the server's own included.", database.tables)?;
    families.gauge(
        "freshet_subscriptions",
        "Results whose changes are watched, for clients, for the cache of results and for the server itself.",
        database.subscriptions,
    )?;
    families.counter(
        "freshet_subscription_invalidations",
        "Watched results that a commit changed.",
        database.invalidations,
    )?;
    let cache = database.document_cache;
    families.counter(
        "freshet_document_cache_hits",
        "Reads by id that found their document in memory.",
        cache.hits,
    )?;
    families.counter("freshet_document_cache_misses", "Reads by id that asked the store.", cache.misses)?;
    families.gauge("freshet_document_cache_entries", "Documents in that cache.", cache.entries)?;
    families.gauge("freshet_document_cache_bytes", "Bytes in that cache.", cache.bytes)?;
    let vectors = database.vectors;
    families.gauge(
        "freshet_vector_indexes",
        "Vector indexes, those included that are loaded or built.",
        vectors.indexes as u64,
    )?;
    families.gauge(
        "freshet_vector_indexes_ready",
        "Vector indexes that have all documents.",
        vectors.ready as u64,
    )?;
    families.gauge("freshet_vector_rows", "Rows of all vector indexes.", vectors.rows as u64)?;
    families.gauge(
        "freshet_vector_memory_bytes",
        "Bytes of `--vector-memory-mb` that are in use.",
        vectors.memory_bytes as u64,
    )?;
    let store = database.store;
    families.gauge("freshet_store_file_bytes", "Size of the database file.", store.file_bytes)?;
    families.gauge("freshet_store_log_bytes", "Size of the write-ahead log.", store.log_bytes)?;
    families.gauge("freshet_store_readers", "Connections to the file that read.", store.readers)
}
