//! Paginated queries.

use std::sync::Arc;

use freshet_store::Order;
use freshet_values::{KeyInterval, key};

use super::Transaction;
use super::scan::Reader;
use crate::document::Document;
use crate::error::{DatabaseError, DeveloperError};
use crate::limits::TransactionLimits;
use crate::namespace::Namespace;
use crate::query::Query;
use crate::query::cursor::{Fingerprint, Position};
use crate::query::stream::{Source, Step, Stream};

/// Most rows that one page may ask for.
const PAGE_SIZE_MAX: u64 = 32_000;
/// Rows on a page from which splitting is recommended.
const PAGE_ROWS_SOFT: usize = 6144;

/// What a page is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct PageRequest {
    /// The query.
    pub query: Query,
    /// Where the page begins; `None` at the beginning.
    pub cursor: Option<String>,
    /// Where the page ends, whatever its size.
    pub end_cursor: Option<String>,
    /// Where the page ended when the calling function ran before; used if there is no `end_cursor`.
    pub journal: Option<String>,
    /// Rows on the page.
    pub page_size: u64,
    /// Most rows to read, rejected ones included.
    pub rows_read_max: Option<u64>,
    /// Most bytes to read.
    pub bytes_read_max: Option<u64>,
}

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Arc<Document>>,
    /// The end was reached.
    pub is_done: bool,
    /// Where the next page begins; also what goes into the journal.
    pub continue_cursor: String,
    /// Where to cut the page in two.
    pub split_cursor: Option<String>,
    /// Whether to cut it.
    pub status: Option<PageStatus>,
}

/// Advice to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStatus {
    /// The page is large.
    SplitRecommended,
    /// The page is incomplete.
    SplitRequired,
}

impl PageStatus {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            PageStatus::SplitRecommended => "SplitRecommended",
            PageStatus::SplitRequired => "SplitRequired",
        }
    }
}

/// How the reading of a page ended.
struct Reading {
    rows: Vec<Arc<Document>>,
    /// Keys of all rows read, rejected ones included.
    positions: Vec<Arc<[u8]>>,
    bytes: u64,
    exhausted: bool,
    cut_short: bool,
}

impl Transaction {
    pub(super) fn read_page(
        &mut self,
        namespace: Namespace,
        request: &PageRequest,
        reader: Reader,
    ) -> Result<Page, DatabaseError> {
        check_request(request)?;
        let source = self.source(namespace, &request.query, reader)?;
        self.queries += 1;
        let fields = match &source {
            None => Vec::new(),
            Some(Source::Scan(source)) => source.index.listed_fields().to_vec(),
            Some(Source::Search(source)) => source.fields(),
        };
        let can_split = !matches!(source, Some(Source::Search(_)));
        let fingerprint = match &source {
            Some(_) => Fingerprint::of(&request.query, namespace.0, &fields),
            // A table that does not exist yet has the index that it will have, so that cursors stay good.
            None => Fingerprint::of(&request.query, namespace.0, &missing_table_fields(&request.query)),
        };
        let cursor_key = self.shared.cursor_key.clone();
        let open = |text: &String| cursor_key.open(text, fingerprint);
        let begin = request.cursor.as_ref().map(open).transpose()?;
        // A journal of another query is as wrong as a cursor of another query: the pages after this one begin where
        // that query's page ended, so that only beginning anew makes them fit again.
        let end = request.end_cursor.as_ref().or(request.journal.as_ref()).map(open).transpose()?;
        let end_given = end.is_some();
        let reading = match source {
            None => Reading {
                rows: Vec::new(),
                positions: Vec::new(),
                bytes: 0,
                exhausted: true,
                cut_short: false,
            },
            Some(mut source) => {
                match &mut source {
                    Source::Scan(source) => {
                        source.interval =
                            between(&source.interval, begin.as_ref(), end.as_ref(), source.order);
                    }
                    Source::Search(source) => {
                        (source.begin, source.end, source.is_paged) = (begin, end.clone(), true);
                    }
                }
                let stream =
                    Stream::new(Some(source), request.query.operators.clone(), reader == Reader::User);
                self.read_rows(stream, request, end_given)?
            }
        };
        let reached = match end {
            Some(end) => end,
            None if reading.exhausted => Position::End,
            None => reading.positions.last().map_or(Position::End, |key| Position::After(key.to_vec())),
        };
        Ok(Page {
            is_done: reached == Position::End,
            continue_cursor: cursor_key.seal(&reached, fingerprint),
            split_cursor: (can_split && reading.positions.len() > 2).then(|| {
                let middle = reading.positions[reading.positions.len() / 2].to_vec();
                cursor_key.seal(&Position::After(middle), fingerprint)
            }),
            status: status(request, &reading, end_given, &self.shared.options.limits),
            rows: reading.rows,
        })
    }

