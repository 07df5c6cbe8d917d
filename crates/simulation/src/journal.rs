//! Checks the commit log of a store against the history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freshet_database::TableId;
use freshet_store::LogEntry;
use freshet_values::{Decoder, InternalId, Object, Timestamp, Value};

use crate::model::{Entry, History};
use crate::violation::{Checked, Violation, check};

/// The log after `after` must hold every commit up to `durable`, and nothing that never was.
pub(crate) fn check_log(
    log: &[LogEntry],
    history: &History,
    after: Timestamp,
    durable: Timestamp,
) -> Checked {
    let ascending = log.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp);
    check(ascending, || "the log is out of order".to_owned())?;
    check(log.first().is_none_or(|first| first.timestamp > after), || {
        format!("the log after {after} begins at {}", log[0].timestamp)
    })?;
    let tables: BTreeSet<TableId> = history
        .between(Timestamp(0), Timestamp(u64::MAX - 1))
        .flat_map(|(_, entry)| entry.writes.keys().map(|(table, _)| *table))
        .collect();
    let found: BTreeMap<Timestamp, &LogEntry> = log.iter().map(|entry| (entry.timestamp, entry)).collect();
    let last = log.last().map_or(after, |entry| entry.timestamp).max(durable);
    for (ts, entry) in history.between(after, last) {
        let Some(logged) = found.get(&ts) else {
            check(ts > durable || entry.writes.is_empty(), || {
                let range =
                    log.first().zip(log.last()).map(|(first, last)| (first.timestamp, last.timestamp));
                format!(
                    "the log after {after} reaches over {range:?} and lacks the commit at {ts} ({:?})",
                    entry.writes
                )
            })?;
            continue;
        };
        check_entry(logged, history, entry)?;
    }
    // What is in the log and not in the history must be the database's own housekeeping.
    for entry in log {
        let known = history.at(entry.timestamp).0 == entry.timestamp;
        let foreign = entry.writes.iter().find(|write| tables.contains(&write.table));
        check(known || foreign.is_none(), || {
            format!("the log has a commit at {} that nobody made", entry.timestamp)
        })?;
    }
    Ok(())
}

fn check_entry(logged: &LogEntry, history: &History, entry: &Entry) -> Checked {
    let ts = logged.timestamp;
    let before = &history.at(Timestamp(ts.0 - 1)).1.state;
    let mut found: BTreeMap<(TableId, InternalId), Option<Arc<Object>>> = BTreeMap::new();
    for write in &logged.writes {
        let new = write.json.as_ref().map(|json| decode(json)).transpose()?;
        found.insert((write.table, write.internal), new.map(Arc::new));
    }
    for ((table, id), new) in &entry.writes {
        let logged = found.get(&(*table, id.internal));
        // A document that came and went within one transaction, or is what it was, need not be there.
        let unchanged = before.document(*id) == new.as_ref();
        check(logged == Some(new) || (logged.is_none() && unchanged), || {
            format!("the log has {logged:?} for {id} at {ts} instead of {new:?}")
        })?;
    }
    Ok(())
}

fn decode(json: &str) -> Checked<Object> {
    match Decoder::STRICT.value(json) {
        Ok(Value::Object(object)) => Ok(object),
        other => Err(Violation(format!("the log has {other:?} for a document"))),
    }
}
