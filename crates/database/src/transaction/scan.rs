//! Queries: from the AST to an interval of an index, and what streams need of a transaction.

use std::sync::Arc;

use freshet_store::{IndexId, Order};
use freshet_values::{KeyInterval, TableName};

use super::usable::{check_state, not_found};
use super::view::{Chunk, Row};
use super::{StreamId, Transaction};
use crate::catalog::{IndexMeta, IndexSpec, TableMeta};
use crate::document::Document;
use crate::error::{DatabaseError, DeveloperError, SystemError};
use crate::limits::check_queries;
use crate::namespace::Namespace;
use crate::query::stream::{Source, StreamSource};
use crate::query::{Query, QuerySource, Stream, range};
use crate::virtual_tables::{self, VirtualTable};

/// On whose behalf a query runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// App code: private tables do not exist, limits count.
    User,
    /// The engine.
    System,
}

impl Transaction {
    /// Finds what a query reads; `None` for a table that does not exist.
    pub(super) fn source(
        &mut self,
        namespace: Namespace,
        query: &Query,
        reader: Reader,
    ) -> Result<Option<Source>, DatabaseError> {
        if reader == Reader::User {
            self.query_bytes += query.weight() as u64;
            check_queries(self.query_bytes, self.streams.len() + 1)?;
        }
        let name = query.table();
        let shown = virtual_tables::by_public_name(name).filter(|_| reader == Reader::User);
        let hidden = reader == Reader::User && name.is_system() && shown.is_none();
        let stored_name: &TableName = shown.map_or(name, |(_, private)| private);
        let table = if hidden { None } else { self.find_table(namespace, stored_name) };
        let (index_name, bounds, order) = match &query.source {
            QuerySource::FullTableScan { order, .. } => ("by_creation_time", [].as_slice(), *order),
            QuerySource::IndexRange { index, range, order, .. } => (index.as_str(), range.as_slice(), *order),
            QuerySource::Search { index, filters, .. } => {
                // Tables that are shown in another form have no indexes.
                let table = table.as_ref().filter(|_| shown.is_none());
                return Ok(Some(Source::Search(self.search_source(table, name, index, filters)?)));
            }
        };
        let full_name = format!("{name}.{index_name}");
        let built_in = matches!(index_name, "by_id" | "by_creation_time");
        let Some(table) = table else {
            return if built_in { Ok(None) } else { Err(not_found(&full_name).into()) };
        };
        if shown.is_some() && !built_in {
            return Err(not_found(&full_name).into());
        }
        let index = index_name.parse().map_err(|_| not_found(&full_name))?;
        let index = self.find_index(&table, &index).ok_or_else(|| not_found(&full_name))?;
        check_database(&index, &full_name)?;
        check_state(&index, &full_name)?;
        let interval = range::interval(&full_name, &index.fields, bounds)?;
        let shown_as = shown.map(|(table, _)| table);
        Ok(Some(Source::Scan(StreamSource { table, index, interval, order, shown_as })))
    }

    pub(super) fn open_stream(
        &mut self,
        namespace: Namespace,
        query: &Query,
        reader: Reader,
    ) -> Result<StreamId, DatabaseError> {
        let source = self.source(namespace, query, reader)?;
        self.queries += 1;
        let id = StreamId(self.next_stream);
        self.next_stream += 1;
        let stream = Stream::new(source, query.operators.clone(), reader == Reader::User);
        self.streams.insert(id, Box::new(stream));
        Ok(id)
    }

    /// The next row of a stream; `None` at the end, which a stream may be asked for again.
    ///
    /// # Errors
    /// `QueryNotFound` for a closed stream, filter errors, read limits, or a storage failure.
    pub fn next(&mut self, id: StreamId) -> Result<Option<Arc<Document>>, DatabaseError> {
        let mut stream = self
            .streams
            .remove(&id)
            .ok_or_else(|| DeveloperError::new("QueryNotFound", "in-progress query not found"))?;
        let result = stream.next(self);
        self.streams.insert(id, stream);
        result
    }

    /// Ends a stream; returns whether it was open.
    pub fn close(&mut self, id: StreamId) -> bool {
        self.streams.remove(&id).is_some()
    }

    /// Runs a query to its end.
    pub(super) fn run_to_end(
        &mut self,
        namespace: Namespace,
        query: &Query,
        reader: Reader,
    ) -> Result<Vec<Arc<Document>>, DatabaseError> {
        let source = self.source(namespace, query, reader)?;
        let mut stream = Stream::new(source, query.operators.clone(), reader == Reader::User);
        let mut rows = Vec::new();
        while let Some(row) = stream.next(self)? {
            rows.push(row);
        }
        Ok(rows)
    }

    pub(crate) fn load(
        &self,
        table: &TableMeta,
        index: &IndexMeta,
        interval: &KeyInterval,
        order: Order,
        limit: usize,
    ) -> Result<Chunk, SystemError> {
        self.view.scan(table, index, interval, order, limit)
    }

    /// The first entry that this transaction wrote within an interval.
    pub(crate) fn next_pending(&self, index: IndexId, interval: &KeyInterval, order: Order) -> Option<Row> {
        if !self.is_tracked() {
            return None;
        }
        let mut entries = self.pending.range(index, interval);
        let entry = match order {
            Order::Asc => entries.next(),
            Order::Desc => entries.next_back(),
        };
        entry.map(|(key, document)| (Arc::clone(key), Arc::clone(document)))
    }

    /// Whether this transaction removed an entry of the snapshot.
    pub(crate) fn is_gone(&self, index: IndexId, key: &[u8]) -> bool {
        self.is_tracked() && self.pending.entry(index, key).is_some_and(Option::is_none)
    }

    pub(crate) fn record_scan(
        &mut self,
        index: IndexId,
        interval: &KeyInterval,
        counted: bool,
    ) -> Result<(), DatabaseError> {
        self.record(index, interval, counted);
        if counted {
            self.limits.check_reads(&self.usage())?;
        }
        Ok(())
    }

    /// # Errors
    /// When more was read than may be.
    pub(crate) fn check_reads(&self) -> Result<(), DatabaseError> {
        Ok(self.limits.check_reads(&self.usage())?)
    }

    /// The public form of a row of a private table.
    pub(crate) fn show(
        &mut self,
        table: VirtualTable,
        namespace: Namespace,
        row: &Document,
    ) -> Result<Arc<Document>, DatabaseError> {
        let mut args = None;
        if table == VirtualTable::ScheduledFunctions
            && let Some(id) = virtual_tables::args_id(row)?.and_then(|id| id.parse().ok())
        {
            args = self.system(namespace).get(&virtual_tables::JOB_ARGS, id)?;
        }
        Ok(table.show(row, args.as_deref())?)
    }
}

fn check_database(index: &IndexMeta, full_name: &str) -> Result<(), DeveloperError> {
    if !matches!(index.spec, IndexSpec::Database { .. }) {
        return Err(DeveloperError::new(
            "IndexNotADatabaseIndex",
            format!("Index {full_name} is not a database index"),
        ));
    }
    Ok(())
}
