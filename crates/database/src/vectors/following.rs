//! Bringing indexes up to date with the commits that are durable.

use std::sync::Arc;

use freshet_store::{StoreError, StoredDocument, TableId};
use freshet_values::{InternalId, Timestamp};

use super::kept::Kept;
use crate::commit::changes::Committed;
use crate::document::Document;
use crate::error::SystemError;
use crate::shared::Shared;

/// Commits taken at once.
const COMMITS_MAX: usize = 512;
/// Bytes of JSON that are read from the log at once.
const LOG_BYTES_MAX: usize = 8 << 20;

/// What became of the indexes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// They were up to date.
    Nothing,
    /// They took some commits; there may be more.
    Some,
    /// Commits after this one are forgotten, or were before it; indexes that lack them have to be built again.
    Lost(Timestamp),
}

/// Takes some of the durable commits that an index lacks.
///
/// # Errors
/// A storage failure. An index may have a part of a commit: it is taken again, which makes no difference.
pub(super) fn follow(shared: &Shared, indexes: &mut [Kept]) -> Result<Followed, SystemError> {
    let Some(covered) = indexes.iter().map(|kept| kept.covered).min() else { return Ok(Followed::Nothing) };
    let (commits, through) = {
        let state = shared.state.lock();
        let durable = state.durable_ts;
        if durable <= covered {
            return Ok(Followed::Nothing);
        }
        if state.window.floor() > covered {
            (None, durable)
        } else {
            let commits = state.window.after(covered).take_while(|commit| commit.timestamp <= durable);
            let commits: Vec<Arc<Committed>> = commits.take(COMMITS_MAX).cloned().collect();
            let last = commits.last().filter(|_| commits.len() == COMMITS_MAX);
            let through = last.map_or(durable, |last| last.timestamp);
            (Some(commits), through)
        }
    };
    let through = match commits {
        Some(commits) => {
            take_commits(indexes, &commits)?;
            through
        }
        None => match take_log(shared, indexes, covered, through) {
            Err(SystemError::Store(StoreError::LogTruncated { oldest, .. })) => {
                return Ok(Followed::Lost(oldest));
            }
            taken => taken?,
        },
    };
    for kept in indexes.iter_mut().filter(|kept| kept.covered < through) {
        kept.covered = through;
        kept.publish(&shared.vectors);
    }
    Ok(Followed::Some)
}

fn take_commits(indexes: &mut [Kept], commits: &[Arc<Committed>]) -> Result<(), SystemError> {
    for commit in commits {
        for change in &commit.documents {
            for kept in indexes.iter_mut().filter(|kept| lacks(kept, change.table, commit.timestamp)) {
                let new = change.new.as_deref().map(Document::object).transpose()?;
                if let (Some(old), Some(new), true) = (&change.old, new, kept.is_ready())
                    && kept.definition.is_same(old.object()?, new)
                {
                    continue;
                }
                kept.put(change.internal, new).map_err(|error| unreadable(&error))?;
            }
        }
    }
    Ok(())
}

/// Returns up to which commit the log was read.
fn take_log(
    shared: &Shared,
    indexes: &mut [Kept],
    covered: Timestamp,
    durable: Timestamp,
) -> Result<Timestamp, SystemError> {
    let entries = shared.store.read_log(covered, COMMITS_MAX, LOG_BYTES_MAX)?;
    let through = entries.last().map_or(durable, |entry| entry.timestamp.min(durable));
    for entry in entries.iter().filter(|entry| entry.timestamp <= through) {
        for write in &entry.writes {
            for kept in indexes.iter_mut().filter(|kept| lacks(kept, write.table, entry.timestamp)) {
                put_json(kept, write.internal, write.json.as_ref())?;
            }
        }
    }
    Ok(through)
}

fn put_json(kept: &mut Kept, internal: InternalId, json: Option<&Arc<str>>) -> Result<(), SystemError> {
    let document = json.map(|json| {
        let stored = StoredDocument { internal, json: Arc::clone(json), size: 0 };
        Document::from_stored(kept.number, stored)
    });
    let object = document.as_ref().map(Document::object).transpose()?;
    kept.put(internal, object).map_err(|error| unreadable(&error))
}

fn lacks(kept: &Kept, table: TableId, timestamp: Timestamp) -> bool {
    kept.table == table && kept.covered < timestamp
}

/// The failure of an index that cannot read its own files.
pub(super) fn unreadable(error: &std::io::Error) -> SystemError {
    SystemError::Store(StoreError::Storage(format!("the files of a vector index cannot be read: {error}")))
}
