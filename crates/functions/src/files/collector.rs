//! Removes bytes that belong to no file: of uploads that came to nothing, and of files that were deleted.
//!
//! A bounded number at a time. What fails stays claimed and is tried again.

use std::time::Duration;

use freshet_files::FileKey;
use freshet_values::DocumentId;
use futures::StreamExt;
use tokio::sync::watch;

use super::{claim, row};
use crate::call_error::CallError;
use crate::functions::Functions;
use crate::own_transaction::{begin_query, write_durably};
use crate::syscalls::database_failure;

/// Claims that are settled in one round.
const BATCH: usize = 64;
/// Files that are removed at the same time.
const PARALLEL: usize = 4;
/// Longest pause: new claims of deleted files do not wake the collector.
const PAUSE_MAX: Duration = Duration::from_secs(60);
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Pause after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// What a round found.
enum Round {
    /// Something was removed, and there may be more.
    More,
    /// Nothing is due.
    Idle,
}

/// A claim whose bytes go.
struct Condemned {
    id: DocumentId,
    key: FileKey,
    multipart: Option<String>,
}

/// Works until told to stop.
pub(crate) async fn run(functions: Functions, mut stopped: watch::Receiver<bool>) {
    let files = functions.services.files.clone();
    let pause = files.deleted_kept.clamp(PAUSE_MIN, PAUSE_MAX);
    while !*stopped.borrow() {
        let (sleep, woken) = match round(&functions).await {
            Ok(Round::More) => (Duration::ZERO, true),
            Ok(Round::Idle) => (pause, true),
            Err(error) => {
                tracing::warn!(%error, "bytes that belong to no file could not be removed; trying again later");
                (RETRY_AFTER, false)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = files.claims_changed.notified(), if woken => {}
            _ = stopped.changed() => {}
        }
    }
}

async fn round(functions: &Functions) -> Result<Round, CallError> {
    if !anything_due(functions).await? {
        return Ok(Round::Idle);
    }
    let condemned = condemn(functions).await?;
    if condemned.is_empty() {
        return Ok(Round::Idle);
    }
    let store = functions.services.files.store.clone();
    let removals = futures::stream::iter(condemned).map(|Condemned { id, key, multipart }| {
        let store = store.clone();
        async move { (id, store.remove(&key, multipart.as_deref()).await) }
    });
    let results: Vec<_> = removals.buffer_unordered(PARALLEL).collect().await;
    let mut removed = Vec::new();
    let mut failure = None;
    for (id, result) in results {
        match result {
            Ok(()) => removed.push(id),
            Err(error) => failure = Some(error),
        }
    }
    write_durably(&functions.services, move |transaction| {
        removed.iter().try_for_each(|id| claim::delete(transaction, *id))?;
        Ok(())
    })
    .await?;
    match failure {
        Some(error) => Err(super::storage_failure(error)),
        None => Ok(Round::More),
    }
}

/// A look that costs no commit.
async fn anything_due(functions: &Functions) -> Result<bool, CallError> {
    let services = functions.services.clone();
    tokio::task::spawn_blocking(move || {
        let mut transaction = begin_query(&services, None)?;
        let now_ns = services.now_ns();
        let claims_max = 1 + services.files.in_flight();
        let first = claim::first(&mut transaction, claims_max).map_err(database_failure)?;
        Ok(first.iter().any(|claim| claim.due_ns <= now_ns && !services.files.is_in_flight(&claim.key)))
    })
    .await
    .map_err(|error| CallError::internal(&error))?
}

/// Decides, durably, which bytes go: from here on nothing can make a file of them.
async fn condemn(functions: &Functions) -> Result<Vec<Condemned>, CallError> {
    let services = functions.services.clone();
    write_durably(&functions.services, move |transaction| {
        let now_ns = services.now_ns();
        let claims_max = BATCH + services.files.in_flight();
        let mut condemned = Vec::new();
        for mut claim in claim::first(transaction, claims_max)? {
            if claim.due_ns > now_ns || condemned.len() == BATCH {
                break;
            }
            if services.files.is_in_flight(&claim.key) {
                continue;
            }
            if row::owns(transaction, &claim.key)? {
                // Cannot be, as a file and a claim change places in one transaction. If it is, the file counts.
                tracing::error!(key = %claim.key, "a file's bytes were claimed as nobody's; they stay");
                claim::delete(transaction, claim.id)?;
                continue;
            }
            if !claim.condemned {
                claim.condemned = true;
                claim::put(transaction, &claim)?;
            }
            condemned.push(Condemned { id: claim.id, key: claim.key, multipart: claim.multipart });
        }
        Ok(condemned)
    })
    .await
}
