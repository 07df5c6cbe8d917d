//! Pages of a query: where one begins, and what is on it.

use std::sync::Arc;

use freshet_database::{DatabaseError, Namespace, PageRequest, Transaction};
use freshet_values::Object;

use super::question::{Answer, Question, object};
use super::state::{RowKey, State};

/// A page that is read.
#[derive(Clone, Debug)]
pub(crate) struct PageQuestion {
    /// The whole query: a scan or a range without a limit.
    pub(crate) of: Box<Question>,
    pub(crate) from: Place,
    /// What the database calls that place; `None` at the start.
    pub(crate) cursor: Option<String>,
    pub(crate) size: u64,
}

/// Between two rows of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Start,
    After(RowKey),
    End,
}

impl PageQuestion {
    /// Asks a transaction. Also returns where the next page begins.
    pub(crate) fn ask(
        &self,
        transaction: &mut Transaction,
    ) -> Result<(Answer, Option<PageQuestion>), DatabaseError> {
        let request = PageRequest {
            query: self.of.query(),
            cursor: self.cursor.clone(),
            end_cursor: None,
            journal: None,
            page_size: self.size,
            rows_read_max: None,
            bytes_read_max: None,
        };
        let page = match transaction.user(Namespace::ROOT).paginate(&request) {
            Ok(page) => page,
            Err(DatabaseError::Developer(_)) => return Ok((Answer::Unusable, None)),
            Err(error) => return Err(error),
        };
        let rows: Vec<Arc<Object>> =
            page.rows.iter().map(|document| object(document)).collect::<Result<_, _>>()?;
        let from = match rows.last() {
            _ if page.is_done => Place::End,
            None => self.from.clone(),
            Some(last) => Place::After(RowKey::of(last, &self.of.fields())),
        };
        let next = PageQuestion { from, cursor: Some(page.continue_cursor), ..self.clone() };
        Ok((Answer::Page { rows, is_done: page.is_done }, Some(next)))
    }

    /// The answer that the model gives.
    pub(crate) fn expect(&self, state: &State) -> Answer {
        let Answer::Documents(mut rows) = self.of.expect(state) else { return Answer::Unusable };
        let fields = self.of.fields();
        match &self.from {
            Place::Start => {}
            Place::End => rows.clear(),
            Place::After(place) => rows.retain(|object| {
                let key = RowKey::of(object, &fields);
                if self.of.is_descending() { key < *place } else { key > *place }
            }),
        }
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        // A page that is just full does not know yet that nothing follows.
        let is_done = rows.len() < size;
        rows.truncate(size);
        Answer::Page { rows, is_done }
    }
}
