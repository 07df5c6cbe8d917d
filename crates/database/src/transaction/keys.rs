//! Reading keys of an index without their documents: the view's, with those that the transaction wrote.

use std::cmp::Ordering;

use freshet_store::{IndexId, KeyChunk};
use freshet_values::{KeyInterval, key};

use super::Transaction;
use super::view::View;
use crate::error::SystemError;

impl Transaction {
    /// Keys within an interval, ascending, and what was not looked at yet. Loads at most about `limit` keys from the store;
    /// none may be left of them. Records nothing.
    pub(super) fn load_keys(
        &self,
        index: IndexId,
        interval: &KeyInterval,
        limit: usize,
    ) -> Result<(KeyChunk, Option<KeyInterval>), SystemError> {
        let (keys, rest) = self.view.scan_keys(index, interval, limit)?;
        if !self.is_tracked() {
            return Ok((keys, rest));
        }
        let covered = covered(interval, rest.as_ref());
        let mut written = self.pending.presence(index, &covered).peekable();
        if written.peek().is_none() {
            return Ok((keys, rest));
        }
        Ok((merge(&keys, written), rest))
    }
}

impl View {
    /// Keys of an index within an interval, like [`Transaction::load_keys`].
    fn scan_keys(
        &self,
        index: IndexId,
        interval: &KeyInterval,
        limit: usize,
    ) -> Result<(KeyChunk, Option<KeyInterval>), SystemError> {
        if interval.is_empty() {
            return Ok((KeyChunk::default(), None));
        }
        self.check_known(index)?;
        let keys = self.snapshot.scan_keys(index, interval, limit)?;
        let last = keys.len().checked_sub(1).and_then(|last| keys.get(last)).filter(|_| !keys.exhausted);
        let rest = last.map(|last| KeyInterval { start: key::key_after(last), end: interval.end.clone() });
        let covered = covered(interval, rest.as_ref());
        let mut over = self.overlay.presence(index, &covered).peekable();
        if over.peek().is_none() {
            return Ok((keys, rest));
        }
        Ok((merge(&keys, over), rest))
    }

    /// Number of keys of an index within an interval, pending writes not included.
    pub(super) fn count_keys(&self, index: IndexId, interval: &KeyInterval) -> Result<u64, SystemError> {
        if interval.is_empty() {
            return Ok(0);
        }
        self.check_known(index)?;
        let mut count = self.snapshot.count_keys(index, interval)?;
        for (key, is_present) in self.overlay.presence(index, interval) {
            // The store may have the commit as well, or as yet.
            let is_stored = !self.snapshot.scan_keys(index, &KeyInterval::point(key), 1)?.is_empty();
            count = count.saturating_add_signed(i64::from(is_present) - i64::from(is_stored));
        }
        Ok(count)
    }
}

/// The part of an interval before the rest.
fn covered(interval: &KeyInterval, rest: Option<&KeyInterval>) -> KeyInterval {
    match rest {
        None => interval.clone(),
        Some(rest) => KeyInterval { start: interval.start.clone(), end: Some(rest.start.clone()) },
    }
}

/// Keys with newer ones laid over them: present or gone.
fn merge<'a>(base: &KeyChunk, over: impl Iterator<Item = (&'a [u8], bool)>) -> KeyChunk {
    let mut merged = KeyChunk::default();
    let mut over = over.peekable();
    let mut base = base.iter().peekable();
    loop {
        let order = match (base.peek(), over.peek()) {
            (None, None) => return merged,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(base), Some((over, _))) => (*base).cmp(over),
        };
        let kept = if order.is_le() { base.next() } else { None };
        match if order.is_ge() { over.next() } else { None } {
            Some((key, true)) => merged.push(key),
            Some((_, false)) => {}
            None => merged.push(kept.expect("one of the two is not at its end")),
        }
    }
}
