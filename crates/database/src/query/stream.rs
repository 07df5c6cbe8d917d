//! A query under way: rows of an index merged with pending writes, or rows that a search found, one at a time.
//!
//! Rows are loaded ahead in growing chunks, but only rows that were handed out, or rejected by a filter, become part of the
//! read set and count against limits.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use freshet_store::Order;
use freshet_values::{KeyInterval, key};

use super::Operator;
use crate::catalog::{IndexMeta, TableMeta};
use crate::document::Document;
use crate::error::DatabaseError;
use crate::transaction::Transaction;
use crate::transaction::search::{SearchRows, SearchSource};
use crate::transaction::view::Row;
use crate::virtual_tables::VirtualTable;

/// Rows of the first load when nothing tells how many will be wanted.
const FIRST_CHUNK: usize = 16;
/// Rows of the largest load.
const CHUNK_MAX: usize = 256;

/// Where a stream's rows come from.
pub(crate) enum Source {
    /// An interval of an index.
    Scan(StreamSource),
    /// A text search.
    Search(SearchSource),
}

/// An interval of an index.
pub(crate) struct StreamSource {
    pub(crate) table: Arc<TableMeta>,
    pub(crate) index: Arc<IndexMeta>,
    pub(crate) interval: KeyInterval,
    pub(crate) order: Order,
    /// Rows are shown in their public form.
    pub(crate) shown_as: Option<VirtualTable>,
}

pub(crate) struct Stream {
    /// `None`: a search, or a table that does not exist, which has no rows.
    source: Option<Arc<StreamSource>>,
    /// What a search found; then there is no other source.
    found: Option<SearchRows>,
    operators: Vec<Operator>,
    /// Whether rows count against the limits of app code.
    counted: bool,
    /// Rows of the snapshot that were loaded ahead.
    loaded: VecDeque<Row>,
    /// What has not been loaded from the snapshot.
    unloaded: Option<KeyInterval>,
    /// What has not been passed yet, for pending writes.
    ahead: KeyInterval,
    next_chunk: usize,
    done: bool,
}

/// One step of a stream.
pub(crate) enum Step {
    /// A row; `accepted` if no filter rejected it.
    Row { key: Arc<[u8]>, row: Arc<Document>, accepted: Option<Arc<Document>> },
    /// There are no more rows.
    End,
}

impl Stream {
    pub(crate) fn new(source: Option<Source>, operators: Vec<Operator>, counted: bool) -> Stream {
        let (source, found) = match source {
            None => (None, None),
            Some(Source::Scan(source)) => (Some(source), None),
            Some(Source::Search(source)) => (None, Some(SearchRows::new(source))),
        };
        let interval = source.as_ref().map_or_else(KeyInterval::empty, |source| source.interval.clone());
        let next_chunk = match operators.as_slice() {
            [Operator::Limit(limit), ..] => usize::try_from(*limit).unwrap_or(CHUNK_MAX).clamp(1, CHUNK_MAX),
            _ => FIRST_CHUNK,
        };
        Stream {
            source: source.map(Arc::new),
            found,
            operators,
            counted,
            loaded: VecDeque::new(),
            unloaded: Some(interval.clone()).filter(|interval| !interval.is_empty()),
            ahead: interval,
            next_chunk,
            done: false,
        }
    }

    /// The next row that passes all filters.
    pub(crate) fn next(
        &mut self,
        transaction: &mut Transaction,
    ) -> Result<Option<Arc<Document>>, DatabaseError> {
        loop {
            match self.step(transaction)? {
                Step::End => return Ok(None),
                Step::Row { accepted: Some(row), .. } => return Ok(Some(row)),
                Step::Row { accepted: None, .. } => {}
            }
        }
    }

    /// Takes one row, whether or not a filter rejects it.
    pub(crate) fn step(&mut self, transaction: &mut Transaction) -> Result<Step, DatabaseError> {
        let used_up = self.operators.iter().any(|operator| matches!(operator, Operator::Limit(0)));
        if self.done || used_up {
            self.done = true;
            return Ok(Step::End);
        }
        if self.found.is_some() {
            return self.step_found(transaction);
        }
        let Some(source) = self.source.clone() else {
            self.done = true;
            return Ok(Step::End);
        };
        let Some((key, row)) = self.peek(transaction)? else {
            self.done = true;
            self.record(transaction, &source.interval, None)?;
            return Ok(Step::End);
        };
        if self.loaded.front().is_some_and(|(loaded, _)| *loaded == key) {
            self.loaded.pop_front();
        }
        let passed = self.pass(&key, source.order);
        if self.counted {
            transaction.charge_row(&row);
        }
        self.record(transaction, &passed, Some(&key))?;
        let shown = match source.shown_as {
            None => Arc::clone(&row),
            Some(table) => transaction.show(table, source.table.namespace, &row)?,
        };
        let accepted = self.accept(&shown)?.then_some(shown);
        Ok(Step::Row { key, row, accepted })
    }

