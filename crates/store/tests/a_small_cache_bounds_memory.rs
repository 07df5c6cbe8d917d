//! Data larger than the cache: answers stay right, and SQLite's memory stays within what was asked for.
//!
//! Alone in its file: the measured memory is that of the whole process.

#![allow(clippy::unwrap_used)] // Functions beside the tests are tests too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use freshet_store::{
    Batch, CommitRecord, DocumentWrite, IndexId, IndexWrite, Order, SqliteOptions, SqliteStore, Store,
    StoredDocument, TableId,
};
use freshet_values::{InternalId, KeyInterval, Timestamp};

const TABLE: TableId = TableId(70);
const INDEX: IndexId = IndexId(71);
const DOCUMENTS: u32 = 16_000;
const JSON_BYTES: usize = 4000;
const CACHE_BYTES: usize = 4 << 20;
/// Connections also hold their statements, the schema and buffers: about 70 KiB each.
const CONNECTION_BYTES: usize = 160 << 10;

fn id(number: u32) -> InternalId {
    let mut internal = InternalId([0; 16]);
    internal.0[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B9).to_be_bytes());
    internal
}

fn json(number: u32, version: u32) -> String {
    let pad = "x".repeat(JSON_BYTES);
    format!(r#"{{"n":{number},"version":{version},"pad":"{pad}"}}"#)
}

fn batch(timestamp: u64, numbers: impl Iterator<Item = u32>, version: u32) -> Batch {
    let mut record = CommitRecord { timestamp: Timestamp(timestamp), documents: vec![], indexes: vec![] };
    for number in numbers {
        let internal = id(number);
        let new = Some(StoredDocument { internal, json: Arc::from(json(number, version)), size: 9 });
        record.documents.push(DocumentWrite { table: TABLE, internal, new });
        let key = Arc::from(number.to_be_bytes());
        record.indexes.push(IndexWrite { index: INDEX, key, document: Some((TABLE, internal)) });
    }
    Batch { commits: vec![Arc::new(record)], ..Batch::default() }
}

fn memory_used() -> i64 {
    // SAFETY: reads a counter.
    unsafe { rusqlite::ffi::sqlite3_memory_used() }
}

#[test]
fn reads_are_right_and_memory_is_bounded_while_sixteen_times_the_cache_is_read_and_written() {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteOptions { cache_bytes: CACHE_BYTES, ..SqliteOptions::default() };
    let store = SqliteStore::open(&directory.path().join("db"), &options).unwrap();
    for first in (0..DOCUMENTS).step_by(200) {
        store.commit(&batch(u64::from(first) + 1, first..first + 200, 0)).unwrap();
    }
    // Its log holds the same again.
    assert!(std::fs::metadata(directory.path().join("db")).unwrap().len() > 64 << 20);
    let most = AtomicI64::new(0);
    let done = AtomicBool::new(false);
    let readers = 12_usize;
    std::thread::scope(|scope| {
        for reader in 0..readers {
            let (store, most, done) = (&store, &most, &done);
            scope.spawn(move || {
                let mut at = u32::try_from(reader).unwrap() * 7919;
                while !done.load(Ordering::Relaxed) {
                    let snapshot = store.snapshot().unwrap();
                    for _ in 0..20 {
                        at = at.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        let number = at % DOCUMENTS;
                        let found = snapshot.get(TABLE, id(number)).unwrap().unwrap();
                        assert!(found.json.starts_with(&format!(r#"{{"n":{number},"version""#)));
                    }
                    let start = at % (DOCUMENTS - 50);
                    let interval = KeyInterval {
                        start: start.to_be_bytes().to_vec(),
                        end: Some((start + 50).to_be_bytes().to_vec()),
                    };
                    let chunk = snapshot.scan(INDEX, &interval, Order::Asc, 1000, usize::MAX).unwrap();
                    let keys: Vec<[u8; 4]> =
                        chunk.rows.iter().map(|row| row.key.as_ref().try_into().unwrap()).collect();
                    let expected: Vec<[u8; 4]> = (start..start + 50).map(u32::to_be_bytes).collect();
                    assert_eq!(keys, expected);
                    // One commit wrote all of a block, so a snapshot must not see two versions in it.
                    let first = start / 50 * 50;
                    let versions: std::collections::BTreeSet<&str> = chunk
                        .rows
                        .iter()
                        .filter(|row| u32::from_be_bytes(row.key.as_ref().try_into().unwrap()) < first + 50)
                        .map(|row| row.document.json.split(',').nth(1).unwrap())
                        .collect();
                    assert_eq!(versions.len(), 1, "{versions:?}");
                    most.fetch_max(memory_used(), Ordering::Relaxed);
                }
            });
        }
        for version in 1..=150 {
            let first = (version * 7919) % (DOCUMENTS / 50) * 50;
            let timestamp = u64::from(DOCUMENTS + version);
            store.commit(&batch(timestamp, first..first + 50, version)).unwrap();
            most.fetch_max(memory_used(), Ordering::Relaxed);
        }
        done.store(true, Ordering::Relaxed);
    });
    let bound = CACHE_BYTES + (readers + 1) * CONNECTION_BYTES;
    let most = usize::try_from(most.into_inner()).unwrap();
    assert!(most <= bound, "SQLite used {most} bytes, {bound} are allowed");
    let cached = store.cache_used();
    assert!(cached > 0 && cached <= CACHE_BYTES, "the caches hold {cached} bytes");
    eprintln!("at most {most} bytes in all, {cached} in caches at the end");
}
