//! What a folder of files holds, whatever becomes of those who write it.

#![allow(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use freshet_files::{FileKey, FileStore, FilesError, LocalFiles, MultipartNote, Upload};
use futures::TryStreamExt;
use sha2::{Digest, Sha256};

struct NoNote;

#[async_trait]
impl MultipartNote for NoNote {
    async fn remember(&self, multipart: &str) -> Result<(), String> {
        panic!("a folder has no multi-part uploads, but remembers {multipart}")
    }
}

fn key(n: u8) -> FileKey {
    FileKey::from_bytes([n; 16])
}

/// All files below a folder, by their paths in it.
fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for folder in fs::read_dir(root).unwrap() {
        let folder = folder.unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            let name = file.unwrap().file_name();
            found.push(format!("{}/{}", folder.file_name().display(), name.display()));
        }
    }
    found.sort();
    found
}

async fn begin(store: &LocalFiles, key: &FileKey) -> Upload {
    Upload::new(store.create(key, None, Box::new(NoNote)).await.unwrap())
}

async fn read(store: &LocalFiles, key: &FileKey, range: std::ops::Range<u64>) -> Vec<u8> {
    let pieces: Vec<Bytes> = store.read(key, range).await.unwrap().try_collect().await.unwrap();
    pieces.concat()
}

/// Waits until what is done in the background is done.
async fn until(what: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain");
}

#[tokio::test]
async fn a_file_is_read_as_it_was_written_whole_and_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalFiles::open(folder.path()).unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 31 + (n >> 8)) as u8).collect();
    let mut upload = begin(&store, &key(1)).await;
    for piece in bytes.chunks(70_001) {
        upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
        upload.write(Bytes::new()).await.unwrap();
    }
    let received = upload.complete().await.unwrap();
    assert_eq!(received.size, bytes.len() as u64);
    assert_eq!(received.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
    assert_eq!(files(folder.path()), [format!("incoming/{}", key(1))]);
    upload.publish().await.unwrap();
    assert_eq!(files(folder.path()), [format!("01/{}", key(1))]);
    assert_eq!(read(&store, &key(1), 0..3_000_000).await, bytes);
    assert_eq!(read(&store, &key(1), 262_143..262_146).await, bytes[262_143..262_146]);
    assert_eq!(read(&store, &key(1), 1_000_000..2_999_999).await, bytes[1_000_000..2_999_999]);
    assert!(read(&store, &key(1), 7..7).await.is_empty());
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalFiles::open(folder.path()).unwrap();
    let mut upload = begin(&store, &key(2)).await;
    assert_eq!(upload.complete().await.unwrap().size, 0);
    upload.publish().await.unwrap();
    assert!(read(&store, &key(2), 0..0).await.is_empty());
}

#[tokio::test]
async fn an_abandoned_file_goes() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalFiles::open(folder.path()).unwrap();
    let mut upload = begin(&store, &key(3)).await;
    upload.write(vec![1; 2 << 20].into()).await.unwrap();
    drop(upload);
    until(|| files(folder.path()).is_empty()).await;
}

#[tokio::test]
async fn what_a_killed_process_left_unfinished_goes_at_the_next_start_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalFiles::open(folder.path()).unwrap();
    let mut upload = begin(&store, &key(4)).await;
    upload.write(Bytes::from_static(b"whole")).await.unwrap();
    upload.complete().await.unwrap();
    upload.publish().await.unwrap();
    fs::write(folder.path().join("incoming").join(key(5).as_str()), "half").unwrap();
    let store = LocalFiles::open(folder.path()).unwrap();
    assert_eq!(files(folder.path()), [format!("04/{}", key(4))]);
    assert_eq!(read(&store, &key(4), 0..5).await, b"whole");
}

#[tokio::test]
async fn removing_is_repeatable_and_lets_readers_finish() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalFiles::open(folder.path()).unwrap();
    let mut upload = begin(&store, &key(6)).await;
    upload.write(vec![9; 2 << 20].into()).await.unwrap();
    upload.complete().await.unwrap();
    upload.publish().await.unwrap();
    let reader = store.read(&key(6), 0..2 << 20).await.unwrap();
    store.remove(&key(6), None).await.unwrap();
    store.remove(&key(6), None).await.unwrap();
    assert!(files(folder.path()).is_empty());
    let pieces: Vec<Bytes> = reader.try_collect().await.unwrap();
    assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), 2 << 20);
    assert!(matches!(store.read(&key(6), 0..1).await.map(drop), Err(FilesError::Missing(_))));
}