    fn read_rows(
        &mut self,
        mut stream: Stream,
        request: &PageRequest,
        to_end_cursor: bool,
    ) -> Result<Reading, DatabaseError> {
        let mut reading =
            Reading { rows: Vec::new(), positions: Vec::new(), bytes: 0, exhausted: false, cut_short: false };
        loop {
            if !to_end_cursor {
                if reading.rows.len() as u64 >= request.page_size {
                    return Ok(reading);
                }
                let rows_over =
                    request.rows_read_max.is_some_and(|most| reading.positions.len() as u64 >= most);
                let bytes_over = request.bytes_read_max.is_some_and(|most| reading.bytes >= most);
                if !reading.positions.is_empty() && (rows_over || bytes_over) {
                    reading.cut_short = true;
                    return Ok(reading);
                }
            }
            if !reading.positions.is_empty()
                && let Some((key, row)) = stream.peek(self)?
                && self.would_exceed_reads(&row)
            {
                // With a smaller row here, or one before it, the page would go on.
                stream.depend_on_next(self, &key)?;
                reading.cut_short = true;
                return Ok(reading);
            }
            match stream.step(self)? {
                Step::End => {
                    reading.exhausted = true;
                    return Ok(reading);
                }
                Step::Row { key, row, accepted } => {
                    reading.bytes += row.size();
                    reading.positions.push(key);
                    reading.rows.extend(accepted);
                }
            }
        }
    }

    fn would_exceed_reads(&self, row: &Document) -> bool {
        let mut usage = self.usage();
        usage.documents_read += 1;
        usage.bytes_read += row.size();
        self.limits.check_reads(&usage).is_err()
    }
}

fn check_request(request: &PageRequest) -> Result<(), DeveloperError> {
    if request.page_size == 0 {
        return Err(DeveloperError::new(
            "NoDocumentsForPagination",
            "Must request at least 1 document while paginating",
        ));
    }
    if request.page_size > PAGE_SIZE_MAX {
        return Err(DeveloperError::new(
            "PageSizeTooLarge",
            format!("Requested too many items: {}", request.page_size),
        ));
    }
    if request.rows_read_max == Some(0) || request.bytes_read_max == Some(0) {
        return Err(DeveloperError::new(
            "InvalidPaginationLimit",
            "maximumRowsRead and maximumBytesRead must be greater than 0",
        ));
    }
    Ok(())
}

/// The part of an interval after one position up to and including another.
fn between(
    interval: &KeyInterval,
    begin: Option<&Position>,
    end: Option<&Position>,
    order: Order,
) -> KeyInterval {
    let mut interval = interval.clone();
    match begin {
        None => {}
        Some(Position::End) => return KeyInterval::empty(),
        Some(Position::After(at)) => match order {
            Order::Asc => interval.start = interval.start.max(key::key_after(at)),
            Order::Desc => interval.end = Some(min_end(interval.end, at.clone())),
        },
    }
    if let Some(Position::After(at)) = end {
        match order {
            Order::Asc => interval.end = Some(min_end(interval.end, key::key_after(at))),
            Order::Desc => interval.start = interval.start.max(at.clone()),
        }
    }
    if interval.is_empty() { KeyInterval::empty() } else { interval }
}

fn min_end(end: Option<Vec<u8>>, other: Vec<u8>) -> Vec<u8> {
    match end {
        Some(end) => end.min(other),
        None => other,
    }
}

fn missing_table_fields(query: &Query) -> Vec<&'static str> {
    match &query.source {
        crate::query::QuerySource::IndexRange { index, .. } if *index == "by_id" => vec!["_id"],
        _ => vec!["_creationTime"],
    }
}

fn status(
    request: &PageRequest,
    reading: &Reading,
    end_given: bool,
    limits: &TransactionLimits,
) -> Option<PageStatus> {
    if reading.cut_short {
        return Some(PageStatus::SplitRequired);
    }
    let most = |asked: Option<u64>, most: u64| if end_given { most } else { asked.unwrap_or(most).min(most) };
    let rows_max = most(request.rows_read_max, limits.documents_read);
    let bytes_max = most(request.bytes_read_max, limits.bytes_read);
    let is_near = |used: u64, most: u64| used.saturating_mul(4) > most.saturating_mul(3);
    let large = is_near(reading.positions.len() as u64, rows_max)
        || is_near(reading.bytes, bytes_max)
        || reading.rows.len() > PAGE_ROWS_SOFT;
    large.then_some(PageStatus::SplitRecommended)
}