    /// Takes one row of a search. The search itself has recorded what it depends on.
    fn step_found(&mut self, transaction: &mut Transaction) -> Result<Step, DatabaseError> {
        let next = match &mut self.found {
            Some(found) => found.next(transaction)?,
            None => None,
        };
        let Some((key, row)) = next else {
            self.done = true;
            return Ok(Step::End);
        };
        if self.counted {
            transaction.charge_row(&row);
            transaction.check_reads()?;
        }
        let accepted = self.accept(&row)?.then(|| Arc::clone(&row));
        Ok(Step::Row { key, row, accepted })
    }

    /// The next row without taking it: nothing is counted.
    pub(crate) fn peek(&mut self, transaction: &mut Transaction) -> Result<Option<Row>, DatabaseError> {
        if let Some(found) = &mut self.found {
            return Ok(found.peek(transaction)?.cloned());
        }
        let Some(source) = &self.source else { return Ok(None) };
        loop {
            if self.loaded.is_empty()
                && let Some(unloaded) = self.unloaded.take()
            {
                let chunk = transaction.load(
                    &source.table,
                    &source.index,
                    &unloaded,
                    source.order,
                    self.next_chunk,
                )?;
                self.next_chunk = (self.next_chunk * 2).clamp(FIRST_CHUNK, CHUNK_MAX);
                self.loaded.extend(chunk.rows);
                self.unloaded = chunk.rest;
                if self.loaded.is_empty() && self.unloaded.is_some() {
                    continue;
                }
            }
            let written = transaction.next_pending(source.index.id, &self.ahead, source.order);
            let Some((key, row)) = self.loaded.front() else { return Ok(written) };
            if let Some((written_key, written_row)) = written {
                let order = match source.order {
                    Order::Asc => written_key.cmp(key),
                    Order::Desc => key.cmp(&written_key),
                };
                if order != Ordering::Greater {
                    return Ok(Some((written_key, written_row)));
                }
            }
            if transaction.is_gone(source.index.id, key) {
                self.loaded.pop_front();
                continue;
            }
            return Ok(Some((Arc::clone(key), Arc::clone(row))));
        }
    }

    /// Moves on to just behind a key; returns what lies between.
    fn pass(&mut self, key: &[u8], order: Order) -> KeyInterval {
        match order {
            Order::Asc => {
                let cut = key::key_after(key);
                let start = std::mem::replace(&mut self.ahead.start, cut.clone());
                KeyInterval { start, end: Some(cut) }
            }
            Order::Desc => {
                let end = self.ahead.end.replace(key.to_vec());
                KeyInterval { start: key.to_vec(), end }
            }
        }
    }

    /// Depends on what [`Stream::peek`] has shown to be next, without taking it: it does not count as read. What a search found
    /// is a dependency already.
    pub(crate) fn depend_on_next(
        &self,
        transaction: &mut Transaction,
        key: &[u8],
    ) -> Result<(), DatabaseError> {
        let Some(source) = &self.source else { return Ok(()) };
        let mut interval = self.ahead.clone();
        match source.order {
            Order::Asc => interval.end = Some(key::key_after(key)),
            Order::Desc => interval.start = key.to_vec(),
        }
        transaction.record_scan(source.index.id, &interval, false)
    }

    /// Notes that an interval was passed, with the row at its end.
    fn record(
        &self,
        transaction: &mut Transaction,
        interval: &KeyInterval,
        _row: Option<&[u8]>,
    ) -> Result<(), DatabaseError> {
        let Some(source) = &self.source else { return Ok(()) };
        #[cfg(test)]
        let interval = &transaction.shared.weakness.get().scanned(interval, _row);
        transaction.record_scan(source.index.id, interval, self.counted)
    }

    fn accept(&mut self, row: &Document) -> Result<bool, DatabaseError> {
        for operator in &mut self.operators {
            match operator {
                Operator::Limit(left) => *left -= 1,
                Operator::Filter(filter) => {
                    if !filter.accepts(row.object()?)? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }
}
