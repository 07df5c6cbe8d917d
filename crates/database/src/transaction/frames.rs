//! Sub-transactions: nested calls whose writes can be undone alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use freshet_store::TableView;

use super::pending::Pending;
use super::{StreamId, Transaction};
use crate::catalog::Catalog;
use crate::error::SystemError;
use crate::limits::{Budget, TransactionLimits};
use crate::query::Stream;

/// What to go back to.
pub(super) struct Frame {
    stale: bool,
    pending: Pending,
    catalog: Arc<Catalog>,
    views: Vec<TableView>,
    limits: TransactionLimits,
    documents_written: u64,
    bytes_written: u64,
    index_key_bytes: u64,
    streams: BTreeMap<StreamId, Box<Stream>>,
    next_stream: u32,
    #[cfg(test)]
    read_set: crate::read_set::ReadSet,
}

impl Frame {
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }
}

impl Transaction {
    /// Begins a nested call. Its streams are numbered from zero; the caller's rest until it ends.
    pub fn begin_sub(&mut self, budget: Option<&Budget>) {
        self.push_frame(budget, false);
    }

    /// Begins a nested query that sees the snapshot without pending writes and adds nothing to the read set. End it with
    /// [`Transaction::rollback_sub`] or [`Transaction::commit_sub`].
    pub fn begin_stale_sub(&mut self, budget: Option<&Budget>) {
        self.push_frame(budget, true);
    }

    /// Ends the innermost nested call and keeps its writes.
    ///
    /// # Errors
    /// [`SystemError::Defect`] without a nested call.
    pub fn commit_sub(&mut self) -> Result<(), SystemError> {
        let frame = self.pop_frame()?;
        if frame.stale {
            self.catalog = frame.catalog;
        }
        Ok(())
    }

    /// Ends the innermost nested call and undoes its writes. Its reads stay in the read set, creation times and ids are not
    /// given back, and scheduled functions still count.
    ///
    /// # Errors
    /// [`SystemError::Defect`] without a nested call.
    pub fn rollback_sub(&mut self) -> Result<(), SystemError> {
        let frame = self.pop_frame()?;
        self.usage.documents_written = frame.documents_written;
        self.usage.bytes_written = frame.bytes_written;
        self.usage.index_key_bytes = frame.index_key_bytes;
        self.pending = frame.pending;
        self.catalog = frame.catalog;
        self.views = frame.views;
        #[cfg(test)]
        if self.shared.weakness.get() == crate::commit::weakness::Weakness::UndoneReads {
            self.read_set = frame.read_set;
        }
        Ok(())
    }

    /// Nested calls under way.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.frames.len()
    }

    fn push_frame(&mut self, budget: Option<&Budget>, stale: bool) {
        let limits = self.limits;
        if let Some(budget) = budget {
            self.limits = limits.within(&self.usage(), budget);
        }
        self.frames.push(Frame {
            // Whatever runs inside a stale query is stale too.
            stale: stale || !self.is_tracked(),
            pending: self.pending.clone(),
            catalog: Arc::clone(&self.catalog),
            views: self.views.clone(),
            limits,
            documents_written: self.usage.documents_written,
            bytes_written: self.usage.bytes_written,
            index_key_bytes: self.usage.index_key_bytes,
            streams: std::mem::take(&mut self.streams),
            next_stream: std::mem::take(&mut self.next_stream),
            #[cfg(test)]
            read_set: self.read_set.clone(),
        });
    }

    fn pop_frame(&mut self) -> Result<Frame, SystemError> {
        let mut frame = self
            .frames
            .pop()
            .ok_or_else(|| SystemError::Defect("a sub-transaction ended that had not begun".to_owned()))?;
        self.limits = frame.limits;
        self.streams = std::mem::take(&mut frame.streams);
        self.next_stream = frame.next_stream;
        Ok(frame)
    }
}
